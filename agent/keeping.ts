/** Retention's clock: lets a replica do now and then what only time asks for. */
import type { Logger } from 'pino'
import type { OpenReplica } from '../sync/open-replica.ts'

/** A ttl is at least a second, and ends within this much of it. */
const KEEP_MS = 1_000

export function startKeeping(replica: OpenReplica, log: Logger): () => Promise<void> {
  let keeping: Promise<void> | undefined
  const keep = async (): Promise<void> => {
    try {
      await replica.keep()
    } catch (error) {
      log.error({ err: error }, 'retention failed; it is tried again')
    }
  }
  const timer = setInterval(() => {
    keeping ??= keep().finally(() => (keeping = undefined))
  }, KEEP_MS)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await keeping
  }
}

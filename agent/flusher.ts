/** Makes deferred writes durable in time: within HS_BATCH_MS with `batch`, now and then with `async`. */
import type { Logger } from 'pino'
import type { OpenReplica } from '../sync/open-replica.ts'

/** `async` promises nothing; this bounds what a power cut can take, and lets others hear of the writes. */
const ASYNC_FLUSH_MS = 5_000

export function startFlushing(replica: OpenReplica, durability: 'batch' | 'async', batchMs: number, log: Logger): () => Promise<void> {
  let flushing: Promise<void> | undefined
  const flush = async (): Promise<void> => {
    try {
      await replica.flush()
    } catch (error) {
      log.error({ err: error }, 'writes could not be made durable; they are tried again')
    }
  }
  const timer = setInterval(
    () => {
      flushing ??= flush().finally(() => (flushing = undefined))
    },
    durability === 'batch' ? batchMs : ASYNC_FLUSH_MS,
  )
  return async () => {
    clearInterval(timer)
    await flushing
  }
}

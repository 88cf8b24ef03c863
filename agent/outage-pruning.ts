/** Lets go of what others have acknowledged, now and then. */
import type { Logger } from 'pino'
import type { OpenReplica } from '../sync/open-replica.ts'
import type { OutageLog } from './outage-log.ts'

const PRUNE_MS = 5_000

export function startPruning(outageLog: OutageLog, replica: OpenReplica, log: Logger): () => Promise<void> {
  let pruning: Promise<void> | undefined
  let dropped = 0
  const prune = async (): Promise<void> => {
    try {
      await outageLog.prune(write => replica.isConfirmed(write))
    } catch (error) {
      log.error({ err: error }, 'the outage log could not be shortened; it is tried again')
    }
    const { droppedWrites, bytesMax } = outageLog.state()
    if (droppedWrites > dropped) {
      log.warn(
        { writes: droppedWrites - dropped, bytes_max: bytesMax },
        'the outage log is full: its oldest writes are in the database alone now',
      )
    }
    dropped = droppedWrites
  }
  const timer = setInterval(() => {
    if (outageLog.state().bytes > 0) pruning ??= prune().finally(() => (pruning = undefined))
  }, PRUNE_MS)
  return async () => {
    clearInterval(timer)
    await pruning
  }
}

/** What the store tells of itself: in the log when it changes, in `/readyz` while it lasts. */
import type { Logger } from 'pino'
import type { Clock } from '../base/ports.ts'
import type { ReplicaNotice } from '../sync/open-replica.ts'

export interface StoreHealth {
  notice(notice: ReplicaNotice): void
  /** Why writes do not work now; empty when they do. */
  faults(): readonly string[]
}

export function createStoreHealth(log: Logger, clock: Pick<Clock, 'monotonicMs'>): StoreHealth {
  let fault: string | undefined
  const voided = createVoidedLog(log, clock)
  return {
    notice(notice) {
      switch (notice.kind) {
        case 'write-failed': {
          const reason = notice.error instanceof Error ? notice.error.message : String(notice.error)
          if (reason !== fault) log.error({ reason }, 'the store cannot write; writes are refused, nothing acknowledged is lost')
          fault = reason
          return
        }
        case 'write-recovered':
          log.info('the store writes again')
          fault = undefined
          return
        case 'quarantined':
          log.warn(
            { collection: notice.collection, versions: notice.versions },
            'records of a deleted collection that the deletion had not seen were put into quarantine',
          )
          return
        case 'voided':
          voided.count(notice.collection, notice.dots.length)
      }
    },
    faults: () => (fault === undefined ? [] : [`the store cannot write: ${fault}`]),
  }
}

const VOIDED_PAUSE_MS = 60_000

/** Says of each collection at most once a minute how many writes its bound has cost since. */
function createVoidedLog(log: Logger, clock: Pick<Clock, 'monotonicMs'>) {
  const silenceByName = new Map<string, { readonly untilMs: number; versions: number }>()
  return {
    count(collection: string, versions: number): void {
      const nowMs = clock.monotonicMs()
      const silence = silenceByName.get(collection)
      if (silence !== undefined && nowMs < silence.untilMs) {
        silence.versions += versions
        return
      }
      const all = versions + (silence?.versions ?? 0)
      silenceByName.set(collection, { untilMs: nowMs + VOIDED_PAUSE_MS, versions: 0 })
      log.warn({ collection, versions: all }, 'a full collection gave up writes that nobody else is known to have')
    },
  }
}

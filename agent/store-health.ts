/** What the store tells of itself: in the log when it changes, in `/readyz` while it lasts. */
import type { Logger } from 'pino'
import type { ReplicaNotice } from '../sync/open-replica.ts'

export interface StoreHealth {
  notice(notice: ReplicaNotice): void
  /** Why writes do not work now; empty when they do. */
  faults(): readonly string[]
}

export function createStoreHealth(log: Logger): StoreHealth {
  let fault: string | undefined
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
      }
    },
    faults: () => (fault === undefined ? [] : [`the store cannot write: ${fault}`]),
  }
}

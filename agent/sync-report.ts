/** What becomes of the progress of sessions: rows of the ledger, totals, events for users, and lines of the log. */
import type { Logger } from 'pino'
import type { CollectionProgress } from '../sync/session.ts'
import { SYSTEM_COLLECTION } from '../sync/settings.ts'
import type { SyncEvent } from './event-hub.ts'
import type { SyncLedger } from './sync-ledger.ts'

export interface SyncTotals {
  sessions: number
  failures: number
  malformed: number
  repairs: number
  drifted: number
  diverged: number
  forks: number
}

export const hasMoved = ({ itemsSent, itemsReceived }: CollectionProgress): boolean => itemsSent + itemsReceived > 0

export interface SyncReportOptions {
  readonly ledger: SyncLedger
  readonly totals: SyncTotals
  readonly log: Logger
  readonly onExchanged: (event: SyncEvent) => void
}

export function reportProgress({ ledger, totals, log, onExchanged }: SyncReportOptions, peer: string, progress: CollectionProgress): void {
  ledger.record(peer, progress)
  if (progress.state === 'syncing') return
  const { name } = progress
  if (name !== SYSTEM_COLLECTION && (progress.state === 'done' || hasMoved(progress))) onExchanged(toSyncEvent(peer, progress))
  totals.malformed += progress.malformed
  totals.drifted += progress.drifted
  if (progress.isRepaired) totals.repairs += 1
  if (progress.isDiverged) {
    totals.diverged += 1
    log.error({ peer, collection: name }, 'two replicas know the same and hold different things, and repair did not mend it')
  }
  if (progress.isForked) {
    totals.forks += 1
    log.error({ peer, collection: name }, 'this store is behind what it has shipped before (a restored backup?): it took a new origin')
  }
}

function toSyncEvent(peer: string, progress: CollectionProgress): SyncEvent {
  const { name, isInSync, itemsSent, itemsReceived, bytesSent, bytesReceived } = progress
  return {
    kind: 'sync',
    peer,
    collection: name,
    inSync: isInSync,
    entriesSent: itemsSent,
    entriesReceived: itemsReceived,
    bytesSent,
    bytesReceived,
  }
}

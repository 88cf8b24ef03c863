/** What has been exchanged with whom: the rows of `GET /api/sync`. One row a peer and collection, kept while the peer is listed. */
import type { Clock } from '../base/ports.ts'
import { createRateMeter, estimateBytes, type RateMeter } from '../sync/progress.ts'
import { SYSTEM_COLLECTION } from '../sync/settings.ts'
import type { CollectionProgress } from '../sync/session.ts'
import type { SyncRow } from './sync-state.ts'

interface Counts {
  readonly entriesSent: number
  readonly entriesReceived: number
  readonly bytesSent: number
  readonly bytesReceived: number
}

interface LedgerRow {
  /** Of sessions that have ended. */
  past: Counts
  /** Of the session under way. */
  current: Counts
  state: SyncRow['state']
  lastSyncAtMs: number | undefined
  /** Of the session under way. */
  remaining: { readonly records: number; readonly bytes: number | undefined } | undefined
  readonly meter: RateMeter
  error: string | undefined
}

export interface SyncLedger {
  record(nodeId: string, progress: CollectionProgress): void
  /** The link with that peer is live from now on. */
  live(nodeId: string): void
  /** A session with that peer has ended; `fault` says why early, `names` which collections still differ. */
  ended(nodeId: string, fault: string | undefined, names: readonly string[]): void
  forget(nodeId: string): void
  /** `differing`: the collections that differ from that peer's now. */
  rows(differing: (nodeId: string) => ReadonlySet<string>): SyncRow[]
}

const NOTHING: Counts = { entriesSent: 0, entriesReceived: 0, bytesSent: 0, bytesReceived: 0 }
/** Rows of one peer; beyond it further collections are synced and not listed. */
const ROWS_PER_PEER_MAX = 8_192

const add = (a: Counts, b: Counts): Counts => ({
  entriesSent: a.entriesSent + b.entriesSent,
  entriesReceived: a.entriesReceived + b.entriesReceived,
  bytesSent: a.bytesSent + b.bytesSent,
  bytesReceived: a.bytesReceived + b.bytesReceived,
})

export function createSyncLedger(clock: Clock): SyncLedger {
  const rowsByNodeId = new Map<string, Map<string, LedgerRow>>()
  const live = new Set<string>()

  const rowOf = (nodeId: string, name: string): LedgerRow | undefined => {
    let rows = rowsByNodeId.get(nodeId)
    if (rows === undefined) rowsByNodeId.set(nodeId, (rows = new Map()))
    let row = rows.get(name)
    if (row === undefined && rows.size < ROWS_PER_PEER_MAX) {
      row = {
        past: NOTHING,
        current: NOTHING,
        state: 'idle',
        lastSyncAtMs: undefined,
        error: undefined,
        remaining: undefined,
        meter: createRateMeter(),
      }
      rows.set(name, row)
    }
    return row
  }

  return {
    record(nodeId, progress) {
      const { name, state, itemsSent, itemsReceived, bytesSent, bytesReceived } = progress
      const row = rowOf(nodeId, name)
      if (row === undefined) return
      const { current } = row
      const movedRecords = itemsSent + itemsReceived - current.entriesSent - current.entriesReceived
      const movedBytes = bytesSent + bytesReceived - current.bytesSent - current.bytesReceived
      row.meter.add(clock.monotonicMs(), Math.max(0, movedRecords), Math.max(0, movedBytes))
      row.remaining = remainingOf(progress)
      row.current = { entriesSent: itemsSent, entriesReceived: itemsReceived, bytesSent, bytesReceived }
      row.state = state === 'syncing' ? 'syncing' : 'idle'
      if (state === 'syncing') return
      row.past = add(row.past, row.current)
      row.current = NOTHING
      row.remaining = undefined
      row.lastSyncAtMs = clock.wallMs()
      row.error = undefined
    },
    live: nodeId => void live.add(nodeId),
    ended(nodeId, fault, names) {
      live.delete(nodeId)
      for (const row of rowsByNodeId.get(nodeId)?.values() ?? []) {
        if (row.state !== 'syncing') continue
        row.past = add(row.past, row.current)
        row.current = NOTHING
        row.remaining = undefined
        row.state = 'idle'
      }
      for (const name of names) {
        const row = rowOf(nodeId, name)
        if (row === undefined) continue
        row.state = fault === undefined ? 'idle' : 'failed'
        row.error = fault
      }
    },
    forget(nodeId) {
      rowsByNodeId.delete(nodeId)
      live.delete(nodeId)
    },
    rows(differing) {
      const listed: SyncRow[] = []
      for (const [peer, rows] of rowsByNodeId) {
        const names = differing(peer)
        for (const [collection, row] of rows) {
          if (collection === SYSTEM_COLLECTION) continue
          const { state, lastSyncAtMs, error } = row
          listed.push({
            peer,
            collection,
            state: state === 'idle' && live.has(peer) ? 'live' : state,
            inSync: !names.has(collection),
            ...add(row.past, row.current),
            lastSyncAtMs,
            ...remainingShown(row, names.has(collection)),
            rate: row.meter.rate(clock.monotonicMs()),
            ...(error === undefined ? {} : { error }),
          })
        }
      }
      return listed
    },
  }
}

function remainingOf({
  toSend,
  toReceive,
  itemsSent,
  itemsReceived,
  bytesSent,
  bytesReceived,
}: CollectionProgress): LedgerRow['remaining'] {
  if (toSend === undefined || toReceive === undefined) return undefined
  const out = estimateBytes(toSend, itemsSent, bytesSent)
  const into = estimateBytes(toReceive, itemsReceived, bytesReceived)
  return { records: toSend + toReceive, bytes: out === undefined || into === undefined ? undefined : out + into }
}

function remainingShown({ remaining }: LedgerRow, differs: boolean): Pick<SyncRow, 'remainingRecords' | 'remainingBytes'> {
  if (remaining !== undefined) return { remainingRecords: remaining.records, remainingBytes: remaining.bytes }
  const nothing = differs ? undefined : 0
  return { remainingRecords: nothing, remainingBytes: nothing }
}

import type { Rate } from '../sync/progress.ts'

/** What `GET /api/sync` shows: one row per peer and collection. */
export interface SyncRow {
  readonly peer: string
  readonly collection: string
  /** `live`: the link is open, and what changes flows at once. */
  readonly state: 'idle' | 'syncing' | 'live' | 'failed'
  readonly inSync: boolean
  readonly entriesSent: number
  readonly entriesReceived: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Unix milliseconds; undefined when never. */
  readonly lastSyncAtMs: number | undefined
  readonly error?: string
  /** At most so many versions are left of the session under way, both directions together; undefined where none is and something differs. */
  readonly remainingRecords: number | undefined
  /** Estimated by the size of what has been moved. */
  readonly remainingBytes: number | undefined
  /** Over the last seconds. */
  readonly rate: Rate
}

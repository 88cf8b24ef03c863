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
}

/**
 * Room on a full disk (P3): LevelDB keeps what was deleted until it happens to merge the tables concerned, and with writes refused it never
 * would. While the disk is full and a share of the records has been removed since the last time, all tables are merged - where there is room for
 * that: merging writes tables before it removes those that they replace.
 */
import type { Logger } from 'pino'
import type { LevelStore } from './level-store.ts'

/**
 * What merging may write before anything goes: up to 12 tables of 8 MiB that nothing was merged with yet (LevelDB stops writes there), what they overlap
 * with, and some for the log.
 */
const MERGE_FREE_BYTES_MIN = 128 * 1024 * 1024
/** Merging writes all that is left again: it is to be worth it. */
const REMOVED_SHARE_MIN = 0.05

/** What was not merged to its end, since somebody read or there was too little room, is begun anew no sooner. */
const AGAIN_MS = 60_000

export interface Reclaiming {
  /** The disk was looked at and is full. */
  whileFull(): void
  /** Begins no more, and ends what is under way soon. */
  close(): void
}

export interface ReclaimingOptions {
  readonly store: Pick<LevelStore, 'compact' | 'removedRecords'>
  /** What is held now. */
  readonly records: () => number
  /** Of the disk, as of now. */
  readonly freeBytes: () => Promise<number>
  readonly monotonicMs: () => number
  readonly log: Logger
}

export function createReclaiming({ store, records, freeBytes, monotonicMs, log }: ReclaimingOptions): Reclaiming {
  let removedBefore = 0
  let isRunning = false
  let isClosed = false
  let againAtMs = -Infinity
  const merge = async (): Promise<void> => {
    const removed = store.removedRecords()
    try {
      if (await store.compact(async () => (await freeBytes()) >= MERGE_FREE_BYTES_MIN && !isClosed)) removedBefore = removed
    } catch (error) {
      if (!isClosed) log.warn({ err: error }, 'room could not be made on the full disk')
    }
    againAtMs = monotonicMs() + AGAIN_MS
    isRunning = false
  }
  return {
    whileFull() {
      const removed = store.removedRecords() - removedBefore
      if (isRunning || isClosed || monotonicMs() < againAtMs || removed === 0 || removed < REMOVED_SHARE_MIN * (removed + records())) return
      isRunning = true
      void merge()
    },
    close() {
      isClosed = true
    },
  }
}

/**
 * Room on a full disk (P3): LevelDB keeps what was deleted until it happens to merge the tables concerned, and with writes refused it never
 * would. While the disk is full and rows have been deleted since the last time, all tables are merged - where there is room for that: merging
 * writes tables before it removes those that they replace.
 */
import type { Logger } from 'pino'
import type { LevelStore } from './level-store.ts'

/**
 * What merging may write before anything goes: up to 12 tables of 8 MiB that nothing was merged with yet (LevelDB stops writes there), what they overlap
 * with, 10 MiB, and some for the log.
 */
const MERGE_FREE_BYTES_MIN = 128 * 1024 * 1024

export interface Reclaiming {
  /** The disk was looked at and is full, but for `freeBytes`. */
  whileFull(freeBytes: number): void
  /** Begins no more; the store waits for what is under way when it is closed. */
  close(): void
}

export function createReclaiming(store: Pick<LevelStore, 'compact' | 'deletedRows'>, log: Logger): Reclaiming {
  let merged: number | undefined
  let isRunning = false
  let isClosed = false
  const merge = async (): Promise<void> => {
    merged = store.deletedRows()
    try {
      await store.compact(() => isClosed)
    } catch (error) {
      if (!isClosed) log.warn({ err: error }, 'room could not be made on the full disk')
    }
    isRunning = false
  }
  return {
    whileFull(freeBytes) {
      if (isRunning || isClosed || freeBytes < MERGE_FREE_BYTES_MIN || merged === store.deletedRows()) return
      isRunning = true
      void merge()
    },
    close() {
      isClosed = true
    },
  }
}

/** The memory store as a slow disk: reads of pages and writes take a seeded number of turns, so that jobs meet them half done. */
import type { Random } from '../../base/ports.ts'
import type { StoreReader } from '../../sync/store.ts'
import type { MemoryStore } from '../memory-store.ts'

/** Waits up to `turnsMax` turns of the microtask queue: time that passes without a clock. */
export async function pause(random: Random, turnsMax: number): Promise<void> {
  for (let left = Math.floor(random.fraction() * turnsMax); left > 0; left--) await Promise.resolve()
}

const PAGE_TURNS_MAX = 6
const WRITE_TURNS_MAX = 40

/** `onWritten` looks at the disk in the moment in which a write is done, before anything else happens. */
export function createSlowStore(disk: MemoryStore, random: Random, onWritten: (disk: StoreReader) => void = () => {}): MemoryStore {
  return {
    ...disk,
    scan(range) {
      const cursor = disk.scan(range)
      return {
        async next(rowsMax) {
          await pause(random, PAGE_TURNS_MAX)
          return cursor.next(rowsMax)
        },
        close: () => cursor.close(),
      }
    },
    batch() {
      const batch = disk.batch()
      return {
        ...batch,
        async write(options) {
          await pause(random, WRITE_TURNS_MAX)
          await batch.write(options)
          onWritten(disk)
          // On disk, and nobody knows yet: a crash may come here.
          await pause(random, WRITE_TURNS_MAX)
        },
      }
    },
  }
}

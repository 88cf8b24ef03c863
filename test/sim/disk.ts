/**
 * A disk in virtual time: a write takes a while, and a power cut finds it undone, or done and not yet told. As in LevelDB, what is
 * written with `sync` is read only when it is durable, and opening makes durable what a killed process had left.
 */
import type { Store, StoreReader } from '../../sync/store.ts'
import { createMemoryStore, type MemoryStore } from '../memory-store.ts'
import type { World } from './world.ts'

export interface Disk {
  /** The store for one run of a process. It stops working at the next crash. */
  mount(): Store
  /** Cuts the power. */
  crash(): void
  /** The disk is gone; in its place there is an empty one. */
  lose(): void
  /** The disk says "synced" before it is: for showing that the checkers notice (R3). */
  isLying: boolean
  /** What is found after a power cut at this moment. */
  durable(): StoreReader
  /** Grows with everything that may have changed what is durable. */
  readonly changes: number
  /** Snapshots that the present run has open. */
  readonly openSnapshots: number
}

const WRITE_MIN_MS = 0.1
const SYNC_MAX_MS = 8
/** Between "it is on the disk" and the process hearing of it. */
const HEAR_MS = 0.05

export function createDisk(world: World): Disk {
  let memory: MemoryStore = createMemoryStore()
  let mounts = 0
  let changes = 0
  let openSnapshots = 0
  const disk: Disk = {
    isLying: false,
    mount() {
      const mount = ++mounts
      const current = memory
      openSnapshots = 0
      const isGone = (): boolean => mount !== mounts
      /** A process that lost its power never hears of its writes. */
      const wait = (ms: number): Promise<void> =>
        new Promise(resolve => {
          world.after(ms, () => {
            if (!isGone()) resolve()
          })
        })
      const syncMs = (): number => world.random.fraction() * SYNC_MAX_MS
      const flush = async (): Promise<void> => {
        if (disk.isLying || current.isDurable()) return
        await current.flush()
        changes += 1
      }
      void flush()
      return {
        get: key => current.get(key),
        scan: range => current.scan(range),
        snapshot() {
          const snapshot = current.snapshot()
          openSnapshots += 1
          let isOpen = true
          return {
            ...snapshot,
            close() {
              if (isOpen && !isGone()) openSnapshots -= 1
              isOpen = false
              return snapshot.close()
            },
          }
        },
        batch() {
          const batch = current.batch()
          return {
            ...batch,
            async write({ sync }) {
              await wait(WRITE_MIN_MS + (sync ? syncMs() : 0))
              await batch.write({ sync: sync && !disk.isLying })
              changes += 1
              await wait(HEAR_MS)
            },
          }
        },
        reopen: () => current.reopen(),
        async flush() {
          await wait(syncMs())
          await flush()
        },
        close: () => Promise.resolve(),
      }
    },
    crash() {
      mounts += 1
      memory = memory.crash()
      openSnapshots = 0
    },
    lose() {
      mounts += 1
      memory = createMemoryStore()
      changes += 1
      openSnapshots = 0
    },
    durable: () => memory.crash(),
    get changes() {
      return changes
    },
    get openSnapshots() {
      return openSnapshots
    },
  }
  return disk
}

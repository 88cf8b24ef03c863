/** A disk in virtual time: a write takes a while, and a crash loses what was not synced - and at times what was only being written. */
import type { Store } from '../../sync/store.ts'
import { createMemoryStore, type MemoryStore } from '../memory-store.ts'
import type { World } from './world.ts'

export interface Disk {
  /** The store for one run of a process. It stops working at the next crash. */
  mount(): Store
  /** Cuts the power. */
  crash(): void
  /** The disk says "synced" before it is: for showing that the checkers notice (R3). */
  isLying: boolean
}

const WRITE_MIN_MS = 0.1
const SYNC_MAX_MS = 8

export function createDisk(world: World): Disk {
  let memory: MemoryStore = createMemoryStore()
  let mounts = 0
  const disk: Disk = {
    isLying: false,
    mount() {
      const mount = ++mounts
      const current = memory
      const isGone = (): boolean => mount !== mounts
      /** A process that lost its power never hears of its writes. */
      const wait = (ms: number): Promise<void> =>
        new Promise(resolve => {
          world.after(ms, () => {
            if (!isGone()) resolve()
          })
        })
      return {
        get: key => current.get(key),
        scan: range => current.scan(range),
        snapshot: () => current.snapshot(),
        batch() {
          const batch = current.batch()
          return {
            ...batch,
            async write({ sync }) {
              await wait(WRITE_MIN_MS)
              await batch.write({ sync: false })
              if (sync && !disk.isLying) {
                await wait(world.random.fraction() * SYNC_MAX_MS)
                await current.flush()
              }
            },
          }
        },
        async flush() {
          await wait(world.random.fraction() * SYNC_MAX_MS)
          if (!disk.isLying) await current.flush()
        },
        close: () => Promise.resolve(),
      }
    },
    crash() {
      mounts += 1
      memory = memory.crash()
    },
  }
  return disk
}

/**
 * What snapshots have read of collections, shared by those between which nothing was written: at a change each live link reads the same
 * collection, and what it reads is the same.
 *
 * A table lives as long as a snapshot of it is open, so nothing outlives the moment that it is about.
 */
import type { CollectionReading } from './collection-state.ts'
import type { VersionVector } from './dot.ts'
import type { StoreSnapshot } from './store.ts'

/** A collection at one moment, with what is computed of it. */
export interface Reading {
  readonly state: CollectionReading
  readonly counters: VersionVector
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
}

/** By the collection's local number. */
export type Readings = Map<number, Promise<Reading | undefined>>

export interface SharedReadings {
  /** To be called in the moment in which the store's snapshot is taken; it is to be closed by way of the answer. */
  take(snapshot: StoreSnapshot): { readonly snapshot: StoreSnapshot; readonly readings: Readings }
  /** Runs a write of the store: what is read before it begins, while it goes on and after its end may be different things. */
  around(write: () => Promise<void>): Promise<void>
}

export function createSharedReadings(): SharedReadings {
  let current: Readings | undefined
  let users = 0
  let writing = 0
  return {
    take(snapshot) {
      if (writing > 0) return { snapshot, readings: new Map() }
      const readings = (current ??= new Map())
      users += 1
      let isHeld = true
      const close = (): Promise<void> => {
        // Those of an earlier moment are counted no more.
        if (isHeld && readings === current && --users === 0) current = undefined
        isHeld = false
        return snapshot.close()
      }
      return { snapshot: { ...snapshot, close }, readings }
    },
    async around(write) {
      writing += 1
      current = undefined
      users = 0
      try {
        await write()
      } finally {
        writing -= 1
      }
    },
  }
}

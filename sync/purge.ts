/**
 * Removing a deleted generation's rows, in bounded steps that survive interruption: the collection's own row goes last. Versions that
 * the deletion had not seen go to quarantine first: a person decides about them, they are never silently dropped.
 */
import type { CollectionState } from './collection-state.ts'
import { coversDot, type VersionVector } from './dot.ts'
import { isTombstone, encodeVersion, type Version } from './version.ts'
import { encodeQuarantined, putQuarantined, QUARANTINE_ROWS_MAX } from './quarantine.ts'
import type { ReplicaState } from './replica-state.ts'
import { collectionRow, feedRow, keyOfRecordRow, recordsOf, rowsOfCollection } from './rows.ts'
import type { Row, RowRange, Store } from './store.ts'
import { decodeStoredEntry, type WriteBatch } from './write-batch.ts'

const ROWS_PER_STEP = 256

export interface PurgerOptions {
  readonly store: Store
  /** The state as it is now: another one after each recovery from a failed write. */
  readonly state: () => ReplicaState
  /** The replica is closing: the next opening goes on. */
  readonly isStopping: () => boolean
  /** Runs one step as part of a write group. */
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  /** The rows of a collection are gone; `versions` of them went to quarantine. */
  readonly onPurged: (collection: CollectionState, versions: number) => void
}

export interface Purger {
  /** Begins to remove what is dropped, unless that is under way. */
  start(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

/** The state was loaded again: what a purge set out to do may not hold any more. */
class StaleState extends Error {
  override readonly name = 'StaleState'
}

/** The replica closes, or quarantine is full. */
class PurgeStopped extends Error {
  override readonly name = 'PurgeStopped'
}

export function createPurger(options: PurgerOptions): Purger {
  const { store, isStopping, submit, onPurged } = options
  let running: Promise<void> | undefined

  const purgeAll = async (state: ReplicaState): Promise<void> => {
    const step = async (job: (batch: WriteBatch) => void): Promise<void> => {
      if (isStopping()) throw new PurgeStopped()
      // It may be run behind a recovery that took the deletion back, or gave the collection's number to another one.
      const isDone = await submit(batch => {
        if (options.state() !== state) return false
        job(batch)
        return true
      })
      if (!isDone) throw new StaleState()
    }
    for (const collection of state.dropped) {
      // A purge reads the store: the group that drops the collection, and those before it that wrote to it, must be there first.
      await step(() => {})
      const before = state.quarantined
      await purgeCollection(store, state, collection, step)
      onPurged(collection, state.quarantined - before)
    }
  }

  const run = async (): Promise<void> => {
    for (;;) {
      try {
        return await purgeAll(options.state())
      } catch (error) {
        // What a failed write ended is taken up again by whoever sees that writing works, or by the next opening; its rows are invisible.
        if (!(error instanceof StaleState)) return
      }
    }
  }

  return {
    start() {
      running ??= run().finally(() => (running = undefined))
    },
    async idle() {
      await running
    },
  }
}

type PurgeStep = (job: (batch: WriteBatch) => void) => Promise<void>

async function purgeCollection(store: Store, state: ReplicaState, collection: CollectionState, step: PurgeStep): Promise<void> {
  const { model } = state
  // Only the latest deletion tells what it had seen: of an earlier generation everything goes to quarantine.
  const isLatest = model.deletedGeneration(collection.name) === collection.generation
  const seen: VersionVector = isLatest ? model.deletedVector(collection.name) : new Map()
  for (;;) {
    const page = await firstRows(store, recordsOf(collection.cid))
    if (page.length === 0) break
    const unseen = page.flatMap(([row, value]) => unseenVersions(row, value, seen))
    // At the bound its rows stay where they are: unseen, but not lost.
    if (state.quarantined + unseen.length > QUARANTINE_ROWS_MAX) throw new PurgeStopped()
    await step(batch => {
      for (const { key, version } of unseen) {
        putQuarantined(state, batch, encodeQuarantined('deleted', collection, key, encodeVersion(version)))
      }
      for (const [row, value] of page) {
        const stored = decodeStoredEntry(value)
        if (stored !== undefined) batch.del(feedRow(stored.sequence))
        batch.del(row)
      }
    })
  }
  for (const range of rowsOfCollection(collection.cid)) {
    for (;;) {
      const page = await firstRows(store, range)
      if (page.length === 0) break
      await step(batch => page.forEach(([row]) => batch.del(row)))
    }
  }
  await step(batch => {
    batch.del(collectionRow(collection.cid))
    state.dropped.delete(collection)
  })
}

async function firstRows(store: Store, range: RowRange): Promise<readonly Row[]> {
  const cursor = store.scan(range)
  const page = await cursor.next(ROWS_PER_STEP)
  await cursor.close()
  return page
}

/** Live versions that the deleters had not seen. */
function unseenVersions(row: Uint8Array, value: Uint8Array, seen: VersionVector): { key: Uint8Array; version: Version }[] {
  return (decodeStoredEntry(value)?.entry ?? [])
    .filter(version => !isTombstone(version) && !coversDot(seen, version))
    .map(version => ({ key: keyOfRecordRow(row), version }))
}

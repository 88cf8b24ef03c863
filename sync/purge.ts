/**
 * Removing a deleted generation's rows, in bounded steps that survive interruption: the collection's own row goes last. Versions that
 * the deletion had not seen go to quarantine first: a person decides about them, they are never silently dropped.
 *
 * Quarantine row: reason(1) generation(8) name length(1) name key length(2) key version.
 */
import { concatBytes, u64Bytes } from '../base/bytes.ts'
import type { CollectionState } from './collection-state.ts'
import { coversDot, type VersionVector } from './dot.ts'
import { isTombstone, encodeVersion, type Version } from './version.ts'
import type { ReplicaState } from './replica-state.ts'
import { collectionRow, feedRow, keyOfRecordRow, quarantineRow, recordsOf, rowsOfCollection } from './rows.ts'
import type { Store } from './store.ts'
import { decodeStoredEntry, keyBytes, type WriteBatch } from './write-batch.ts'

export const REASON_DELETED_COLLECTION = 1

/** Versions in quarantine. At the bound a purge stops and its rows stay where they are: unseen, but not lost. */
export const QUARANTINE_ROWS_MAX = 100_000
const ROWS_PER_STEP = 256

export interface PurgeContext {
  readonly store: Store
  readonly state: ReplicaState
  /** The replica is closing: the next opening goes on. */
  readonly isStopping: () => boolean
  /** Runs one step as part of a write group. */
  readonly submit: (job: (batch: WriteBatch) => void) => Promise<void>
}

/** Removes the rows of a dropped collection; false when it could not be finished now. */
export async function purgeCollection(context: PurgeContext, collection: CollectionState): Promise<boolean> {
  const { store, submit } = context
  const { model } = context.state
  // Only the latest deletion tells what it had seen: of an earlier generation everything goes to quarantine.
  const isLatest = model.deletedGeneration(collection.name) === collection.generation
  const seen: VersionVector = isLatest ? model.deletedVector(collection.name) : new Map()
  for (;;) {
    if (context.isStopping()) return false
    const cursor = store.scan(recordsOf(collection.cid))
    const page = await cursor.next(ROWS_PER_STEP)
    await cursor.close()
    if (page.length === 0) break
    const unseen = page.flatMap(([row, value]) => unseenVersions(row, value, seen))
    if (context.state.quarantined + unseen.length > QUARANTINE_ROWS_MAX) return false
    await submit(batch => {
      const { state } = context
      for (const { key, version } of unseen) {
        state.quarantineSequence += 1
        state.quarantined += 1
        batch.put(quarantineRow(state.quarantineSequence), encodeQuarantined(collection, key, version))
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
      if (context.isStopping()) return false
      const cursor = store.scan(range)
      const page = await cursor.next(ROWS_PER_STEP)
      await cursor.close()
      if (page.length === 0) break
      await submit(batch => page.forEach(([row]) => batch.del(row)))
    }
  }
  await submit(batch => {
    batch.del(collectionRow(collection.cid))
    context.state.dropped.delete(collection)
  })
  return true
}

/** Live versions that the deleters had not seen. */
function unseenVersions(row: Uint8Array, value: Uint8Array, seen: VersionVector): { key: Uint8Array; version: Version }[] {
  return (decodeStoredEntry(value)?.entry ?? [])
    .filter(version => !isTombstone(version) && !coversDot(seen, version))
    .map(version => ({ key: keyOfRecordRow(row), version }))
}

function encodeQuarantined(collection: CollectionState, key: Uint8Array, version: Version): Uint8Array {
  const name = keyBytes(collection.name)
  return concatBytes(
    Uint8Array.of(REASON_DELETED_COLLECTION),
    u64Bytes(collection.generation),
    Uint8Array.of(name.length),
    name,
    Uint8Array.of(key.length >>> 8, key.length),
    key,
    encodeVersion(version),
  )
}

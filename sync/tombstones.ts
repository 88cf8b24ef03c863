/**
 * Collecting tombstones (R7): raising G, the vector of what has been collected, and removing what it covers.
 *
 * Invariants (test/unit/sync/tombstones.test.ts, test/sim):
 *   T1 no tombstone that G covers is kept, also not beside concurrent versions; what a crash left of such is swept up later;
 *   T2 G is raised first, and only to what is causally stable, or to a peer's G when the own vector covers everything the peer knew;
 *   T3 the greatest stamp ever collected is known to whoever knows of G, so that a later write of such a key stays above it (R1).
 */
import { rowsOf, type CollectionState } from './collection-state.ts'
import { coversDot, coversVector, type Dot, type Origin, type VersionVector } from './dot.ts'
import type { Entry } from './entry.ts'
import { laterStamp, type Stamp } from './hlc.ts'
import { dotAtOfTombstoneRow, recordRow, tombstonesUpTo } from './rows.ts'
import { countersOf } from './replica-snapshot.ts'
import type { StoreReader } from './store.ts'
import type { CollectedKnowledge } from './sync-replica.ts'
import { isTombstone, ORIGIN_BYTES, readCounter } from './version.ts'
import { decodeStoredEntry, keyText, type WriteBatch } from './write-batch.ts'

/** Keys removed by one job: bounds what a write group waits for. */
const KEYS_PER_STEP = 256

/** The entry without the tombstones that G covers: the same array when there is none, undefined when nothing is left. */
export function withoutCollected({ collected }: CollectionState, entry: Entry): Entry | undefined {
  if (collected.size === 0) return entry
  const left = entry.filter(version => !isTombstone(version) || !coversDot(collected, version))
  return left.length === entry.length ? entry : left.length === 0 ? undefined : left
}

/**
 * G as it will be when all tombstones up to `stable` have gone: for each origin the last of them.
 *
 * With `seen`, the own vector and what was rescued and settled: up to the first one that has seen what that does not cover, a version whose
 * mark never came. Whoever wrote that version has acknowledged it together with the tombstone - but not where it was evicted, and then it would bring it back.
 */
export async function collectableVector(
  reader: StoreReader,
  cid: number,
  stable: VersionVector,
  seen: VersionVector | undefined,
): Promise<Map<Origin, number>> {
  const vector = new Map<Origin, number>()
  for (const [origin, counter] of stable) {
    if (seen !== undefined) {
      for await (const [row, key] of rowsOf(reader, tombstonesUpTo(cid, origin, counter))) {
        const dot = { origin, counter: readCounter(row, dotAtOfTombstoneRow + ORIGIN_BYTES) }
        const context = findContext(reader, cid, key, dot)
        if (context?.some(other => !coversDot(seen, other)) === true) break
        vector.set(origin, dot.counter)
      }
      continue
    }
    const cursor = reader.scan({ ...tombstonesUpTo(cid, origin, counter), reverse: true })
    const [last] = await cursor.next(1)
    await cursor.close()
    if (last !== undefined) vector.set(origin, readCounter(last[0], dotAtOfTombstoneRow + ORIGIN_BYTES))
  }
  return vector
}

function findContext(reader: StoreReader, cid: number, key: Uint8Array, dot: Dot): readonly Dot[] | undefined {
  const value = reader.get(recordRow(cid, key))
  const entry = value && decodeStoredEntry(value)?.entry
  return entry?.find(({ origin, counter }) => origin === dot.origin && counter === dot.counter)?.context
}

/** Raises G, and the greatest stamp that was collected behind it. */
export function raiseCollected(batch: WriteBatch, collection: CollectionState, vector: VersionVector, stampMax: Stamp): void {
  for (const [origin, counter] of vector) {
    if ((collection.collected.get(origin) ?? 0) < counter) batch.setCollected(collection, origin, counter)
  }
  collection.collectedStampMax = laterStamp(collection.collectedStampMax, stampMax)
  batch.touch(collection)
}

/** Raises G to a peer's, where the own vector covers everything that the peer knew (T2). */
export function adoptCollected(batch: WriteBatch, collection: CollectionState, theirs: CollectedKnowledge): void {
  if (coversVector(collection.collected, theirs.collected) || !coversVector(theirs.vector, theirs.collected)) return
  if (coversVector(countersOf(collection.vector), theirs.vector))
    raiseCollected(batch, collection, theirs.collected, theirs.collectedStampMax)
}

/** Runs a job on a collection as it is when the job's turn comes; undefined when that generation is gone by then. */
type CollectionRunner = <T>(job: (batch: WriteBatch, collection: CollectionState) => T) => Promise<T | undefined>

/** Removes everything that G covers, in bounded steps; returns how many keys it changed. */
export async function sweepCollected(
  reader: StoreReader,
  cid: number,
  collected: VersionVector,
  submit: CollectionRunner,
): Promise<number> {
  let removed = 0
  const remove = (keys: readonly string[]): Promise<unknown> =>
    submit((batch, collection) => {
      for (const key of keys) {
        const before = batch.entry(collection, key)
        if (before === undefined) continue
        const after = withoutCollected(collection, before.entry)
        if (after === before.entry) continue
        for (const { stamp } of before.entry) collection.collectedStampMax = laterStamp(collection.collectedStampMax, stamp)
        batch.replace(collection, key, before, after)
        removed += 1
      }
    })
  for (const [origin, counter] of collected) {
    let keys: string[] = []
    for await (const [, key] of rowsOf(reader, tombstonesUpTo(cid, origin, counter))) {
      keys.push(keyText(key))
      if (keys.length < KEYS_PER_STEP) continue
      await remove(keys)
      keys = []
    }
    if (keys.length > 0) await remove(keys)
  }
  return removed
}

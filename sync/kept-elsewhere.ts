/**
 * What lets a bounded replica let go of a version (R8, P4): that a full replica holds it, as that one has said itself in a session in which
 * this one said that it is bounded. So the other does not rely on this one in turn, whatever becomes of its own settings later.
 *
 * Row: as an acknowledgement; in the place of the roster 1 and zeros of a replica with a horizon, zeros of another. Unlike acknowledgements,
 * the latest word holds, also where it says less: a replica that was put back to an older copy does not hold what it once did. Evicted
 * replicas hold nothing any more.
 */
import { fromHex, toHex } from '../base/bytes.ts'
import { decodeAcknowledgement, encodeAcknowledgement } from './acknowledgement.ts'
import { rowsOf, type CollectionState, type KeptVector } from './collection-state.ts'
import { coversDot, coversVector, joinVectors, type Dot, type VersionVector } from './dot.ts'
import { ROSTER_HASH_BYTES, type Roster } from './roster.ts'
import { keptOf, keptRow, storeAtOfKeptRow } from './rows.ts'
import type { StoreReader } from './store.ts'
import type { WriteBatch } from './write-batch.ts'

const rowOf = (cid: number, storeId: string): Uint8Array => keptRow(cid, fromHex(storeId) ?? new Uint8Array(16))

export async function loadKept(reader: StoreReader, { cid, kept }: CollectionState): Promise<void> {
  for await (const [row, value] of rowsOf(reader, keptOf(cid))) {
    const storeId = toHex(row.subarray(storeAtOfKeptRow))
    const { rosterHash, vector } = decodeAcknowledgement(storeId, value)
    kept.set(storeId, { vector, expires: rosterHash[0] === 1 })
  }
}

/** Whether noting it would change anything. `vector` undefined: that replica is not one to rely on. */
export function isKeptNews({ kept }: CollectionState, storeId: string, told: KeptVector | undefined): boolean {
  const known = kept.get(storeId)
  if (known === undefined || told === undefined) return known !== told
  return known.expires !== told.expires || !coversVector(known.vector, told.vector) || !coversVector(told.vector, known.vector)
}

export function noteKept(batch: WriteBatch, collection: CollectionState, storeId: string, told: KeptVector | undefined): void {
  const { cid, kept } = collection
  if (told === undefined) {
    kept.delete(storeId)
    batch.del(rowOf(cid, storeId))
  } else {
    kept.set(storeId, told)
    const rosterHash = new Uint8Array(ROSTER_HASH_BYTES).fill(told.expires ? 1 : 0, 0, 1)
    batch.put(rowOf(cid, storeId), encodeAcknowledgement({ storeId, rosterHash, vector: told.vector }))
  }
  batch.touch(collection)
}

function* keptVectors({ kept }: CollectionState, roster: Roster, isForGood = false): Generator<VersionVector> {
  for (const [storeId, { vector, expires }] of kept) {
    if (roster.get(storeId)?.isEvicted === false && !(isForGood && expires)) yield vector
  }
}

export function isKept(collection: CollectionState, roster: Roster, dot: Dot): boolean {
  for (const vector of keptVectors(collection, roster)) if (coversDot(vector, dot)) return true
  return false
}

/** Origin by origin, the most that one of them holds; for good: of those with whom nothing expires. */
export function keptVector(collection: CollectionState, roster: Roster, isForGood = false): VersionVector {
  let joined: VersionVector = new Map()
  for (const vector of keptVectors(collection, roster, isForGood)) joined = joinVectors(joined, vector)
  return joined
}

/**
 * Sketches of what a snapshot holds. They are made when a repair asks for them: of the buckets from the 256 rows that the store keeps, of items
 * by a scan of the digest items under the nodes in question. Nothing is kept up, stored or read at the start for them
 * (docs/decisions/0008-sketches-on-demand.md).
 */
import type { Hash } from '../base/ports.ts'
import { readU32, u64Bytes } from '../base/bytes.ts'
import { BUCKET_LEVEL, FANOUT, nodeDigest } from './digest.ts'
import { coversDot, type Dot } from './dot.ts'
import { isEqualVector, type Knowledge } from './floor.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import { dotAtOfItemRow, KEY_HASH_BYTES, keyHashAtOfItemRow } from './rows.ts'
import { addSymbol, addSymbolBytes, createSketch, SYMBOL_BYTES, type Sketch } from './sketch.ts'
import type { Row } from './store.ts'
import { readDot } from './version.ts'

/** Some nodes of one level of the digest tree, ascending. */
export interface Region {
  readonly level: number
  readonly indexes: readonly number[]
}

export const isRegion = ({ level, indexes }: Region, levelMax: number): boolean =>
  level <= levelMax && indexes.every(index => index < FANOUT ** level)

/** Cells of the sketch of buckets: tells about six that differ, each of which is one symbol here and another one there. */
export const BUCKET_CELLS = 24

/** Symbol of a bucket: 0, its index, its digest (8). */
export async function sketchBuckets(hash: Hash, mine: CollectionSnapshot): Promise<Sketch> {
  const sketch = createSketch(BUCKET_CELLS)
  for (const [index, sum] of await mine.buckets()) {
    if (sum.count === 0) continue
    const symbol = new Uint8Array(SYMBOL_BYTES)
    symbol.set(u64Bytes(index))
    symbol.set(nodeDigest(hash, sum, BUCKET_LEVEL, index), 8)
    addSymbolBytes(sketch, symbol)
  }
  return sketch
}

export const bucketOfSymbol = (symbol: Uint8Array): number => readU32(symbol, 4)

/**
 * Whether an item is none of a repair's business: its holder's vector covers it and the other's does not, so the log tails carry it (R4: only
 * differences that both vectors cover are drift). What lies above its holder's own vector is compared, since no tail carries that.
 */
export const isForTails = (holder: Knowledge, other: Knowledge, dot: Dot): boolean =>
  coversDot(holder.vector, dot) && !coversDot(other.vector, dot)

/** Calls `visit` with every row under the region that a repair compares. */
export async function forEachItemRow(
  mine: CollectionSnapshot,
  { level, indexes }: Region,
  own: Knowledge,
  theirs: Knowledge,
  visit: (row: Row) => void,
): Promise<void> {
  const isAnyForTails = !isEqualVector(own.vector, theirs.vector)
  for (const index of indexes) {
    for await (const page of mine.itemRows(level, index)) {
      for (const row of page) {
        if (isAnyForTails && isForTails(own, theirs, readDot(row[0], dotAtOfItemRow))) continue
        visit(row)
      }
    }
  }
}

/** The sketch of the items under a region. Symbol of an item: its key's hash (8), the first 8 bytes of its own. */
export async function sketchItems(
  mine: CollectionSnapshot,
  region: Region,
  own: Knowledge,
  theirs: Knowledge,
  cells: number,
): Promise<Sketch> {
  const sketch = createSketch(cells)
  await forEachItemRow(mine, region, own, theirs, ([row, value]) =>
    addSymbol(sketch, readU32(row, keyHashAtOfItemRow), readU32(row, keyHashAtOfItemRow + 4), readU32(value, 0), readU32(value, 4)),
  )
  return sketch
}

/** Writes the symbol of an item's row to `target` at `at`. */
export function writeSymbol([row, value]: Row, target: Uint8Array, at = 0): void {
  target.set(row.subarray(keyHashAtOfItemRow, keyHashAtOfItemRow + KEY_HASH_BYTES), at)
  target.set(value.subarray(0, SYMBOL_BYTES - KEY_HASH_BYTES), at + KEY_HASH_BYTES)
}

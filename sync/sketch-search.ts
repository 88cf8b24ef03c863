/**
 * The search for differences with sketches, as the driver of a repair sees it. First the 256 bucket sums of both sides are compared by a sketch of
 * them, which comes with the peer's first message and costs no scan. Where it tells which buckets differ, only their items are sketched; where
 * it cannot, it says about how many differ, and with that how many cells of a sketch of all items will do.
 *
 * What CELLS_MAX cells do not tell is divided by the digest tree. Where so much differs that listing what one side holds is less than cells for
 * the differences - one side has lost most of it - it is listed, and the items that one side lacks stream in frames: a snapshot.
 */
import { compareBytes, concatBytes, EMPTY } from '../base/bytes.ts'
import { SessionFault, type Channel } from './channel.ts'
import { BUCKET_LEVEL, FANOUT, LEVEL_MAX } from './digest.ts'
import type { Knowledge } from './floor.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import {
  CELL_BYTES,
  cellsFor,
  decodeCells,
  decodeDifference,
  estimateDifference,
  subtractSketch,
  SYMBOL_BYTES,
  type Difference,
  type Sketch,
} from './sketch.ts'
import { CELLS_MAX } from './sketch-messages.ts'
import { BUCKET_CELLS, bucketOfSymbol, forEachItemRow, sketchItems, writeSymbol, type Region } from './sketch-region.ts'

const BUCKETS = FANOUT ** BUCKET_LEVEL
/** Cells that are asked for at least: they tell about 12 differences, or how many more there are. */
const CELLS_MIN = 24
/** Cells that tell within an eighth how many differ, where the buckets say only "many". */
const CELLS_OF_MANY = 128
/** What lies above this many differing buckets says only "many". */
const BUCKETS_TELLING_MAX = 200
/** Nodes with more items than this on both sides together are not listed but divided. */
const LISTED_MAX = 32_768

export interface Search {
  readonly channel: Channel
  readonly mine: CollectionSnapshot
  readonly own: Knowledge
  readonly theirs: Knowledge
}

interface Guess {
  readonly region: Region
  /** About how many items differ there. */
  readonly differences: number
  /** Cells to begin with, at least. */
  readonly cellsMin: number
}

/** What only one side has, in the order in which it is found: parts that are bounded by LISTED_MAX. */
export async function* findDifferences(
  search: Search,
  myBuckets: Sketch,
  theirBuckets: Sketch,
  isComparable: boolean,
): AsyncGenerator<Difference> {
  const first = guessFromBuckets(myBuckets, theirBuckets, isComparable)
  const open: Guess[] = first === undefined ? [] : [first]
  for (let guess = open.pop(); guess !== undefined; guess = open.pop()) {
    const found = await sketchRegion(search, guess)
    if (found.kind === 'told') yield found.difference
    else if (found.kind === 'list') for (const index of guess.region.indexes) yield* listNode(search, guess.region.level, index)
    else open.push(...found.parts)
  }
}

/** Where to look; undefined when no bucket differs. `isComparable`: both vectors are equal, so that what differs is drift. */
export function guessFromBuckets(mine: Sketch, theirs: Sketch, isComparable: boolean): Guess | undefined {
  const difference = subtractSketch(mine, theirs)
  const differing = estimateDifference(difference) / 2
  const { isComplete, mine: here, theirs: there } = decodeDifference(difference)
  if (isComplete) {
    const indexes = [...new Set([...here, ...there].map(bucketOfSymbol))].filter(index => index < BUCKETS).sort((a, b) => a - b)
    return indexes.length === 0 ? undefined : { region: { level: BUCKET_LEVEL, indexes }, differences: indexes.length, cellsMin: CELLS_MIN }
  }
  // So many differences fall into so many buckets, when they fall anywhere.
  const isTelling = isComparable && differing < BUCKETS_TELLING_MAX
  const differences = isTelling ? -BUCKETS * Math.log(1 - differing / BUCKETS) : 0
  return { region: { level: 0, indexes: [0] }, differences, cellsMin: isTelling ? CELLS_MIN : CELLS_OF_MANY }
}

type Found =
  | { readonly kind: 'told'; readonly difference: Difference }
  | { readonly kind: 'list' }
  | { readonly kind: 'divide'; readonly parts: readonly Guess[] }

/** Asks for cells until they tell the difference, or shows that they would be too many. */
async function sketchRegion(search: Search, { region, differences, cellsMin }: Guess): Promise<Found> {
  const { channel, mine, own, theirs } = search
  let received: Uint8Array = EMPTY
  let wanted = Math.min(CELLS_MAX, Math.max(cellsMin, cellsFor(differences)))
  let sketch: Sketch | undefined
  for (;;) {
    const from = received.length / CELL_BYTES
    await channel.send({ kind: 'get-cells', ...region, from, upTo: wanted })
    // Meanwhile.
    if (sketch === undefined || sketch.cells < wanted) sketch = await sketchItems(mine, region, own, theirs, wanted)
    const answer = await channel.expect('cells')
    if (answer.cells.length !== (wanted - from) * CELL_BYTES) throw new SessionFault('unexpected', 'the peer sent another number of cells')
    received = concatBytes(received, answer.cells)
    const cells = decodeCells(received)
    if (cells === undefined) throw new SessionFault('unexpected', 'the peer sent no whole cells')
    const difference = subtractSketch(sketch, cells)
    const estimate = estimateDifference(difference)
    const decoded = decodeDifference(difference)
    if (decoded.isComplete) return { kind: 'told', difference: decoded }

    const [held, lacked] = [sketch.counts[0] ?? 0, cells.counts[0] ?? 0]
    const next = Math.max(Math.ceil(wanted * 1.5), cellsFor(estimate))
    const isListed = next * CELL_BYTES > Math.max(0, lacked) * SYMBOL_BYTES
    if (isListed && held + lacked <= LISTED_MAX) return { kind: 'list' }
    // The estimate may be too high by an eighth: then the most cells there are will do.
    if (isListed || wanted === CELLS_MAX || next > CELLS_MAX * 1.15) {
      const parts = divide(region, isListed ? (held + lacked) / LISTED_MAX : next / CELLS_MAX, estimate)
      return parts === undefined ? { kind: 'list' } : { kind: 'divide', parts }
    }
    wanted = Math.min(next, CELLS_MAX)
  }
}

/** Into nodes of a level so deep that there are at least `parts` of them; undefined at the tree's end. */
function divide({ level, indexes }: Region, parts: number, differences: number): Guess[] | undefined {
  let depth = level
  let count = indexes.length
  do {
    depth += 1
    count *= FANOUT
  } while (count < parts && depth < LEVEL_MAX)
  if (depth > LEVEL_MAX) return undefined
  const width = FANOUT ** (depth - level)
  return indexes.flatMap(index =>
    Array.from({ length: width }, (_, i) => ({
      region: { level: depth, indexes: [index * width + i] },
      differences: differences / count,
      cellsMin: CELLS_MIN,
    })),
  )
}

/** Compares one node by the list of what the peer holds there. */
async function* listNode({ channel, mine, own, theirs }: Search, level: number, index: number): AsyncGenerator<Difference> {
  const mySymbols: Uint8Array[] = []
  await forEachItemRow(mine, { level, indexes: [index] }, own, theirs, row => {
    const symbol = new Uint8Array(SYMBOL_BYTES)
    writeSymbol(row, symbol)
    mySymbols.push(symbol)
  })
  mySymbols.sort(compareBytes)
  let at = 0
  let after: Uint8Array = EMPTY
  for (let hasMore = true; hasMore;) {
    await channel.send({ kind: 'get-symbols', level, index, after })
    const page = await channel.expect('symbols')
    hasMore = page.hasMore
    if (hasMore && page.symbols.length === 0) throw new SessionFault('unexpected', 'the peer promised more symbols and sent none')
    const here: Uint8Array[] = []
    const there: Uint8Array[] = []
    for (let from = 0; from < page.symbols.length; from += SYMBOL_BYTES) {
      const symbol = page.symbols.subarray(from, from + SYMBOL_BYTES)
      if (compareBytes(symbol, after) <= 0) throw new SessionFault('unexpected', 'the peer sent symbols in no order')
      after = symbol
      while (at < mySymbols.length && compareBytes(mySymbols[at]!, symbol) < 0) here.push(mySymbols[at++]!)
      if (at < mySymbols.length && compareBytes(mySymbols[at]!, symbol) === 0) at += 1
      else there.push(symbol)
    }
    if (!hasMore) here.push(...mySymbols.slice(at))
    yield { mine: here, theirs: there, isComplete: true }
  }
}

export const decodeBucketCells = (bytes: Uint8Array): Sketch => {
  const cells = decodeCells(bytes)
  if (cells?.cells !== BUCKET_CELLS) throw new SessionFault('unexpected', 'the peer sent another number of bucket cells')
  return cells
}

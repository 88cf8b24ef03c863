/**
 * Coded-symbol sketches: two sets are compared by about 1.5 cells for each of their differences, however large they are.
 * Source: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation" (SIGCOMM 2024), section 4. Each symbol lies in cell 0 and from there in a
 * pseudo-random series of cells of its own, cell i with probability 1 / (1 + i / 2). A cell holds the XOR of its symbols, the XOR of their
 * checksums, and their number. Subtracted cell by cell, two sketches leave that of the difference, whose cells with a single symbol
 * are peeled one after the other. The first m cells of a sketch are a sketch: more are asked for until peeling succeeds.
 *
 * A symbol is 16 bytes: two words that place it (a key's hash), two words that are as good as random (an item's hash, salted).
 * Departures: the latter seed the series (xoroshiro64**, Blackman and Vigna) and need no further keyed hash; gaps are inverted exactly where the
 * paper approximates; checksums have 32 bits, since what is found is looked up in the store afterwards. Math.sqrt is exact to the last bit on
 * every platform that Node runs on (IEEE 754), so series agree.
 *
 * Invariants (test/unit/sync/sketch.test.ts):
 *   K1 a sketch depends on the set alone; adding and removing a symbol leaves no trace;
 *   K2 what decoding calls complete is the difference;
 *   K3 decoding any cells whatever ends after at most as many symbols as there are cells.
 */
import { readU32 } from '../base/bytes.ts'

export const SYMBOL_BYTES = 16
const SYMBOL_WORDS = 4
/** sum(16) checksum(4) count(4, two's complement). */
export const CELL_BYTES = 24

export interface Sketch {
  readonly cells: number
  /** Four words a cell. */
  readonly sums: Uint32Array
  readonly checks: Uint32Array
  readonly counts: Int32Array
}

export function createSketch(cells: number): Sketch {
  return { cells, sums: new Uint32Array(cells * SYMBOL_WORDS), checks: new Uint32Array(cells), counts: new Int32Array(cells) }
}

/** Adds a symbol, four unsigned words; with `by` -1 takes it out. `touched`: its cells are added there. */
export function addSymbol(sketch: Sketch, a: number, b: number, c: number, d: number, by: 1 | -1 = 1, touched?: number[]): void {
  const { cells, sums, checks, counts } = sketch
  const check = checksum(a, b, c, d)
  let s0 = c | 0
  let s1 = d | 0
  if (s0 === 0 && s1 === 0) s0 = 1
  for (let cell = 0; cell < cells;) {
    const at = cell * SYMBOL_WORDS
    sums[at]! ^= a
    sums[at + 1]! ^= b
    sums[at + 2]! ^= c
    sums[at + 3]! ^= d
    checks[cell]! ^= check
    counts[cell]! += by
    touched?.push(cell)
    const scrambled = Math.imul(s0, 0x9e3779bb)
    const random = Math.imul((scrambled << 5) | (scrambled >>> 27), 5) >>> 0
    s1 ^= s0
    s0 = ((s0 << 26) | (s0 >>> 6)) ^ s1 ^ (s1 << 9)
    s1 = (s1 << 13) | (s1 >>> 19)
    // The next cell behind i is greater than x with probability (i + 1)(i + 2) / ((x + 1)(x + 2)); inverted at a uniform number in (0, 1].
    const quotient = ((cell + 1) * (cell + 2) * 2 ** 32) / (random + 1)
    cell = Math.max(cell + 1, Math.ceil((Math.sqrt(1 + 4 * quotient) - 3) / 2))
  }
}

/** Adds the symbol that lies at `at` of `bytes`. */
export function addSymbolBytes(sketch: Sketch, bytes: Uint8Array, at = 0, by: 1 | -1 = 1): void {
  addSymbol(sketch, readU32(bytes, at), readU32(bytes, at + 4), readU32(bytes, at + 8), readU32(bytes, at + 12), by)
}

/** Not linear, unlike the sums: the XOR of several symbols does not have the XOR of their checksums. */
function checksum(a: number, b: number, c: number, d: number): number {
  let hash = 0x9747b28c
  for (const word of [a, b, c, d]) {
    hash ^= Math.imul(word, 0xcc9e2d51)
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
    hash ^= hash >>> 15
    hash = Math.imul(hash, 0x85ebca6b)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The cells from `from` up to `upTo`, CELL_BYTES each. */
export function encodeCells(sketch: Sketch, from: number, upTo: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, upTo - from) * CELL_BYTES)
  const view = new DataView(bytes.buffer)
  for (let cell = from; cell < upTo; cell++) {
    const at = (cell - from) * CELL_BYTES
    for (let word = 0; word < SYMBOL_WORDS; word++) view.setUint32(at + word * 4, sketch.sums[cell * SYMBOL_WORDS + word]!)
    view.setUint32(at + SYMBOL_BYTES, sketch.checks[cell]!)
    view.setInt32(at + SYMBOL_BYTES + 4, sketch.counts[cell]!)
  }
  return bytes
}

/** A sketch of the cells in `bytes`; undefined when they are no whole number of cells. */
export function decodeCells(bytes: Uint8Array): Sketch | undefined {
  if (bytes.length % CELL_BYTES !== 0) return undefined
  const sketch = createSketch(bytes.length / CELL_BYTES)
  for (let cell = 0; cell < sketch.cells; cell++) {
    const at = cell * CELL_BYTES
    for (let word = 0; word < SYMBOL_WORDS; word++) sketch.sums[cell * SYMBOL_WORDS + word] = readU32(bytes, at + word * 4)
    sketch.checks[cell] = readU32(bytes, at + SYMBOL_BYTES)
    sketch.counts[cell] = readU32(bytes, at + SYMBOL_BYTES + 4)
  }
  return sketch
}

/** What the first cells of `mine` hold and those of `theirs` do not: as many cells as the shorter one has. */
export function subtractSketch(mine: Sketch, theirs: Sketch): Sketch {
  const difference = createSketch(Math.min(mine.cells, theirs.cells))
  for (let i = 0; i < difference.sums.length; i++) difference.sums[i] = mine.sums[i]! ^ theirs.sums[i]!
  for (let i = 0; i < difference.cells; i++) {
    difference.checks[i] = mine.checks[i]! ^ theirs.checks[i]!
    difference.counts[i] = mine.counts[i]! - theirs.counts[i]!
  }
  return difference
}

export interface Difference {
  /** Symbols that only one side has, SYMBOL_BYTES each. Right only with `isComplete`. */
  readonly mine: readonly Uint8Array[]
  readonly theirs: readonly Uint8Array[]
  readonly isComplete: boolean
}

/** Peels the sketch of a difference, which it consumes. */
export function decodeDifference(difference: Sketch): Difference {
  const { cells, sums, checks, counts } = difference
  const mine: Uint8Array[] = []
  const theirs: Uint8Array[] = []
  const isPure = (cell: number): boolean => {
    if (counts[cell] !== 1 && counts[cell] !== -1) return false
    const at = cell * SYMBOL_WORDS
    return checksum(sums[at]!, sums[at + 1]!, sums[at + 2]!, sums[at + 3]!) === checks[cell]
  }
  const candidates = Array.from({ length: cells }, (_, cell) => cell)
  for (let cell = candidates.pop(); cell !== undefined; cell = candidates.pop()) {
    if (!isPure(cell)) continue
    if (mine.length + theirs.length >= cells) return { mine, theirs, isComplete: false }
    const at = cell * SYMBOL_WORDS
    const [a, b, c, d] = [sums[at]!, sums[at + 1]!, sums[at + 2]!, sums[at + 3]!]
    const isMine = counts[cell] === 1
    addSymbol(difference, a, b, c, d, isMine ? -1 : 1, candidates)
    ;(isMine ? mine : theirs).push(wordsToBytes(a, b, c, d))
  }
  return { mine, theirs, isComplete: cells > 0 && isEmpty(difference) }
}

const isEmpty = ({ sums, checks, counts }: Sketch): boolean =>
  sums.every(word => word === 0) && checks.every(word => word === 0) && counts.every(count => count === 0)

function wordsToBytes(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(SYMBOL_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [i, word] of words.entries()) view.setUint32(i * 4, word)
  return bytes
}

/**
 * About how many symbols a difference holds that its cells are too few to tell. Cell 0 says by how many one side has more, c; of d symbols cell i
 * then holds c / (1 + i / 2) on balance, give or take a variance of d p (1 - p). From 24 cells the estimate is within a third, mostly.
 */
export function estimateDifference({ cells, counts }: Sketch): number {
  const surplus = counts[0] ?? 0
  let sum = 0
  for (let cell = 1; cell < cells; cell++) {
    const probability = 1 / (1 + cell / 2)
    sum += (counts[cell]! - surplus * probability) ** 2 / (probability * (1 - probability))
  }
  return Math.max(Math.abs(surplus), cells < 2 ? 0 : sum / (cells - 1))
}

/** Cells that tell a difference of so many symbols, nearly always. */
export function cellsFor(symbols: number): number {
  return Math.ceil(symbols * 1.45 + 4 * Math.sqrt(symbols) + 8)
}

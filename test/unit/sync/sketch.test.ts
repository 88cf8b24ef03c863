import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../base/bytes.ts'
import {
  addSymbolBytes,
  CELL_BYTES,
  cellsFor,
  createSketch,
  decodeCells,
  decodeDifference,
  encodeCells,
  estimateDifference,
  subtractSketch,
  type Sketch,
} from '../../../sync/sketch.ts'
import { createSeededRandom } from '../../seeded-random.ts'

const CELLS = 64
const symbols = (minLength: number, maxLength: number) =>
  fc.uniqueArray(fc.uint8Array({ minLength: 16, maxLength: 16 }), { minLength, maxLength, selector: toHex })

function sketchOf(set: readonly Uint8Array[], cells = CELLS): Sketch {
  const sketch = createSketch(cells)
  for (const symbol of set) addSymbolBytes(sketch, symbol)
  return sketch
}

const sorted = (set: readonly Uint8Array[]): string[] => set.map(toHex).sort()

/** `common` symbols on both sides, and so many that one side has alone. */
function makeSets(seed: number, common: number, mine: number, theirs: number) {
  const random = createSeededRandom(seed)
  const make = (count: number): Uint8Array[] => Array.from({ length: count }, () => random.bytes(16))
  const shared = make(common)
  const own = make(mine)
  const other = make(theirs)
  return { own, other, mine: [...shared, ...own], theirs: [...shared, ...other] }
}

describe('a sketch', () => {
  it('K1 depends on the set alone, and loses all trace of a symbol that is taken out', () => {
    fc.assert(
      fc.property(symbols(0, 30), symbols(0, 10), (stay, go) => {
        const sketch = sketchOf([...go, ...stay.toReversed()])
        for (const symbol of go) addSymbolBytes(sketch, symbol, 0, -1)
        expect(sketch).toEqual(sketchOf(stay))
      }),
    )
  })

  it('begins with the shorter sketches of its set, and passes through bytes unaltered', () => {
    fc.assert(
      fc.property(symbols(0, 40), fc.integer({ min: 1, max: CELLS }), (set, cells) => {
        const bytes = encodeCells(sketchOf(set), 0, cells)
        expect(bytes).toHaveLength(cells * CELL_BYTES)
        expect(bytes).toEqual(encodeCells(sketchOf(set, cells), 0, cells))
        expect(decodeCells(bytes)).toEqual(sketchOf(set, cells))
      }),
    )
    expect(decodeCells(new Uint8Array(CELL_BYTES + 1))).toBeUndefined()
  })

  it('puts a symbol into cell i with probability 1 / (1 + i / 2)', () => {
    const random = createSeededRandom(5)
    const count = 20_000
    const sketch = sketchOf(
      Array.from({ length: count }, () => random.bytes(16)),
      200,
    )
    for (const cell of [0, 1, 2, 5, 20, 199]) {
      const probability = 1 / (1 + cell / 2)
      const deviation = Math.sqrt(count * probability * (1 - probability))
      expect(Math.abs(sketch.counts[cell]! - count * probability)).toBeLessThanOrEqual(5 * deviation)
    }
  })
})

describe('decoding', () => {
  it('K2 what it calls complete is the difference of any two sets', () => {
    fc.assert(
      fc.property(symbols(0, 60), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }), (all, a, b) => {
        const mine = all.slice(0, a)
        const theirs = all.slice(Math.min(a, b))
        const found = decodeDifference(subtractSketch(sketchOf(mine), sketchOf(theirs)))
        if (!found.isComplete) return
        const theirSet = new Set(theirs.map(toHex))
        const mySet = new Set(mine.map(toHex))
        expect(sorted(found.mine)).toEqual(sorted(mine.filter(symbol => !theirSet.has(toHex(symbol)))))
        expect(sorted(found.theirs)).toEqual(sorted(theirs.filter(symbol => !mySet.has(toHex(symbol)))))
      }),
      { numRuns: 300 },
    )
  })

  it('tells 12 differences among thousands by 24 cells, mostly', () => {
    let complete = 0
    for (let seed = 1; seed <= 200; seed++) {
      const { mine, theirs, own, other } = makeSets(seed, 500, 7, 5)
      const found = decodeDifference(subtractSketch(sketchOf(mine, 24), sketchOf(theirs, 24)))
      if (!found.isComplete) continue
      complete += 1
      expect([sorted(found.mine), sorted(found.theirs)]).toEqual([sorted(own), sorted(other)])
    }
    expect(complete).toBeGreaterThan(120)
  })

  it.each([1, 2, 5, 30, 100, 1_000, 5_000])('tells %i differences by the cells that are thought to do, nearly always', differences => {
    const runs = differences > 500 ? 4 : 50
    let complete = 0
    for (let seed = 1; seed <= runs; seed++) {
      const { mine, theirs, own } = makeSets(seed, 300, Math.ceil(differences / 2), Math.floor(differences / 2))
      const cells = cellsFor(differences)
      const found = decodeDifference(subtractSketch(sketchOf(mine, cells), sketchOf(theirs, cells)))
      complete += found.isComplete && found.mine.length === own.length ? 1 : 0
    }
    expect(complete / runs).toBeGreaterThan(0.95)
  })

  it.each([
    [60, 60],
    [150, 0],
    [0, 3_000],
    [20_000, 500],
  ])('estimates from 24 cells that one side has %i and the other %i more', (own, other) => {
    const estimates = Array.from({ length: 15 }, (_, i) => {
      const { mine, theirs } = makeSets(i + 1, 200, own, other)
      return estimateDifference(subtractSketch(sketchOf(mine, 24), sketchOf(theirs, 24)))
    }).sort((a, b) => a - b)
    const median = estimates[7]!
    expect(median).toBeGreaterThan((own + other) * 0.6)
    expect(median).toBeLessThan((own + other) * 1.6)
  })

  it('K3 P16 cells of any content end it, with no more symbols than cells', () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 31), fc.nat(2 ** 32 - 1))
    const cells = fc.array(fc.array(word, { minLength: 6, maxLength: 6 }), { maxLength: 40 })
    fc.assert(
      fc.property(cells, symbols(0, 20), (theirCells, mine) => {
        const bytes = new Uint8Array(theirCells.length * CELL_BYTES)
        const view = new DataView(bytes.buffer)
        for (const [i, value] of theirCells.flat().entries()) view.setUint32(i * 4, value)
        const difference = subtractSketch(sketchOf(mine), decodeCells(bytes)!)
        expect(estimateDifference(difference)).toBeGreaterThanOrEqual(0)
        const found = decodeDifference(difference)
        expect(found.mine.length + found.theirs.length).toBeLessThanOrEqual(theirCells.length)
      }),
      { numRuns: 500 },
    )
  })

  it('K3 P16 a symbol that comes back each time it is peeled ends it', () => {
    // Pure cells that are not where their symbol belongs: peeling one fills others, and so on.
    const forged = createSketch(256)
    const one = sketchOf([new Uint8Array(16).fill(7)], 1)
    for (let cell = 0; cell < forged.cells; cell++) {
      forged.sums.set(one.sums, cell * 4)
      forged.checks[cell] = one.checks[0]!
      forged.counts[cell] = cell % 2 === 0 ? 1 : -1
    }
    expect(decodeDifference(forged).isComplete).toBe(false)
  })
})

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createDistance, createNearest } from '../../../sync/nearest.ts'
import { createVectorTable, tableBytesMin, type VectorTable } from '../../../sync/vector-table.ts'

const DIMENSION = 2
/** Three vectors a block. */
const BLOCK_NUMBERS = 7

const bytesOf = (...numbers: number[]): Uint8Array => new Uint8Array(Float32Array.from(numbers).buffer)

/** Keys and distances to the origin of everything in the table, read block by block. */
function contentOf(table: VectorTable, prefix = ''): Record<string, number> {
  const nearest = createNearest(1_000)
  const distance = createDistance('l2', Float32Array.of(0, 0))
  for (let block = 0; block < table.blockCount; block++) table.offerBlock(block, distance, prefix, nearest)
  return Object.fromEntries(nearest.sorted().map(({ key, distance }) => [key, distance]))
}

describe('a vector table', () => {
  it('holds what a map holds, after any writes and deletes, in as few blocks as it can', () => {
    const key = fc.constantFrom(...'abcdefghijkl'.split(''))
    const step = fc.oneof(fc.record({ key, length: fc.integer({ min: 0, max: 99 }) }), fc.record({ key }))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const table = createVectorTable(DIMENSION, BLOCK_NUMBERS)
        const model = new Map<string, number>()
        for (const change of steps) {
          if ('length' in change) {
            table.set(change.key, bytesOf(change.length, 0))
            model.set(change.key, change.length)
          } else {
            table.delete(change.key)
            model.delete(change.key)
          }
        }
        expect(contentOf(table)).toEqual(Object.fromEntries(model))
        expect(table.size).toBe(model.size)
        expect(table.blockCount).toBe(Math.ceil(model.size / 3))
      }),
    )
  })

  it('reads vectors wherever their bytes begin, and only keys with the prefix', () => {
    const table = createVectorTable(DIMENSION, BLOCK_NUMBERS)
    const shifted = new Uint8Array(9)
    shifted.set(bytesOf(3, 4), 1)
    table.set('a/1', shifted.subarray(1))
    table.set('b/1', bytesOf(1, 0))
    expect(contentOf(table, 'a/')).toEqual({ 'a/1': 5 })
  })

  it('counts its memory, and gives it back', () => {
    const table = createVectorTable(DIMENSION)
    expect(table.bytes).toBe(0)
    for (let i = 0; i < 9_000; i++) table.set(`${i}`, bytesOf(i, 0))
    expect(table.bytes).toBeGreaterThanOrEqual(tableBytesMin(9_000, DIMENSION))
    for (let i = 0; i < 9_000; i++) table.delete(`${i}`)
    expect(table.bytes).toBe(0)
  })

  it('puts at least one vector into a block, and no more numbers than a slice may read', () => {
    const long = createVectorTable(65_536)
    const short = createVectorTable(1)
    for (let i = 0; i < 5; i++) long.set(`${i}`, new Uint8Array(65_536 * 4))
    for (let i = 0; i < 9_000; i++) short.set(`${i}`, new Uint8Array(4))
    expect(long.blockCount).toBe(3)
    expect(short.blockCount).toBe(3)
  })
})

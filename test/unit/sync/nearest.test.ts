import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareKeys } from '../../../sync/key.ts'
import { createDistance, createNearest, squaredNorm } from '../../../sync/nearest.ts'
import type { Metric } from '../../../sync/replica.ts'
import { naiveSearch } from '../../naive-search.ts'

const measure = (metric: Metric, query: readonly number[], vector: readonly number[]): number => {
  const numbers = Float32Array.from([7, ...vector])
  return createDistance(metric, Float32Array.from(query))(numbers, 1, squaredNorm(numbers, 1, vector.length))
}

describe('a distance', () => {
  it('is 1 - cos, Euclidean, or -dot', () => {
    expect(measure('cosine', [1, 0], [0, 2])).toBe(1)
    expect(measure('cosine', [1, 0], [-3, 0])).toBe(2)
    expect(measure('l2', [1, 2], [4, 6])).toBe(5)
    expect(measure('dot', [1, 2], [3, 4])).toBe(-11)
  })

  it('is 0 and never -0 for orthogonal vectors under dot', () => {
    expect(Object.is(measure('dot', [1, 0], [0, 1]), 0)).toBe(true)
  })

  it('of a vector to itself is 0 under cosine and l2, whatever its length and rounding', () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(1e-20) })
    fc.assert(
      fc.property(fc.array(float, { minLength: 1, maxLength: 40 }), vector => {
        expect(measure('cosine', vector, vector)).toBe(0)
        expect(measure('l2', vector, vector)).toBe(0)
      }),
    )
  })

  it('under cosine stays within 0 and 2 for the greatest and the least float32', () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true }).filter(number => number !== 0)
    const vector = fc.array(float, { minLength: 3, maxLength: 3 })
    fc.assert(
      fc.property(vector, vector, (a, b) => {
        const distance = measure('cosine', a, b)
        expect(distance).toBeGreaterThanOrEqual(0)
        expect(distance).toBeLessThanOrEqual(2)
      }),
    )
  })

  it('to a vector of zeros does not exist under cosine', () => {
    expect(measure('cosine', [1, 1], [0, 0])).toBeNaN()
  })
})

describe('the nearest', () => {
  it('are those that sorting everything gives, in any order of arrival', () => {
    const offers = fc.array(fc.record({ distance: fc.integer({ min: 0, max: 9 }), key: fc.string({ unit: 'binary', maxLength: 3 }) }))
    fc.assert(
      fc.property(offers, fc.integer({ min: 1, max: 12 }), (all, k) => {
        const nearest = createNearest(k)
        for (const { distance, key } of all) if (distance <= nearest.limit) nearest.offer(distance, key)
        const sorted = all.toSorted((a, b) => a.distance - b.distance || compareKeys(a.key, b.key)).slice(0, k)
        expect(nearest.sorted()).toEqual(sorted)
      }),
    )
  })

  it('never include a distance that is not finite', () => {
    const nearest = createNearest(3)
    for (const distance of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5]) nearest.offer(distance, `${distance}`)
    expect(nearest.sorted()).toEqual([{ distance: 5, key: '5' }])
  })
})

describe('keys', () => {
  it('are ordered by their UTF-8 bytes', () => {
    const key = fc.string({ unit: 'binary', maxLength: 4 })
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(compareKeys(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
    )
    expect(compareKeys('\u{1f600}', '\uffee')).toBe(1)
  })
})

describe('the naive search', () => {
  it('finds what a person finds', () => {
    const records = [
      { key: 'far', vector: [9, 9] },
      { key: 'b', vector: [1, 1] },
      { key: 'a', vector: [1, 1] },
      { key: 'other', vector: [1] },
    ]
    expect(naiveSearch(records, 'l2', [1, 1], 2).map(({ key }) => key)).toEqual(['a', 'b'])
  })
})

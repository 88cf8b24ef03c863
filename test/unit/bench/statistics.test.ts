import { describe, expect, it } from 'vitest'
import type { Measure, Target } from '../../../bench/bench.ts'
import { isMet, ratioOf, sideOf } from '../../../bench/statistics.ts'

const measureOf = (baseline: readonly number[], candidate: readonly number[], more: Partial<Measure> = {}): Measure => ({
  name: 'a measure',
  unit: 'times',
  baseline: { label: 'there', samples: baseline },
  candidate: { label: 'here', samples: candidate },
  ...more,
})

describe('what stands for the rounds of a measure', () => {
  it('is the median of the ratios made round by round', () => {
    expect(ratioOf(measureOf([10, 10, 10], [5, 20, 30]))).toEqual({ value: 2, min: 0.5, max: 3 })
  })

  it('is the ratio of the greatest samples where the worst counts', () => {
    const measure = measureOf([1, 4, 2], [2, 1, 1], { isWorst: true })
    expect(ratioOf(measure).value).toBe(0.5)
    expect(sideOf(measure, measure.candidate)).toBe(2)
  })

  it('two zeros are equal, and something against nothing is without bound', () => {
    expect(ratioOf(measureOf([0], [0])).value).toBe(1)
    expect(ratioOf(measureOf([0], [3])).value).toBe(Infinity)
  })

  it.each<[Target, boolean]>([
    [{ candidateMax: 3 }, true],
    [{ candidateMax: 2 }, false],
    [{ ratioMax: 1.5 }, true],
    [{ ratioMin: 1.6 }, false],
  ])('a target of %j is met: %j; every sample has to keep an absolute one', (target, met) => {
    const measure = measureOf([2, 2, 2], [1, 3, 3])
    expect(isMet(ratioOf(measure), measure, target)).toBe(met)
  })
})

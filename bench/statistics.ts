/** Medians, spreads and quantiles of a few samples. */
import type { Arm, Measure, Target } from './bench.ts'

/** `q` from 0 to 1, by linear interpolation between neighbours. NaN without samples. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  // Equal ones may be infinite.
  return below === above ? below : below + (above - below) * (at - Math.floor(at))
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5)

/** What stands for all samples of a side: their median, or the greatest. */
export const sideOf = ({ isWorst = false }: Measure, { samples }: Arm): number => (isWorst ? Math.max(...samples) : median(samples))

export interface Ratio {
  /** Median of the rounds' ratios, candidate / baseline; with `isWorst` the ratio of the greatest samples. */
  readonly value: number
  /** The least and the greatest round. */
  readonly min: number
  readonly max: number
}

/** Equal is 1, zeros too. */
const divide = (candidate: number, baseline: number): number => (candidate === baseline ? 1 : candidate / baseline)

/** Round by round: what disturbed one round disturbed both of its sides. */
export function ratioOf(measure: Measure): Ratio {
  const { baseline, candidate, isWorst = false } = measure
  const ratios = candidate.samples.map((sample, round) => divide(sample, baseline.samples[round] ?? Number.NaN))
  const value = isWorst ? divide(sideOf(measure, candidate), sideOf(measure, baseline)) : median(ratios)
  return { value, min: Math.min(...ratios), max: Math.max(...ratios) }
}

export function isMet({ value }: Ratio, { candidate }: Measure, target: Target): boolean {
  if ('candidateMax' in target) return candidate.samples.every(sample => sample <= target.candidateMax)
  return 'ratioMin' in target ? value >= target.ratioMin : value <= target.ratioMax
}

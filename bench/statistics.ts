/** Medians, spreads and quantiles of a few samples. */
import type { Measure, Target } from './bench.ts'

/** `q` from 0 to 1, by linear interpolation between neighbours. NaN without samples. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5)

export interface Ratio {
  /** Median of the rounds' ratios, candidate / baseline. */
  readonly median: number
  /** The least and the greatest round. */
  readonly min: number
  readonly max: number
}

/** Round by round: what disturbed one round disturbed both of its sides. */
export function ratioOf({ baseline, candidate }: Measure): Ratio {
  const ratios = candidate.samples.map((sample, round) => sample / (baseline.samples[round] ?? Number.NaN))
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }
}

export const isMet = (ratio: number, target: Target): boolean =>
  'ratioMin' in target ? ratio >= target.ratioMin : ratio <= target.ratioMax

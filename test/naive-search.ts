/** The plain way to find nearest neighbours: every distance, sorted. What the real one is compared with. */
import type { Metric } from '../sync/replica.ts'

export interface PlainRecord {
  readonly key: string
  readonly vector: readonly number[]
}

export interface PlainNeighbour {
  readonly key: string
  readonly distance: number
}

export function naiveSearch(
  records: readonly PlainRecord[],
  metric: Metric,
  query: readonly number[],
  k: number,
  prefix = '',
): PlainNeighbour[] {
  return records
    .filter(({ key, vector }) => key.startsWith(prefix) && vector.length === query.length)
    .map(({ key, vector }) => ({ key, distance: distanceOf(metric, query, vector) }))
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((a, b) => a.distance - b.distance || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
    .slice(0, k)
}

function distanceOf(metric: Metric, a: readonly number[], b: readonly number[]): number {
  const sum = (term: (i: number) => number): number => a.reduce((total, _, i) => total + term(i), 0)
  const dot = sum(i => a[i]! * b[i]!)
  if (metric === 'dot') return 0 - dot
  if (metric === 'l2') return Math.sqrt(sum(i => (a[i]! - b[i]!) ** 2))
  return 1 - dot / Math.sqrt(sum(i => a[i]! ** 2) * sum(i => b[i]! ** 2))
}

/**
 * What several versions of one key come to, said once more and apart from the product: the checkers must not believe the code that they check.
 *
 * `lww`: the greatest in the total order. It also holds for collections whose policy was `lww` in one place and `siblings` in another for a
 * while: whatever else is kept beside it, the greatest is the same.
 */
import { coversDot, type Dot } from '../../sync/dot.ts'
import { compareStamps, type Stamp } from '../../sync/hlc.ts'
import type { Version } from '../../sync/version.ts'

export type MergeRule = 'lww' | 'siblings'

export const isSameDot = (a: Dot, b: Dot): boolean => a.origin === b.origin && a.counter === b.counter
export const dotName = ({ origin, counter }: Dot): string => `${origin.slice(0, 8)}:${counter}`

/** Whether whoever wrote `version` had seen `dot`. */
export const hasSeen = (version: Version, dot: Dot): boolean =>
  version.context.some(seen => seen.origin === dot.origin && seen.counter >= dot.counter)

/** Stamp, origin, counter: what two dots need of the total order. */
const compare = (a: Write, b: Write): number =>
  compareStamps(a.stamp, b.stamp) || (a.origin < b.origin ? -1 : a.origin > b.origin ? 1 : a.counter - b.counter)

/** A version, or what a user was told of one. */
export interface Write extends Dot {
  readonly stamp: Stamp
  readonly context?: readonly Dot[]
}

/**
 * Whether holding `version` is reason enough not to hold `write`: it is it, or its writer had seen it, or - under `lww` - it is a concurrent
 * one that is greater. What `write` itself had seen never is (R1).
 */
export function accountsFor(version: Version, write: Write, rule: MergeRule): boolean {
  if (isSameDot(version, write) || hasSeen(version, write)) return true
  if (rule === 'siblings') return false
  return (
    compare(version, write) > 0 && write.context?.some(seen => seen.origin === version.origin && seen.counter >= version.counter) !== true
  )
}

/** The dots that remain of all these versions, as text. */
export function remaining(versions: Iterable<Version>, rule: MergeRule): string {
  const byName = new Map([...versions].map(version => [`${version.origin}:${version.counter}`, version]))
  if (rule === 'siblings') {
    const all = [...byName.values()]
    for (const [name, version] of byName) if (all.some(other => hasSeen(other, version))) byName.delete(name)
    return [...byName.keys()].sort().join(' ')
  }
  let greatest: Version | undefined
  for (const version of byName.values()) if (greatest === undefined || compare(version, greatest) > 0) greatest = version
  return greatest === undefined ? '' : `${greatest.origin}:${greatest.counter}`
}

/** Versions that a vector does not cover. */
export const above = (versions: Iterable<Version>, vector: ReadonlyMap<string, number>): Version[] =>
  [...versions].filter(version => !coversDot(vector, version))

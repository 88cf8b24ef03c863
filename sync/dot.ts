/**
 * Dots and version vectors: what has been written, and what somebody has seen of it.
 * Source: Almeida, Baquero et al., "Scalable and Accurate Causality Tracking for Eventually Consistent Stores" (2014), dotted
 * version vectors. Departure: an origin is one incarnation of a replica, so that a replica that lost writes never reuses a dot.
 */

/** 16 random bytes in lower-case hexadecimal: one incarnation of a replica. */
export type Origin = string

/** Names one write. Counters are contiguous per origin and collection, from 1. */
export interface Dot {
  readonly origin: Origin
  readonly counter: number
}

export const isSameDot = (a: Dot, b: Dot): boolean => a.counter === b.counter && a.origin === b.origin

/** Origin -> highest contiguous counter. An origin that is absent counts as 0. */
export type VersionVector = ReadonlyMap<Origin, number>

export function coversDot(vector: VersionVector, dot: Dot): boolean {
  return (vector.get(dot.origin) ?? 0) >= dot.counter
}

export function coversVector(vector: VersionVector, other: VersionVector): boolean {
  for (const [origin, counter] of other) if ((vector.get(origin) ?? 0) < counter) return false
  return true
}

/** The least vector that covers both. */
export function joinVectors(a: VersionVector, b: VersionVector): Map<Origin, number> {
  const joined = new Map(a)
  for (const [origin, counter] of b) if ((joined.get(origin) ?? 0) < counter) joined.set(origin, counter)
  return joined
}

/** Entries in ascending order of origin: the order of everything that is hashed, stored or shipped. */
export function sortedEntries(vector: VersionVector): [Origin, number][] {
  return [...vector].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

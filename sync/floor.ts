/**
 * When two replicas may be compared, and what it says: roots (R4), and keys that one side lacks (R6).
 *
 * The floor (R6): what a key means that one side holds and the other lacks, when tombstones are collected. Each side states vector and
 * G, the vector of the tombstones that it has collected, both from the snapshot that it compares.
 */
import { equalBytes } from '../base/bytes.ts'
import { coversDot, coversVector, type Dot, type VersionVector } from './dot.ts'

export interface Knowledge {
  readonly vector: VersionVector
  readonly collected: VersionVector
}

/** Whether one side's vector does not cover what the other has collected: it may hold what the other has seen deleted and forgotten. */
export function isBehindFloor(side: Knowledge, other: Knowledge): boolean {
  return !coversVector(side.vector, other.collected)
}

/**
 * What is to be done with an item that `holder` holds and whose key `other` lacks: it is dropped when the holder is behind the other's floor
 * and the other has seen it; otherwise the other has lost it, and it is sent again.
 */
export function judgeAbsent(holder: Knowledge, other: Knowledge, dot: Dot): 'drop' | 'send' {
  return isBehindFloor(holder, other) && coversDot(other.vector, dot) ? 'drop' : 'send'
}

/** What one side holds of a collection: root and knowledge from one snapshot, 16 bytes each. */
export interface HeldRoot {
  readonly root: Uint8Array
  /** Hash of everything that must be equal before roots are compared: generation, vector, G, salt. */
  readonly knowledge: Uint8Array
}

/** R4: unequal roots say something only where both sides know the same. */
export const isDiverged = (a: HeldRoot, b: HeldRoot): boolean => equalBytes(a.knowledge, b.knowledge) && !equalBytes(a.root, b.root)

export const isEqualVector = (a: VersionVector, b: VersionVector): boolean => coversVector(a, b) && coversVector(b, a)

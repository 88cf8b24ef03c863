/**
 * The floor (R6): what a key means that one side holds and the other lacks, when tombstones are collected. Each side states vector and
 * G, the vector of the tombstones that it has collected, both from the snapshot that it compares.
 */
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

export const isEqualVector = (a: VersionVector, b: VersionVector): boolean => coversVector(a, b) && coversVector(b, a)

/** What is kept beside the records is what a count of them gives (P14), and what is told to others is durable (R3). */
import { systemHash } from '../../../agent/ports.ts'
import { toHex } from '../../../base/bytes.ts'
import { createDigestSum, rootDigest } from '../../../sync/digest.ts'
import type { CollectionView } from '../../../sync/replica.ts'
import type { DurableState } from '../durable-state.ts'

export function findDrift(robot: number, { collections }: DurableState): string | undefined {
  for (const { name, root, countedRoot, recordCount, countedRecords } of collections.values()) {
    if (root !== countedRoot) return `robot ${robot}: the kept digest of ${name} is not the digest of what is held`
    if (recordCount !== countedRecords) return `robot ${robot}: ${recordCount} records of ${name} counted, ${countedRecords} held`
  }
  return undefined
}

/** A collection without a row yet. */
const EMPTY_ROOT = toHex(rootDigest(systemHash, createDigestSum()))

/** `states`: the durable one and the one before: the disk has a write a moment before its process hears of it. */
export function findHearsay(robot: number, told: readonly CollectionView[], states: readonly DurableState[]): string | undefined {
  const hearsay = told.find(({ name, digest }) =>
    states.every(({ collections }) => (collections.get(name)?.root ?? EMPTY_ROOT) !== toHex(digest)),
  )
  return hearsay && `robot ${robot} tells a digest of ${hearsay.name} that is not durable`
}

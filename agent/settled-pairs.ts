/**
 * Which collections two replicas have nothing more to tell one another of, where the digests that gossip carries do not say so: one of the
 * two is partial, or their horizons do not fit (R8, R9). What a session ended with is remembered; a pair is settled until either side
 * tells something else. So at rest nothing is exchanged, however different the two are.
 *
 * In memory only: after a restart one session tells it anew. Pure: no clock, no I/O.
 */
import { equalBytes } from '../base/bytes.ts'
import type { CollectionDigest } from '../swarm/digest-list.ts'
import type { HeldDigests, SettledCollection } from '../sync/offer.ts'
import { KNOWN_BYTES, readTerms, relate } from '../sync/partial.ts'

/** Collections of one peer; beyond it further ones are synced whenever they are looked at. */
const COLLECTIONS_PER_PEER_MAX = 8_192

export interface SettledPairs {
  note(nodeId: string, settled: SettledCollection): void
  /** Of the collections in which a peer's digests differ from ours, those that may have something to exchange. */
  unsettled(nodeId: string, names: readonly string[], own: readonly CollectionDigest[], theirs: readonly CollectionDigest[]): string[]
  forget(nodeId: string): void
}

export function createSettledPairs(): SettledPairs {
  const settledByNodeId = new Map<string, Map<string, SettledCollection>>()

  return {
    note(nodeId, settled) {
      let known = settledByNodeId.get(nodeId)
      if (known === undefined) settledByNodeId.set(nodeId, (known = new Map()))
      if (known.size < COLLECTIONS_PER_PEER_MAX || known.has(settled.name)) known.set(settled.name, settled)
    },
    unsettled(nodeId, names, own, theirs) {
      const ownByName = byName(own)
      const theirsByName = byName(theirs)
      const settled = settledByNodeId.get(nodeId)
      return names.filter(name => mayDiffer(ownByName.get(name), theirsByName.get(name), settled?.get(name)))
    },
    forget: nodeId => void settledByNodeId.delete(nodeId),
  }
}

const byName = (digests: readonly CollectionDigest[]): ReadonlyMap<string, CollectionDigest> =>
  new Map(digests.map(digest => [digest.name, digest]))

function mayDiffer(
  own: CollectionDigest | undefined,
  theirs: CollectionDigest | undefined,
  settled: SettledCollection | undefined,
): boolean {
  if (own?.partial === undefined && theirs?.partial === undefined) return true
  const { sends, receives } = relate(readTerms(own?.partial?.flags ?? 0, 0, 0), readTerms(theirs?.partial?.flags ?? 0, 0, 0))
  if (!sends && !receives) return false
  if (own === undefined || theirs === undefined || settled === undefined) return true
  return (sends && !isAsBefore(own, settled.mine)) || (receives && !isAsBefore(theirs, settled.theirs))
}

/** A partial replica tells what it knows, a full one what it holds. */
const isAsBefore = ({ digest, partial }: CollectionDigest, { root, knowledge }: HeldDigests): boolean =>
  partial === undefined ? equalBytes(digest, root) : equalBytes(partial.known, knowledge.subarray(0, KNOWN_BYTES))

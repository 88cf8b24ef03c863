/**
 * A collection in the live phase of one link: what each side knows that the other holds. All of it only grows until the next round, and
 * maps that are equal are one object, since there may be thousands of collections on many links.
 */
import { equalBytes } from '../base/bytes.ts'
import { ACKNOWLEDGEMENTS_MAX, boundAcknowledgements, isNewer, type Acknowledgement } from './acknowledgement.ts'
import { countersOf, type CollectionSnapshot } from './replica-snapshot.ts'
import { joinVectors, type VersionVector } from './dot.ts'
import type { HeldState, OwnState } from './exchange.ts'
import { laterStamp, STAMP_ZERO } from './hlc.ts'
import type { Held, Open } from './messages.ts'
import type { CollectedKnowledge } from './sync-replica.ts'

/** What roots are compared by. */
export type HeldContent = Pick<HeldState, 'root' | 'knowledge'>

/** What the peer has said that it holds durably. */
export interface Claim extends CollectedKnowledge, Omit<HeldState, 'flags'> {}

/** What this side has said of itself. */
export interface Told {
  readonly vector: VersionVector
  readonly collected: VersionVector
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
}

export interface SharedCollection {
  readonly generation: number
  /** What the peer holds, or will hold when it has taken what was sent to it: nothing of this is shipped again (X9). */
  known: VersionVector
  theirs: Claim
  /** Undefined: nothing since the round. */
  told: Told | undefined
  /** The peer has asked for what it lacks. */
  isPulled: boolean
  /** What was asked for so far: what does not come then was passed over (X4), or comes with a round. */
  pulled: VersionVector
  /** What others have acknowledged, as the two have told one another, by store id. */
  readonly acknowledged: Map<string, Acknowledgement>
}

const NOTHING: VersionVector = new Map()

/** Both sides offered the same: generation, vector, G and content. */
export function sharedAsSame(collection: CollectionSnapshot, rosterHash: Uint8Array): SharedCollection {
  const { generation, counters, collected, root, knowledge } = collection
  return {
    generation,
    known: counters,
    theirs: { vector: counters, collected, collectedStampMax: STAMP_ZERO, root, knowledge, rosterHash },
    told: { vector: counters, collected, root, knowledge },
    isPulled: false,
    pulled: NOTHING,
    acknowledged: new Map(),
  }
}

/** Both sides opened it and shipped: `mine` is the vector of this side's mark. Where they ended with equal knowledge, each knows what the other knows. */
export function sharedAsExchanged(
  generation: number,
  mine: VersionVector,
  theirs: Open,
  held: { readonly mine: OwnState; readonly theirs: HeldState },
): SharedCollection {
  const isEqual = equalBytes(held.mine.knowledge, held.theirs.knowledge)
  const said = countersOf(theirs.vector)
  const { vector, collected } = isEqual ? held.mine : { vector: said, collected: theirs.collected }
  return {
    generation,
    known: isEqual ? vector : joinVectors(said, mine),
    theirs: { ...held.theirs, vector, collected, collectedStampMax: theirs.collectedStampMax },
    told: isEqual ? held.mine : undefined,
    isPulled: false,
    pulled: NOTHING,
    acknowledged: new Map(),
  }
}

/** Takes in what the peer says of itself. */
export function noteHeld(shared: SharedCollection, held: Held): void {
  const { root, knowledge, rosterHash } = held
  const said = countersOf(held.vector)
  shared.known = joinVectors(shared.known, said)
  shared.theirs = {
    root,
    knowledge,
    rosterHash,
    vector: joinVectors(shared.theirs.vector, said),
    collected: joinVectors(shared.theirs.collected, held.collected),
    collectedStampMax: laterStamp(shared.theirs.collectedStampMax, held.collectedStampMax),
  }
  noteAcknowledged(shared, held.acknowledgements)
}

export function noteAcknowledged({ acknowledged }: SharedCollection, said: readonly Acknowledgement[]): void {
  for (const next of said) {
    const known = acknowledged.get(next.storeId)
    if (known === undefined ? acknowledged.size < ACKNOWLEDGEMENTS_MAX : isNewer(next, known)) acknowledged.set(next.storeId, next)
  }
}

/** What the two have not told one another, and the peer has not said of itself. */
export function newAcknowledgements({ acknowledged }: SharedCollection, known: readonly Acknowledgement[], peerStoreId: string) {
  return boundAcknowledgements(
    known.filter(next => {
      const told = acknowledged.get(next.storeId)
      if (next.storeId === peerStoreId) return false
      return told === undefined ? acknowledged.size < ACKNOWLEDGEMENTS_MAX : isNewer(next, told)
    }),
  )
}

/** Entries of `all` above those of `said`. */
export function entriesAbove(all: VersionVector, said: VersionVector | undefined): VersionVector {
  return new Map([...all].filter(([origin, counter]) => counter > (said?.get(origin) ?? 0)))
}

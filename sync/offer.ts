/** What a replica offers of a collection at the beginning of a session, and what two offers of one collection say. */
import { equalBytes } from '../base/bytes.ts'
import type { VersionVector } from './dot.ts'
import type { Offer } from './messages.ts'
import { readTerms, relate, termsFlags, type Relation } from './partial.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import type { SyncReplica } from './sync-replica.ts'

/** What two replicas held of a collection when nothing was left to be told, as far as they tell one another. */
export interface SettledCollection {
  readonly name: string
  readonly mine: HeldDigests
  readonly theirs: HeldDigests
}

export interface HeldDigests {
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
}

export const offerOf = ({ name, generation, root, knowledge, terms }: CollectionSnapshot, priority: number): Offer => {
  return { name, generation, root, knowledge, flags: termsFlags(terms), priority }
}

/** Versions of it go one way at least. */
export function isExchanged(own: Offer, other: Offer): boolean {
  const { sends, receives } = relate(readTerms(own.flags, 0, 0), readTerms(other.flags, 0, 0))
  return sends || receives
}

/** Nothing is left to be told: what both know is the same and, where both are full, what they hold (R4, R8). */
export function isSettled(own: Offer, other: Offer): boolean {
  const { isMinePartial, isTheirsPartial, isRefilling } = relate(readTerms(own.flags, 0, 0), readTerms(other.flags, 0, 0))
  if (isRefilling || (!isMinePartial && !isTheirsPartial))
    return !isRefilling && equalBytes(own.root, other.root) && equalBytes(own.knowledge, other.knowledge)
  return equalBytes(own.knowledge, other.knowledge)
}

export interface SettledOffer extends SettledCollection {
  readonly generation: number
  /** What the peer knows too, where this replica may rely on it (R8). */
  readonly keptVector: VersionVector | undefined
}

export function keptVector(own: Offer, other: Offer, collection: CollectionSnapshot | undefined): VersionVector | undefined {
  // With equal knowledge the horizons are equal.
  const { isTheirsKept } = relate(readTerms(own.flags, 0, 0), readTerms(other.flags, 0, 0))
  return isTheirsKept && equalBytes(own.knowledge, other.knowledge) ? collection?.counters : undefined
}

/** Whether two are full, as they opened a collection and as they are now: only then do their roots say something (R4). */
export function areFull(relation: Relation, mine: Pick<Offer, 'flags'>, theirs: Pick<Offer, 'flags'>): boolean {
  const now = relate(readTerms(mine.flags, 0, 0), readTerms(theirs.flags, 0, 0))
  return ![relation, now].some(({ isMinePartial, isTheirsPartial }) => isMinePartial || isTheirsPartial)
}

/** Remembers what a peer knows that offers the same (R8). */
export async function noteSettled(replica: SyncReplica, storeId: string, settled: readonly SettledOffer[]): Promise<void> {
  for (const { name, generation, keptVector: vector } of settled) {
    if (vector !== undefined) await replica.noteSameKnowledge(name, generation, { storeId, vector })
  }
}

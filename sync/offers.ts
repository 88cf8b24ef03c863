/** The first half of a round: both sides list what they hold, and find what differs. */
import { equalBytes } from '../base/bytes.ts'
import { SessionFault, type Channel } from './channel.ts'
import type { CommonGround } from './common-ground.ts'
import type { VersionVector } from './dot.ts'
import { OFFERS_PER_MESSAGE_MAX, type Offer } from './messages.ts'
import { isExchanged, isSettled, keptVector, offerOf, type SettledOffer } from './offer.ts'
import { isPlain } from './partial.ts'
import type { ReplicaSnapshot } from './replica-snapshot.ts'
import { PRIORITY_MAX, SYSTEM_COLLECTION } from './settings.ts'
import { sharedAsSame, type HeldContent, type SharedCollection } from './shared-collection.ts'
import type { SyncReplica } from './sync-replica.ts'

/** Collections that a peer may offer: twice what an agent holds. */
const OFFERS_MAX = 8_192

export interface Difference {
  readonly name: string
  readonly generation: number
  /** What the two have in common, as both offer it. */
  readonly common?: CommonGround | undefined
}

export interface Comparison {
  /** In the same order on both sides. */
  readonly differing: readonly Difference[]
  /** Collections that are the same on both sides, and go on live, by name. */
  readonly sameByName: ReadonlyMap<string, SharedCollection>
  /** Collections of which nothing is left to be told. */
  readonly settled: readonly SettledOffer[]
  /** Collections of which the peer has another generation, or that one of the two does not exchange (R8). */
  readonly apart: readonly Difference[]
  /** Those of the same ones with tombstones that wait for acknowledgements: the peer has this vector too (R7). */
  readonly waiting: readonly (Difference & { readonly vector: VersionVector })[]
  /** What the peer holds of the system collection. */
  readonly system: HeldContent | undefined
  /** The peer's roster. */
  readonly rosterHash: Uint8Array
}

export const isSame = (a: HeldContent, b: HeldContent): boolean => equalBytes(a.root, b.root) && equalBytes(a.knowledge, b.knowledge)

/** R4: unequal roots say something only where both sides know the same. */
export const isDiverged = (a: HeldContent, b: HeldContent): boolean => equalBytes(a.knowledge, b.knowledge) && !equalBytes(a.root, b.root)

/** Both sides list what they hold. */
export async function compareOffers(
  channel: Channel,
  snapshot: ReplicaSnapshot,
  replica: Pick<SyncReplica, 'rosterHash' | 'priority'>,
  commonGround: (name: string, generation: number) => CommonGround | undefined,
): Promise<Comparison> {
  const mine = new Map<string, Offer>()
  for (const name of snapshot.names()) {
    const collection = await snapshot.collection(name)
    if (collection === undefined) continue
    const commonHash = commonGround(name, collection.generation)?.hash
    mine.set(name, { ...offerOf(collection, replica.priority(name)), commonHash })
  }
  const offers = [...mine.values()]
  // Read behind the snapshot: whoever has enrolled by now is waited for (R7).
  const rosterHash = replica.rosterHash()
  const sendOffers = async (): Promise<void> => {
    let at = 0
    do {
      const page = offers.slice(at, (at += OFFERS_PER_MESSAGE_MAX))
      await channel.send({ kind: 'offers', offers: page, isLast: at >= offers.length, rosterHash })
    } while (at < offers.length)
  }
  const [{ theirs, rosterHash: theirRosterHash }] = await Promise.all([receiveOffers(channel), sendOffers()])

  const differing: Difference[] = []
  const sameByName = new Map<string, SharedCollection>()
  const settled: SettledOffer[] = []
  const apart: Difference[] = []
  const waiting: (Difference & { vector: VersionVector })[] = []
  for (const name of [...new Set([...mine.keys(), ...theirs.keys()])].sort()) {
    const own = mine.get(name)
    const other = theirs.get(name)
    if (own !== undefined && other !== undefined) {
      // Another generation: the system collection, which goes first, settles which one stays.
      if (own.generation !== other.generation || !isExchanged(own, other)) {
        apart.push({ name, generation: own.generation })
        continue
      }
      if (isSettled(own, other)) {
        const collection = await snapshot.collection(name)
        if (collection === undefined) continue
        settled.push({ name, generation: own.generation, mine: own, theirs: other, keptVector: keptVector(own, other, collection) })
        if (isPlain(collection.terms) && other.flags === 0) sameByName.set(name, sharedAsSame(collection, theirRosterHash))
        if (await collection.hasTombstones()) waiting.push({ name, generation: own.generation, vector: collection.counters })
        continue
      }
    }
    const generation = own?.generation ?? other?.generation ?? 0
    const common = commonGround(name, generation)
    // As both have offered it: whoever has the collection no more may remember the ground, and the other does not know that.
    const [ownHash, otherHash] = [own?.commonHash, other?.commonHash]
    const isCommon = ownHash !== undefined && otherHash !== undefined && equalBytes(ownHash, otherHash)
    differing.push({ name, generation, common: isCommon ? common : undefined })
  }
  // Both know both priorities, so both take the same order, also while one of them has not heard of the other's yet.
  const priority = (name: string): number => Math.max(...[mine.get(name), theirs.get(name)].map(offer => offer?.priority ?? -PRIORITY_MAX))
  differing.sort((a, b) => priority(b.name) - priority(a.name))
  return { differing, sameByName, settled, apart, waiting, system: theirs.get(SYSTEM_COLLECTION), rosterHash: theirRosterHash }
}

async function receiveOffers(channel: Channel): Promise<{ theirs: Map<string, Offer>; rosterHash: Uint8Array }> {
  const theirs = new Map<string, Offer>()
  for (;;) {
    const page = await channel.expect('offers')
    for (const offer of page.offers) theirs.set(offer.name, offer)
    if (theirs.size > OFFERS_MAX) throw new SessionFault('unexpected', `the peer offers more than ${OFFERS_MAX} collections`)
    if (page.isLast) return { theirs, rosterHash: page.rosterHash }
  }
}

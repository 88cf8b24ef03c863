/**
 * A sync session between two replicas over one link, the same on both sides but for who speaks first and who drives repairs.
 *
 *   hello      both say who they are; either may refuse
 *   offers     both list their collections with roots and knowledge hashes
 *   exchange   for each collection that differs, the system collection first (then offers are made again), others by priority: `open` both ways,
 *              repair when one side is behind the other's floor, L1 both ways, and repair when equal knowledge has unequal roots
 *
 * It does no I/O of its own and keeps no time: the link, the replica and the peer's trust are arguments. It never throws; whatever was made
 * durable before a failure stays, and the next session resumes there.
 */
import { equalBytes, fromHex } from '../base/bytes.ts'
import type { VersionVector } from './dot.ts'
import type { Acknowledgement } from './acknowledgement.ts'
import type { Codec, Hash } from '../base/ports.ts'
import { createChannel, SessionFault, type Channel, type Link, type SessionFaultKind } from './channel.ts'
import { countersOf, type CollectionSnapshot, type ReplicaSnapshot } from './replica-snapshot.ts'
import {
  exchangeTails,
  FRAME_LIMITS,
  readState,
  stateMessage,
  type ExchangeStats,
  type FrameLimits,
  type HeldState,
  type OwnState,
} from './exchange.ts'
import { isBehindFloor } from './floor.ts'
import { STAMP_ZERO } from './hlc.ts'
import {
  ACKNOWLEDGED_ENTRIES_MAX,
  ACKNOWLEDGEMENTS_MAX,
  OFFERS_PER_MESSAGE_MAX,
  PROTOCOL_VERSION,
  type Hello,
  type Offer,
  type Open,
} from './messages.ts'
import type { SyncReplica } from './sync-replica.ts'
import { driveRepair, serveRepair } from './repair.ts'
import { PRIORITY_MAX, SYSTEM_COLLECTION } from './settings.ts'

/** Collections that a peer may offer: twice what an agent holds. */
const OFFERS_MAX = 8_192

export interface SessionOptions {
  readonly link: Link
  readonly replica: SyncReplica
  readonly codec: Codec
  readonly hash: Hash
  readonly isInitiator: boolean
  /** What to say of oneself; the responder has heard the peer's hello by then. */
  readonly hello: (peer: Hello | undefined) => Hello
  /** Why this replica does not exchange with that peer; undefined when it does. */
  readonly refusal: (peer: Hello) => string | undefined
  readonly frames?: FrameLimits
  /** Called as a collection begins, moves and ends. */
  readonly onProgress?: (progress: CollectionProgress) => void
}

export interface CollectionProgress extends Readonly<ExchangeStats> {
  readonly peer: Hello
  readonly name: string
  readonly state: 'syncing' | 'done'
  readonly bytesSent: number
  readonly bytesReceived: number
  /** With `done`: both sides hold the same. */
  readonly isInSync: boolean
  readonly isRepaired: boolean
  readonly isForked: boolean
}

export interface SessionResult {
  /** Undefined when the link failed before the peer said who it is. */
  readonly peer: Hello | undefined
  /** The session ran to its end and every collection that differed is the same now (or is still being written to). */
  readonly isComplete: boolean
  /** Names of collections that end with equal knowledge and unequal roots: a defect or damage that repair could not mend. */
  readonly diverged: readonly string[]
  readonly fault: { readonly kind: SessionFaultKind | 'store'; readonly detail: string } | undefined
  readonly bytesSent: number
  readonly bytesReceived: number
}

export async function runSession(options: SessionOptions): Promise<SessionResult> {
  const channel = createChannel(options.link, options.codec)
  const diverged: string[] = []
  let peer: Hello | undefined
  const result = (fault: SessionResult['fault']): SessionResult => {
    const { bytesSent, bytesReceived } = channel
    return { peer, isComplete: fault === undefined && diverged.length === 0, diverged, fault, bytesSent, bytesReceived }
  }
  try {
    await options.replica.enrol()
    peer = await greet(options, channel)
    await reconcile(options, channel, peer, diverged)
    return result(undefined)
  } catch (error) {
    if (error instanceof SessionFault) return result({ kind: error.kind, detail: error.message })
    return result({ kind: 'store', detail: error instanceof Error ? error.message : String(error) })
  } finally {
    channel.close()
  }
}

async function greet(options: SessionOptions, channel: Channel): Promise<Hello> {
  if (options.isInitiator) await channel.send(options.hello(undefined))
  const peer = await channel.expect('hello')
  const refuse = async (kind: SessionFaultKind, reason: string): Promise<never> => {
    await channel.send({ kind: 'bye', reason })
    throw new SessionFault(kind, reason)
  }
  if (peer.protocol !== PROTOCOL_VERSION) {
    return refuse('incompatible', `protocol ${peer.protocol} is not spoken here, ${PROTOCOL_VERSION} is`)
  }
  const reason = options.refusal(peer)
  if (reason !== undefined) return refuse('refused', reason)
  if (!options.isInitiator) await channel.send(options.hello(peer))
  return peer
}

async function reconcile(options: SessionOptions, channel: Channel, peer: Hello, diverged: string[]): Promise<void> {
  const { replica } = options
  let isSystemDone = false
  for (;;) {
    const snapshot = await replica.snapshot()
    let compared: Comparison
    try {
      compared = await compareOffers(channel, snapshot, replica)
    } finally {
      await snapshot.close()
    }
    const { differing } = compared
    const system = differing.find(({ name }) => name === SYSTEM_COLLECTION)
    if (!isSystemDone && system !== undefined) {
      await reconcileCollection(options, channel, peer, system, diverged)
      isSystemDone = true
      continue
    }
    // What is evicted learns of it by the system collection, and has no part in anything else until it has enrolled as somebody new (R7).
    if (replica.isEvicted(replica.storeId)) throw new SessionFault('refused', 'this replica was evicted: it enrols anew')
    if (replica.isEvicted(peer.storeId)) throw new SessionFault('refused', 'the peer was evicted: it enrols anew')
    for (const { name, generation, vector } of compared.waiting) {
      await replica.acknowledge(name, generation, [{ storeId: peer.storeId, rosterHash: compared.rosterHash, vector }])
      await replica.collectStable(name, generation)
    }
    for (const difference of differing) {
      if (difference.name !== SYSTEM_COLLECTION) await reconcileCollection(options, channel, peer, difference, diverged)
    }
    return
  }
}

interface Difference {
  readonly name: string
  readonly generation: number
}

interface Comparison {
  /** In the same order on both sides. */
  readonly differing: readonly Difference[]
  /** Collections that are the same on both sides, with tombstones that wait for acknowledgements: the peer has this vector too (R7). */
  readonly waiting: readonly (Difference & { readonly vector: VersionVector })[]
  /** The peer's roster. */
  readonly rosterHash: Uint8Array
}

/** Both sides list what they hold. */
async function compareOffers(channel: Channel, snapshot: ReplicaSnapshot, replica: SyncReplica): Promise<Comparison> {
  const mine = new Map<string, Offer>()
  for (const name of snapshot.names()) {
    const collection = await snapshot.collection(name)
    if (collection !== undefined) mine.set(name, { ...offerOf(collection), priority: replica.priority(name) })
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
  const receiveOffers = async (): Promise<{ theirs: Map<string, Offer>; rosterHash: Uint8Array }> => {
    const theirs = new Map<string, Offer>()
    for (;;) {
      const page = await channel.expect('offers')
      for (const offer of page.offers) theirs.set(offer.name, offer)
      if (theirs.size > OFFERS_MAX) throw new SessionFault('unexpected', `the peer offers more than ${OFFERS_MAX} collections`)
      if (page.isLast) return { theirs, rosterHash: page.rosterHash }
    }
  }
  const [{ theirs, rosterHash: theirRosterHash }] = await Promise.all([receiveOffers(), sendOffers()])

  const differing: Difference[] = []
  const waiting: (Difference & { vector: VersionVector })[] = []
  for (const name of [...new Set([...mine.keys(), ...theirs.keys()])].sort()) {
    const own = mine.get(name)
    const other = theirs.get(name)
    if (own !== undefined && other !== undefined) {
      // Another generation: the system collection, which goes first, settles which one stays.
      if (own.generation !== other.generation) continue
      if (isSame(own, other)) {
        const collection = await snapshot.collection(name)
        if (collection !== undefined && (await collection.hasTombstones()))
          waiting.push({ name, generation: own.generation, vector: collection.counters })
        continue
      }
    }
    differing.push({ name, generation: own?.generation ?? other?.generation ?? 0 })
  }
  // Both know both priorities, so both take the same order, also while one of them has not heard of the other's yet.
  const priority = (name: string): number => Math.max(...[mine.get(name), theirs.get(name)].map(offer => offer?.priority ?? -PRIORITY_MAX))
  differing.sort((a, b) => priority(b.name) - priority(a.name))
  return { differing, waiting, rosterHash: theirRosterHash }
}

const offerOf = ({ name, generation, root, knowledge }: CollectionSnapshot) => ({ name, generation, root, knowledge })

type Held = Pick<HeldState, 'root' | 'knowledge'>
const isSame = (a: Held, b: Held): boolean => equalBytes(a.root, b.root) && equalBytes(a.knowledge, b.knowledge)

/** R4: unequal roots say something only where both sides know the same. */
const isDiverged = (a: Held, b: Held): boolean => equalBytes(a.knowledge, b.knowledge) && !equalBytes(a.root, b.root)

async function reconcileCollection(
  options: SessionOptions,
  channel: Channel,
  peer: Hello,
  difference: Difference,
  diverged: string[],
): Promise<void> {
  const { replica } = options
  const { name, generation } = difference
  const stats: ExchangeStats = { itemsSent: 0, itemsReceived: 0, malformed: 0 }
  const sentBefore = channel.bytesSent
  const receivedBefore = channel.bytesReceived
  let isRepaired = false
  let isForked = false
  const report = (state: CollectionProgress['state'], isInSync: boolean): void =>
    options.onProgress?.({
      ...stats,
      peer,
      name,
      state,
      bytesSent: channel.bytesSent - sentBefore,
      bytesReceived: channel.bytesReceived - receivedBefore,
      isInSync,
      isRepaired,
      isForked,
    })
  report('syncing', false)

  const repair = async (): Promise<void> => {
    isRepaired = true
    await repairCollection(options, channel, difference, stats)
  }
  const { snapshot, mine, theirs } = await openCollection(options, channel, difference, peer)
  try {
    isForked = await replica.settleForks(name, generation, theirs.vector)
    if (isForked) {
      // The own vector is another one now: what was opened with the old one cannot go on.
      report('done', false)
      throw new SessionFault('closed', 'this replica found its history forked, and begins anew')
    }
    // R6: whoever is behind the other's floor drops what was collected there before any vector moves.
    const theirKnowledge = { vector: countersOf(theirs.vector), collected: theirs.collected }
    const ownKnowledge = mine && { vector: mine.counters, collected: mine.collected }
    const isFloorBetween =
      ownKnowledge !== undefined &&
      theirs.generation === generation &&
      (isBehindFloor(ownKnowledge, theirKnowledge) || isBehindFloor(theirKnowledge, ownKnowledge))
    if (isFloorBetween) await repair()
    const context = {
      channel,
      replica,
      peerStoreId: peer.storeId,
      stats,
      frames: options.frames ?? FRAME_LIMITS,
      onProgress: () => report('syncing', false),
    }
    let held = await exchangeTails(context, mine, theirs, generation)
    if (isDiverged(held.mine, held.theirs)) {
      await repair()
      held = await exchangeStates(channel, replica, name)
    }
    if (isDiverged(held.mine, held.theirs)) diverged.push(name)
    await settleTombstones(replica, peer, theirs, held)
    report('done', isSame(held.mine, held.theirs))
  } finally {
    await snapshot.close()
  }
}

/** R7: what the peer has acknowledged, and others through it; with that, tombstones may have become stable. */
async function settleTombstones(
  replica: SyncReplica,
  peer: Hello,
  theirs: Open,
  held: { mine: OwnState; theirs: HeldState },
): Promise<void> {
  const { name, generation } = theirs
  if (generation === 0) return
  const isEqual = equalBytes(held.mine.knowledge, held.theirs.knowledge)
  const direct = isEqual
    ? { storeId: peer.storeId, rosterHash: held.theirs.rosterHash, vector: held.mine.vector }
    : { storeId: peer.storeId, rosterHash: theirs.rosterHash, vector: countersOf(theirs.vector) }
  await replica.acknowledge(name, generation, [direct, ...theirs.acknowledgements])
  await replica.collectStable(name, generation)
}

/** Both sides state what they hold of one collection, from one snapshot that stays open. */
async function openCollection(options: SessionOptions, channel: Channel, { name, generation }: Difference, peer: Hello) {
  const { replica } = options
  const snapshot = await replica.snapshot()
  try {
    const found = await snapshot.collection(name)
    const mine = found?.generation === generation ? found : undefined
    const open: Open = {
      kind: 'open',
      name,
      generation: mine?.generation ?? 0,
      vector: mine?.vector ?? new Map(),
      collected: mine?.collected ?? new Map(),
      resume: replica.resumePoint(name, generation, fromHex(peer.storeId) ?? new Uint8Array(0)),
      collectedStampMax: mine?.collectedStampMax ?? STAMP_ZERO,
      rosterHash: replica.rosterHash(),
      acknowledgements: boundAcknowledgements((await mine?.acknowledgements()) ?? []),
    }
    const [theirs] = await Promise.all([channel.expect('open'), channel.send(open)])
    if (theirs.name !== name || (theirs.generation !== generation && theirs.generation !== 0)) {
      throw new SessionFault('unexpected', `the peer opened "${theirs.name}" in the place of "${name}"`)
    }
    return { snapshot, mine, theirs }
  } catch (error) {
    await snapshot.close()
    throw error
  }
}

/** As many as one message may carry. */
function boundAcknowledgements(known: readonly Acknowledgement[]): Acknowledgement[] {
  let entries = 0
  return known.slice(0, ACKNOWLEDGEMENTS_MAX).filter(({ vector }) => (entries += vector.size) <= ACKNOWLEDGED_ENTRIES_MAX)
}

async function repairCollection(
  options: SessionOptions,
  channel: Channel,
  { name, generation }: Difference,
  stats: ExchangeStats,
): Promise<void> {
  const { replica, hash, isInitiator } = options
  const snapshot = await replica.snapshot()
  try {
    const mine = await snapshot.collection(name)
    if (mine?.generation !== generation) throw new SessionFault('closed', `"${name}" was deleted in the middle of a repair`)
    const context = { channel, replica, hash, stats }
    await (isInitiator ? driveRepair(context, mine) : serveRepair(context, mine))
  } finally {
    await snapshot.close()
  }
}

async function exchangeStates(channel: Channel, replica: SyncReplica, name: string): Promise<{ mine: OwnState; theirs: HeldState }> {
  const mine = await readState(replica, name)
  const [theirs] = await Promise.all([channel.expect('state'), channel.send(stateMessage(mine))])
  return { mine, theirs }
}

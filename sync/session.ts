/**
 * A sync session between two replicas over one link, the same on both sides but for who speaks first and who drives repairs.
 *
 *   hello      both say who they are; either may refuse
 *   offers     both list their collections with roots and knowledge hashes
 *   exchange   for each collection that differs, the system collection first (then offers are made again), others by priority: `open` both ways,
 *              repair when one side is behind the other's floor, L1 both ways, and repair when equal knowledge has unequal roots
 *   live       if both want it (live.ts), until one of the two wants another round: then offers, exchange and live again
 *
 * It does no I/O of its own and keeps no time: the link, the replica and the peer's trust are arguments. It never throws; whatever was made
 * durable before a failure stays, and the next session resumes there.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Codec, Hash } from '../base/ports.ts'
import type { CommonGrounds } from './common-ground.ts'
import type { Crossing } from './crossing.ts'
import { createChannel, SessionFault, type Channel, type Link, type SessionFaultKind } from './channel.ts'
import {
  createUnmarked,
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
import { createLivePhase, createRoundResult, type LiveContext, type LiveOptions, type LivePhase, type RoundResult } from './live.ts'
import { PROTOCOL_VERSION, type Hello, type Open } from './messages.ts'
import { areFull, noteSettled, type SettledCollection } from './offer.ts'
import { compareOffers, isDiverged, isSame, type Comparison, type Difference } from './offers.ts'
import { isPlain, type Relation, type VoidedRange } from './partial.ts'
import { openCollection } from './open-collection.ts'
import { countersOf } from './replica-snapshot.ts'
import { driveRepair, serveRepair } from './repair.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import { sharedAsExchanged } from './shared-collection.ts'
import type { SyncReplica } from './sync-replica.ts'

/**
 * Repairs in a row: what a third replica brings while one is under way makes the two differ anew, so that it is tried again as long as it
 * changes anything.
 */
const REPAIRS_MAX = 3

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
  /** What need not be said again; without it, all is said. */
  readonly commonGrounds?: CommonGrounds
  /** What it takes to keep the link open behind the first round, where both hellos say `isLive`. */
  readonly live?: LiveOptions
  /** Called as a collection begins, moves and ends. */
  readonly onProgress?: (progress: CollectionProgress) => void
  /** Called when a collection has been exchanged, or was found to be settled, with what both sides held then. */
  readonly onSettled?: (peer: Hello, settled: SettledCollection) => void
  /** Called with what the peer has given up and nobody full is known to hold (R8). */
  readonly onVoided?: (peer: Hello, name: string, ranges: readonly VoidedRange[]) => void
}

export interface CollectionProgress extends Readonly<ExchangeStats> {
  readonly peer: Hello
  readonly name: string
  /** `live`: what was moved since the last time, behind the round. */
  readonly state: 'syncing' | 'done' | 'live'
  readonly bytesSent: number
  readonly bytesReceived: number
  /** With `done` and `live`: both sides hold the same. */
  readonly isInSync: boolean
  readonly isRepaired: boolean
  readonly isForked: boolean
  /** Repair did not mend it: equal knowledge and unequal roots. */
  readonly isDiverged: boolean
}

export interface SessionResult {
  /** Undefined when the link failed before the peer said who it is. */
  readonly peer: Hello | undefined
  /** The session ran to its end and every collection that differed is the same now (or is still being written to). */
  readonly isComplete: boolean
  /** Both sides had caught up and went on: then the session can only end with the link. */
  readonly wasLive: boolean
  /** Names of collections that end with equal knowledge and unequal roots: a defect or damage that repair could not mend. */
  readonly diverged: readonly string[]
  readonly fault: { readonly kind: SessionFaultKind | 'store'; readonly detail: string } | undefined
  readonly bytesSent: number
  readonly bytesReceived: number
}

/** Names of collections that are not done with, by the last round of the session. */
interface Outcome {
  readonly diverged: Set<string>
  /** The peer's mark did not count (crossing.ts). */
  readonly left: Set<string>
}

export async function runSession(options: SessionOptions): Promise<SessionResult> {
  const channel = createChannel(options.link, options.codec)
  const outcome: Outcome = { diverged: new Set(), left: new Set() }
  let peer: Hello | undefined
  let live: LivePhase | undefined
  let wasLive = false
  const result = (fault: SessionResult['fault']): SessionResult => {
    const { bytesSent, bytesReceived } = channel
    const { diverged, left } = outcome
    return {
      peer,
      isComplete: fault === undefined && diverged.size + left.size === 0,
      wasLive,
      diverged: [...diverged],
      fault,
      bytesSent,
      bytesReceived,
    }
  }
  try {
    await options.replica.enrol()
    const { theirs, isLive } = await greet(options, channel)
    peer = theirs
    live = isLive ? startLive(options, channel, theirs) : undefined
    for (;;) {
      const round = await reconcile(options, channel, peer, outcome)
      if (live === undefined) return result(undefined)
      wasLive = true
      await live.run(round)
    }
  } catch (error) {
    if (error instanceof SessionFault) return result({ kind: error.kind, detail: error.message })
    return result({ kind: 'store', detail: error instanceof Error ? error.message : String(error) })
  } finally {
    live?.stop()
    channel.close()
  }
}

async function greet(options: SessionOptions, channel: Channel): Promise<{ readonly theirs: Hello; readonly isLive: boolean }> {
  let own: Hello | undefined
  if (options.isInitiator) await channel.send((own = options.hello(undefined)))
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
  if (!options.isInitiator) await channel.send((own = options.hello(peer)))
  return { theirs: peer, isLive: own?.isLive === true && peer.isLive && options.live !== undefined }
}

function startLive(options: SessionOptions, channel: Channel, peer: Hello): LivePhase | undefined {
  const { live, replica, frames = FRAME_LIMITS, onProgress } = options
  if (live === undefined) return undefined
  const tell: LiveContext['onProgress'] = (name, progress, isInSync) =>
    onProgress?.({ ...progress, peer, name, state: 'live', isInSync, isRepaired: false, isForked: false, isDiverged: false })
  return createLivePhase({ ...live, channel, replica, peer, frames, onProgress: tell })
}

async function reconcile(options: SessionOptions, channel: Channel, peer: Hello, outcome: Outcome): Promise<RoundResult> {
  const { replica } = options
  const result = createRoundResult()
  const { sharedByName, generationApart } = result
  let isSystemDone = false
  for (;;) {
    const snapshot = await replica.snapshot()
    let compared: Comparison
    try {
      const { storeId } = peer
      compared = await compareOffers(channel, snapshot, replica, (name, generation) =>
        options.commonGrounds?.of({ storeId, name, generation }),
      )
    } finally {
      await snapshot.close()
    }
    const { differing } = compared
    const system = differing.find(({ name }) => name === SYSTEM_COLLECTION)
    if (!isSystemDone && system !== undefined) {
      await reconcileCollection(options, channel, peer, system, outcome, result)
      isSystemDone = true
      continue
    }
    // What is evicted learns of it by the system collection, and has no part in anything else until it has enrolled as somebody new (R7).
    if (replica.isEvicted(replica.storeId)) throw new SessionFault('refused', 'this replica was evicted: it enrols anew')
    if (replica.isEvicted(peer.storeId)) throw new SessionFault('refused', 'the peer was evicted: it enrols anew')
    await noteSettled(replica, peer.storeId, compared.settled)
    for (const settled of compared.settled) options.onSettled?.(peer, settled)
    for (const { name, generation, vector } of compared.waiting) {
      await replica.acknowledge(name, generation, [{ storeId: peer.storeId, rosterHash: compared.rosterHash, vector }])
      await replica.collectStable(name, generation)
    }
    for (const [name, shared] of compared.sameByName) sharedByName.set(name, shared)
    for (const { name, generation } of compared.apart) generationApart.set(name, generation)
    for (const difference of differing) {
      if (difference.name !== SYSTEM_COLLECTION) await reconcileCollection(options, channel, peer, difference, outcome, result)
    }
    // Whatever changes there is a reason for another round.
    sharedByName.delete(SYSTEM_COLLECTION)
    result.system = compared.system
    return result
  }
}

async function reconcileCollection(
  options: SessionOptions,
  channel: Channel,
  peer: Hello,
  difference: Difference,
  outcome: Outcome,
  result: RoundResult,
): Promise<void> {
  const { replica } = options
  const { name, generation } = difference
  const note = (names: Set<string>, isOne: boolean): unknown => (isOne ? names.add(name) : names.delete(name))
  const stats: ExchangeStats = { itemsSent: 0, itemsReceived: 0, malformed: 0, drifted: 0 }
  const sentBefore = channel.bytesSent
  const receivedBefore = channel.bytesReceived
  let isRepaired = false
  let isForked = false
  let isStillDiverged = false
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
      isDiverged: isStillDiverged,
    })
  report('syncing', false)

  const repair = async (relation: Relation): Promise<void> => {
    isRepaired = true
    await repairCollection(options, channel, difference, stats, relation, crossing)
  }
  let crossing: Crossing | undefined
  const { snapshot, mine, opened, theirs } = await openCollection(replica, channel, difference, peer, options.commonGrounds)
  try {
    isForked = await replica.settleForks(name, generation, theirs.vector)
    if (isForked) {
      // The own vector is another one now: what was opened with the old one cannot go on.
      report('done', false)
      throw new SessionFault('closed', 'this replica found its history forked, and begins anew')
    }
    if (theirs.voided.length > 0) options.onVoided?.(peer, name, theirs.voided)
    const theirKnowledge = { vector: countersOf(theirs.vector), collected: theirs.collected }
    const termed = { storeId: peer.storeId, terms: theirs.terms, vector: theirKnowledge.vector }
    const terms = mine?.terms ?? replica.termsOf(name)
    const relation = await replica.relateTo(name, generation, terms, termed)
    await replica.expireTo(name, generation, relation.horizonMs)
    // R6: whoever is behind the other's floor drops what was collected there before any vector moves.
    const ownKnowledge = { vector: mine?.counters ?? new Map(), collected: mine?.collected ?? new Map() }
    const isBehind = isBehindFloor(ownKnowledge, theirKnowledge)
    const isFloorBetween =
      mine !== undefined &&
      theirs.generation === generation &&
      // What a partial replica lacks says nothing (R8).
      ((isBehind && !relation.isTheirsPartial) || (isBehindFloor(theirKnowledge, ownKnowledge) && !relation.isMinePartial))
    if (isBehind) crossing = await replica.beginCrossing(name, theirKnowledge.vector, mine === undefined)
    if (isFloorBetween) await repair(relation)
    const context = {
      channel,
      replica,
      peerStoreId: peer.storeId,
      stats,
      frames: options.frames ?? FRAME_LIMITS,
      relation,
      crossing,
      onProgress: () => report('syncing', false),
    }
    // What a partial replica lacks says nothing (R8), so what it has collected and is held here cannot be told from what it gave up: its mark,
    // which would take this replica past that floor with all that was collected behind it, is left to one that is full.
    const unmarked = createUnmarked(mine !== undefined && isBehind && relation.isTheirsPartial)
    result.unmarkedByName.set(name, unmarked)
    let held = await exchangeTails(context, mine, theirs, generation, unmarked)
    crossing?.end()
    if (unmarked.isLeft) result.isOwed = true
    const again = async (): Promise<void> => void (held = await exchangeStates(channel, replica, name))
    const knowsSame = equalBytes(held.mine.knowledge, held.theirs.knowledge)
    const known = { storeId: peer.storeId, vector: held.mine.vector }
    if (relation.isTheirsKept && knowsSame) await replica.noteSameKnowledge(name, generation, known)
    const isComparable = areFull(relation, held.mine, held.theirs)
    // R9: what was exempt until the other had it is gone by now.
    if (isComparable && relation.horizonMs > 0 && isDiverged(held.mine, held.theirs)) await again()
    let isToMend = isComparable || relation.isRefilling
    for (let repairs = 0; isToMend && repairs < REPAIRS_MAX && isDiverged(held.mine, held.theirs); repairs++) {
      const { mine: mineBefore, theirs: theirsBefore } = held
      await repair(relation)
      await again()
      isToMend = !equalBytes(mineBefore.root, held.mine.root) || !equalBytes(theirsBefore.root, held.theirs.root)
    }
    isStillDiverged = isComparable && isDiverged(held.mine, held.theirs)
    note(outcome.diverged, isStillDiverged)
    note(outcome.left, unmarked.isLeft)
    if (relation.isRefilling && isSame(held.mine, held.theirs)) await replica.becomeFull(name, generation)
    options.onSettled?.(peer, { name, mine: held.mine, theirs: held.theirs })
    await settleTombstones(replica, peer, theirs, held)
    options.commonGrounds?.note({ storeId: peer.storeId, name, generation }, opened, theirs, difference.common)
    // Of everything else, what changes is a reason for another round (R8, R9).
    if (isPlain(terms) && isPlain(theirs.terms) && held.mine.flags === 0 && held.theirs.flags === 0 && !unmarked.isLeft) {
      result.sharedByName.set(name, sharedAsExchanged(generation, mine?.counters ?? new Map(), theirs, held))
    }
    report('done', isComparable ? isSame(held.mine, held.theirs) : knowsSame)
  } finally {
    crossing?.end()
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

async function repairCollection(
  options: SessionOptions,
  channel: Channel,
  { name, generation }: Difference,
  stats: ExchangeStats,
  relation: Relation,
  crossing: Crossing | undefined,
): Promise<void> {
  const { replica, hash, isInitiator } = options
  const snapshot = await replica.snapshot()
  try {
    const mine = await snapshot.collection(name)
    if (mine?.generation !== generation) throw new SessionFault('closed', `"${name}" was deleted in the middle of a repair`)
    // It has become partial since it was opened: what it lacks now must not be taken for damage or for collected (R6).
    if (mine.terms.isPartial && !relation.isMinePartial)
      throw new SessionFault('closed', `"${name}" gave up versions in the middle of a repair`)
    const context = { channel, replica, hash, stats, relation, crossing }
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

/**
 * The live phase: both sides have caught up, the link stays open, and what becomes durable on one side goes to the other at once.
 *
 *   held       what this side holds of one collection now: additions to its vector and G, its root; an acknowledgement by itself (R7)
 *   frame ...  with `hasTail`: the versions that the other side lacks, as in L1, each applied, synced and acknowledged
 *   mark       with `hasTail`: everything up to that vector has been sent (R5)
 *   pull       asks for a tail of a collection
 *   round      this side ships nothing more; when both have said so, both offer anew, as at the beginning of the session
 *
 * What a replica has written itself it ships at once. What it has from others it only tells of; who lacks it pulls it, from one peer at a
 * time: where many are linked with many, each version comes to each of them about once.
 *
 * A side is in one of two states, and in each of them it does two things at once, shipping and receiving:
 *
 *   live       ships whatever has changed, one collection after another; takes what comes
 *   stopping   it wants a round or has heard that the other one does: it has said so, and takes what still comes and acknowledgements
 *
 * Live are records of collections that both sides hold in the same generation, whole and without a horizon (R8, R9). Everything else - the
 * system collection, a collection that is new or was deleted, a floor between the two (R6), unequal roots (R4), an operator's wish - is a reason for a round.
 *
 * Invariants (test/unit/sync/live.test.ts):
 *   X8  a vector moves by marks only, also here; wherever the link is cut, the next session ends equal;
 *   X9  no version is shipped to whom is known to hold it, or to have been sent it, on this link: there is no echo;
 *   X10 what one side holds and the other lacks is under way, or is a reason for a round: links that are quiet are equal;
 *   X11 what vectors acknowledge is told on live links too, and passed on: tombstones become stable without new sessions;
 *   X12 roots are compared at equal knowledge, when a link is quiet; if they stay unequal there is a round, and repair.
 */
import { equalBytes } from '../base/bytes.ts'
import { SessionFault, type Channel } from './channel.ts'
import { coversVector, joinVectors } from './dot.ts'
import { comparableKnowledge, createCredit, createReceiver, createUnmarked, FRAMES_IN_FLIGHT_MAX, sendFrames } from './exchange.ts'
import type { Credit, ExchangeContext, FrameLimits, Unmarked } from './exchange.ts'
import { isBehindFloor } from './floor.ts'
import type { Held, Hello, Message } from './messages.ts'
import { createLiveCounter, type LiveProgress } from './live-progress.ts'
import { createPulls } from './live-pull.ts'
import { createRounds } from './live-rounds.ts'
import { createSettling } from './live-settling.ts'
import { isSame } from './offers.ts'
import { isPlain, PLAIN_RELATION } from './partial.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import {
  entriesAbove,
  newAcknowledgements,
  noteAcknowledged,
  noteHeld,
  type HeldContent,
  type SharedCollection,
} from './shared-collection.ts'
import type { SyncReplica } from './sync-replica.ts'

export interface LiveOptions {
  /** Calls back once after so many milliseconds, unless the answer was called before. */
  readonly after: (delayMs: number, action: () => void) => () => void
  /** Both have caught up: called at the beginning of each live phase of the session. */
  readonly onLive?: (control: LiveControl) => void
}

export interface LiveControl {
  /** Both sides offer anew, as soon as what is under way has arrived. */
  requestRound(): void
  /** Something is under way, in either direction, or there is a round. */
  isMoving(): boolean
  /** Messages that the peer has sent in live phases. */
  messagesReceived(): number
}

export interface LiveContext extends LiveOptions {
  readonly channel: Channel
  readonly replica: SyncReplica
  readonly peer: Hello
  readonly frames: FrameLimits
  readonly onProgress: (name: string, progress: LiveProgress, isInSync: boolean) => void
}

/** Where a round has left the two. */
export interface RoundResult {
  /** What both hold, by name; changed as they go on. */
  readonly sharedByName: Map<string, SharedCollection>
  /** Of the exchanges of the round, and on: what was passed over gets no mark until it is asked for again (X4). */
  readonly unmarkedByName: Map<string, Unmarked>
  /** Collections that the two hold in different generations, and the own one. */
  readonly generationApart: Map<string, number>
  /** What the peer holds of the system collection. */
  system: HeldContent | undefined
  /** Something was left to the next round (crossing.ts). */
  isOwed: boolean
}

export const createRoundResult = (): RoundResult => ({
  sharedByName: new Map(),
  unmarkedByName: new Map(),
  generationApart: new Map(),
  system: undefined,
  isOwed: false,
})

export interface LivePhase {
  /** Resolves when both sides have asked for a round; throws SessionFault when the link is over. */
  run(round: RoundResult): Promise<void>
  stop(): void
}

/** A tail that is coming in; without a receiver it is let go by. */
interface Incoming {
  readonly name: string
  readonly vector: Held['vector']
  readonly receiver: ReturnType<typeof createReceiver> | undefined
}

export function createLivePhase(context: LiveContext): LivePhase {
  const { channel, replica, peer } = context
  const ownStoreId = replica.storeId
  /** Names of collections that have changed here and were not looked at yet. */
  const changed = new Set<string>()
  let wakeShipper = (): void => {}
  const stopWatching = replica.watch(name => {
    changed.add(name)
    wakeShipper()
  })

  let round = createRoundResult()
  const rounds = createRounds(context.after, () => wakeShipper())

  // What one live phase has under way.
  let credit: Credit = createCredit(FRAMES_IN_FLIGHT_MAX)
  let incoming: Incoming | undefined
  let isOver = false
  let isLive = false
  let messagesReceived = 0
  let isShipping = false
  let isRoundSent = false
  let isTheirRoundHere = false
  let interruptReceiver = (): void => {}
  const progress = createLiveCounter(channel)
  const pulls = createPulls({ channel, replica, after: context.after })

  const exchangeContext = (name: string): ExchangeContext => {
    const { frames } = context
    return { ...progress.of(name), replica, peerStoreId: peer.storeId, frames, relation: PLAIN_RELATION, onProgress: () => {} }
  }

  // Shipping.

  const isStopping = (): boolean => rounds.isWanted || isOver

  const ship = async (): Promise<void> => {
    while (!isStopping()) {
      const name = changed.has(SYSTEM_COLLECTION) ? SYSTEM_COLLECTION : firstOf(changed)
      if (name === undefined) {
        await new Promise<void>(resolve => void (wakeShipper = resolve))
        continue
      }
      changed.delete(name)
      isShipping = true
      await tell(name)
      isShipping = false
    }
    if (isOver) return
    // Before it has left: the peer may answer it sooner than this side hears that it has.
    isRoundSent = true
    const sent = channel.send({ kind: 'round' })
    interruptReceiver()
    await sent
  }

  /** Tells the peer what is new of a collection, and ships what it lacks. */
  const tell = async (name: string): Promise<void> => {
    if (replica.storeId !== ownStoreId) throw new SessionFault('closed', 'this replica has enrolled anew')
    // With the snapshot: what comes in meanwhile is not lacking, and looked at again when it is here.
    const isComing = incoming?.name === name
    const snapshot = await replica.snapshot()
    try {
      const mine = await snapshot.collection(name)
      const shared = round.sharedByName.get(name)
      if (name === SYSTEM_COLLECTION) {
        if (mine?.isSettled === true && (round.system === undefined || !isSame(mine, round.system))) rounds.requestSpaced()
      } else if (mine === undefined) {
        // The peer hears of it by the system collection.
        round.sharedByName.delete(name)
      } else if (shared?.generation === mine.generation && isPlain(mine.terms)) {
        const isLacking = !isComing && incoming?.name !== name && pulls.isLacking(mine, shared)
        await tellHeld(mine, shared)
        if (isLacking) await pulls.ask(mine, shared)
      } else if (shared !== undefined || round.generationApart.get(name) !== mine.generation) {
        // Also when it is a plain replica no more (R8): its marks mean something else now.
        round.sharedByName.delete(name)
        rounds.requestSpaced()
      }
    } finally {
      await snapshot.close()
    }
  }

  const tellHeld = async (mine: CollectionSnapshot, shared: SharedCollection): Promise<void> => {
    const { name, generation, counters, collected, collectedStampMax, root } = mine
    const { told } = shared
    if (told !== undefined && !coversVector(counters, told.vector)) {
      throw new SessionFault('closed', 'this replica found its history forked, and begins anew')
    }
    const lacking = entriesAbove(counters, shared.known)
    const hasTail = shared.isPulled || (lacking.size > 0 && [...lacking.keys()].every(origin => origin === replica.origin))
    shared.isPulled = false
    const knowledge = comparableKnowledge(mine, ownStoreId)
    const acknowledgements = newAcknowledgements(shared, await mine.acknowledgements(), peer.storeId)
    const isKnowledgeNew = told === undefined || (mine.isSettled && !equalBytes(told.knowledge, knowledge))
    if (!hasTail && !isKnowledgeNew && acknowledgements.length === 0) {
      if (equalBytes(told?.root ?? root, root) || !mine.isSettled || !settling.isRootDue(name)) return
    }
    const exchange = exchangeContext(name)
    // What was told and not shipped before is in it again: with a tail, this is what the mark stands for.
    const vector = new Map(
      [...mine.vector].filter(([origin, { counter }]) => (hasTail && lacking.has(origin)) || counter > (told?.vector.get(origin) ?? 0)),
    )
    const rest = { collectedStampMax, rosterHash: replica.rosterHash(), acknowledgements, root, knowledge, hasTail }
    const news = entriesAbove(collected, told?.collected)
    await exchange.channel.send({ kind: 'held', name, generation, vector, collected: news, ...rest })
    shared.told = { vector: counters, collected, root, knowledge }
    noteAcknowledged(shared, acknowledgements)
    if (!hasTail) return
    await sendFrames(exchange, credit, mine, shared.known)
    await exchange.channel.send({ kind: 'mark', vector: new Map() })
    // In order: when the peer sees anything that is sent from now on, it has taken this.
    shared.known = joinVectors(shared.known, counters)
  }

  // Receiving.

  /** Both have stopped, and all that was under way has arrived: the next message belongs to the round. */
  const isRoundAgreed = (): boolean => isRoundSent && isTheirRoundHere && credit.isWhole()

  const nextMessage = (): Promise<Message | undefined> =>
    new Promise((resolve, reject) => {
      interruptReceiver = () => resolve(undefined)
      channel.peek().then(resolve, reject)
    })

  const take = async (message: Message): Promise<void> => {
    if (message.kind === 'ack') return credit.give()
    if (message.kind === 'frame' && incoming !== undefined) {
      if (incoming.receiver !== undefined) return incoming.receiver.take(message)
      return channel.send({ kind: 'ack' })
    }
    if (message.kind === 'mark' && incoming !== undefined) {
      const { name, vector, receiver } = incoming
      await receiver?.finish(vector)
      receiver?.end()
      incoming = undefined
      return pulls.ended(name)
    }
    if (message.kind === 'pull' && incoming === undefined && !isTheirRoundHere) {
      const shared = round.sharedByName.get(message.name)
      if (shared?.generation !== message.generation) return
      shared.isPulled = true
      changed.add(message.name)
      return wakeShipper()
    }
    if (incoming !== undefined || isTheirRoundHere || (message.kind !== 'held' && message.kind !== 'round')) {
      throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the live phase`)
    }
    if (message.kind === 'held') return takeHeld(message)
    isTheirRoundHere = true
    rounds.request()
  }

  const takeHeld = async (held: Held): Promise<void> => {
    const { name, generation, vector, hasTail } = held
    const shared = round.sharedByName.get(name)
    // It was deleted here, or made anew: the peer will hear of it.
    if (hasTail) incoming = { name, vector, receiver: undefined }
    if (shared?.generation !== generation) return
    noteHeld(shared, held)
    settling.heard(name)
    if (vector.size > 0 && (await replica.settleForks(name, generation, vector))) {
      throw new SessionFault('closed', 'this replica found its history forked, and begins anew')
    }
    const own = await readCollection(name)
    if (own?.generation !== generation) return
    if (!isPlain(own.terms)) {
      round.sharedByName.delete(name)
      return rounds.requestSpaced()
    }
    const ownKnowledge = { vector: own.counters, collected: own.collected }
    if (isBehindFloor(ownKnowledge, shared.theirs) || isBehindFloor(shared.theirs, ownKnowledge)) {
      // R6: repair goes first, and until then nothing of this collection is taken: a later mark would cover what was left out.
      round.sharedByName.delete(name)
      return rounds.requestSpaced()
    }
    if (hasTail) {
      let unmarked = round.unmarkedByName.get(name)
      if (unmarked === undefined) round.unmarkedByName.set(name, (unmarked = createUnmarked(false)))
      const receiver = createReceiver(exchangeContext(name), { ...shared.theirs, name, generation }, unmarked, own.counters)
      incoming = { name, vector, receiver }
      return
    }
    // There may be something to ask for.
    changed.add(name)
    wakeShipper()
    if (!coversVector(own.collected, shared.theirs.collected)) {
      await replica.adoptCollected(name, generation, shared.theirs)
    }
  }

  const readCollection = async (name: string): Promise<CollectionSnapshot | undefined> => {
    const snapshot = await replica.snapshot()
    try {
      return await snapshot.collection(name)
    } finally {
      await snapshot.close()
    }
  }

  let failure: { readonly error: unknown } | undefined
  const settling = createSettling({
    replica,
    peer,
    after: context.after,
    shared: name => round.sharedByName.get(name),
    tellAgain(name) {
      changed.add(name)
      wakeShipper()
    },
    requestRound: () => rounds.requestSpaced(),
    onSettled: (name, isInSync) => report(name, isInSync),
    onFailure(error) {
      failure ??= { error }
      channel.close()
    },
  })

  const report = (name: string, isInSync: boolean): void => {
    const moved = progress.take(name)
    if (moved !== undefined) context.onProgress(name, moved, isInSync)
  }

  return {
    async run(result) {
      round = result
      credit = createCredit(FRAMES_IN_FLIGHT_MAX)
      isRoundSent = false
      isTheirRoundHere = false
      // What was exchanged in the round has not been told in full, and the system collection may have moved on.
      for (const [name, { told }] of round.sharedByName) if (told === undefined) changed.add(name)
      changed.add(SYSTEM_COLLECTION)
      progress.received(undefined)
      rounds.begin()
      if (round.isOwed) rounds.requestSpaced()
      settling.start()
      isLive = true
      context.onLive?.({
        requestRound: () => rounds.request(),
        isMoving: () => !isLive || isShipping || incoming !== undefined || !credit.isWhole(),
        messagesReceived: () => messagesReceived,
      })
      const shipping = ship()
      shipping.catch(() => channel.close())
      try {
        while (!isRoundAgreed()) {
          const message = await nextMessage()
          if (message === undefined) continue
          await channel.receive()
          messagesReceived += 1
          progress.received(message.kind === 'held' ? message.name : incoming?.name)
          await take(message)
        }
        await shipping
        await settling.stop()
        if (failure !== undefined) throw failure.error
        for (const name of progress.names()) report(name, false)
        pulls.endAll()
        rounds.end()
        isLive = false
      } catch (error) {
        isOver = true
        wakeShipper()
        credit.fail(error)
        channel.close()
        await settling.stop()
        incoming?.receiver?.rethrow()
        if (failure !== undefined) throw failure.error
        await shipping
        throw error
      } finally {
        incoming?.receiver?.end()
      }
    },
    stop() {
      stopWatching()
      pulls.endAll()
      rounds.stop()
    },
  }
}

const firstOf = (names: ReadonlySet<string>): string | undefined => names.values().next().value

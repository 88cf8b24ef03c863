/**
 * The live phase: both sides have caught up, the link stays open, and what becomes durable on one side goes to the other at once.
 *
 *   held       what this side holds of one collection now: additions to its vector and G, its root; an acknowledgement by itself (R7)
 *   frame ...  with `hasTail`: the versions that the other side lacks, as in L1, each applied, synced and acknowledged
 *   mark       with `hasTail`: everything up to that vector has been sent (R5)
 *   round      this side ships nothing more; when both have said so, both offer anew, as at the beginning of the session
 *
 * A side is in one of two states, and in each of them it does two things at once, shipping and receiving:
 *
 *   live       ships whatever has changed, one collection after another; takes what comes
 *   stopping   it wants a round or has heard that the other one does: it has said so, and takes what still comes and acknowledgements
 *
 * Live are records of collections that both sides hold in the same generation, whole and without a horizon (R8, R9). Everything else - the system collection, a collection that is
 * new or was deleted, a floor between the two (R6), unequal roots (R4), an operator's wish - is a reason for a round.
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
import { comparableKnowledge, createCredit, createReceiver, FRAMES_IN_FLIGHT_MAX, sendFrames } from './exchange.ts'
import type { Credit, ExchangeStats, FrameLimits, Unmarked } from './exchange.ts'
import { isBehindFloor } from './floor.ts'
import type { Held, Hello, Message } from './messages.ts'
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

/** From the end of one round to the next one that this side asks for by itself. */
export const ROUND_SPACING_MS = 500

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

/** What was moved of a collection since this was last told. */
export interface LiveProgress extends ExchangeStats {
  bytesSent: number
  bytesReceived: number
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
}

export interface LivePhase {
  /** Resolves when both sides have asked for a round; throws SessionFault when the link is over. */
  run(round: RoundResult): Promise<void>
  stop(): void
}

type Incoming =
  | { readonly vector: Held['vector']; readonly receiver: ReturnType<typeof createReceiver>; readonly name: string }
  | 'not taken'

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

  let round: RoundResult = { sharedByName: new Map(), unmarkedByName: new Map(), generationApart: new Map(), system: undefined }
  let isRoundWanted = false
  let isRoundSpaced = true
  let isRoundDue = false
  let cancelSpacing = (): void => {}

  const requestRound = (): void => {
    isRoundWanted = true
    wakeShipper()
  }
  const requestSpacedRound = (): void => {
    if (isRoundSpaced) requestRound()
    else isRoundDue = true
  }
  const spaceRounds = (): void => {
    isRoundSpaced = false
    cancelSpacing = context.after(ROUND_SPACING_MS, () => {
      isRoundSpaced = true
      if (isRoundDue) requestRound()
      isRoundDue = false
    })
  }

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
  let bytesReceived = 0
  const progressByName = new Map<string, LiveProgress>()

  const progressOf = (name: string): LiveProgress => {
    let progress = progressByName.get(name)
    if (progress === undefined) {
      progress = { itemsSent: 0, itemsReceived: 0, malformed: 0, bytesSent: 0, bytesReceived: 0 }
      progressByName.set(name, progress)
    }
    return progress
  }
  const exchangeContext = (name: string) => {
    const stats = progressOf(name)
    const counting: Channel = {
      ...channel,
      send(message) {
        const before = channel.bytesSent
        const sent = channel.send(message)
        stats.bytesSent += channel.bytesSent - before
        return sent
      },
    }
    return {
      channel: counting,
      replica,
      peerStoreId: peer.storeId,
      stats,
      frames: context.frames,
      relation: PLAIN_RELATION,
      onProgress: () => {},
    }
  }

  // Shipping.

  const isStopping = (): boolean => isRoundWanted || isOver

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
    await channel.send({ kind: 'round' })
    isRoundSent = true
    interruptReceiver()
  }

  /** Tells the peer what is new of a collection, and ships what it lacks. */
  const tell = async (name: string): Promise<void> => {
    if (replica.storeId !== ownStoreId) throw new SessionFault('closed', 'this replica has enrolled anew')
    const snapshot = await replica.snapshot()
    try {
      const mine = await snapshot.collection(name)
      const shared = round.sharedByName.get(name)
      if (name === SYSTEM_COLLECTION) {
        if (mine?.isSettled === true && (round.system === undefined || !isSame(mine, round.system))) requestSpacedRound()
      } else if (mine === undefined) {
        // The peer hears of it by the system collection.
        round.sharedByName.delete(name)
      } else if (shared?.generation === mine.generation && isPlain(mine.terms)) {
        await tellHeld(mine, shared)
      } else if (shared !== undefined || round.generationApart.get(name) !== mine.generation) {
        // Also when it is a plain replica no more (R8): its marks mean something else now.
        round.sharedByName.delete(name)
        requestSpacedRound()
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
    const hasTail = !coversVector(shared.known, counters)
    const knowledge = comparableKnowledge(mine, ownStoreId)
    const acknowledgements = newAcknowledgements(shared, await mine.acknowledgements(), peer.storeId)
    const isKnowledgeNew = told === undefined || (mine.isSettled && !equalBytes(told.knowledge, knowledge))
    if (!hasTail && !isKnowledgeNew && acknowledgements.length === 0) {
      if (equalBytes(told?.root ?? root, root) || !mine.isSettled || !settling.isRootDue(name)) return
    }
    const exchange = exchangeContext(name)
    const vector = entriesAbove(mine.vector, ({ counter }) => counter, told?.vector)
    const rest = { collectedStampMax, rosterHash: replica.rosterHash(), acknowledgements, root, knowledge, hasTail }
    const news = entriesAbove(collected, counter => counter, told?.collected)
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

  const countReceived = (message: Message): void => {
    const name = message.kind === 'held' ? message.name : incoming === undefined || incoming === 'not taken' ? undefined : incoming.name
    if (name !== undefined) progressOf(name).bytesReceived += channel.bytesReceived - bytesReceived
    bytesReceived = channel.bytesReceived
  }

  const take = async (message: Message): Promise<void> => {
    if (message.kind === 'ack') return credit.give()
    if (message.kind === 'frame' && incoming !== undefined) {
      if (incoming !== 'not taken') return incoming.receiver.take(message)
      return channel.send({ kind: 'ack' })
    }
    if (message.kind === 'mark' && incoming !== undefined) {
      const ended = incoming
      if (ended !== 'not taken') {
        await ended.receiver.finish(ended.vector)
        ended.receiver.end()
      }
      incoming = undefined
      return
    }
    if (incoming !== undefined || isTheirRoundHere || (message.kind !== 'held' && message.kind !== 'round')) {
      throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the live phase`)
    }
    if (message.kind === 'held') return takeHeld(message)
    isTheirRoundHere = true
    requestRound()
  }

  const takeHeld = async (held: Held): Promise<void> => {
    const { name, generation, hasTail } = held
    const shared = round.sharedByName.get(name)
    // It was deleted here, or made anew: the peer will hear of it.
    if (hasTail) incoming = 'not taken'
    if (shared?.generation !== generation) return
    noteHeld(shared, held)
    settling.heard(name)
    if (held.vector.size > 0 && (await replica.settleForks(name, generation, held.vector))) {
      throw new SessionFault('closed', 'this replica found its history forked, and begins anew')
    }
    const own = await readCollection(name)
    if (own?.generation !== generation) return
    if (!isPlain(own.terms)) {
      round.sharedByName.delete(name)
      return requestSpacedRound()
    }
    const ownKnowledge = { vector: own.counters, collected: own.collected }
    if (isBehindFloor(ownKnowledge, shared.theirs) || isBehindFloor(shared.theirs, ownKnowledge)) {
      // R6: repair goes first, and until then nothing of this collection is taken: a later mark would cover what was left out.
      round.sharedByName.delete(name)
      return requestSpacedRound()
    }
    if (hasTail) {
      let unmarked = round.unmarkedByName.get(name)
      if (unmarked === undefined) round.unmarkedByName.set(name, (unmarked = { origins: new Set(), isAll: false }))
      const receiver = createReceiver(exchangeContext(name), { ...shared.theirs, name, generation }, unmarked)
      incoming = { name, vector: held.vector, receiver }
    } else if (!coversVector(own.collected, shared.theirs.collected)) {
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
    requestRound: requestSpacedRound,
    onSettled: (name, isInSync) => report(name, isInSync),
    onFailure(error) {
      failure ??= { error }
      channel.close()
    },
  })

  const report = (name: string, isInSync: boolean): void => {
    const progress = progressByName.get(name)
    if (progress === undefined) return
    progressByName.delete(name)
    context.onProgress(name, progress, isInSync)
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
      bytesReceived = channel.bytesReceived
      spaceRounds()
      settling.start()
      isLive = true
      context.onLive?.({
        requestRound,
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
          countReceived(message)
          await take(message)
        }
        await shipping
        await settling.stop()
        if (failure !== undefined) throw failure.error
        for (const name of progressByName.keys()) report(name, false)
        isRoundWanted = false
        isRoundDue = false
        cancelSpacing()
        isLive = false
      } catch (error) {
        isOver = true
        wakeShipper()
        credit.fail(error)
        channel.close()
        await settling.stop()
        if (incoming !== undefined && incoming !== 'not taken') incoming.receiver.rethrow()
        if (failure !== undefined) throw failure.error
        await shipping
        throw error
      } finally {
        if (incoming !== undefined && incoming !== 'not taken') incoming.receiver.end()
      }
    },
    stop() {
      stopWatching()
      cancelSpacing()
    },
  }
}

const firstOf = (names: ReadonlySet<string>): string | undefined => names.values().next().value

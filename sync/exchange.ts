/**
 * L1, the usual path of reconciliation: both sides state their vectors and ship, at the same time, the live versions that the other's
 * vector lacks, in frames that are applied, synced and acknowledged one by one.
 *
 * Invariants (test/unit/sync/session.test.ts):
 *   X1 the vector advances by marks, never by frames (R5);
 *   X2 a frame is acknowledged after it is durable here (R3), and at most FRAMES_IN_FLIGHT_MAX are unacknowledged;
 *   X3 an interrupted exchange is resumed behind the last durable frame;
 *   X4 a malformed version is counted and passed over, and its origin gets no mark, so that it is asked for again (P11).
 */
import { toHex, fromHex } from '../base/bytes.ts'
import { SessionFault, type Channel } from './channel.ts'
import type { VectorEntry } from './collection-state.ts'
import type { Crossing } from './crossing.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import { keyFault } from './key.ts'
import type { Message, Open, WireItem } from './messages.ts'
import { termsFlags, type Relation } from './partial.ts'
import type { CollectedKnowledge, SyncReplica } from './sync-replica.ts'
import type { RemoteItem } from './remote-write.ts'
import { countersOf, type CollectionSnapshot, type ResumePoint } from './replica-snapshot.ts'
import { createTailGauge } from './progress.ts'
import { decodeVersion, ORIGIN_BYTES } from './version.ts'
import { keyText } from './write-batch.ts'

/** A frame is sent when it holds this much. One larger version travels alone. */
export interface FrameLimits {
  readonly bytesMax: number
  readonly itemsMax: number
}

export const FRAME_LIMITS: FrameLimits = { bytesMax: 256 * 1024, itemsMax: 1_000 }
/** Credit: frames sent and not yet acknowledged. Acknowledgements and marks need none. */
export const FRAMES_IN_FLIGHT_MAX = 4

export interface ExchangeStats {
  itemsSent: number
  itemsReceived: number
  /** Versions received that are not versions. */
  malformed: number
  /** Items that a repair found missing or altered on one side although both vectors cover them. */
  drifted: number
  /** At most so many versions are still to be sent and received (progress.ts); not known before the exchange. */
  toSend?: number
  toReceive?: number
}

export interface ExchangeContext {
  readonly channel: Channel
  readonly replica: SyncReplica
  /** The peer's store, 32 hexadecimal digits. */
  readonly peerStoreId: string
  readonly stats: ExchangeStats
  readonly frames: FrameLimits
  /** What the two replicas are to one another (R8). */
  readonly relation: Relation
  /** This replica is behind the peer's floor: until it is past it (R6). */
  readonly crossing?: Crossing | undefined
  readonly onProgress: () => void
}

/** Of one exchange, or of all tails of a live link: origins that get no mark, since a version of theirs was passed over (X4). */
export interface Unmarked {
  readonly origins: Set<Origin>
  isAll: boolean
  /** The mark of the round was left to another one (crossing.ts). */
  isLeft: boolean
}

export const createUnmarked = (isAll: boolean): Unmarked => ({ origins: new Set(), isAll, isLeft: false })

/** What the sender of a tail has said: its collection, the vector that its mark stands for, and what it has collected. */
export interface TailClaim extends CollectedKnowledge {
  readonly name: string
  readonly generation: number
}

/** What one side holds after an exchange; equal knowledge must mean equal roots (R4). */
export interface HeldState {
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
  /** The roster that this side goes by (R7), 8 bytes. */
  readonly rosterHash: Uint8Array
  /** What this side is to others for the collection by now (R8). */
  readonly flags: number
}

export interface OwnState extends HeldState {
  readonly vector: VersionVector
  readonly collected: VersionVector
}

/**
 * Ships both ways. Resolves when both sides have applied the other's mark, with what each holds then. `mine` is absent when this
 * replica lacks the collection.
 */
export async function exchangeTails(
  context: ExchangeContext,
  mine: CollectionSnapshot | undefined,
  theirs: Open,
  generation: number,
  unmarked: Unmarked,
): Promise<{ readonly mine: OwnState; readonly theirs: HeldState }> {
  const { channel, replica } = context
  const credit = createCredit(FRAMES_IN_FLIGHT_MAX)
  const { name, collected, collectedStampMax } = theirs
  const claim: TailClaim = { name, generation, vector: countersOf(theirs.vector), collected, collectedStampMax }
  const receiver = createReceiver(context, claim, unmarked, mine?.counters ?? new Map())
  const sending = sendTail(context, credit, mine, theirs)
  // A failure of the sender shows in the receiver, which the closed link wakes.
  sending.catch(() => channel.close())

  try {
    let ownState: OwnState | undefined
    let theirState: HeldState | undefined
    // The peer sends its state behind the last acknowledgement, so when it is here, everything sent has been acknowledged.
    while (ownState === undefined || theirState === undefined) {
      const message = await channel.receive()
      if (message.kind === 'frame') {
        receiver.take(message)
      } else if (message.kind === 'ack') {
        credit.give()
      } else if (message.kind === 'mark' && ownState === undefined) {
        await receiver.finish(message.isAsOpened === true ? theirs.vector : message.vector)
        ownState = await readState(replica, theirs.name)
        await channel.send(stateMessage(ownState))
      } else if (message.kind === 'state' && theirState === undefined) {
        theirState = message
      } else {
        throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the middle of an exchange`)
      }
    }
    await sending
    return { mine: ownState, theirs: theirState }
  } catch (error) {
    credit.fail(error)
    channel.close()
    // A failure of the store or of the sender is the cause of what the receiver saw: the link that was closed for it.
    receiver.rethrow()
    await sending
    throw error
  } finally {
    receiver.end()
  }
}

/** Ships the live versions above the peer's vector, in frames, and then the mark (R5). */
async function sendTail(context: ExchangeContext, credit: Credit, mine: CollectionSnapshot | undefined, theirs: Open): Promise<void> {
  const { channel, relation, replica } = context
  const known = countersOf(theirs.vector)
  const hasTail = mine !== undefined && relation.sends
  if (hasTail) await sendFrames(context, credit, mine, known, theirs.resume)
  const vector: ReadonlyMap<Origin, VectorEntry> =
    hasTail && relation.isMinePartial ? await replica.markFor(mine, known, relation) : new Map()
  await channel.send({ kind: 'mark', vector, isAsOpened: hasTail && !relation.isMinePartial })
}

/** Ships the live versions above `after`, in frames, each as there is credit for it. */
export async function sendFrames(
  context: ExchangeContext,
  credit: Credit,
  mine: CollectionSnapshot,
  after: VersionVector,
  resume?: ResumePoint,
): Promise<void> {
  const { channel, replica, stats } = context
  let frame: WireItem[] = []
  let bytes = 0
  let position: Dot | undefined
  const gauge = createTailGauge(after, mine.counters, resume)
  stats.toSend = gauge.total

  const flush = async (isLast: boolean): Promise<void> => {
    if (frame.length === 0) return
    await credit.take()
    const items = frame
    frame = []
    bytes = 0
    // Behind the last frame nothing is left to go on with: a tail of one frame costs the receiver no row for its resume point.
    await channel.send({ kind: 'frame', items, position: isLast ? undefined : position, logicalClock: replica.logicalClock() })
    stats.itemsSent += items.length
    if (position !== undefined) stats.toSend = gauge.behind(position)
    context.onProgress()
  }

  for await (const page of mine.logTail(after, resume)) {
    for (const item of page) {
      const size = item.key.length + item.version.length
      if (bytes + size > context.frames.bytesMax || frame.length >= context.frames.itemsMax) await flush(false)
      frame.push({ key: keyText(item.key), version: item.version })
      bytes += size
      position = item.dot
    }
  }
  await flush(true)
  stats.toSend = 0
}

/** What this replica holds of a collection now; zeros when it has none. */
export async function readState(replica: SyncReplica, name: string): Promise<OwnState> {
  const snapshot = await replica.snapshot()
  try {
    const collection = await snapshot.collection(name)
    return {
      root: collection?.root ?? new Uint8Array(16),
      knowledge: collection === undefined ? new Uint8Array(16) : comparableKnowledge(collection, replica.storeId),
      rosterHash: replica.rosterHash(),
      flags: termsFlags(collection?.terms ?? replica.termsOf(name)),
      vector: collection?.counters ?? new Map(),
      collected: collection?.collected ?? new Map(),
    }
  } finally {
    await snapshot.close()
  }
}

/** R4: while a tail comes in, the root is comparable with nobody's. A store id is no hash, and equal to no other store's. */
export function comparableKnowledge({ isSettled, knowledge }: CollectionSnapshot, storeId: string): Uint8Array {
  return isSettled ? knowledge : (fromHex(storeId) ?? knowledge)
}

export function stateMessage({ root, knowledge, rosterHash, flags }: HeldState): Message {
  return { kind: 'state', root, knowledge, rosterHash, flags }
}

export interface Credit {
  /** Nothing is unacknowledged. */
  isWhole(): boolean
  /** Waits for a free place. */
  take(): Promise<void>
  give(): void
  /** Wakes whoever waits, with an error. */
  fail(error: unknown): void
}

export function createCredit(max: number): Credit {
  let outstanding = 0
  let failure: { readonly error: unknown } | undefined
  let waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined
  return {
    isWhole: () => outstanding === 0,
    async take() {
      if (failure !== undefined) throw failure.error
      if (outstanding >= max) await new Promise<void>((resolve, reject) => void (waiting = { resolve, reject }))
      outstanding += 1
    },
    give() {
      if (outstanding === 0) throw new SessionFault('unexpected', 'the peer acknowledged a frame that was not sent')
      outstanding -= 1
      waiting?.resolve()
      waiting = undefined
    },
    fail(error) {
      failure = { error }
      waiting?.reject(error)
      waiting = undefined
    },
  }
}

/** Applies what comes in. Frames are handed to the store at once and acknowledged as they become durable. */
export function createReceiver(context: ExchangeContext, theirs: TailClaim, unmarked: Unmarked, known: VersionVector) {
  const { replica, channel, stats, crossing } = context
  const { name, generation, vector: target } = theirs
  const senderStore = fromHex(context.peerStoreId) ?? new Uint8Array(16)
  const gauge = createTailGauge(known, target)
  stats.toReceive = gauge.total
  const recoveries = replica.recoveries()
  let endReception = (): void => {}
  let hasBegun = false
  const applying = new Set<Promise<void>>()
  /** Frames taken and not yet acknowledged. An acknowledgement counts when it is handed to the link: the peer may have it before `send` resolves. */
  let unacknowledged = 0
  let failure: { readonly error: unknown } | undefined

  const decode = (wire: WireItem): RemoteItem | undefined => {
    const version = decodeVersion(wire.version)
    if (version !== undefined && keyFault(wire.key) === undefined) return { key: wire.key, version }
    stats.malformed += 1
    if (wire.version.length > ORIGIN_BYTES) unmarked.origins.add(toHex(wire.version.subarray(1, 1 + ORIGIN_BYTES)))
    else unmarked.isAll = true
    return undefined
  }

  /** It comes again for as long as its origin has no mark: a failure to keep it is no failure of the exchange. */
  const setAside = (items: readonly WireItem[]): void => {
    const task = replica
      .setAside(theirs.name, generation, items)
      .catch(() => {})
      .finally(() => applying.delete(task))
    applying.add(task)
  }

  return {
    take(frame: Extract<Message, { kind: 'frame' }>): void {
      if (unacknowledged >= FRAMES_IN_FLIGHT_MAX) throw new SessionFault('unexpected', 'the peer sent more frames than it has credit for')
      unacknowledged += 1
      if (!hasBegun) endReception = replica.beginReception(name)
      hasBegun = true
      // A direction holds also against who does not know of it.
      const taken = context.relation.receives ? frame.items : []
      const decoded = taken.map(decode)
      const items = decoded.filter(item => item !== undefined)
      const malformed = taken.filter((_item, i) => decoded[i] === undefined)
      if (malformed.length > 0) setAside(malformed)
      const isClean = !unmarked.isAll && unmarked.origins.size === 0
      const resume =
        isClean && frame.position !== undefined ? { senderStore, point: { target, position: frame.position }, recoveries } : undefined
      const task = replica
        .applyItems({
          collection: name,
          generation,
          items,
          logicalClock: frame.logicalClock,
          skipCovered: true,
          crossing,
          ...(resume === undefined ? {} : { resume }),
        })
        .then(async applied => {
          // There was no place for it here, and a mark must not say otherwise, should there be one by then.
          if (applied === undefined) unmarked.isAll = true
          stats.itemsReceived += items.length
          if (frame.position !== undefined) stats.toReceive = gauge.behind(frame.position)
          context.onProgress()
          unacknowledged -= 1
          await channel.send({ kind: 'ack' })
        })
        .catch(error => {
          failure ??= { error }
          channel.close()
        })
        .finally(() => applying.delete(task))
      applying.add(task)
    },
    rethrow(): void {
      if (failure !== undefined) throw failure.error
    },
    async finish(mark: ReadonlyMap<Origin, VectorEntry>): Promise<void> {
      await Promise.all(applying)
      if (failure !== undefined) throw failure.error
      stats.toReceive = 0
      const vector =
        unmarked.isAll || !context.relation.receives
          ? new Map<Origin, VectorEntry>()
          : new Map([...mark].filter(([origin]) => !unmarked.origins.has(origin)))
      // With their mark the own vector covers what they knew when they collected: what they dropped may go here too (R7).
      const answer = await replica.applyMark({ collection: name, generation, vector, senderStore, theirs, crossing, endReception })
      unmarked.isLeft = answer === 'left'
      await replica.adoptCollected(name, generation, theirs)
    },
    /** Whatever came of it: nothing more of this tail is taken. */
    end: () => endReception(),
  }
}

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
import type { Dot, Origin, VersionVector } from './dot.ts'
import { keyFault } from './key.ts'
import type { Message, Open, WireItem } from './messages.ts'
import type { SyncReplica } from './sync-replica.ts'
import type { RemoteItem } from './remote-write.ts'
import { countersOf, type CollectionSnapshot } from './replica-snapshot.ts'
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
  readonly onProgress: () => void
}

/** What one side holds after an exchange; equal knowledge must mean equal roots (R4). */
export interface HeldState {
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
  /** The roster that this side goes by (R7), 8 bytes. */
  readonly rosterHash: Uint8Array
}

export interface OwnState extends HeldState {
  readonly vector: VersionVector
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
): Promise<{ readonly mine: OwnState; readonly theirs: HeldState }> {
  const { channel, replica } = context
  const credit = createCredit(FRAMES_IN_FLIGHT_MAX)
  const receiver = createReceiver(context, theirs, generation, mine?.counters ?? new Map())
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
        await receiver.finish(message.vector)
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
  }
}

/** Ships the live versions above the peer's vector, in frames, and then the mark (R5). */
async function sendTail(context: ExchangeContext, credit: Credit, mine: CollectionSnapshot | undefined, theirs: Open): Promise<void> {
  const { channel, replica, stats } = context
  let frame: WireItem[] = []
  let bytes = 0
  let position: Dot | undefined
  const gauge = createTailGauge(countersOf(theirs.vector), mine?.counters ?? new Map(), theirs.resume)
  stats.toSend = gauge.total

  const flush = async (): Promise<void> => {
    if (frame.length === 0) return
    await credit.take()
    const items = frame
    frame = []
    bytes = 0
    await channel.send({ kind: 'frame', items, position, logicalClock: replica.logicalClock() })
    stats.itemsSent += items.length
    if (position !== undefined) stats.toSend = gauge.behind(position)
    context.onProgress()
  }

  if (mine !== undefined) {
    for await (const page of mine.logTail(countersOf(theirs.vector), theirs.resume)) {
      for (const item of page) {
        const size = item.key.length + item.version.length
        if (bytes + size > context.frames.bytesMax || frame.length >= context.frames.itemsMax) await flush()
        frame.push({ key: keyText(item.key), version: item.version })
        bytes += size
        position = item.dot
      }
    }
  }
  await flush()
  stats.toSend = 0
  await channel.send({ kind: 'mark', vector: mine?.vector ?? new Map<Origin, VectorEntry>() })
}

/** What this replica holds of a collection now; zeros when it has none. */
export async function readState(replica: SyncReplica, name: string): Promise<OwnState> {
  const snapshot = await replica.snapshot()
  try {
    const collection = await snapshot.collection(name)
    return {
      root: collection?.root ?? new Uint8Array(16),
      knowledge: collection?.knowledge ?? new Uint8Array(16),
      rosterHash: replica.rosterHash(),
      vector: collection?.counters ?? new Map(),
    }
  } finally {
    await snapshot.close()
  }
}

export function stateMessage({ root, knowledge, rosterHash }: HeldState): Message {
  return { kind: 'state', root, knowledge, rosterHash }
}

interface Credit {
  /** Waits for a free place. */
  take(): Promise<void>
  give(): void
  /** Wakes whoever waits, with an error. */
  fail(error: unknown): void
}

function createCredit(max: number): Credit {
  let outstanding = 0
  let failure: { readonly error: unknown } | undefined
  let waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined
  return {
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
function createReceiver(context: ExchangeContext, theirs: Open, generation: number, known: VersionVector) {
  const { replica, channel, stats } = context
  const senderStore = fromHex(context.peerStoreId) ?? new Uint8Array(16)
  const target = countersOf(theirs.vector)
  const gauge = createTailGauge(known, target)
  stats.toReceive = gauge.total
  const recoveries = replica.recoveries()
  const unmarked = new Set<Origin>()
  let isAllUnmarked = false
  const applying = new Set<Promise<void>>()
  /** Frames taken and not yet acknowledged. An acknowledgement counts when it is handed to the link: the peer may have it before `send` resolves. */
  let unacknowledged = 0
  let failure: { readonly error: unknown } | undefined

  const decode = (wire: WireItem): RemoteItem | undefined => {
    const version = decodeVersion(wire.version)
    if (version !== undefined && keyFault(wire.key) === undefined) return { key: wire.key, version }
    stats.malformed += 1
    if (wire.version.length > ORIGIN_BYTES) unmarked.add(toHex(wire.version.subarray(1, 1 + ORIGIN_BYTES)))
    else isAllUnmarked = true
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
      const decoded = frame.items.map(decode)
      const items = decoded.filter(item => item !== undefined)
      const malformed = frame.items.filter((_item, i) => decoded[i] === undefined)
      if (malformed.length > 0) setAside(malformed)
      const isClean = !isAllUnmarked && unmarked.size === 0
      const resume =
        isClean && frame.position !== undefined ? { senderStore, point: { target, position: frame.position }, recoveries } : undefined
      const task = replica
        .applyItems({
          collection: theirs.name,
          generation,
          items,
          logicalClock: frame.logicalClock,
          skipCovered: true,
          ...(resume === undefined ? {} : { resume }),
        })
        .then(async () => {
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
      const accepted = isAllUnmarked ? new Map<Origin, VectorEntry>() : new Map([...mark].filter(([origin]) => !unmarked.has(origin)))
      // With their mark the own vector covers what they knew when they collected: what they dropped may go here too (R7).
      const knowledge = { ...theirs, vector: target }
      await replica.applyMark(theirs.name, generation, accepted, senderStore, knowledge)
      await replica.adoptCollected(theirs.name, generation, knowledge)
    },
  }
}

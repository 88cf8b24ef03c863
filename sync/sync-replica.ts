import type { VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import type { Acknowledgement } from './acknowledgement.ts'
import type { Crossing } from './crossing.ts'
import type { Relation, Terms, VoidedRange } from './partial.ts'
import type { Stamp } from './hlc.ts'
import type { SetAside } from './quarantine.ts'
import type { AppliedItems, RemoteItem } from './remote-write.ts'
import type { CollectionSnapshot, ReplicaSnapshot, ResumePoint } from './replica-snapshot.ts'

/** What a session tells and asks of its replica. */
export interface SyncReplica {
  readonly storeId: string
  /** Under which it writes now. */
  readonly origin: Origin
  readonly saltId: Uint8Array
  /** Places a key in the digest tree, 8 bytes. */
  keyHash(key: Uint8Array): Uint8Array
  logicalClock(): number
  /** Which collections go first: the greater ones. */
  priority(collection: string): number
  /** Concurrent versions of a key stay beside one another: the policy is not `lww`. */
  keepsSiblings(collection: string): boolean
  /** Failed writes since the store was opened: a resume point holds only within one count (R5). */
  recoveries(): number
  /** A durable moment; must be closed. */
  snapshot(): Promise<ReplicaSnapshot>
  /**
   * Calls back with the name of a collection when what a peer may be told or asked of it has changed: what it holds durably, what it knows,
   * what others have acknowledged, or that a claim of it may be had. Until the answer is called.
   */
  watch(listener: (collection: string) => void): () => void
  /** A tail of this collection begins to come in: until its mark is applied, or until the answer is called, its snapshots are not settled. */
  beginReception(collection: string): () => void
  /** Before a peer is asked for a tail: undefined while one comes in or was asked for elsewhere. The answer gives the claim back. */
  claimTail(collection: string): (() => void) | undefined
  /** Where an interrupted tail from this store stands. */
  resumePoint(collection: string, generation: number, senderStore: Uint8Array): ResumePoint | undefined
  /**
   * Applies one frame, durable when it resolves; undefined when this replica has no such generation, or has collected tombstones since the
   * snapshot that the frame was judged by.
   */
  applyItems(frame: RemoteFrame): Promise<AppliedItems | undefined>
  /** Advances the vector to a peer's mark. */
  applyMark(mark: RemoteMark): Promise<MarkOutcome>
  /**
   * This replica, behind the floor of a peer that knows `known`, is about to be taken past it by that peer's mark. What is written from now on
   * is seen by snapshots that are taken behind the answer, or disturbs the crossing. `isAbsent`: no snapshot of this replica had the collection.
   */
  beginCrossing(collection: string, known: VersionVector, isAbsent: boolean): Promise<Crossing>
  /** Enrols this replica, under a new store id when it was evicted, unless it is enrolled; durable when it resolves (R7). */
  enrol(): Promise<void>
  /** Whether an operator has evicted that replica. */
  isEvicted(storeId: string): boolean
  /** 8 bytes: the replicas that tombstones wait for, as known here. */
  rosterHash(): Uint8Array
  /** Remembers what the peer, and others through it, hold durably of a collection (R7). */
  acknowledge(collection: string, generation: number, acknowledgements: readonly Acknowledgement[]): Promise<void>
  /** Collects what the peer has collected, where the own vector covers everything that the peer knew then (R7); sweeps up what is left of it. */
  adoptCollected(collection: string, generation: number, theirs: CollectedKnowledge): Promise<void>
  /** Collects what every enrolled replica has acknowledged; returns how many keys went (R7). */
  collectStable(collection: string, generation: number): Promise<number>
  /** What this replica is to others for a collection, whether it holds it or not (R8). */
  termsOf(collection: string): Terms
  /** What a peer and this replica are to one another; remembers what the peer holds where this one may rely on it. */
  relateTo(collection: string, generation: number, mine: Terms, peer: TermedPeer): Promise<Relation>
  /** Takes over a horizon, and gives up what is behind it (R9). */
  expireTo(collection: string, generation: number, horizonMs: number): Promise<void>
  /** A peer that may be relied on knows the same: what was kept for want of that may go (R8), and expires (R9). */
  noteSameKnowledge(collection: string, generation: number, peer: Omit<TermedPeer, 'terms'>): Promise<void>
  /** The mark of a partial replica for a receiver that knows `known`. */
  markFor(
    snapshot: CollectionSnapshot,
    known: VersionVector,
    relation: Pick<Relation, 'isAheadOfTheirs'>,
  ): Promise<Map<Origin, VectorEntry>>
  /** What this replica has given up and nobody full is known to hold. */
  voided(snapshot: CollectionSnapshot): Promise<readonly VoidedRange[]>
  /** This replica has been filled up again: it lacks nothing any more. */
  becomeFull(collection: string, generation: number): Promise<void>
  /** Keeps versions of a peer that are none for a person to look at, as far as there is room. */
  readonly setAside: SetAside
  /**
   * Removes versions without a trace, and returns how many it was. With a `floor` they are those that were collected there, and none is
   * removed when this replica is not behind it any more (R6).
   */
  dropItems(
    collection: string,
    generation: number,
    items: readonly { readonly key: string; readonly dot: Dot }[],
    floor?: VersionVector,
  ): Promise<number>
  /**
   * Compares what a peer knows of this replica's origins with its own history (R2, P15). Where that has forked it takes a new origin, issues
   * its versions behind the fork anew, and forgets what it thought it had seen there; true when it did.
   */
  settleForks(collection: string, generation: number, known: ReadonlyMap<Origin, VectorEntry>): Promise<boolean>
}

export interface TermedPeer {
  readonly storeId: string
  readonly terms: Terms
  readonly vector: VersionVector
}

/** What a peer has collected, and what it knew at that moment. */
export interface CollectedKnowledge {
  readonly vector: VersionVector
  readonly collected: VersionVector
  /** The greatest stamp that it has collected. */
  readonly collectedStampMax: Stamp
}

export interface RemoteFrame {
  readonly collection: string
  readonly generation: number
  readonly items: readonly RemoteItem[]
  /** The sender's Lamport clock. */
  readonly logicalClock: number
  /** L1: ignore what the own vector covers. */
  readonly skipCovered: boolean
  /**
   * Repair: this replica's G in the snapshot that was compared. What it lacked there may have been deleted and the tombstone collected since:
   * then nothing here says any more that it must not come back (R6).
   */
  readonly collected?: VersionVector
  readonly crossing?: Crossing | undefined
  /** L1: where the tail stands after this frame. */
  readonly resume?: { readonly senderStore: Uint8Array; readonly point: ResumePoint; readonly recoveries: number }
}

/** `left`: it does not count, and is to be had by another session (crossing.ts); `gone`: there is no such collection here, nor a place for it. */
export type MarkOutcome = 'applied' | 'left' | 'gone'

export interface RemoteMark {
  readonly collection: string
  readonly generation: number
  /** What the vector goes on to. */
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  readonly senderStore: Uint8Array
  /**
   * What the peer knew and had collected at its snapshot: its G is taken over in the same moment, or this replica would know of tombstones that it
   * was not sent, and not that they are gone (R4).
   */
  readonly theirs?: CollectedKnowledge
  readonly crossing?: Crossing | undefined
  /** Called as the mark becomes durable. */
  readonly endReception?: () => void
}

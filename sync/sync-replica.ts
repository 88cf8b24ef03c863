import type { VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import type { Acknowledgement } from './acknowledgement.ts'
import type { Stamp } from './hlc.ts'
import type { SetAside } from './quarantine.ts'
import type { AppliedItems, RemoteItem } from './remote-write.ts'
import type { ReplicaSnapshot, ResumePoint } from './replica-snapshot.ts'

/** What a session tells and asks of its replica. */
export interface SyncReplica {
  readonly storeId: string
  readonly saltId: Uint8Array
  logicalClock(): number
  /** Which collections go first: the greater ones. */
  priority(collection: string): number
  /** Failed writes since the store was opened: a resume point holds only within one count (R5). */
  recoveries(): number
  /** A durable moment; must be closed. */
  snapshot(): Promise<ReplicaSnapshot>
  /** Where an interrupted tail from this store stands. */
  resumePoint(collection: string, generation: number, senderStore: Uint8Array): ResumePoint | undefined
  /**
   * Applies one frame, durable when it resolves; undefined when this replica has no such generation, or has collected tombstones since the
   * snapshot that the frame was judged by.
   */
  applyItems(frame: RemoteFrame): Promise<AppliedItems | undefined>
  /**
   * Advances the vector to a peer's mark. With `theirs`, what the peer knew and had collected at its snapshot: its G is taken over in the same
   * moment, or this replica would know of tombstones that it was not sent, and not that they are gone (R4).
   */
  applyMark(
    collection: string,
    generation: number,
    mark: ReadonlyMap<Origin, VectorEntry>,
    senderStore: Uint8Array,
    theirs?: CollectedKnowledge,
  ): Promise<boolean>
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
  /** Keeps versions of a peer that are none for a person to look at, as far as there is room. */
  readonly setAside: SetAside
  dropItems(collection: string, generation: number, items: readonly { readonly key: string; readonly dot: Dot }[]): Promise<number>
  /**
   * Compares what a peer knows of this replica's origins with its own history (R2, P15). Where that has forked it takes a new origin, issues
   * its versions behind the fork anew, and forgets what it thought it had seen there; true when it did.
   */
  settleForks(collection: string, generation: number, known: ReadonlyMap<Origin, VectorEntry>): Promise<boolean>
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
  /** L1: where the tail stands after this frame. */
  readonly resume?: { readonly senderStore: Uint8Array; readonly point: ResumePoint; readonly recoveries: number }
}

import type { VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import type { AppliedItems, RemoteItem, StableTombstone } from './remote-write.ts'
import type { ReplicaSnapshot, ResumePoint } from './replica-snapshot.ts'

/** What a session tells and asks of its replica. */
export interface SyncReplica {
  readonly storeId: string
  readonly saltId: Uint8Array
  logicalClock(): number
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
  applyMark(collection: string, generation: number, mark: ReadonlyMap<Origin, VectorEntry>, senderStore: Uint8Array): Promise<boolean>
  /** Collects tombstones that every enrolled replica has acknowledged (R7: the caller knows). */
  collectTombstones(collection: string, generation: number, tombstones: readonly StableTombstone[]): Promise<number>
  dropItems(collection: string, generation: number, items: readonly { readonly key: string; readonly dot: Dot }[]): Promise<number>
  /**
   * Compares what a peer knows of the own origin with the own history (R2, P15). When the peer knows more, or another run, this replica
   * takes a new origin before it writes again.
   */
  checkHistory(collection: string, generation: number, known: ReadonlyMap<Origin, VectorEntry>): Promise<'same' | 'forked'>
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

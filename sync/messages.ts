/** The messages of a sync session, and the bounds of what they carry; message-codec.ts has their bytes. */
import type { Acknowledgement } from './acknowledgement.ts'
import type { VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import type { Stamp } from './hlc.ts'
import type { Terms, VoidedRange } from './partial.ts'
import type { ResumePoint } from './replica-snapshot.ts'
import type { SketchMessage } from './sketch-messages.ts'

export const PROTOCOL_VERSION = 1
/** Origins in one vector. */
export const VECTOR_ENTRIES_MAX = 65_536
export const OFFERS_PER_MESSAGE_MAX = 500
export const NODES_PER_MESSAGE_MAX = 64
export const ITEMS_PER_MESSAGE_MAX = 256
/** Ranges that one message announces as void. */
export const VOIDED_RANGES_MAX = 256

/** 16 child digests and counts of one node of the digest tree. */
export interface NodeChildren {
  readonly index: number
  readonly digests: readonly Uint8Array[]
  readonly counts: readonly number[]
}

export interface Offer {
  readonly name: string
  readonly generation: number
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
  /** What the sender is to others for it (R8); 0: a full replica. */
  readonly flags: number
  /** As the sender has it set: the greater of both sides' counts. */
  readonly priority: number
  /** 16 bytes: what it has in common with the receiver (common-ground.ts). */
  readonly commonHash?: Uint8Array | undefined
}

export interface ItemName {
  readonly key: string
  readonly dot: Dot
}

export interface ItemClaim extends ItemName {
  readonly hash: Uint8Array
}

export interface Hello {
  readonly kind: 'hello'
  readonly protocol: number
  readonly swarmName: string
  /** 16 bytes each, as hexadecimal. */
  readonly nodeId: string
  readonly storeId: string
  /** 8 bytes. */
  readonly saltId: Uint8Array
  readonly logicalClock: number
  readonly wallMs: number
  /** The sender names the receiver in HS_GOSSIP_PEERS. */
  readonly isNamed: boolean
  /** The sender would keep the link open once both have caught up. */
  readonly isLive: boolean
}

export interface Open {
  readonly kind: 'open'
  readonly name: string
  /** 0: the sender does not hold the collection. */
  readonly generation: number
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  readonly collected: VersionVector
  /** Where the receiver's tail towards the sender stood when it was interrupted. */
  readonly resume: ResumePoint | undefined
  /** The greatest stamp that the sender has collected as a tombstone. */
  readonly collectedStampMax: Stamp
  /** 8 bytes: the roster under which the sender acknowledges `vector`. */
  readonly rosterHash: Uint8Array
  /** What others have acknowledged, as far as the sender has heard. */
  readonly acknowledgements: readonly Acknowledgement[]
  /** What the sender is to others for this collection (R8, R9). */
  readonly terms: Terms
  /** What it gave up and nobody full is known to hold. */
  readonly voided: readonly VoidedRange[]
  /** 16 bytes: `vector`, `collected` and `acknowledgements` are what differs from that common ground. */
  readonly commonHash?: Uint8Array | undefined
}

/** What the sender holds durably of a collection, in the live phase: additions to what it has said before on this link. */
export interface Held {
  readonly kind: 'held'
  readonly name: string
  readonly generation: number
  /** Entries above those said before; with a tail also those that were said and not shipped: its mark stands for all of these. */
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  readonly collected: VersionVector
  readonly collectedStampMax: Stamp
  /** 8 bytes: the roster under which all of the vector is acknowledged. */
  readonly rosterHash: Uint8Array
  readonly acknowledgements: readonly Acknowledgement[]
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
  /** Frames follow, and a mark: the versions that the receiver lacks. */
  readonly hasTail: boolean
}

/** One version on the wire: its key, and its bytes as they lie in the store. */
export interface WireItem {
  readonly key: string
  readonly version: Uint8Array
}

export interface Repair {
  readonly kind: 'repair'
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  readonly collected: VersionVector
  /** Cells of the sketch of the sender's buckets, as they travel; absent: the sender knows of no sketches, or does not serve. */
  readonly bucketCells?: Uint8Array
}

export type Message =
  | Hello
  | SketchMessage
  /** `rosterHash`: 8 bytes, the roster under which the sender acknowledges what it offers (R7). */
  | { readonly kind: 'offers'; readonly offers: readonly Offer[]; readonly isLast: boolean; readonly rosterHash: Uint8Array }
  | Open
  | { readonly kind: 'frame'; readonly items: readonly WireItem[]; readonly position: Dot | undefined; readonly logicalClock: number }
  | { readonly kind: 'ack' }
  /** `isAsOpened`: the vector is that of the sender's `open`, and not said again. */
  | { readonly kind: 'mark'; readonly vector: ReadonlyMap<Origin, VectorEntry>; readonly isAsOpened?: boolean }
  /** `flags`: the sender may have become partial since it opened the collection (R8). */
  | {
      readonly kind: 'state'
      readonly root: Uint8Array
      readonly knowledge: Uint8Array
      readonly rosterHash: Uint8Array
      readonly flags: number
    }
  | Repair
  | { readonly kind: 'get-nodes'; readonly level: number; readonly indexes: readonly number[] }
  | { readonly kind: 'nodes'; readonly nodes: readonly NodeChildren[] }
  | { readonly kind: 'get-items'; readonly level: number; readonly index: number; readonly skip: number }
  | { readonly kind: 'items'; readonly items: readonly ItemClaim[]; readonly hasMore: boolean }
  | { readonly kind: 'want'; readonly items: readonly ItemName[] }
  | { readonly kind: 'drop'; readonly items: readonly ItemName[] }
  | { readonly kind: 'repaired' }
  | { readonly kind: 'bye'; readonly reason: string }
  | Held
  /** Ends the live phase: the sender ships nothing more before both have offered anew. */
  | { readonly kind: 'round' }
  /** Asks for what the sender lacks of a collection of which the receiver has said that it holds it. */
  | { readonly kind: 'pull'; readonly name: string; readonly generation: number }

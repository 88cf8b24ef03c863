/** What goes into the swarm core and what comes out. */
import type { Address } from './address.ts'
import type { CollectionDigest } from './digest-list.ts'
import type { BootId, NodeId } from './identity.ts'
import type { MemberView } from './member.ts'
import type { TcpOutcome } from './probe.ts'

/** What this node holds, as the agent knows it. */
export interface LocalState {
  readonly logicalClock: number
  /** All collections, in any order. */
  readonly collections: readonly CollectionDigest[]
}

export type SwarmEvent =
  | { readonly type: 'start' }
  /** `multicast`: it came in on the group's socket. */
  | { readonly type: 'packet'; readonly bytes: Uint8Array; readonly from: Address; readonly multicast: boolean }
  /** The deadline has passed; everything that had arrived by then has been given as `packet` events. */
  | { readonly type: 'tick' }
  | { readonly type: 'local-state'; readonly state: LocalState }
  /** The addresses behind HS_GOSSIP_PEERS, all of them, as far as they could be resolved. */
  | { readonly type: 'seeds-resolved'; readonly addresses: readonly Address[] }
  | { readonly type: 'interfaces-changed' }
  /** What became of a `probe-tcp` effect; `failed` is no answer, or any error but a refusal. */
  | { readonly type: 'tcp-probed'; readonly nodeId: NodeId; readonly outcome: TcpOutcome }
  /** The process was stopped, or the board slept, for this long, as clocks other than the monotonic one say. */
  | { readonly type: 'stood-still'; readonly forMs: number }
  /** A clean stop: says so a few times, then gives `stopped`. */
  | { readonly type: 'leave' }

/** Why a packet, or a claim in it, was not taken. */
export type RejectReason =
  /** Larger than 1,200 bytes. */
  | 'too-large'
  /** No room for a header and a message. */
  | 'truncated'
  /** Its source host sent too many. */
  | 'rate-limited'
  | 'not-a-packet'
  | 'other-version'
  /** Sealed with a key; this node has none. */
  | 'sealed'
  | 'other-swarm'
  /** From a boot of that node before the one that is listed, or before our own. */
  | 'stale-boot'
  /** A copy of a packet seen before, or too old to tell. */
  | 'duplicate'
  /** From a boot that has said that it leaves. */
  | 'left'
  /** From somebody held dead, who has been told so. */
  | 'dead'
  /** Not the CBOR or not the fields that it should be; nothing of it was applied. */
  | 'malformed'
  /** Well formed, but from somebody who has not sent a heartbeat yet. */
  | 'unknown-sender'
  /** Holds a message of a kind that this version does not know; the others were applied. */
  | 'unknown-message'
  /** The table of members is full. */
  | 'members-full'
  /** A logical clock further ahead than the limit; it does not move ours. */
  | 'clock-ahead'
  /** More collections than the limit; its digests are not taken. */
  | 'too-many-collections'
  /** Complete digest pages that do not add up to the summary they claim. */
  | 'digest-mismatch'

/** `status`: alive or suspect. */
export type UpdateReason = 'restarted' | 'address' | 'described' | 'trust' | 'status'
/** `timeout`: 30 s without evidence of life; `dead`: suspected, and not refuted in time. */
export type DropReason = 'timeout' | 'left' | 'dead'

export type SwarmEffect =
  | { readonly type: 'send'; readonly to: Address | 'multicast'; readonly bytes: Uint8Array }
  | { readonly type: 'member-joined'; readonly view: MemberView }
  | { readonly type: 'member-updated'; readonly view: MemberView; readonly reason: UpdateReason }
  | { readonly type: 'member-dropped'; readonly view: MemberView; readonly reason: DropReason }
  /** A member's digests are known completely, and theirs or ours have changed; `differing` is empty when they agree (again). */
  | { readonly type: 'digests'; readonly nodeId: NodeId; readonly differing: readonly string[] }
  /** Connect to this address and close at once; answered by `tcp-probed`, which is worth something for less than a period. */
  | { readonly type: 'probe-tcp'; readonly nodeId: NodeId; readonly address: Address }
  /** Peers answer by unicast, and the discovery group carries nothing: switches or radios that drop multicast. Or it carries again. */
  | { readonly type: 'multicast-mute'; readonly mute: boolean }
  /** A peer's Lamport clock is ahead of ours: max only. */
  | { readonly type: 'observe-clock'; readonly logicalClock: number }
  | { readonly type: 'reject'; readonly reason: RejectReason; readonly from: Address }
  /** Another process uses this node's id: a cloned card, or this one is an older copy. At most once a minute. */
  | { readonly type: 'duplicate-identity'; readonly nodeId: NodeId; readonly bootId: BootId; readonly from: Address }
  /** The last word of a clean stop has been sent. */
  | { readonly type: 'stopped' }

/**
 * One other node as this one sees it.
 *
 * Time is this node's monotonic clock throughout. The peer's wall clock is kept as a difference, to be shown; nothing is decided by it.
 */
import type { Address } from './address.ts'
import { addressKey, sameAddress } from './address.ts'
import type { CollectionDigest, DigestList } from './digest-list.ts'
import type { BootId, NodeId } from './identity.ts'
import { keyOf, tagOf } from './member-key.ts'
import type { Core } from './messages.ts'
import { describe, isSameDescription } from './node-description.ts'
import type { NodeDescription, Role } from './node-description.ts'
import { createReplayWindow } from './replay-window.ts'
import type { ReplayWindow } from './replay-window.ts'
import { createRoundTrip } from './round-trip.ts'
import type { RoundTrip } from './round-trip.ts'
import type { Suspicion } from './suspicion.ts'
import { judgeTrust, mayExchange } from './trust.ts'
import type { TrustReason, TrustRule } from './trust.ts'

/** Members are `alive` or `suspect`; who has been dropped is `dead` or has `left`. */
export type MemberStatus = 'alive' | 'suspect' | 'dead' | 'left'

export interface Member {
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly key: number
  readonly tag: number
  /** Its place in the evidence table. */
  slot: number
  status: MemberStatus
  incarnation: number
  /** While it is suspect. */
  suspicion: Suspicion | undefined
  address: Address
  /** `addressKey` of it: asked for about every member in a round of gossip. */
  addressKey: string
  /** When a unicast packet last came from `address`; undefined while it is known by multicast or through others only. */
  addressProvenMs: number | undefined
  /** When a packet of its own was last taken; -Infinity while it is known through others only and has not echoed a cookie. */
  directMs: number
  /** When it last answered a ping of ours, -Infinity for never, and how many have gone to it since: together they tell a link that is one-way. */
  answeredMs: number
  pingsUnanswered: number
  /** The key that its last packet was sealed with, 0 for none or before the first, all that it holds, and the packet that said so. */
  keyId: number
  keyIds: readonly number[]
  keysBy: number
  /** When it was last told what is said of it. */
  toldClaimMs: number
  /** A probe failed although its host accepts connections: the next failure counts. */
  reprieved: boolean
  /** Packet counter of the heartbeat that the description is from: an older one that was overtaken changes nothing. */
  describedBy: number
  description: NodeDescription
  logicalClock: number
  /** Peer's wall clock less ours. */
  clockSkewMs: number
  /** Summary of its digests as it last claimed, and the packet that did. */
  summary: string
  summaryBy: number
  /** Its digests as far as they are completely known; older than `summary` while an exchange is under way. */
  held: DigestList | undefined
  /** Whether the last comparison of `held` with ours found a difference; undefined before the first one. */
  differs: boolean | undefined
  namedByUs: boolean
  namesUs: boolean
  /** The summary of ours that it was last told. */
  toldSummary: string
  window: ReplayWindow
  trip: RoundTrip
}

/** What users and the agent see of a member. */
export interface MemberView {
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly nodeName: string
  readonly status: MemberStatus
  readonly incarnation: number
  readonly role: Role
  /** Observed host; `httpPort` and `gossipPort` belong to it. */
  readonly host: string
  readonly httpPort: number
  readonly httpReachable: boolean
  readonly gossipPort: number
  readonly logicalClock: number
  /** By name; undefined until all pages of the first exchange are in. */
  readonly collections: readonly CollectionDigest[] | undefined
  /** Time since the last sign of life, by our own monotonic clock. */
  readonly heardAgoMs: number
  /** Undefined before the first answer. */
  readonly rttMs: number | undefined
  readonly clockSkewMs: number
  /** When a packet of its own was last taken, and when it last answered a ping, by our monotonic clock; undefined for never. */
  readonly directMs: number | undefined
  readonly answeredMs: number | undefined
  /** Pings that have gone to it since it last answered one. */
  readonly pingsUnanswered: number
  readonly secured: boolean
  /** The key that its last packet was sealed with, 0 for none, and all that it holds; 0 and none while it is known through others only. */
  readonly keyId: number
  readonly keyIds: readonly number[]
  /** Whether data may be exchanged with it, and why (not). */
  readonly mayExchange: boolean
  readonly trust: TrustReason
}

/** A member from the first word of it or about it. */
export function createMember(
  of: { readonly nodeId: NodeId; readonly bootId: BootId },
  description: NodeDescription,
  address: Address,
): Member {
  return {
    nodeId: of.nodeId,
    bootId: of.bootId,
    key: keyOf(of.nodeId),
    tag: tagOf(of.nodeId, of.bootId),
    slot: -1,
    status: 'alive',
    incarnation: 0,
    suspicion: undefined,
    address,
    addressKey: addressKey(address),
    addressProvenMs: undefined,
    directMs: -Infinity,
    answeredMs: -Infinity,
    pingsUnanswered: 0,
    keyId: 0,
    keyIds: [],
    keysBy: 0,
    toldClaimMs: -Infinity,
    reprieved: false,
    describedBy: 0,
    description: describe(description),
    logicalClock: 0,
    clockSkewMs: 0,
    summary: '',
    summaryBy: 0,
    held: undefined,
    differs: undefined,
    namedByUs: false,
    namesUs: false,
    toldSummary: '',
    window: createReplayWindow(),
    trip: createRoundTrip(),
  }
}

/** Whether packets of its own count: this boot has shown that it is there, so nothing that was recorded before can be taken for it. */
export function isAdmitted(member: Member): boolean {
  return member.directMs !== -Infinity
}

/** Takes over which key a packet of its own was sealed with and which others it says it holds, unless it was overtaken. */
export function noteKeys(member: Member, keyId: number, heldIds: readonly number[] | undefined, packetCounter: number): void {
  if (packetCounter <= member.keysBy) return
  member.keysBy = packetCounter
  member.keyId = keyId
  member.keyIds = heldIds ?? (keyId === 0 ? [] : [keyId])
}

/** Takes over what a packet of its own says of a member, unless it was overtaken; whether the description changed. */
export function describeMember(
  member: Member,
  said: Core & { readonly wallMs?: number },
  description: NodeDescription | undefined,
  packetCounter: number,
  wallMs: number,
): boolean {
  if (packetCounter > member.summaryBy) {
    member.summary = said.summary
    member.summaryBy = packetCounter
    member.logicalClock = said.logicalClock
  }
  if (description === undefined || packetCounter <= member.describedBy) return false
  member.describedBy = packetCounter
  if (said.wallMs !== undefined) member.clockSkewMs = said.wallMs - wallMs
  const changed = !isSameDescription(member.description, description)
  if (changed) member.description = describe(description)
  return changed
}

/**
 * Where to reach a member, from where its packets come: an address that a unicast packet came from beats one put together from
 * a multicast packet's source and the claimed port, and the one in use is kept for `holdMs` after it last proved itself, so that a
 * node with two ways to us does not flap. True when the address changed.
 */
export function observeAddress(member: Member, observed: Address, unicast: boolean, nowMs: number, holdMs: number): boolean {
  const same = sameAddress(member.address, observed)
  if (same) {
    if (unicast) member.addressProvenMs = nowMs
    return false
  }
  const proven = member.addressProvenMs
  // A multicast packet only moves a member that unicast has not proven for long; one unicast packet moves it from an unproven address.
  const held = proven !== undefined && nowMs - proven < (unicast ? holdMs : 10 * holdMs)
  if (held) return false
  member.address = observed
  member.addressKey = addressKey(observed)
  member.addressProvenMs = unicast ? nowMs : undefined
  return true
}

export function viewMember(member: Member, rule: TrustRule, heardAgoMs: number): MemberView {
  const trust = judgeTrust(rule, member)
  const { nodeName, role, httpPort, httpReachable, secured } = member.description
  return {
    nodeId: member.nodeId,
    bootId: member.bootId,
    nodeName,
    status: member.status,
    incarnation: member.incarnation,
    role,
    host: member.address.host,
    httpPort,
    httpReachable,
    gossipPort: member.address.port,
    logicalClock: member.logicalClock,
    collections: member.held?.collections,
    heardAgoMs: Math.max(0, heardAgoMs),
    rttMs: member.trip.smoothedMs(),
    clockSkewMs: member.clockSkewMs,
    directMs: member.directMs === -Infinity ? undefined : member.directMs,
    answeredMs: member.answeredMs === -Infinity ? undefined : member.answeredMs,
    pingsUnanswered: member.pingsUnanswered,
    secured,
    keyId: member.keyId,
    keyIds: member.keyIds,
    mayExchange: mayExchange(trust),
    trust,
  }
}

/**
 * One other node as this one sees it.
 *
 * Time is this node's monotonic clock throughout. The peer's wall clock is kept as a difference, to be shown; nothing is decided by it.
 */
import type { Address } from './address.ts'
import { sameAddress } from './address.ts'
import type { CollectionDigest, DigestList } from './digest-list.ts'
import type { BootId, NodeId } from './identity.ts'
import type { Heartbeat, Role } from './messages.ts'
import type { PacketHeader } from './packet.ts'
import { createReplayWindow } from './replay-window.ts'
import type { ReplayWindow } from './replay-window.ts'
import { createRoundTrip } from './round-trip.ts'
import type { RoundTrip } from './round-trip.ts'
import { judgeTrust, mayExchange } from './trust.ts'
import type { TrustReason, TrustRule } from './trust.ts'

/** `suspect` and `dead` belong to the failure detector, which is not in this version: a member is `alive` until it is dropped. */
export type MemberStatus = 'alive' | 'suspect' | 'dead' | 'left'

export interface Member {
  readonly nodeId: NodeId
  bootId: BootId
  status: MemberStatus
  incarnation: number
  address: Address
  /** When a unicast packet last came from `address`; undefined while it is known by multicast only. */
  addressProvenMs: number | undefined
  /** When there was last a sign of life: a packet, or a newer heartbeat counter heard through others. */
  evidenceMs: number
  /** When the group last brought something of it. */
  multicastMs: number | undefined
  heartbeatCounter: number
  /** Packet counter of the heartbeat that the fields below are from: an older one that was overtaken changes nothing. */
  describedBy: number
  nodeName: string
  role: Role
  httpPort: number
  httpReachable: boolean
  secured: boolean
  /** The key that its last packet was sealed with, 0 for none, and all that it holds as far as it has said. */
  keyId: number
  keyIds: readonly number[]
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
  readonly secured: boolean
  /** The key that its last packet was sealed with, 0 for none, and all that it holds as far as it has said. */
  readonly keyId: number
  readonly keyIds: readonly number[]
  /** Whether data may be exchanged with it, and why (not). */
  readonly mayExchange: boolean
  readonly trust: TrustReason
}

/** A member from the first heartbeat of a node, or of a new boot of it. */
export function createMember(header: PacketHeader, address: Address, nowMs: number): Member {
  return {
    nodeId: header.nodeId,
    bootId: header.bootId,
    status: 'alive',
    incarnation: 0,
    address,
    addressProvenMs: undefined,
    evidenceMs: nowMs,
    multicastMs: undefined,
    heartbeatCounter: 0,
    describedBy: 0,
    nodeName: '',
    role: 'edge',
    httpPort: 0,
    httpReachable: false,
    secured: false,
    keyId: header.keyId,
    keyIds: [],
    logicalClock: 0,
    clockSkewMs: 0,
    summary: '',
    summaryBy: 0,
    held: undefined,
    differs: undefined,
    namedByUs: false,
    namesUs: false,
    toldSummary: '',
    window: createReplayWindow(header.counter),
    trip: createRoundTrip(),
  }
}

/** Takes over what a heartbeat says of its sender; whether something that users see as the node's description changed. */
export function describeMember(member: Member, heartbeat: Heartbeat, packetCounter: number, wallMs: number): boolean {
  if (packetCounter <= member.describedBy) return false
  const changed =
    member.nodeName !== heartbeat.nodeName ||
    member.role !== heartbeat.role ||
    member.httpPort !== heartbeat.httpPort ||
    member.httpReachable !== heartbeat.httpReachable ||
    member.incarnation !== heartbeat.incarnation
  const { nodeName, role, httpPort, httpReachable, secured, incarnation, logicalClock } = heartbeat
  Object.assign(member, { nodeName, role, httpPort, httpReachable, secured, incarnation, logicalClock })
  member.describedBy = packetCounter
  member.clockSkewMs = heartbeat.wallMs - wallMs
  member.heartbeatCounter = Math.max(member.heartbeatCounter, heartbeat.heartbeatCounter)
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
  member.addressProvenMs = unicast ? nowMs : undefined
  return true
}

export function viewMember(member: Member, rule: TrustRule, nowMs: number): MemberView {
  const trust = judgeTrust(rule, member)
  return {
    nodeId: member.nodeId,
    bootId: member.bootId,
    nodeName: member.nodeName,
    status: member.status,
    incarnation: member.incarnation,
    role: member.role,
    host: member.address.host,
    httpPort: member.httpPort,
    httpReachable: member.httpReachable,
    gossipPort: member.address.port,
    logicalClock: member.logicalClock,
    collections: member.held?.collections,
    heardAgoMs: Math.max(0, nowMs - member.evidenceMs),
    rttMs: member.trip.smoothedMs(),
    clockSkewMs: member.clockSkewMs,
    secured: member.secured,
    keyId: member.keyId,
    keyIds: member.keyIds,
    mayExchange: mayExchange(trust),
    trust,
  }
}

/** What the files of the swarm core share: the parts of one node, the time of the present step, and the effects it has given so far. */
import type { Codec, Hash, Random } from '../base/ports.ts'
import { sameAddress } from './address.ts'
import type { Address } from './address.ts'
import { createCounters } from './counters.ts'
import type { SwarmCounters } from './counters.ts'
import { createDigestExchanges } from './digest-exchange.ts'
import type { DigestExchanges } from './digest-exchange.ts'
import type { DropReason, RejectReason, SwarmEffect, UpdateReason } from './events.ts'
import { createLocalHealth } from './health.ts'
import type { LocalHealth } from './health.ts'
import { createBootId } from './identity.ts'
import { createInbound } from './inbound.ts'
import type { Inbound } from './inbound.ts'
import { viewMember } from './member.ts'
import type { Member, MemberView } from './member.ts'
import { keyOf, tagOf } from './member-key.ts'
import { createMembership } from './membership.ts'
import type { Membership } from './membership.ts'
import { encodeToken, PING_TOKEN_BYTES } from './messages.ts'
import type { NodeDescription } from './node-description.ts'
import type { SwarmOptions } from './options.ts'
import { createOutbound } from './outbound.ts'
import type { Contents, Introduction, Outbound, OwnState } from './outbound.ts'
import { createSeeds } from './seeds.ts'
import type { Seeds } from './seeds.ts'
import { createTokenBucket } from './token-bucket.ts'
import type { TokenBucket } from './token-bucket.ts'

export interface SwarmPorts {
  readonly hash: Hash
  readonly random: Random
  readonly codec: Codec
  /** Unix milliseconds; told to peers and compared with theirs, to be shown. */
  readonly wallMs: () => number
}

export interface SwarmState {
  readonly options: SwarmOptions
  readonly ports: SwarmPorts
  /** Monotonic time of the present step. */
  nowMs: number
  startedAtMs: number
  /** When a packet of anybody else was last accepted. */
  inboundMs: number
  effects: SwarmEffect[]
  readonly key: number
  readonly own: OwnState
  readonly membership: Membership
  readonly seeds: Seeds
  readonly health: LocalHealth
  readonly counters: SwarmCounters
  /** Introductions sent because somebody spoke up. */
  readonly answers: TokenBucket
  /** Claims sent to those whom they are about. */
  readonly claimAnswers: TokenBucket
  readonly inbound: Inbound
  readonly outbound: Outbound
  readonly exchanges: DigestExchanges
}

export function createState(options: SwarmOptions, ports: SwarmPorts): SwarmState {
  const { timings, limits } = options
  const bootId = createBootId(options.bootCounter, ports.random)
  const key = keyOf(options.nodeId)
  const membership = createMembership(limits, { key, tag: tagOf(options.nodeId, bootId) }, ports.random)
  const exchanges = createDigestExchanges(timings, limits, ports, (to, message) => sendMessages(state, to, [message]))
  const description = (): NodeDescription => ({
    nodeName: options.nodeName,
    role: options.role,
    httpPort: options.httpPort(),
    httpReachable: options.httpReachable,
    secured: options.secured,
    multicast: options.multicast,
  })
  const own: OwnState = { bootId, incarnation: 0, logicalClock: 0, summary: exchanges.local().summary, description }
  const counters = createCounters()
  const outbound = createOutbound(options, ports, own, membership, counters)
  const ownPast = { bootId, swarm: outbound.swarm, startedAtMs: () => state.startedAtMs }
  const state: SwarmState = {
    options,
    ports,
    nowMs: 0,
    startedAtMs: 0,
    inboundMs: -Infinity,
    effects: [],
    key,
    own,
    membership,
    seeds: createSeeds(timings, limits, ports.random),
    health: createLocalHealth(),
    counters,
    answers: createTokenBucket(limits.answerRate),
    claimAnswers: createTokenBucket(limits.claimRate),
    inbound: createInbound(options, ports.codec, ownPast, membership),
    outbound,
    exchanges,
  }
  return state
}

export function reject(state: SwarmState, reason: RejectReason, from: Address): void {
  state.effects.push({ type: 'reject', reason, from })
}

/** A packet with these messages first. */
export function sendMessages(state: SwarmState, to: Address, messages: readonly Uint8Array[], contents: Contents = {}): void {
  state.effects.push({ type: 'send', to, bytes: state.outbound.compose(to, messages, contents, state.nowMs) })
}

/** Who we are, to an address. */
export function sendIntroduction(
  state: SwarmState,
  to: Address,
  introduction: Omit<Introduction, 'named'>,
  messages: readonly Uint8Array[] = [],
  evidence = false,
): void {
  sendMessages(state, to, messages, { introduction: { named: state.seeds.has(to), ...introduction }, evidence, gossip: false })
}

/** Who we are, and a ping to measure the way, to a member: to its address or to where it has just spoken from. */
export function introduceTo(state: SwarmState, member: Member, messages: readonly Uint8Array[], to = member.address): void {
  const token = state.ports.random.bytes(PING_TOKEN_BYTES)
  member.trip.sent(token, state.nowMs)
  member.toldSummary = state.own.summary
  sendIntroduction(state, to, { answerMe: false }, [...messages, encodeToken('ping', token)], true)
}

/** Who we are, to somebody who is no member, or may not be. */
export function greetStranger(state: SwarmState, to: Address, token?: Uint8Array): void {
  sendIntroduction(state, to, { answerMe: true }, token === undefined ? [] : [encodeToken('ping', token)])
}

/** Whether this member has proven that it receives what is sent to this address. */
export function isProven(member: Member, to: Address): boolean {
  return member.echoedFrom !== undefined && sameAddress(member.echoedFrom, to)
}

export function viewOf(state: SwarmState, member: Member): MemberView {
  return viewMember(member, state.options, state.nowMs - state.membership.evidenceMs(member))
}

export function tellUpdated(state: SwarmState, member: Member, reason: UpdateReason): void {
  state.effects.push({ type: 'member-updated', view: viewOf(state, member), reason })
}

/** `claimedMs`: when the claim was formed that it is gone, unless it is dropped for its silence. */
export function dropMember(state: SwarmState, member: Member, reason: DropReason, claimedMs?: number): void {
  const { membership, options, nowMs } = state
  const heardAgoMs = nowMs - membership.evidenceMs(member)
  membership.drop(member, { left: reason === 'left', claimedMs }, nowMs)
  state.exchanges.forget(member.nodeId)
  state.seeds.lost(member.nodeId, nowMs)
  state.effects.push({ type: 'member-dropped', view: viewMember(member, options, heardAgoMs), reason })
}

/** What the files of the swarm core share: the parts of one node, the time of the present step, and the effects it has given so far. */
import type { Codec, Hash, Random } from '../base/ports.ts'
import type { Address } from './address.ts'
import { createContacts } from './contacts.ts'
import type { Contacts } from './contacts.ts'
import { createDigestExchanges } from './digest-exchange.ts'
import type { DigestExchanges } from './digest-exchange.ts'
import type { DropReason, RejectReason, SwarmEffect } from './events.ts'
import { createBootId } from './identity.ts'
import { createInbound } from './inbound.ts'
import type { Inbound } from './inbound.ts'
import { viewMember } from './member.ts'
import type { Member } from './member.ts'
import { createMembership } from './membership.ts'
import type { Membership } from './membership.ts'
import { PING_TOKEN_BYTES } from './messages.ts'
import type { SwarmOptions } from './options.ts'
import { createOutbound } from './outbound.ts'
import type { Greeting, Outbound, OwnState } from './outbound.ts'
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
  effects: SwarmEffect[]
  readonly own: OwnState
  readonly membership: Membership
  readonly seeds: Seeds
  readonly contacts: Contacts
  readonly answers: TokenBucket
  readonly inbound: Inbound
  readonly outbound: Outbound
  readonly exchanges: DigestExchanges
}

export function createState(options: SwarmOptions, ports: SwarmPorts): SwarmState {
  const { timings, limits } = options
  const membership = createMembership(limits, ports.random)
  const exchanges = createDigestExchanges(timings, limits, ports, (to, message) => sendMessages(state, to, [message]))
  const own: OwnState = {
    bootId: createBootId(options.bootCounter, ports.random),
    incarnation: 0,
    heartbeatCounter: 0,
    logicalClock: 0,
    summary: exchanges.local().summary,
  }
  const outbound = createOutbound(options, ports, own, membership)
  const ownPast = { bootId: own.bootId, swarm: outbound.swarm, startedAtMs: () => state.startedAtMs }
  const state: SwarmState = {
    options,
    ports,
    nowMs: 0,
    startedAtMs: 0,
    effects: [],
    own,
    membership,
    seeds: createSeeds(timings, limits, ports.random),
    contacts: createContacts(timings, limits),
    answers: createTokenBucket(limits.answerRate),
    inbound: createInbound(options, ports.codec, ownPast, membership),
    outbound,
    exchanges,
  }
  return state
}

export function reject(state: SwarmState, reason: RejectReason, from: Address): void {
  state.effects.push({ type: 'reject', reason, from })
}

export function sendMessages(state: SwarmState, to: Address, messages: readonly Uint8Array[]): void {
  state.effects.push({ type: 'send', to, bytes: state.outbound.packet(messages) })
}

export function sendGreeting(state: SwarmState, to: Address, greeting: Omit<Greeting, 'named'>): void {
  const bytes = state.outbound.greeting(to, { named: state.seeds.has(to), ...greeting }, state.nowMs)
  state.effects.push({ type: 'send', to, bytes })
}

/** A heartbeat to a member, with a ping, to its address or to where it has just spoken from. */
export function sendHeartbeat(state: SwarmState, member: Member, greeting: Omit<Greeting, 'named' | 'token'>, to = member.address): void {
  const token = state.ports.random.bytes(PING_TOKEN_BYTES)
  member.trip.sent(token, state.nowMs)
  member.toldSummary = state.own.summary
  sendGreeting(state, to, { ...greeting, token })
}

/** A heartbeat to somebody who is no member, or may not be. */
export function greetStranger(state: SwarmState, to: Address, token?: Uint8Array): void {
  sendGreeting(state, to, { answerMe: true, rumours: true, ...(token && { token }) })
}

export function dropMember(state: SwarmState, member: Member, reason: DropReason): void {
  if (reason === 'left') member.status = 'left'
  state.membership.drop(member, reason === 'left', state.nowMs)
  state.exchanges.forget(member.nodeId)
  state.seeds.lost(member.nodeId, state.nowMs)
  state.effects.push({ type: 'member-dropped', view: viewMember(member, state.options, state.nowMs), reason })
}

/** What the files of the swarm core share: the parts of one node, the time of the present step, and the effects it has given so far. */
import type { Codec, Cryptography, Hash, Random } from '../base/ports.ts'
import { createAddressProofs } from './address-proof.ts'
import type { AddressProofs } from './address-proof.ts'
import type { Address } from './address.ts'
import { createContacts } from './contacts.ts'
import type { Contacts } from './contacts.ts'
import { createCookies } from './cookie.ts'
import type { Cookies } from './cookie.ts'
import { createDigestExchanges } from './digest-exchange.ts'
import type { DigestExchanges } from './digest-exchange.ts'
import type { DropReason, RejectReason, SwarmEffect } from './events.ts'
import { createBootId } from './identity.ts'
import { createInbound } from './inbound.ts'
import type { Inbound } from './inbound.ts'
import { createKeyRing } from './key-ring.ts'
import type { KeyRing } from './key-ring.ts'
import { viewMember } from './member.ts'
import type { Member } from './member.ts'
import { createMembership } from './membership.ts'
import type { Membership } from './membership.ts'
import { encodeCookie, PING_TOKEN_BYTES } from './messages.ts'
import type { SwarmOptions } from './options.ts'
import { createOutbound } from './outbound.ts'
import type { Greeting, Outbound, OwnState } from './outbound.ts'
import { MESSAGES_BYTES_MAX } from './packet.ts'
import { createOpener } from './seal.ts'
import { createSeeds } from './seeds.ts'
import type { Seeds } from './seeds.ts'
import { createSourceLimits, createTokenBucket } from './token-bucket.ts'
import type { SourceLimits, TokenBucket } from './token-bucket.ts'

export interface SwarmPorts {
  readonly hash: Hash
  readonly cryptography: Cryptography
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
  /** Answers to nodes that are not listed, by address. */
  readonly newcomers: SourceLimits
  readonly inbound: Inbound
  readonly outbound: Outbound
  readonly exchanges: DigestExchanges
  readonly ring: KeyRing
  readonly cookies: Cookies
  readonly proofs: AddressProofs
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
  const ring = createKeyRing(options.keys, options.swarmName, ports)
  const outbound = createOutbound(options, ports, own, membership, ring)
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
    newcomers: createSourceLimits(limits.newcomerRate, limits.sourcesMax),
    inbound: createInbound(options, ports.codec, ownPast, membership, createOpener(ring, limits.senderKeysMax)),
    outbound,
    exchanges,
    ring,
    cookies: createCookies(ports),
    proofs: createAddressProofs(limits),
  }
  return state
}

export function reject(state: SwarmState, reason: RejectReason, from: Address): void {
  state.effects.push({ type: 'reject', reason, from })
}

/** Sends, unless it is more than an address may get that has not shown that it wants it. */
function send(state: SwarmState, to: Address, bytes: Uint8Array): void {
  if (state.proofs.take(to, bytes.length, state.nowMs)) state.effects.push({ type: 'send', to, bytes })
}

/** A cookie for whoever is at this address. */
function challenge(state: SwarmState, to: Address): Uint8Array {
  return encodeCookie('challenge', state.cookies.make(to, state.nowMs), state.ports.codec)
}

export function sendMessages(state: SwarmState, to: Address, messages: readonly Uint8Array[]): void {
  const withCookie = state.proofs.isDue(to, state.nowMs) ? [...messages, challenge(state, to)] : messages
  const length = withCookie.reduce((bytes, message) => bytes + message.length, 0)
  send(state, to, state.outbound.packet(length <= MESSAGES_BYTES_MAX ? withCookie : messages))
}

/** `isChallenge`: asks for an echo also where the address has been proven. */
export function sendGreeting(state: SwarmState, to: Address, greeting: Omit<Greeting, 'named'>, { isChallenge = false } = {}): void {
  const isAsked = isChallenge || state.proofs.isDue(to, state.nowMs)
  const before = [...(greeting.before ?? []), ...(isAsked ? [challenge(state, to)] : [])]
  const rumours = greeting.rumours === true && state.proofs.isProven(to, state.nowMs)
  send(state, to, state.outbound.greeting(to, { named: state.seeds.has(to), ...greeting, before, rumours }, state.nowMs))
}

/** A heartbeat to a member, with a ping, to its address or to where it has just spoken from. */
export function sendHeartbeat(state: SwarmState, member: Member, greeting: Omit<Greeting, 'named' | 'token'>, to = member.address): void {
  const token = state.ports.random.bytes(PING_TOKEN_BYTES)
  member.trip.sent(token, state.nowMs)
  member.toldSummary = state.own.summary
  sendGreeting(state, to, { ...greeting, token })
}

/** A heartbeat to somebody who is no member, or may not be. Nobody has asked for it: it is small where the address is not proven. */
export function greetStranger(state: SwarmState, to: Address, token?: Uint8Array): void {
  const rumours = state.proofs.isProven(to, state.nowMs)
  const greeting = { named: state.seeds.has(to), answerMe: true, rumours, before: [challenge(state, to)], ...(token && { token }) }
  state.effects.push({ type: 'send', to, bytes: state.outbound.greeting(to, greeting, state.nowMs) })
}

export function dropMember(state: SwarmState, member: Member, reason: DropReason): void {
  if (reason === 'left') member.status = 'left'
  state.membership.drop(member, reason === 'left', state.nowMs)
  state.exchanges.forget(member.nodeId)
  state.seeds.lost(member.nodeId, state.nowMs)
  state.effects.push({ type: 'member-dropped', view: viewMember(member, state.options, state.nowMs), reason })
}

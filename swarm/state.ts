/** What the files of the swarm core share: the parts of one node, the time of the present step, and the effects it has given so far. */
import type { Codec, Cryptography, Hash, Random } from '../base/ports.ts'
import { createAddressProofs } from './address-proof.ts'
import type { AddressProofs } from './address-proof.ts'
import { sameAddress } from './address.ts'
import type { Address } from './address.ts'
import { createCookies } from './cookie.ts'
import type { Cookies } from './cookie.ts'
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
import { createKeyRing } from './key-ring.ts'
import type { KeyRing } from './key-ring.ts'
import { viewMember } from './member.ts'
import type { Member, MemberView } from './member.ts'
import { keyOf, tagOf } from './member-key.ts'
import { createMembership } from './membership.ts'
import type { Membership } from './membership.ts'
import { encodeCookie, encodeToken, PING_TOKEN_BYTES } from './messages.ts'
import type { NodeDescription } from './node-description.ts'
import type { SwarmOptions } from './options.ts'
import { createOutbound } from './outbound.ts'
import type { Contents, Introduction, Outbound, OwnState } from './outbound.ts'
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
  /** When a packet of anybody else was last accepted. */
  inboundMs: number
  /** When anybody last answered a ping, or a request to ping somebody. */
  answeredMs: number
  /** This process stood still for longer than a period: what it reads now was sent some time in between. */
  isBehind: boolean
  effects: SwarmEffect[]
  readonly key: number
  readonly own: OwnState
  readonly membership: Membership
  readonly seeds: Seeds
  readonly health: LocalHealth
  readonly counters: SwarmCounters
  /** Introductions sent because somebody spoke up. */
  readonly answers: TokenBucket
  /** Answers to boots that have not echoed a cookie, and of these by address. */
  readonly newcomers: TokenBucket
  readonly newcomersByAddress: SourceLimits
  /** Claims sent to those whom they are about. */
  readonly claimAnswers: TokenBucket
  readonly inbound: Inbound
  readonly outbound: Outbound
  readonly exchanges: DigestExchanges
  readonly ring: KeyRing
  readonly cookies: Cookies
  readonly proofs: AddressProofs
  /** The cookie that came with the packet of this step: it goes back with every packet of it to there, since any of them may be lost. */
  echo: { readonly to: Address; readonly cookie: Uint8Array; given: boolean } | undefined
}

export function createState(options: SwarmOptions, ports: SwarmPorts): SwarmState {
  const { timings, limits } = options
  const bootId = createBootId(options.bootCounter, ports.random)
  const key = keyOf(options.nodeId)
  const membership = createMembership(limits, { key, tag: tagOf(options.nodeId, bootId) }, ports.random)
  const exchanges = createDigestExchanges(timings, limits, ports, (to, message) => sendMessages(state, to, [message], { unasked: true }))
  const ring = createKeyRing(options.keys, options.swarmName, ports)
  const description = (): NodeDescription => ({
    nodeName: options.nodeName,
    role: options.role,
    httpPort: options.httpPort(),
    httpReachable: options.httpReachable,
    secured: ring.sealingId !== 0,
    multicast: options.multicast,
  })
  const own: OwnState = { bootId, incarnation: 0, logicalClock: 0, summary: exchanges.local().summary, description }
  const counters = createCounters()
  const outbound = createOutbound(options, ports, own, membership, counters, ring)
  const ownPast = { bootId, swarm: outbound.swarm, startedAtMs: () => state.startedAtMs }
  const state: SwarmState = {
    options,
    ports,
    nowMs: 0,
    startedAtMs: 0,
    inboundMs: -Infinity,
    answeredMs: -Infinity,
    isBehind: false,
    effects: [],
    key,
    own,
    membership,
    seeds: createSeeds(timings, limits, ports.random),
    health: createLocalHealth(),
    counters,
    answers: createTokenBucket(limits.answerRate),
    claimAnswers: createTokenBucket(limits.claimRate),
    newcomers: createTokenBucket(limits.newcomersRate),
    newcomersByAddress: createSourceLimits(limits.newcomerRate, limits.sourcesMax),
    inbound: createInbound(options, ports.codec, ownPast, membership, createOpener(ring, limits.senderKeysMax)),
    outbound,
    exchanges,
    ring,
    cookies: createCookies(ports),
    proofs: createAddressProofs(limits),
    echo: undefined,
  }
  return state
}

export function reject(state: SwarmState, reason: RejectReason, from: Address): void {
  state.effects.push({ type: 'reject', reason, from })
}

export interface Delivery extends Omit<Contents, 'besides' | 'bytesMax'> {
  /** Asks for an echo also where the address has been proven. */
  readonly challenge?: boolean
  /** Nobody there has asked for it: this node begins. */
  readonly unasked?: boolean
}

/**
 * A packet with these messages first. An address that is not proven gets a cookie along, and nothing that is passed on; answers to it are
 * as long as what came from there allows, and what it has not asked for is small.
 */
export function sendMessages(state: SwarmState, to: Address, messages: readonly Uint8Array[], delivery: Delivery = {}): void {
  const { proofs, outbound, nowMs } = state
  const { challenge = false, unasked = false, ...contents } = delivery
  const echo = state.echo !== undefined && sameAddress(state.echo.to, to) ? state.echo : undefined
  const besides: Uint8Array[] = []
  if (echo !== undefined) besides.push(encodeCookie('echo', echo.cookie))
  if (challenge || proofs.isDue(to, nowMs)) besides.push(encodeCookie('challenge', state.cookies.make(to, nowMs)))
  const limits: Contents = proofs.isProven(to, nowMs)
    ? {}
    : { gossip: false, ...(unasked ? { evidence: false } : { bytesMax: proofs.allowance(to, nowMs) }) }
  const bytes = outbound.compose(to, messages, { ...contents, besides, ...limits }, nowMs)
  if (bytes === undefined || !(proofs.take(to, bytes.length, nowMs) || (unasked && proofs.takeUnasked(to, nowMs)))) return
  if (echo !== undefined) echo.given = true
  state.effects.push({ type: 'send', to, bytes })
}

/** Who we are, to an address. */
export function sendIntroduction(
  state: SwarmState,
  to: Address,
  introduction: Omit<Introduction, 'named'>,
  messages: readonly Uint8Array[] = [],
  delivery: Omit<Delivery, 'introduction' | 'gossip'> = {},
): void {
  sendMessages(state, to, messages, { ...delivery, introduction: { named: state.seeds.has(to), ...introduction }, gossip: false })
}

/** Who we are, and a ping to measure the way, to a member: to its address or to where it has just spoken from. */
export function introduceTo(state: SwarmState, member: Member, messages: readonly Uint8Array[], to = member.address): void {
  const token = state.ports.random.bytes(PING_TOKEN_BYTES)
  member.trip.sent(token, state.nowMs)
  member.toldSummary = state.own.summary
  sendIntroduction(state, to, { answerMe: false }, [...messages, encodeToken('ping', token)], { evidence: true })
}

/** Who we are, to somebody who is no member, or may not be, and has not asked. */
export function greetStranger(state: SwarmState, to: Address, token?: Uint8Array): void {
  const messages = token === undefined ? [] : [encodeToken('ping', token)]
  sendIntroduction(state, to, { answerMe: true }, messages, { challenge: true, unasked: true })
}

/** Whether the address of a member has been proven: who has not shown that it receives is told nothing but who we are. */
export function isReached(state: SwarmState, member: Member): boolean {
  return state.proofs.isKeyProven(member.addressKey, state.nowMs)
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

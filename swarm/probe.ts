/**
 * Probes: asking one member a period for a sign of life, first directly, then through others, then by TCP.
 *
 * Source: SWIM (claim-order.ts), section 3.1 (ping, ping-req through k members) and 4.3 (round robin in random order); Lifeguard (health.ts),
 * section IV-A (nack, and the verdict at T * (local health + 1)).
 *
 * Departures:
 *   - The ping is repeated, at 0, rto and 2 rto, before others are asked: on radio one packet in five may be lost, and a second ping costs
 *     less than three ping-reqs. The rto is the member's own (RFC 6298) within bounds. Others are asked at 3 rto, at T / 2 at the latest.
 *   - A TCP connection to the peer link's port is tried beside the ping-reqs. Accepted, it proves that a process listens there - the kernel
 *     accepts for a stopped one too - so it is no sign of life: it buys one more probe and then twice the time (suspicion.ts). Refused, it
 *     proves that nobody listens: then the verdict need not wait for T, once a helper has said that it is not we who are deaf.
 *     It is tried only at addresses that have been proven, so that no rumour can make us connect anywhere.
 *   - Evidence: any packet of the member that comes meanwhile, to us or to others (evidence-vector.ts), ends the probe well.
 *   - Deaf: a probe during which nothing came in from anybody, or no answer while there has been none for long, is void; it says something
 *     about us (N > 2).
 *   - Members that are known through others only come first: with whom no cookies were exchanged yet, nothing but pings can be.
 *   - Whoever hears of a suspicion probes the suspect too, at once and directly, and whoever is silent is probed out of turn.
 *
 * Invariants (docs/protocol.md): M5 a period begins one probe by turn and a bounded number of others; M7 a void probe accuses nobody.
 */
import type { Address } from './address.ts'
import { toHex } from '../base/bytes.ts'
import { isDeafSince } from './deafness.ts'
import { isHeardSince } from './evidence-rule.ts'
import type { NodeId } from './identity.ts'
import { isAdmitted } from './member.ts'
import type { Member } from './member.ts'
import { encodePingReq, encodeToken, PING_TOKEN_BYTES } from './messages.ts'
import { isReached, sendMessages } from './state.ts'
import type { SwarmState } from './state.ts'

/** `turn`: the period's own; `silent`: out of turn, because nobody has heard it for long; `confirm`: others suspect it. */
export type ProbePurpose = 'turn' | 'silent' | 'confirm'
export type TcpOutcome = 'connected' | 'refused' | 'failed'

const DIRECT_TRIES = 3
const TRY_BYTE = PING_TOKEN_BYTES - 1
/** Added to the number of the try: only a token that ends in 0 is answered with ages of evidence. */
const OUT_OF_TURN = 4
const SMALL = 64

export interface Prober {
  /** Begins the period's probe, and probes of those who are silent. */
  period(silent: readonly Member[]): void
  /** Others suspect it. */
  confirm(member: Member): void
  isProbed(member: Member): boolean
  /** A packet of its own came. */
  heard(member: Member): void
  /** An echo of a ping; whether it was one of a probe of ours. */
  pong(member: Member, token: Uint8Array): boolean
  pingReq(token: Uint8Array, nodeId: NodeId, requester: Address): void
  relayedAck(token: Uint8Array): void
  nack(sender: NodeId, token: Uint8Array): void
  tcpProbed(nodeId: NodeId, outcome: TcpOutcome): void
  /** Nothing that is under way counts. */
  void(): void
  /** This node stood still: what is under way gets the time back, once. */
  extend(byMs: number): void
  tick(): void
  deadline(): number
}

interface Probe {
  readonly member: Member
  readonly purpose: ProbePurpose
  readonly token: Uint8Array
  readonly startedMs: number
  readonly rtoMs: number
  readonly sentMs: number[]
  readonly nacks: Set<NodeId>
  helpers: number
  indirect: boolean
  indirectMs: number
  tcp: TcpOutcome | undefined
  verdictMs: number
  extended: boolean
}

interface Relay {
  readonly target: NodeId
  readonly requester: Address
  readonly requesterToken: Uint8Array
  readonly token: Uint8Array
  retryMs: number
  nackMs: number
  readonly endMs: number
}

export interface ProbeListener {
  /** It failed; `listening` when its host accepts connections. */
  failed(member: Member, listening: boolean): void
  /** A helper has had an answer. */
  heardThrough(member: Member): void
}

export function createProber(state: SwarmState, listener: ProbeListener): Prober {
  const { options, ports, membership, counters, health } = state
  const { timings, limits } = options
  const probeById = new Map<NodeId, Probe>()
  const relayByToken = new Map<string, Relay>()
  /** Who was probed once before its turn because it is known through others only. */
  const introduced = new WeakSet<Member>()
  /** To be probed first in the next period: the host answers, the agent does not. */
  let again: Member[] = []

  const rtoOf = (member: Member): number => member.trip.timeoutMs(timings.rtoMinMs, timings.rtoMaxMs)
  const isListed = (member: Member): boolean => membership.get(member.nodeId) === member
  const canStart = (member: Member): boolean => isListed(member) && member.status === 'alive' && !probeById.has(member.nodeId)

  function start(member: Member, purpose: ProbePurpose): void {
    if (probeById.has(member.nodeId) || probeById.size >= limits.probesMax) return
    counters.probes += 1
    introduced.add(member)
    const rtoMs = rtoOf(member)
    const verdictMs = purpose === 'confirm' ? Math.max(4 * rtoMs, timings.periodMs / 2) : timings.periodMs
    const probe: Probe = {
      member,
      purpose,
      token: ports.random.bytes(PING_TOKEN_BYTES),
      startedMs: state.nowMs,
      rtoMs,
      sentMs: [],
      nacks: new Set(),
      helpers: 0,
      indirect: false,
      indirectMs: state.nowMs + Math.min(DIRECT_TRIES * rtoMs, timings.periodMs / 2),
      tcp: undefined,
      verdictMs: state.nowMs + verdictMs * (purpose === 'turn' ? health.score() + 1 : 1),
      extended: false,
    }
    probeById.set(member.nodeId, probe)
    ping(probe)
  }

  function ping(probe: Probe): void {
    const token = Uint8Array.from(probe.token)
    // In a large swarm ages take half a packet: a period's own probe has them, and is answered with them.
    const isFull = probe.purpose === 'turn' || membership.size() <= SMALL
    const isFirst = probe.sentMs.length === 0 && isFull
    token[TRY_BYTE] = probe.sentMs.length + (isFull ? 0 : OUT_OF_TURN)
    probe.sentMs.push(state.nowMs)
    probe.member.pingsUnanswered += 1
    sendMessages(state, probe.member.address, [encodeToken('ping', token)], { gossip: isFirst, evidence: isFirst, unasked: true })
  }

  const nextTryMs = (probe: Probe): number => {
    const at = probe.startedMs + probe.sentMs.length * probe.rtoMs
    return probe.sentMs.length < DIRECT_TRIES && at < probe.indirectMs ? at : Infinity
  }

  function askOthers(probe: Probe): void {
    probe.indirect = true
    const { member } = probe
    if (probe.purpose !== 'confirm') {
      const helpers = membership.sample(timings.helpers, other => other !== member && other.status === 'alive' && isReached(state, other))
      probe.helpers = helpers.length
      const request = encodePingReq(probe.token, member.nodeId, ports.codec)
      for (const helper of helpers) sendMessages(state, helper.address, [request], { gossip: false })
    }
    if (isReached(state, member)) state.effects.push({ type: 'probe-tcp', nodeId: member.nodeId, address: member.address })
  }

  function succeed(probe: Probe): void {
    counters.probesAnswered += 1
    probeById.delete(probe.member.nodeId)
    probe.member.reprieved = false
    if (probe.purpose === 'turn') health.better()
  }

  function judge(probe: Probe): void {
    const { member } = probe
    probeById.delete(member.nodeId)
    if (!isListed(member)) return
    // Others have heard it meanwhile.
    if (isHeardSince(membership, member, probe.startedMs)) return
    counters.probeFailures += 1
    if (isDeafSince(state, probe.startedMs)) {
      counters.probesVoided += 1
      health.worse()
      return
    }
    if (probe.purpose === 'turn') health.worse(probe.helpers === 0 ? 1 : probe.helpers - probe.nacks.size)
    const listening = probe.tcp === 'connected'
    if (listening && !member.reprieved && member.suspicion === undefined) {
      member.reprieved = true
      again.push(member)
    } else listener.failed(member, listening)
  }

  /** Refused connections and a helper without an answer leave nothing to wait for. */
  const isClear = (probe: Probe): boolean =>
    probe.tcp === 'refused' && (probe.purpose === 'confirm' || probe.nacks.size > 0) && state.nowMs >= probe.indirectMs + 2 * probe.rtoMs

  const matches = (probe: Probe, token: Uint8Array): boolean => {
    for (let i = 0; i < TRY_BYTE; i++) if (probe.token[i] !== token[i]) return false
    return true
  }
  const findByToken = (token: Uint8Array): Probe | undefined => {
    for (const probe of probeById.values()) if (matches(probe, token)) return probe
    return undefined
  }

  function dueOf(probe: Probe): number {
    if (!probe.indirect) return Math.min(nextTryMs(probe), probe.indirectMs, probe.verdictMs)
    const clearMs = probe.tcp === 'refused' ? probe.indirectMs + 2 * probe.rtoMs : Infinity
    return Math.min(probe.verdictMs, clearMs > state.nowMs || isClear(probe) ? clearMs : Infinity)
  }

  return {
    period(silent) {
      let isTurnUnderWay = false
      for (const probe of probeById.values()) {
        if (probe.purpose !== 'turn') continue
        // Who hears nobody may still be heard: it goes on speaking to one after the other, however little it trusts its own view.
        if (isDeafSince(state, probe.startedMs)) judge(probe)
        else isTurnUnderWay = true
      }
      // Before that is an isolation: perhaps nobody was asked who is there.
      if (state.answeredMs < state.nowMs - 1.5 * timings.periodMs && membership.size() > 2) {
        for (const { address } of membership.sample(timings.helpers, () => true)) {
          sendMessages(state, address, [encodeToken('ping', ports.random.bytes(PING_TOKEN_BYTES))], { gossip: false, unasked: true })
        }
      }
      if (!isTurnUnderWay) {
        const doubtful = again.find(canStart)
        again = again.filter(member => member !== doubtful && isListed(member))
        const [stranger] = membership.sample(1, member => !isAdmitted(member) && !introduced.has(member) && canStart(member))
        const next = doubtful ?? stranger ?? membership.nextInTurn(canStart)
        if (next !== undefined) start(next, 'turn')
      }
      for (const member of silent) if (canStart(member)) start(member, 'silent')
    },
    confirm: member => start(member, 'confirm'),
    isProbed: member => probeById.has(member.nodeId),
    heard(member) {
      const probe = probeById.get(member.nodeId)
      if (probe !== undefined) succeed(probe)
    },
    pong(member, token) {
      const probe = probeById.get(member.nodeId)
      if (probe !== undefined && matches(probe, token)) {
        const sentMs = probe.sentMs[token[TRY_BYTE]! % OUT_OF_TURN]
        if (sentMs === undefined) return false
        member.trip.sample(state.nowMs - sentMs)
        return true
      }
      const relay = relayByToken.get(toHex(token))
      if (relay === undefined || relay.target !== member.nodeId) return false
      relayByToken.delete(toHex(token))
      sendMessages(state, relay.requester, [encodeToken('relayed-ack', relay.requesterToken)], { gossip: false })
      return true
    },
    pingReq(requesterToken, nodeId, requester) {
      const target = membership.get(nodeId)
      if (target === undefined || relayByToken.size >= limits.relaysMax) {
        sendMessages(state, requester, [encodeToken('nack', requesterToken)], { gossip: false })
        return
      }
      const token = ports.random.bytes(PING_TOKEN_BYTES)
      const rtoMs = Math.min(rtoOf(target), timings.periodMs / 6)
      const { nowMs } = state
      relayByToken.set(toHex(token), {
        target: nodeId,
        requester,
        requesterToken,
        token,
        retryMs: nowMs + rtoMs,
        nackMs: nowMs + 2 * rtoMs,
        endMs: nowMs + timings.periodMs,
      })
      sendMessages(state, target.address, [encodeToken('ping', token)], { gossip: false, unasked: true })
    },
    relayedAck(token) {
      const probe = findByToken(token)
      if (probe === undefined) return
      succeed(probe)
      if (isListed(probe.member)) listener.heardThrough(probe.member)
    },
    nack(sender, token) {
      findByToken(token)?.nacks.add(sender)
    },
    tcpProbed(nodeId, outcome) {
      const probe = probeById.get(nodeId)
      if (probe !== undefined && probe.indirect) probe.tcp = outcome
    },
    void() {
      probeById.clear()
    },
    extend(byMs) {
      for (const probe of probeById.values()) {
        if (probe.extended) continue
        probe.extended = true
        probe.indirectMs += byMs
        probe.verdictMs += byMs + probe.rtoMs
      }
    },
    tick() {
      for (const probe of probeById.values()) {
        if (isClear(probe) || probe.verdictMs <= state.nowMs) judge(probe)
        else if (!probe.indirect && probe.indirectMs <= state.nowMs) askOthers(probe)
        else if (!probe.indirect && nextTryMs(probe) <= state.nowMs) ping(probe)
      }
      for (const [key, relay] of relayByToken) {
        const target = membership.get(relay.target)
        if (relay.endMs <= state.nowMs) relayByToken.delete(key)
        else if (relay.nackMs <= state.nowMs) {
          relay.nackMs = Infinity
          sendMessages(state, relay.requester, [encodeToken('nack', relay.requesterToken)], { gossip: false })
        } else if (relay.retryMs <= state.nowMs) {
          relay.retryMs = Infinity
          if (target !== undefined)
            sendMessages(state, target.address, [encodeToken('ping', relay.token)], { gossip: false, unasked: true })
        }
      }
    },
    deadline() {
      let earliestMs = Infinity
      for (const probe of probeById.values()) earliestMs = Math.min(earliestMs, dueOf(probe))
      for (const { retryMs, nackMs, endMs } of relayByToken.values()) earliestMs = Math.min(earliestMs, retryMs, nackMs, endMs)
      return earliestMs
    },
  }
}

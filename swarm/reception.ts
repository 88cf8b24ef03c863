/** What a packet does to this node: who it is from, what it says, and what is answered. */
import type { Address } from './address.ts'
import type { Beacon } from './beacon.ts'
import type { Claims } from './claims.ts'
import { compareDigests, wantDigests } from './comparison.ts'
import { countPacket } from './counters.ts'
import type { DigestNews } from './digest-news.ts'
import type { DoubleReport } from './double-report.ts'
import type { UpdateReason } from './events.ts'
import { isHeardSince } from './evidence-rule.ts'
import { applyEvidence } from './evidence-vector.ts'
import type { Hearsay } from './hearsay.ts'
import type { Isolation } from './isolation.ts'
import { createMember, describeMember, isAdmitted, noteKeys, observeAddress } from './member.ts'
import type { Member } from './member.ts'
import type { MemberExchange } from './member-exchange.ts'
import { keyOf } from './member-key.ts'
import type { Tombstone } from './membership.ts'
import { listMessage } from './message-fields.ts'
import { KIND } from './messages.ts'
import type { Core, Heartbeat, SwarmMessage } from './messages.ts'
import { answerNewcomer, echoesCookie, answerPing, giveBackCookie, keepChallenge, mayAnswer } from './newcomer.ts'
import { encodeMember } from './outbound.ts'
import type { PacketHeader } from './packet.ts'
import type { Prober } from './probe.ts'
import { createReplayWindow } from './replay-window.ts'
import { introduceTo, reject, sendIntroduction, sendMessages, tellUpdated, viewOf } from './state.ts'
import type { SwarmState } from './state.ts'
import { judgeTrust } from './trust.ts'

/** A proven address is kept for this many periods after its last packet. */
const ADDRESS_HOLD_PERIODS = 3

export interface Reception {
  /** `onGroupSocket`: it came in on the multicast group's socket. */
  packet(bytes: Uint8Array, from: Address, onGroupSocket: boolean): void
  /** The seeds are new: members may stand among them. */
  nameSeeds(): void
}

export interface ReceptionParts {
  readonly claims: Claims
  readonly prober: Prober
  readonly beacon: Beacon
  readonly isolation: Isolation
  readonly hearsay: Hearsay
  readonly memberExchange: MemberExchange
  readonly digestNews: DigestNews
}

interface Arrival {
  readonly header: PacketHeader
  readonly from: Address
  readonly unicast: boolean
  readonly bytes: number
}

export function createReception(state: SwarmState, parts: ReceptionParts, double: DoubleReport): Reception {
  const { options, ports, own, membership, seeds, exchanges } = state
  const { claims, prober, beacon, isolation, hearsay, memberExchange, digestNews } = parts
  const { timings, limits } = options

  function apply(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const { header, from, unicast } = arrival
    const known = membership.get(header.nodeId)
    const current = known?.bootId === header.bootId ? known : undefined
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    const said = heartbeat ?? messages.find(message => message.kind === 'core')
    const isFresh = meet(arrival, heartbeat, messages)
    if (!unicast) beacon.heard(current !== undefined)
    if (messages.some(message => message.kind === 'leave')) {
      if (current === undefined) return reject(state, 'unknown-sender', from)
      current.window.mark(header.counter)
      return claims.leave(current)
    }
    const tombstone = current === undefined ? membership.tombstone(header.nodeId) : undefined
    const buried = tombstone?.bootId === header.bootId ? tombstone : undefined
    const counts = isFresh || (current !== undefined && isAdmitted(current))
    if (counts) isolation.heard(messages)
    if (buried?.claimedMs !== undefined && (said?.incarnation ?? 0) <= buried.incarnation) {
      return tellDead(buried, arrival, isFresh ? messages : [])
    }
    if (!counts) return answerUncounted(arrival, current, heartbeat, messages)
    const member = current ?? comeBack(buried, said) ?? (heartbeat && admit(arrival, heartbeat))
    if (member === undefined) {
      // Well formed, but from somebody who has not introduced himself: asked to.
      if (heartbeat === undefined) greetUnknown(arrival, messages)
      return
    }

    const isNew = current === undefined
    const isFirst = !isAdmitted(member)
    // What was sent before its sender was known to be there may be a recording.
    if (isFirst) member.window = createReplayWindow(header.counter)
    const trustBefore = judgeTrust(options, member)
    const changes = new Set<UpdateReason>(isNew && buried === undefined ? ['restarted'] : [])
    if (observe(member, arrival, heartbeat)) changes.add('address')
    const keys = messages.find(message => message.kind === 'keys')
    noteKeys(member, header.keyId, keys?.keyIds, header.counter)
    if (said !== undefined && applyCore(member, said, heartbeat, arrival)) changes.add('described')
    for (const message of messages) applyMessage(member, message, arrival)
    // After its pong, which says how long the way was.
    prober.heard(member)
    answer(member, arrival, heartbeat, messages)
    giveBackCookie(state, isFirst)
    if (trustBefore !== judgeTrust(options, member)) changes.add('trust')
    // Claims in the packet may have ended it.
    if (membership.get(member.nodeId) !== member) return
    report(member, isNew && known === undefined && buried === undefined, changes)
    if (exchanges.want(member, state.nowMs)) compareDigests(state, member)
    if (isFirst) exchanges.admitted(member, state.nowMs)
    memberExchange.heard(member)
  }

  /** What an authentic packet allows to be answered, and what it wants back; whether its sender is there now. */
  function meet(
    { from, unicast, bytes, ...arrival }: Arrival,
    heartbeat: Heartbeat | undefined,
    messages: readonly SwarmMessage[],
  ): boolean {
    if (unicast) {
      state.proofs.received(from, bytes, state.nowMs)
      keepChallenge(state, from, messages)
      return echoesCookie(state, from, messages)
    }
    if (heartbeat !== undefined) state.proofs.received(addressOf({ from, unicast, bytes, ...arrival }, heartbeat), bytes, state.nowMs)
    return false
  }

  /** From a boot that has not shown that it is there: nothing of it counts until it has. */
  function answerUncounted(
    arrival: Arrival,
    listed: Member | undefined,
    heartbeat: Heartbeat | undefined,
    messages: readonly SwarmMessage[],
  ): void {
    const { header, from, unicast } = arrival
    if (listed === undefined && unicast) seeds.spoke(from, state.nowMs)
    if (listed === undefined && heartbeat === undefined) greetUnknown(arrival, messages)
    else if (!unicast) {
      // What came through the group was heard by others as well: a few answer, and pass it on.
      const isOurs = listed === undefined && heartbeat !== undefined && beacon.isAnswerer(keyOf(header.nodeId), header.counter)
      if (isOurs) answerNewcomer(state, addressOf(arrival, heartbeat), [])
    } else if (listed === undefined) answerNewcomer(state, from, answerPing(state, messages))
    else if (mayAnswer(state, from)) {
      const introduction = heartbeat?.answerMe === true ? { named: seeds.has(from), answerMe: false } : undefined
      sendMessages(state, from, answerPing(state, messages), { ...(introduction && { introduction }), evidence: true, challenge: true })
    }
  }

  function greetUnknown({ from, unicast }: Arrival, messages: readonly SwarmMessage[]): void {
    reject(state, 'unknown-sender', from)
    if (unicast) answerNewcomer(state, from, answerPing(state, messages))
  }

  /** Somebody whom we had dropped, with an incarnation that is news. */
  function comeBack(buried: Tombstone | undefined, said: Core | undefined): Member | undefined {
    if (buried === undefined || buried.left || said === undefined) return undefined
    if (!claims.revive(buried, said.incarnation, state.nowMs)) return undefined
    memberExchange.doubt(buried.member)
    return buried.member
  }

  function admit(arrival: Arrival, heartbeat: Heartbeat): Member | undefined {
    const member = createMember(arrival.header, heartbeat, addressOf(arrival, heartbeat))
    const isRestarted = membership.get(member.nodeId) !== undefined
    if (!membership.add(member, state.nowMs)) {
      reject(state, 'members-full', arrival.from)
      return undefined
    }
    exchanges.forget(member.nodeId)
    if (isRestarted) seeds.lost(member.nodeId, state.nowMs)
    claims.announce(member)
    return member
  }

  /** `said`: what it said, when it has shown that it is there. */
  function tellDead(buried: Tombstone, arrival: Arrival, said: readonly SwarmMessage[]): void {
    buried.window.mark(arrival.header.counter)
    // The two halves of a partition hold one another dead: what it says of us is true news, or nobody would ever refute.
    for (const message of said) {
      if (message.kind !== 'claims') continue
      for (const claim of message.claims) if (claim.nodeId === options.nodeId) claims.apply(claim, arrival.from)
    }
    reject(state, 'dead', arrival.from)
    const to = arrival.unicast ? arrival.from : buried.address
    if (arrival.unicast || beacon.isAnswerer(buried.member.key, arrival.header.counter)) claims.tellDead(buried, to)
  }

  function answer(member: Member, { from, unicast }: Arrival, heartbeat: Heartbeat | undefined, messages: readonly SwarmMessage[]): void {
    if (!unicast) return
    const pong = answerPing(state, messages)
    // To where it spoke from: that address works, whatever is believed of it.
    if (heartbeat?.answerMe === true && state.answers.take(state.nowMs)) introduceTo(state, member, pong, from)
    else if (pong.length > 0) {
      const token = messages.find(message => message.kind === 'ping')?.token
      // The first ping of a probe is answered with all there is to say, repeated ones with the echo.
      sendMessages(state, from, pong, { evidence: (token?.at(-1) ?? 0) === 0 })
    }
  }

  /** Any packet of a member is evidence of its life, and of where it is. True when its address changed. */
  function observe(member: Member, arrival: Arrival, heartbeat: Heartbeat | undefined): boolean {
    member.window.mark(arrival.header.counter)
    member.directMs = state.nowMs
    membership.hear(member, state.nowMs)
    if (isHeardSince(membership, member, member.suspicion?.startedMs ?? Infinity)) claims.clear(member)
    const address = addressOf(arrival, heartbeat ?? { gossipPort: member.address.port })
    const moved = observeAddress(member, address, arrival.unicast, state.nowMs, ADDRESS_HOLD_PERIODS * timings.periodMs)
    if (seeds.answered(member.nodeId, member.address)) member.namedByUs = true
    return moved
  }

  function applyCore(member: Member, said: Core, heartbeat: Heartbeat | undefined, { header, from, unicast }: Arrival): boolean {
    if (heartbeat?.named === true && unicast) member.namesUs = true
    const isRaised = said.incarnation > member.incarnation
    if (isRaised) member.incarnation = said.incarnation
    const aheadBy = said.logicalClock - own.logicalClock
    // Far ahead is no clock that anybody reached by counting: to follow it would use up the numbers of the whole swarm.
    const isAbsurd = aheadBy > limits.logicalClockAheadMax || said.logicalClock > limits.logicalClockMax
    if (isAbsurd) reject(state, 'clock-ahead', from)
    else if (aheadBy > 0) {
      own.logicalClock = said.logicalClock
      state.effects.push({ type: 'observe-clock', logicalClock: own.logicalClock })
    }
    const isDescribed = describeMember(member, said, heartbeat, header.counter, ports.wallMs())
    if (isDescribed && isRaised) claims.announce(member)
    return isDescribed
  }

  /** What needs no answer along with the pong. */
  function applyMessage(member: Member, message: SwarmMessage, { header, from, unicast }: Arrival): void {
    switch (message.kind) {
      case 'heartbeat':
      case 'core':
      case 'leave':
      case 'ping':
      case 'challenge':
      case 'echo':
      case 'keys':
        return
      case 'pong':
        member.answeredMs = state.nowMs
        member.pingsUnanswered = 0
        if (message.wallMs !== undefined) member.clockSkewMs = message.wallMs - ports.wallMs()
        if (prober.pong(member, message.token) || member.trip.echoed(message.token, state.nowMs)) return
        if (seeds.answered(member.nodeId, message.token)) member.namedByUs = true
        return
      case 'ping-req':
        if (unicast) prober.pingReq(message.token, message.nodeId, from)
        return
      case 'relayed-ack':
        prober.relayedAck(message.token)
        return
      case 'nack':
        prober.nack(member.nodeId, message.token)
        return
      case 'claims':
        for (const claim of message.claims) claims.apply(claim, from)
        return
      case 'records':
        for (const record of message.records) {
          const contradiction = hearsay.apply(record, true)
          if (contradiction !== undefined) claims.tellDead(contradiction, from)
        }
        return
      case 'evidence': {
        const compared = (low: number, until: number, same: boolean): void => memberExchange.compared(member, low, until, same)
        if (!applyEvidence(message, membership.table, state.nowMs, compared)) reject(state, 'malformed', from)
        return
      }
      case 'members-request':
        if (unicast && mayServe(from)) memberExchange.serve(message, from)
        return
      case 'members-page':
        memberExchange.take(member, message)
        return
      case 'digest-updates':
        for (const update of message.updates) digestNews.apply(update)
        return
      case 'digest-request':
        if (unicast && mayServe(from)) exchanges.serve(message, from, state.nowMs)
        return
      case 'digest-page': {
        const outcome = exchanges.take(member, message, header.counter, state.nowMs)
        if (outcome === 'complete') {
          compareDigests(state, member)
          // There is room for the next one.
          wantDigests(state)
        } else if (outcome !== 'taken') reject(state, outcome, from)
        return
      }
    }
  }

  /** Pages go to proven addresses; another one is asked for an echo, and asks again. */
  function mayServe(to: Address): boolean {
    if (state.proofs.isProven(to, state.nowMs)) return true
    sendMessages(state, to, [], { challenge: true })
    return false
  }

  function report(member: Member, joined: boolean, changes: Set<UpdateReason>): void {
    if (joined) {
      state.effects.push({ type: 'member-joined', view: viewOf(state, member) })
      return
    }
    // A restart says it all.
    const told: UpdateReason[] = changes.has('restarted') ? ['restarted'] : [...changes]
    for (const reason of told) tellUpdated(state, member, reason)
    // Whoever waits for the permission to sync needs the difference again.
    if (changes.has('trust')) compareDigests(state, member)
  }

  /** The sender runs an older boot of a node that is listed in a newer one: a double, which should know. */
  function meetStale(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const { header, from } = arrival
    reject(state, 'stale-boot', from)
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    meet(arrival, heartbeat, messages)
    const newer = membership.get(header.nodeId)
    const record = newer && encodeMember(newer, from, state.nowMs - membership.evidenceMs(newer), ports.codec)
    if (record === undefined || heartbeat === undefined || !mayAnswer(state, from)) return
    sendIntroduction(state, from, { answerMe: false }, [listMessage(KIND.records, [record])])
  }

  /** Somebody with our node id; when it has shown that it is there and no recording, it is reported. */
  function meetDouble(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    if (meet(arrival, heartbeat, messages)) double.report(arrival.header.bootId, arrival.from)
    if (!double.isReported() && heartbeat !== undefined) answerNewcomer(state, addressOf(arrival, heartbeat), answerPing(state, messages))
    // It wants to be sure too; nothing is asked of it, or the two would ask for ever.
    else if (state.echo !== undefined && mayAnswer(state, arrival.from)) giveBackCookie(state, false)
  }

  return {
    packet(bytes, from, onGroupSocket) {
      state.echo = undefined
      const opened = state.inbound.open(bytes, from, state.nowMs)
      const arrivalOf = (header: PacketHeader): Arrival => {
        return { header, from, unicast: !onGroupSocket && !header.multicast, bytes: bytes.length }
      }
      switch (opened.verdict) {
        case 'own':
          return
        case 'double':
          return meetDouble(arrivalOf(opened.header), opened.messages)
        case 'stale':
          return meetStale(arrivalOf(opened.header), opened.messages)
        case 'rejected':
          return reject(state, opened.reason, from)
        case 'accepted': {
          const arrival = arrivalOf(opened.header)
          const kind = arrival.unicast ? (opened.messages[0]?.kind ?? 'unknown') : 'multicast'
          countPacket(state.counters.receivedByKind, kind, bytes.length)
          if (opened.unknown > 0) reject(state, 'unknown-message', from)
          return apply(arrival, opened.messages)
        }
      }
    },
    nameSeeds() {
      for (const member of membership.all()) {
        // Where others say that somebody is gives no trust.
        if (member.namedByUs || !isAdmitted(member) || !seeds.answered(member.nodeId, member.address)) continue
        const before = judgeTrust(options, member)
        member.namedByUs = true
        report(member, false, new Set(before === judgeTrust(options, member) ? [] : ['trust']))
      }
    },
  }
}

/** A unicast packet comes from its sender's socket; a beacon from some socket of the sender's host, and it says the port. */
function addressOf(arrival: Arrival, claimed: { readonly gossipPort: number }): Address {
  return arrival.unicast ? arrival.from : { host: arrival.from.host, port: claimed.gossipPort }
}

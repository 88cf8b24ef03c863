/** What a packet does to this node: who it is from, what it says, and what is answered. */
import { isUnicast } from './address.ts'
import type { Address } from './address.ts'
import type { Beacon } from './beacon.ts'
import type { Claims } from './claims.ts'
import { compareDigests, wantDigests } from './comparison.ts'
import { countPacket } from './counters.ts'
import type { DigestNews } from './digest-news.ts'
import type { UpdateReason } from './events.ts'
import { isHeardSince } from './evidence-rule.ts'
import { applyEvidence } from './evidence-vector.ts'
import type { Hearsay } from './hearsay.ts'
import type { BootId } from './identity.ts'
import type { Isolation } from './isolation.ts'
import { createMember, describeMember, observeAddress } from './member.ts'
import type { Member } from './member.ts'
import type { MemberExchange } from './member-exchange.ts'
import type { MembersRequest } from './member-messages.ts'
import type { Tombstone } from './membership.ts'
import { listMessage } from './message-fields.ts'
import { encodeToken, KIND, PING_TOKEN_BYTES } from './messages.ts'
import type { Core, Heartbeat, SwarmMessage } from './messages.ts'
import { encodeMember } from './outbound.ts'
import type { PacketHeader } from './packet.ts'
import type { Prober } from './probe.ts'
import { greetStranger, introduceTo, isProven, reject, sendIntroduction, sendMessages, tellUpdated, viewOf } from './state.ts'
import type { SwarmState } from './state.ts'
import { judgeTrust } from './trust.ts'

/** Reports of a double of this node are at least this far apart. */
const DOUBLE_REPORT_MS = 60_000
const DOUBLE_GREET_MS = 5_000
/** A proven address is kept for this many periods after its last packet. */
const ADDRESS_HOLD_PERIODS = 3
/** To an address that has not proven itself goes at most this many times what came from it. */
const AMPLIFICATION_MAX = 3

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

/** Our node id in another boot than ours was heard of: at most once a minute it is said. */
export function createDoubleReport(state: SwarmState): (bootId: BootId, from: Address) => void {
  let reportedMs = -Infinity
  let greetedMs = -Infinity
  return (bootId, from) => {
    if (state.nowMs - greetedMs >= DOUBLE_GREET_MS && isUnicast(from.host)) {
      greetedMs = state.nowMs
      // It should hear of us too.
      greetStranger(state, from)
    }
    if (state.nowMs - reportedMs < DOUBLE_REPORT_MS) return
    reportedMs = state.nowMs
    state.effects.push({ type: 'duplicate-identity', nodeId: state.options.nodeId, bootId, from })
  }
}

export function createReception(
  state: SwarmState,
  parts: ReceptionParts,
  reportDouble: (bootId: BootId, from: Address) => void,
): Reception {
  const { options, ports, own, membership, seeds, exchanges } = state
  const { claims, prober, beacon, isolation, hearsay, memberExchange, digestNews } = parts
  const { timings, limits } = options

  function apply(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const { header, from, unicast } = arrival
    const known = membership.get(header.nodeId)
    const current = known?.bootId === header.bootId ? known : undefined
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    const said = heartbeat ?? messages.find(message => message.kind === 'core')
    if (!unicast) beacon.heard(current !== undefined)
    if (messages.some(message => message.kind === 'leave')) {
      if (current === undefined) return reject(state, 'unknown-sender', from)
      current.window.mark(header.counter)
      return claims.leave(current)
    }
    const tombstone = current === undefined ? membership.tombstone(header.nodeId) : undefined
    const buried = tombstone?.bootId === header.bootId ? tombstone : undefined
    if (buried?.claimedMs !== undefined && (said?.incarnation ?? 0) <= buried.incarnation) return tellDead(buried, arrival, messages)
    const member = current ?? comeBack(buried, said) ?? (heartbeat && admit(arrival, heartbeat))
    if (member === undefined) return greetUnknown(arrival, messages)

    const isNew = current === undefined
    const trustBefore = judgeTrust(options, member)
    const changes = new Set<UpdateReason>(isNew ? ['restarted'] : [])
    if (observe(member, arrival, heartbeat)) changes.add('address')
    if (said !== undefined && applyCore(member, said, heartbeat, arrival)) changes.add('described')
    for (const message of messages) applyMessage(member, message, arrival)
    // After its pong, which says how long the way was.
    prober.heard(member)
    const ping = unicast ? messages.find(isPing) : undefined
    answer(member, arrival, heartbeat, isNew, ping?.token)
    if (trustBefore !== judgeTrust(options, member)) changes.add('trust')
    // Claims in the packet may have ended it.
    if (membership.get(member.nodeId) !== member) return
    report(member, isNew && known === undefined && buried === undefined, changes)
    if (exchanges.want(member, state.nowMs)) compareDigests(state, member)
    memberExchange.heard(member)
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
    // What came through the group was heard by others as well: a few pass it on.
    if (arrival.unicast || beacon.isAnswerer(member.key, arrival.header.counter)) claims.announce(member)
    return member
  }

  /** Well formed, but from somebody who has not introduced himself: asked to. */
  function greetUnknown(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const { from, unicast } = arrival
    if (messages.some(message => message.kind === 'heartbeat')) return
    reject(state, 'unknown-sender', from)
    if (unicast && state.answers.take(state.nowMs)) greetStranger(state, from)
  }

  function tellDead(buried: Tombstone, arrival: Arrival, messages: readonly SwarmMessage[]): void {
    buried.window.mark(arrival.header.counter)
    // The two halves of a partition hold one another dead: what it says of us is true news, or nobody would ever refute.
    for (const message of messages) {
      if (message.kind !== 'claims') continue
      for (const claim of message.claims) if (claim.nodeId === options.nodeId) claims.apply(claim, arrival.from)
    }
    reject(state, 'dead', arrival.from)
    const to = arrival.unicast ? arrival.from : buried.address
    if (arrival.unicast || beacon.isAnswerer(buried.member.key, arrival.header.counter)) claims.tellDead(buried, to)
  }

  function answer(
    member: Member,
    arrival: Arrival,
    heartbeat: Heartbeat | undefined,
    isNew: boolean,
    pingToken: Uint8Array | undefined,
  ): void {
    const { header, from, unicast } = arrival
    const echoes = pingToken === undefined ? [] : [encodeToken('pong', pingToken)]
    const wantsAnswer = unicast ? heartbeat?.answerMe === true : isNew && beacon.isAnswerer(member.key, header.counter)
    if (wantsAnswer && state.answers.take(state.nowMs)) {
      // To where it spoke from: that address works, whatever is believed of it. Only a beacon's source is not its sender's socket.
      introduceTo(state, member, echoes, unicast ? from : member.address)
    } else if (pingToken !== undefined) {
      // The first ping of a probe is answered with all there is to say, repeated ones with the echo.
      sendMessages(state, from, echoes, { evidence: (pingToken.at(-1) ?? 0) === 0 })
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
  function applyMessage(member: Member, message: SwarmMessage, { header, from, unicast, bytes }: Arrival): void {
    switch (message.kind) {
      case 'heartbeat':
      case 'core':
      case 'leave':
      case 'ping':
        return
      case 'pong':
        if (prober.pong(member, message.token) || member.trip.echoed(message.token, state.nowMs)) member.echoedFrom = from
        else if (seeds.answered(member.nodeId, message.token)) {
          member.namedByUs = true
          member.echoedFrom = from
        }
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
        if (unicast) servePage(member, message, from, bytes)
        return
      case 'members-page':
        memberExchange.take(member, message)
        return
      case 'digest-updates':
        for (const update of message.updates) digestNews.apply(update)
        return
      case 'digest-request':
        exchanges.serve(message, from, state.nowMs)
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

  /** Whoever has not proven his address gets little, and a ping whose echo proves it. */
  function servePage(member: Member, request: MembersRequest, from: Address, bytes: number): void {
    if (isProven(member, from)) return memberExchange.serve(request, from, Infinity, [])
    const token = ports.random.bytes(PING_TOKEN_BYTES)
    member.trip.sent(token, state.nowMs)
    memberExchange.serve(request, from, AMPLIFICATION_MAX * bytes, [encodeToken('ping', token)])
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
  function tellOfNewerBoot(header: PacketHeader, to: Address): void {
    const newer = membership.get(header.nodeId)
    const record = newer && encodeMember(newer, to, state.nowMs - membership.evidenceMs(newer), ports.codec)
    if (record !== undefined && state.answers.take(state.nowMs)) {
      sendIntroduction(state, to, { answerMe: false }, [listMessage(KIND.records, [record])])
    }
  }

  return {
    packet(bytes, from, onGroupSocket) {
      const opened = state.inbound.open(bytes, from, state.nowMs)
      switch (opened.verdict) {
        case 'own':
          return
        case 'double':
          reportDouble(opened.header.bootId, from)
          return
        case 'rejected':
          reject(state, opened.reason, from)
          if (opened.reason === 'stale-boot' && opened.header !== undefined) tellOfNewerBoot(opened.header, from)
          return
        case 'accepted': {
          const unicast = !onGroupSocket && !opened.header.multicast
          const kind = unicast ? (opened.messages[0]?.kind ?? 'unknown') : 'multicast'
          countPacket(state.counters.receivedByKind, kind, bytes.length)
          if (opened.unknown > 0) reject(state, 'unknown-message', from)
          isolation.heard()
          apply({ header: opened.header, from, unicast, bytes: bytes.length }, opened.messages)
          return
        }
      }
    },
    nameSeeds() {
      for (const member of membership.all()) {
        if (member.namedByUs || !seeds.answered(member.nodeId, member.address)) continue
        const before = judgeTrust(options, member)
        member.namedByUs = true
        report(member, false, new Set(before === judgeTrust(options, member) ? [] : ['trust']))
      }
    },
  }
}

function isPing(message: SwarmMessage): message is SwarmMessage & { readonly kind: 'ping'; readonly token: Uint8Array } {
  return message.kind === 'ping'
}

/** A unicast packet comes from its sender's socket; a beacon from some socket of the sender's host, and it says the port. */
function addressOf(arrival: Arrival, claimed: { readonly gossipPort: number }): Address {
  return arrival.unicast ? arrival.from : { host: arrival.from.host, port: claimed.gossipPort }
}

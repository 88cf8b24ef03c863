/** What a packet does to this node: who it is from, what it says, and what is answered. */
import { isUnicast } from './address.ts'
import type { Address } from './address.ts'
import { compareDigests, wantDigests } from './comparison.ts'
import type { UpdateReason } from './events.ts'
import type { BootId } from './identity.ts'
import { createMember, describeMember, observeAddress, viewMember } from './member.ts'
import type { Member } from './member.ts'
import type { Heartbeat, Rumour, SwarmMessage } from './messages.ts'
import { answerNewcomer, echoesCookie, encodeEchoes, mayAnswer } from './newcomer.ts'
import type { PacketHeader } from './packet.ts'
import { dropMember, greetStranger, reject, sendGreeting, sendHeartbeat, sendMessages } from './state.ts'
import type { SwarmState } from './state.ts'
import { judgeTrust } from './trust.ts'

/** Reports of a double of this node are at least this far apart. */
const DOUBLE_REPORT_MS = 60_000
/** A proven address is kept for this many periods after its last packet. */
const ADDRESS_HOLD_PERIODS = 3

export interface Reception {
  /** `onGroupSocket`: it came in on the multicast group's socket. */
  packet(bytes: Uint8Array, from: Address, onGroupSocket: boolean): void
  /** The seeds are new: members may stand among them. */
  nameSeeds(): void
}

interface Arrival {
  readonly header: PacketHeader
  readonly from: Address
  readonly unicast: boolean
  /** Of the datagram. */
  readonly bytes: number
}

export function createReception(state: SwarmState): Reception {
  const { options, ports, own, membership, seeds, exchanges } = state
  const { timings, limits } = options
  let doubleReportedMs = -Infinity

  function apply(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const { header, from } = arrival
    const known = membership.get(header.nodeId)
    const current = known?.bootId === header.bootId ? known : undefined
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    const echoes = arrival.unicast ? encodeEchoes(state, messages) : []
    const isFresh = admit(arrival, heartbeat, messages)
    if (messages.some(message => message.kind === 'leave')) {
      if (current === undefined) return reject(state, 'unknown-sender', from)
      current.window.mark(header.counter)
      return dropMember(state, current, 'left')
    }
    if (current === undefined && heartbeat !== undefined && !isFresh) return answerNewcomer(state, addressOf(arrival, heartbeat), echoes)
    const member = current ?? (heartbeat && createMember(header, addressOf(arrival, heartbeat), state.nowMs))
    if (member === undefined) return reject(state, 'unknown-sender', from)
    if (current === undefined) {
      if (!membership.add(member)) return reject(state, 'members-full', from)
      exchanges.forget(member.nodeId)
      state.contacts.forget(member.nodeId)
    }

    const trustBefore = judgeTrust(options, member)
    const changes = new Set<UpdateReason>(current === undefined ? ['restarted'] : [])
    if (observe(member, arrival, heartbeat)) changes.add('address')
    if (heartbeat !== undefined && applyHeartbeat(member, heartbeat, arrival)) changes.add('described')
    // A packet that describes its sender also says which keys it holds, when it is more than one.
    if (heartbeat !== undefined) member.keyIds = messages.find(message => message.kind === 'keys')?.keyIds ?? [header.keyId]
    for (const message of messages) applyMessage(member, message, arrival)
    if (heartbeat !== undefined && (current === undefined || heartbeat.answerMe) && state.answers.take(state.nowMs)) {
      // To where it spoke from: that address works, whatever is believed of it. Only a beacon's source is not its sender's socket.
      const to = arrival.unicast ? from : member.address
      sendHeartbeat(state, member, { answerMe: false, rumours: true, before: echoes }, to)
    } else if (echoes.length > 0) {
      sendMessages(state, from, echoes)
    }
    if (trustBefore !== judgeTrust(options, member)) changes.add('trust')
    report(member, known === undefined, changes)
    if (exchanges.want(member, state.nowMs)) compareDigests(state, member)
  }

  /** What an authentic packet allows to be answered; whether its sender is there now. */
  function admit(arrival: Arrival, heartbeat: Heartbeat | undefined, messages: readonly SwarmMessage[]): boolean {
    const { from, unicast, bytes } = arrival
    if (unicast || heartbeat !== undefined) {
      state.proofs.received(heartbeat === undefined ? from : addressOf(arrival, heartbeat), bytes, state.nowMs)
    }
    return unicast && echoesCookie(state, from, messages)
  }

  /** Any packet of a member is evidence of its life, and of where it is. True when its address changed. */
  function observe(member: Member, arrival: Arrival, heartbeat: Heartbeat | undefined): boolean {
    member.window.mark(arrival.header.counter)
    member.evidenceMs = state.nowMs
    member.keyId = arrival.header.keyId
    if (!arrival.unicast) member.multicastMs = state.nowMs
    const address = addressOf(arrival, heartbeat ?? { gossipPort: member.address.port })
    const moved = observeAddress(member, address, arrival.unicast, state.nowMs, ADDRESS_HOLD_PERIODS * timings.periodMs)
    if (seeds.answered(member.nodeId, member.address)) member.namedByUs = true
    return moved
  }

  function applyHeartbeat(member: Member, heartbeat: Heartbeat, { header, from, unicast }: Arrival): boolean {
    if (header.counter > member.summaryBy) {
      member.summary = heartbeat.summary
      member.summaryBy = header.counter
    }
    if (heartbeat.named && unicast) member.namesUs = true
    const aheadBy = heartbeat.logicalClock - own.logicalClock
    // Far ahead is no clock that anybody reached by counting: to follow it would use up the numbers of the whole swarm.
    const isAbsurd = aheadBy > limits.logicalClockAheadMax || heartbeat.logicalClock > limits.logicalClockMax
    if (isAbsurd) reject(state, 'clock-ahead', from)
    else if (aheadBy > 0) {
      own.logicalClock = heartbeat.logicalClock
      state.effects.push({ type: 'observe-clock', logicalClock: own.logicalClock })
    }
    return describeMember(member, heartbeat, header.counter, ports.wallMs())
  }

  /** What needs no answer along with the heartbeat. */
  function applyMessage(member: Member, message: SwarmMessage, { header, from }: Arrival): void {
    switch (message.kind) {
      case 'heartbeat':
      case 'leave':
      case 'ping':
      case 'challenge':
      case 'echo':
      case 'keys':
        return
      case 'pong':
        if (!member.trip.echoed(message.token, state.nowMs) && seeds.answered(member.nodeId, message.token)) member.namedByUs = true
        return
      case 'rumours':
        for (const rumour of message.rumours) applyRumour(rumour, from)
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

  function applyRumour(rumour: Rumour, from: Address): void {
    if (rumour.ageMs >= timings.memberTimeoutMs) return
    const member = membership.get(rumour.nodeId)
    if (rumour.nodeId === options.nodeId) {
      if (rumour.bootId <= own.bootId) return
      reportDouble(rumour.bootId, from)
    } else if (member !== undefined && rumour.bootId === member.bootId) {
      if (rumour.heartbeatCounter <= member.heartbeatCounter) return
      member.heartbeatCounter = rumour.heartbeatCounter
      member.evidenceMs = Math.max(member.evidenceMs, state.nowMs - rumour.ageMs)
      return
    } else if (member === undefined ? !membership.isNews(rumour) : rumour.bootId < member.bootId) return
    // A stranger, a new boot of a member, or our double, who should hear of us too.
    if (!isUnicast(rumour.address.host) || !state.contacts.shouldGreet(rumour.nodeId, rumour.address, state.nowMs)) return
    greetStranger(state, rumour.address)
  }

  function report(member: Member, joined: boolean, changes: Set<UpdateReason>): void {
    const view = viewMember(member, options, state.nowMs)
    if (joined) {
      state.effects.push({ type: 'member-joined', view })
      return
    }
    // A restart says it all.
    const told: UpdateReason[] = changes.has('restarted') ? ['restarted'] : [...changes]
    for (const reason of told) state.effects.push({ type: 'member-updated', view, reason })
    // Whoever waits for the permission to sync needs the difference again.
    if (changes.has('trust')) compareDigests(state, member)
  }

  /** The sender runs an older boot of a node that is listed in a newer one: a double, which should know. */
  function meetStale(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const { header, from, unicast } = arrival
    reject(state, 'stale-boot', from)
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    admit(arrival, heartbeat, messages)
    if (heartbeat === undefined) return
    const newer = membership.get(header.nodeId)
    const rumour = newer && state.outbound.rumour(newer, from, state.nowMs)
    if (rumour === undefined || !mayAnswer(state, from)) return
    // With the echo, or it would not listen to us.
    sendGreeting(state, from, { answerMe: false, before: [...(unicast ? encodeEchoes(state, messages) : []), rumour] })
  }

  /** Somebody with our node id; when it has shown that it is there and no recording, it is reported. */
  function meetDouble(arrival: Arrival, messages: readonly SwarmMessage[]): void {
    const heartbeat = messages.find(message => message.kind === 'heartbeat')
    const echoes = arrival.unicast ? encodeEchoes(state, messages) : []
    if (admit(arrival, heartbeat, messages)) reportDouble(arrival.header.bootId, arrival.from)
    const isReported = state.nowMs - doubleReportedMs < DOUBLE_REPORT_MS
    if (!isReported && heartbeat !== undefined) answerNewcomer(state, addressOf(arrival, heartbeat), echoes)
    // It wants to be sure too; nothing is asked of it, or the two would ask for ever.
    else if (echoes.length > 0 && mayAnswer(state, arrival.from)) sendMessages(state, arrival.from, echoes)
  }

  function reportDouble(bootId: BootId, from: Address): void {
    if (state.nowMs - doubleReportedMs < DOUBLE_REPORT_MS) return
    doubleReportedMs = state.nowMs
    state.effects.push({ type: 'duplicate-identity', nodeId: options.nodeId, bootId, from })
  }

  return {
    packet(bytes, from, onGroupSocket) {
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
        case 'accepted':
          if (opened.unknown > 0) reject(state, 'unknown-message', from)
          return apply(arrivalOf(opened.header), opened.messages)
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

/** A unicast packet comes from its sender's socket; a beacon from some socket of the sender's host, and it says the port. */
function addressOf(arrival: Arrival, claimed: { readonly gossipPort: number }): Address {
  return arrival.unicast ? arrival.from : { host: arrival.from.host, port: claimed.gossipPort }
}

/**
 * What is said about members, by our own probes and by others: adopted, passed on, vetoed, refuted.
 *
 * Source: SWIM (claim-order.ts), section 4.2, the suspicion mechanism; Lifeguard (health.ts), sections IV-B and IV-C: the accused is told first.
 *
 * Departures, each from a failure seen in swarms that follow the papers to the letter:
 *   - Evidence. Any authentic packet of a member clears its suspicion here, and claims that are older than our evidence are vetoed: they are
 *     neither adopted nor passed on, and the accused is told, so that it refutes. (There only a greater incarnation clears a suspicion.)
 *   - Vouching. The accusers are told of that evidence too, by a claim of `alive` with its age, since a deaf node never hears what to refute.
 *   - Tell the dead. A packet from a member held dead is answered with that claim, and its refutation brings it back.
 *   - With N = 2 there are no witnesses: a suspicion never ends in death, the 30 s rule decides.
 *   - Nobody is declared dead by a node that hears nobody itself.
 *
 * Invariants (docs/protocol.md): M1 nobody is declared dead while there is younger evidence here; M3 only the accused raises its incarnation;
 * M4 whoever is alive and hears an accusation refutes it.
 */
import type { Address } from './address.ts'
import { beats } from './claim-order.ts'
import type { Claim } from './claim-order.ts'
import { isDeafSince } from './deafness.ts'
import { isHeardSince } from './evidence-rule.ts'
import type { Member } from './member.ts'
import { encodeClaim } from './member-messages.ts'
import type { Tombstone } from './membership.ts'
import { listMessage } from './message-fields.ts'
import { encodeToken, KIND, PING_TOKEN_BYTES } from './messages.ts'
import { createMemberEncoder } from './outbound.ts'
import { dropMember, isReached, sendMessages, tellUpdated, viewOf } from './state.ts'
import type { SwarmState } from './state.ts'
import { createSuspicion } from './suspicion.ts'

/** Of all who hear of a suspicion, about so many probe the suspect themselves. */
const CONFIRMERS = 10

export interface Claims {
  /** Somebody says this; `from` is whom to contradict. */
  apply(claim: Claim, from: Address): void
  /** A probe of ours failed. */
  accuse(member: Member, listening: boolean): void
  /** A packet of its own, or the word of a helper who has just had one. */
  clear(member: Member): void
  /** Somebody new, or somebody in a new boot, is passed on. */
  announce(member: Member): void
  /** Brings back somebody dropped, in this incarnation. False when the table is full. */
  revive(tombstone: Tombstone, incarnation: number, evidenceMs: number): boolean
  /** Raises our incarnation above this one and says so. */
  assertAlive(above: number): void
  /** A member has said itself that it leaves. */
  leave(member: Member): void
  /** Answers somebody held dead, or whoever still speaks of him. */
  tellDead(tombstone: Tombstone, to: Address): void
  /** Takes back what was formed since then: nothing came in, so it says nothing about others. */
  withdrawSince(sinceMs: number): void
  /** This node stood still for so long. */
  extend(byMs: number): void
  /** Pings the suspects, with what is said of them. */
  pingSuspects(): void
  tick(): void
  deadline(): number
}

export function createClaims(
  state: SwarmState,
  confirm: (member: Member) => void,
  reportDouble: (claim: Claim, from: Address) => void,
): Claims {
  const { options, ports, own, membership, outbound, counters, health } = state
  const { timings } = options
  const suspects = new Set<Member>()

  const encodeNow = (claim: Claim): Uint8Array => listMessage(KIND.claims, [encodeClaim(claim, ports.codec)])

  /** Passes a claim on; its age grows while it waits. */
  function pass(claim: Claim): void {
    const formedMs = state.nowMs - claim.ageMs
    const suspected = claim.status === 'suspect'
    const subject = suspected ? `${claim.nodeId} ${claim.accuser}` : claim.nodeId
    if (!suspected) outbound.claims.withdrawAll(other => other.startsWith(claim.nodeId))
    if (claim.status === 'dead' || claim.status === 'left') outbound.records.withdraw(claim.nodeId)
    outbound.claims.enqueue({ subject, encode: (_to, nowMs) => encodeClaim({ ...claim, ageMs: nowMs - formedMs }, ports.codec) })
  }

  function suspicionOf(member: Member, startedMs: number, accuser: number, listening: boolean): Claim {
    const { nodeId, bootId, incarnation } = member
    return { nodeId, bootId, incarnation, status: 'suspect', accuser, listening, ageMs: state.nowMs - startedMs }
  }

  function suspect(member: Member, claim: Claim): void {
    const size = membership.size()
    const minMs = timings.suspicionPeriods * Math.max(1, Math.log10(size)) * timings.periodMs
    member.incarnation = claim.incarnation
    member.status = 'suspect'
    member.suspicion = createSuspicion({
      startedMs: state.nowMs,
      minMs,
      maxMs: timings.suspicionFactor * minMs,
      askIntervalMs: timings.periodMs / 4,
      confirmationsMax: Math.max(0, Math.min(timings.confirmationsMax, size - 2)),
    })
    suspects.add(member)
    addAccuser(member, claim)
    tellUpdated(state, member, 'status')
  }

  function addAccuser(member: Member, claim: Claim): void {
    if (member.suspicion === undefined) return
    if (claim.listening) member.suspicion.listens()
    if (member.suspicion.confirm(claim.accuser)) pass(claim)
  }

  /** Ends a suspicion in favour of the suspect. */
  function acquit(member: Member): void {
    if (member.suspicion === undefined) return
    suspects.delete(member)
    member.suspicion = undefined
    member.status = 'alive'
    counters.suspicionsFalse += 1
    outbound.claims.withdraw(`${member.nodeId} ${state.key}`)
    tellUpdated(state, member, 'status')
  }

  function bury(member: Member, claim: Claim): void {
    suspects.delete(member)
    member.incarnation = Math.max(member.incarnation, claim.incarnation)
    dropMember(state, member, claim.status === 'left' ? 'left' : 'dead', state.nowMs - claim.ageMs)
    pass(claim)
  }

  /** Everybody who hears of it asks the suspect himself; in a large swarm about as many as are needed. */
  function probeAtOnce(member: Member): void {
    if (ports.random.fraction() < CONFIRMERS / membership.size()) confirm(member)
  }

  function tellAccused(member: Member, claim: Claim): void {
    if (state.nowMs - member.toldClaimMs < timings.periodMs / 2 || !state.claimAnswers.take(state.nowMs)) return
    member.toldClaimMs = state.nowMs
    sendMessages(state, member.address, [encodeNow(claim)], { gossip: false, unasked: true })
    vouch(member)
  }

  /** Ends a suspicion on evidence. */
  function clear(member: Member): void {
    if (member.suspicion === undefined) return
    acquit(member)
    vouch(member)
  }

  /**
   * Whoever accuses is told of the evidence at once: the accused may not hear what it would have to refute, and ages of evidence go round with
   * probes alone. In a large swarm about as many say so as are needed.
   */
  function vouch(member: Member): void {
    if (ports.random.fraction() >= CONFIRMERS / membership.size()) return
    const { nodeId, bootId, incarnation } = member
    const ageMs = state.nowMs - membership.evidenceMs(member)
    pass({ nodeId, bootId, incarnation, status: 'alive', accuser: 0, listening: false, ageMs })
  }

  /** Its evidence may not have come here yet. The token's last byte asks for ages in return (probe.ts). */
  function askOthers(suspect: Member): void {
    if (ports.random.fraction() >= CONFIRMERS / membership.size()) return
    const token = ports.random.bytes(PING_TOKEN_BYTES)
    token[PING_TOKEN_BYTES - 1] = 0
    for (const { address } of membership.sample(timings.helpers, other => other !== suspect && isReached(state, other))) {
      sendMessages(state, address, [encodeToken('ping', token)], { evidence: true })
    }
  }

  function applyToSelf(claim: Claim, from: Address): void {
    if (claim.bootId !== own.bootId) {
      if (claim.bootId > own.bootId) reportDouble(claim, from)
      return
    }
    if (claim.status === 'alive') {
      own.incarnation = Math.max(own.incarnation, claim.incarnation)
    } else if (claim.incarnation >= own.incarnation) {
      counters.refutations += 1
      health.worse()
      assertAlive(claim.incarnation)
      sendMessages(state, from, [], { introduction: { named: state.seeds.has(from), answerMe: false }, evidence: true })
    } else if (state.claimAnswers.take(state.nowMs)) sendMessages(state, from, [])
  }

  function assertAlive(above: number): void {
    own.incarnation = Math.max(own.incarnation, above) + 1
    const { bootId, incarnation } = own
    pass({ nodeId: options.nodeId, bootId, incarnation, status: 'alive', accuser: 0, listening: false, ageMs: 0 })
  }

  function revive(tombstone: Tombstone, incarnation: number, evidenceMs: number): boolean {
    const { member } = tombstone
    Object.assign(member, { status: 'alive', incarnation, suspicion: undefined, reprieved: false })
    if (!membership.add(member, evidenceMs)) return false
    state.effects.push({ type: 'member-joined', view: viewOf(state, member) })
    announce(member)
    return true
  }

  function announce(member: Member): void {
    const encode = createMemberEncoder(member, ports.codec)
    outbound.records.enqueue({
      subject: member.nodeId,
      encode: (to, nowMs) => (membership.get(member.nodeId) === member ? encode(to, nowMs - membership.evidenceMs(member)) : undefined),
    })
  }

  function applyToMember(member: Member, claim: Claim): void {
    if (claim.bootId !== member.bootId) return
    if (claim.status === 'alive') {
      membership.hear(member, state.nowMs - claim.ageMs)
      const isCleared = member.suspicion !== undefined && isHeardSince(membership, member, member.suspicion.startedMs)
      if (claim.incarnation <= member.incarnation && !isCleared) return
      member.incarnation = Math.max(member.incarnation, claim.incarnation)
      acquit(member)
      pass(claim)
      return
    }
    // Its age does not count the time that it waited in our socket: the accused may have refuted it long since.
    if (state.isBehind && claim.status !== 'left') return
    const confirmed = claim.status === 'suspect' && member.status === 'suspect' && claim.incarnation === member.incarnation
    if (!confirmed && !beats(claim, member)) return
    if (isHeardSince(membership, member, state.nowMs - claim.ageMs)) {
      counters.claimsVetoed += 1
      if (claim.status !== 'left') tellAccused(member, claim)
    } else if (confirmed) {
      addAccuser(member, claim)
    } else if (claim.status === 'suspect') {
      counters.suspicionsHeard += 1
      suspect(member, claim)
      probeAtOnce(member)
    } else {
      if (claim.status === 'dead') counters.deathsHeard += 1
      bury(member, claim)
    }
  }

  return {
    apply(claim, from) {
      if (claim.nodeId === options.nodeId) return applyToSelf(claim, from)
      const member = membership.get(claim.nodeId)
      if (member !== undefined) return applyToMember(member, claim)
      const tombstone = membership.tombstone(claim.nodeId)
      const isBack = claim.status === 'alive' && tombstone?.bootId === claim.bootId && !tombstone.left
      if (!isBack || claim.incarnation <= tombstone.incarnation) return
      // On the word of others: its own packets count again once it has shown that it is there.
      tombstone.member.directMs = -Infinity
      revive(tombstone, claim.incarnation, state.nowMs - claim.ageMs)
    },
    accuse(member, listening) {
      const claim = suspicionOf(member, state.nowMs, state.key, listening)
      if (member.suspicion !== undefined) return addAccuser(member, claim)
      counters.suspicionsRaised += 1
      suspect(member, claim)
      pingSuspect(member)
    },
    clear,
    announce,
    revive,
    assertAlive,
    leave(member) {
      const { nodeId, bootId, incarnation } = member
      bury(member, { nodeId, bootId, incarnation, status: 'left', accuser: 0, listening: false, ageMs: 0 })
    },
    tellDead(tombstone, to) {
      const { nodeId, bootId, incarnation, left, claimedMs } = tombstone
      if (claimedMs === undefined || !state.claimAnswers.take(state.nowMs)) return
      const status = left ? 'left' : 'dead'
      const claim: Claim = { nodeId, bootId, incarnation, status, accuser: 0, listening: false, ageMs: state.nowMs - claimedMs }
      // Its refutation is to bring an echo, or it may be a recording.
      sendMessages(state, to, [encodeNow(claim)], { gossip: false, challenge: true })
    },
    withdrawSince(sinceMs) {
      for (const member of suspects) if (member.suspicion !== undefined && member.suspicion.startedMs >= sinceMs) acquit(member)
    },
    extend(byMs) {
      for (const member of suspects) member.suspicion?.extend(byMs)
    },
    pingSuspects() {
      for (const member of suspects) {
        if (membership.get(member.nodeId) !== member) suspects.delete(member)
        else if (ports.random.fraction() < CONFIRMERS / membership.size()) pingSuspect(member)
      }
    },
    tick() {
      for (const member of suspects) {
        const { suspicion } = member
        if (suspicion === undefined || membership.get(member.nodeId) !== member) {
          suspects.delete(member)
          continue
        }
        // Somebody has heard it since.
        if (isHeardSince(membership, member, suspicion.startedMs)) clear(member)
        else if (suspicion.askMs() <= state.nowMs) {
          suspicion.asked(state.nowMs)
          askOthers(member)
        } else if (suspicion.dueMs() <= state.nowMs && membership.size() > 2) {
          if (isDeafSince(state, state.nowMs - 1.5 * timings.periodMs)) suspicion.extend(timings.periodMs)
          else {
            counters.deathsDeclared += 1
            const { nodeId, bootId, incarnation } = member
            const ageMs = state.nowMs - suspicion.startedMs
            bury(member, { nodeId, bootId, incarnation, status: 'dead', accuser: state.key, listening: false, ageMs })
          }
        }
      }
    },
    deadline() {
      let earliestMs = Infinity
      for (const { suspicion } of suspects) {
        if (suspicion !== undefined)
          earliestMs = Math.min(earliestMs, suspicion.askMs(), membership.size() > 2 ? suspicion.dueMs() : Infinity)
      }
      return earliestMs
    },
  }

  function pingSuspect(member: Member): void {
    if (member.suspicion === undefined) return
    member.toldClaimMs = state.nowMs
    const claim = suspicionOf(member, member.suspicion.startedMs, state.key, member.suspicion.isListening())
    const ping = encodeToken('ping', ports.random.bytes(PING_TOKEN_BYTES))
    sendMessages(state, member.address, [ping, encodeNow(claim)], { gossip: false, unasked: true })
  }
}

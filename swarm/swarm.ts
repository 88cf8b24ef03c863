/**
 * The swarm core: finds the other nodes, keeps the list of those that are alive, and learns whose data differs.
 *
 * A state machine without I/O: `step` takes an event and the monotonic time and returns effects to be carried out in order;
 * `deadline` says when the next `tick` is due. `step` is total: whatever a peer sends gives effects, never an exception.
 *
 * Source: SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2017) and Trickle (RFC 6206); the files of this folder
 * name the sections and their departures.
 *
 * Invariants, each with its test in docs/protocol.md:
 *   G1 a packet that is not accepted changes nothing but its source's rate (inbound.ts);
 *   G2 no wall clock, ours or a peer's, decides anything;
 *   G3 the 30 s rule (silence.ts); G4 tombstones (membership.ts);
 *   G5 data may be exchanged with whom the trust rule admits, and nobody else (trust.ts);
 *   G6 this node is never in its own list, and a double of it is reported;
 *   G7, G8 digests (digest-exchange.ts);
 *   G11-G14 seal and newcomers (seal.ts, address-proof.ts, newcomer.ts);
 *   G9 what a node sends while nothing happens does not grow with the swarm, but for one byte a member;
 *   M1-M9 the failure detector and discovery (claims.ts, claim-order.ts, probe.ts, broadcast.ts, beacon.ts, evidence-vector.ts).
 */
import { assert } from '../base/assert.ts'
import { createBeacon } from './beacon.ts'
import { createClaims } from './claims.ts'
import { wantDigests } from './comparison.ts'
import type { SwarmCounters } from './counters.ts'
import { createDigestList } from './digest-list.ts'
import { createDigestNews } from './digest-news.ts'
import { createDoubleReport } from './double-report.ts'
import type { LocalState, SwarmEffect, SwarmEvent } from './events.ts'
import { createHearsay } from './hearsay.ts'
import { parseNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'
import { createIsolation } from './isolation.ts'
import { isAdmitted, viewMember } from './member.ts'
import type { Member, MemberView } from './member.ts'
import { createMemberExchange } from './member-exchange.ts'
import { encodeLeave } from './messages.ts'
import { isNodeName, isSameDescription } from './node-description.ts'
import type { SwarmOptions } from './options.ts'
import { createProber } from './probe.ts'
import { createReception } from './reception.ts'
import { createRemembered } from './remembered.ts'
import type { SeedAnswer } from './seeds.ts'
import { createSilence } from './silence.ts'
import { createStallGuard } from './stall.ts'
import { createState, greetStranger, isReached, sendMessages } from './state.ts'
import type { SwarmPorts } from './state.ts'
import { createTokenBucket } from './token-bucket.ts'

/** A clean stop is said this often, this far apart. */
const LEAVE_ROUNDS = 3
const LEAVE_PAUSE_MS = 40
/** News of members leaves within this time, so that those who learn of the same thing at the same moment do not speak at once. */
const NEWS_JITTER_MS = 10
const NEWS_INTERVAL_MS = 20
/** Above this many nodes the dead are greeted less often: each of them by about two nodes in a second. */
const TOMBSTONE_CROWD = 10

export interface DepartedView extends MemberView {
  /** Time since it was dropped. */
  readonly departedAgoMs: number
}

export interface Swarm {
  step(event: SwarmEvent, nowMs: number): SwarmEffect[]
  /** When the next `tick` is due, in monotonic milliseconds; Infinity before the start and after the stop. */
  deadline(): number
  /** Alive and suspect. */
  members(nowMs: number): readonly MemberView[]
  member(nodeId: NodeId, nowMs: number): MemberView | undefined
  /** Those that died or left and are remembered, longest gone first. */
  departed(nowMs: number): readonly DepartedView[]
  /** The addresses behind HS_GOSSIP_PEERS, and who has answered there: perhaps from another address. */
  seedAnswers(): readonly SeedAnswer[]
  counters(): Readonly<SwarmCounters>
  /** This node, as it tells others. */
  self(): { readonly bootId: BootId; readonly incarnation: number; readonly logicalClock: number; readonly localHealth: number }
}

export function createSwarm(options: SwarmOptions, ports: SwarmPorts): Swarm {
  assert(parseNodeId(options.nodeId) !== undefined, 'the node id is a UUID in lower case')
  assert(isNodeName(options.nodeName), 'the node name has 1 to 128 characters, none of which controls a terminal')
  const { timings, limits } = options
  const state = createState(options, ports)
  const { own, membership, seeds, exchanges, outbound } = state
  const double = createDoubleReport(state)
  const claims = createClaims(
    state,
    member => prober.confirm(member),
    (claim, from) => double.report(claim.bootId, from),
  )
  const prober = createProber(state, {
    failed: (member, listening) => claims.accuse(member, listening),
    heardThrough(member) {
      membership.hear(member, state.nowMs)
      claims.clear(member)
    },
  })
  const beacon = createBeacon(state)
  const silence = createSilence(state)
  const digestNews = createDigestNews(state)
  const hearsay = createHearsay(state, claims, record => {
    double.report(record.bootId, record.address)
    double.greet(record.address)
  })
  const memberExchange = createMemberExchange(state, hearsay, claims)
  const isolation = createIsolation(state, { claims, prober, beacon, memberExchange })
  const stallGuard = createStallGuard(state, { claims, prober, silence })
  const reception = createReception(state, { claims, prober, beacon, isolation, hearsay, memberExchange, digestNews }, double)
  const gossipRate = createTokenBucket(limits.gossipRate)
  const remembered = createRemembered(timings, ports.random)

  let phase: 'new' | 'running' | 'leaving' | 'stopped' = 'new'
  let periodDueMs = Infinity
  let tombstoneDueMs = Infinity
  let leftDueMs = -Infinity
  let gossipDueMs = Infinity
  let gossipedMs = -Infinity
  let newsCount = 0
  let leaveRoundsLeft = 0
  let leaveDueMs = Infinity
  let described = own.description()

  /** Nobody answers, and few are listed or nobody. */
  const isLost = (): boolean => membership.all().length < timings.helpers && state.answeredMs < state.nowMs - 1.5 * timings.periodMs

  const contactMs = (): number => timings.tombstoneContactMs * Math.max(1, membership.size() / TOMBSTONE_CROWD)

  function onStart(): void {
    assert(phase === 'new', 'a swarm starts once')
    phase = 'running'
    state.startedAtMs = state.nowMs
    periodDueMs = state.nowMs + ports.random.fraction() * timings.periodMs
    tombstoneDueMs = state.nowMs + timings.tombstoneContactMs
    described = own.description()
    beacon.start()
    memberExchange.hunger()
    // From here on there is always a time at which somebody is to be dropped: a tick that was never due could not be late (stall.ts).
    silence.drop()
  }

  function onTick(): void {
    if (phase === 'leaving') sayLeave()
    if (phase !== 'running') return
    stallGuard.tick(deadline())
    silence.drop()
    claims.tick()
    prober.tick()
    if (periodDueMs <= state.nowMs) onPeriod()
    if (tombstoneDueMs <= state.nowMs) greetTombstone()
    const isMember = (nodeId: NodeId): boolean => membership.get(nodeId) !== undefined
    for (const { address, token } of seeds.takeDue(state.nowMs, membership.size(), isMember)) greetStranger(state, address, token)
    for (const address of remembered.takeDue(state.nowMs, isMember)) greetStranger(state, address)
    beacon.tick()
    memberExchange.tick()
    exchanges.tick(state.nowMs)
    digestNews.tell()
    if (gossipDueMs <= state.nowMs) gossip()
  }

  function onPeriod(): void {
    periodDueMs = state.nowMs + timings.periodMs * (0.9 + 0.2 * ports.random.fraction())
    describeAnew()
    isolation.period()
    prober.period(silence.period())
    claims.pingSuspects()
    greetWhoLeft()
    if (isLost()) tombstoneDueMs = Math.min(tombstoneDueMs, state.nowMs)
    beacon.judgeMute()
    wantDigests(state)
  }

  /** A change of what we say of ourselves is a new incarnation, and some are told so that they pass it on. */
  function describeAnew(): void {
    const now = own.description()
    if (isSameDescription(now, described)) return
    described = now
    own.incarnation += 1
    for (const { address } of membership.sample(timings.gossipFanout, member => isReached(state, member))) {
      sendMessages(state, address, [], { introduction: { named: seeds.has(address), answerMe: false } })
    }
  }

  /**
   * So that a healed partition meets again, also where no seed and no group connects it. Whoever gets no answer may be deaf and heard: when it
   * lists nobody any more this is all that shows the others that it lives, so it speaks about as often as before (probe.ts), spread over the
   * period since losses come in bursts.
   */
  function greetTombstone(): void {
    tombstoneDueMs = state.nowMs + (isLost() ? timings.periodMs / timings.helpers : contactMs())
    const tombstone = membership.randomTombstone(state.nowMs, false)
    if (tombstone !== undefined) greetStranger(state, tombstone.address)
  }

  /** Who comes back may know nobody but seeds that are gone. Beside the others, who are to hear of a deaf node as often as ever. */
  function greetWhoLeft(): void {
    if (leftDueMs > state.nowMs || !membership.hasAnyLeft()) return
    leftDueMs = state.nowMs + contactMs()
    const tombstone = membership.randomTombstone(state.nowMs, true)
    if (tombstone !== undefined) greetStranger(state, tombstone.address)
  }

  /** A round of gossip: what waits is told to a few, between probes too. */
  function gossip(): void {
    gossipedMs = state.nowMs
    gossipDueMs = state.nowMs + timings.gossipIntervalMs
    // Right after a join most of a large table is hearsay: the cheap question first.
    const accept = (member: Member): boolean => isAdmitted(member) && isReached(state, member)
    for (const { address } of membership.sample(timings.gossipFanout, accept)) {
      if (outbound.waiting() > 0 && gossipRate.take(state.nowMs)) sendMessages(state, address, [])
    }
  }

  /** News of members leaves at once; what was told already waits for the next round. */
  function scheduleGossip(): void {
    const count = outbound.newsCount()
    if (outbound.waiting() === 0) gossipDueMs = Infinity
    else if (count !== newsCount) {
      const soonMs = Math.max(state.nowMs + ports.random.fraction() * NEWS_JITTER_MS, gossipedMs + NEWS_INTERVAL_MS)
      gossipDueMs = Math.min(gossipDueMs, soonMs)
    } else if (gossipDueMs === Infinity) gossipDueMs = state.nowMs + timings.gossipIntervalMs
    newsCount = count
  }

  function onLocalState(local: LocalState): void {
    own.logicalClock = Math.max(own.logicalClock, local.logicalClock)
    const list = createDigestList(local.collections, ports.hash)
    if (list.summary === own.summary) return
    exchanges.setLocal(list, state.nowMs)
    own.summary = list.summary
    digestNews.changed()
    if (phase === 'running') digestNews.tell()
  }

  function onLeave(): void {
    if (phase === 'leaving' || phase === 'stopped') return
    phase = 'leaving'
    leaveRoundsLeft = LEAVE_ROUNDS
    leaveDueMs = state.nowMs
    sayLeave()
  }

  function sayLeave(): void {
    if (leaveDueMs > state.nowMs) return
    const message = encodeLeave(own.incarnation)
    if (options.multicast) state.effects.push({ type: 'send', to: 'multicast', bytes: outbound.packet([message], true) })
    for (const { address } of membership.sample(limits.leaveFanout, () => true)) {
      state.effects.push({ type: 'send', to: address, bytes: outbound.packet([message]) })
    }
    leaveRoundsLeft -= 1
    leaveDueMs = state.nowMs + LEAVE_PAUSE_MS
    if (leaveRoundsLeft > 0) return
    phase = 'stopped'
    state.effects.push({ type: 'stopped' })
  }

  function handle(event: SwarmEvent): void {
    switch (event.type) {
      case 'start':
        return onStart()
      case 'packet':
        if (phase === 'running') reception.packet(event.bytes, event.from, event.multicast)
        return
      case 'tick':
        return onTick()
      case 'local-state':
        return onLocalState(event.state)
      case 'seeds-resolved':
        seeds.resolved(event.addresses, state.nowMs)
        return reception.nameSeeds()
      case 'remembered':
        return remembered.replace(event.peers, state.nowMs)
      case 'interfaces-changed':
        seeds.retryNow(state.nowMs)
        remembered.retryNow(state.nowMs)
        tombstoneDueMs = state.nowMs
        if (phase === 'running') beacon.restart()
        return
      case 'tcp-probed':
        return prober.tcpProbed(event.nodeId, event.outcome)
      case 'stood-still':
        return stallGuard.stood(event.forMs)
      case 'keys':
        return state.ring.replace(event.keys)
      case 'leave':
        return onLeave()
    }
  }

  function deadline(): number {
    if (phase === 'leaving') return leaveDueMs
    if (phase !== 'running') return Infinity
    return Math.min(
      periodDueMs,
      tombstoneDueMs,
      gossipDueMs,
      prober.deadline(),
      claims.deadline(),
      silence.deadline(),
      beacon.deadline(),
      seeds.deadline(),
      remembered.deadline(),
      memberExchange.deadline(),
      exchanges.deadline(),
      digestNews.deadline(),
    )
  }

  return {
    step(event, nowMs) {
      state.nowMs = Math.max(state.nowMs, nowMs)
      state.effects = []
      state.isBehind = state.nowMs - periodDueMs > timings.periodMs
      handle(event)
      if (phase === 'running') scheduleGossip()
      return state.effects
    },
    deadline,
    members: nowMs => membership.all().map(member => viewMember(member, options, nowMs - membership.evidenceMs(member))),
    member(nodeId, nowMs) {
      const member = membership.get(nodeId)
      return member && viewMember(member, options, nowMs - membership.evidenceMs(member))
    },
    departed: nowMs =>
      [...membership.tombstones()].map(({ member, heardMs, droppedAtMs }) => ({
        ...viewMember(member, options, nowMs - heardMs),
        departedAgoMs: nowMs - droppedAtMs,
      })),
    seedAnswers: () => seeds.answers(),
    counters: () => state.counters,
    self: () => ({ bootId: own.bootId, incarnation: own.incarnation, logicalClock: own.logicalClock, localHealth: state.health.score() }),
  }
}

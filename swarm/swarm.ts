/**
 * The swarm core: finds the other nodes, keeps the list of those that are alive, and learns whose data differs.
 *
 * A state machine without I/O: `step` takes an event and the monotonic time and returns effects to be carried out in order;
 * `deadline` says when the next `tick` is due. `step` is total: whatever a peer sends gives effects, never an exception.
 *
 * Source: membership by heartbeat counters as in van Renesse, Minsky, Hayden, "A Gossip-Style Failure Detection Service" (1998).
 * Departures: direct packets and multicast count as evidence besides counters heard through others; a packet carries a bounded
 * sample of the table instead of all of it; who goes unheard is pinged before it is dropped.
 *
 * Invariants, each with its test in docs/protocol.md:
 *   G1 a packet that is not accepted changes nothing but its source's rate (inbound.ts);
 *   G2 no wall clock, ours or a peer's, decides anything;
 *   G3, G4 dropping and tombstones (membership.ts);
 *   G5 data may be exchanged with whom the trust rule admits, and nobody else (trust.ts);
 *   G6 this node is never in its own list, and a double of it is reported;
 *   G7, G8 digests (digest-exchange.ts);
 *   G9 per period one beacon at most goes to the group, and heartbeats to at most `fanout` members.
 */
import { assert } from '../base/assert.ts'
import { compareDigests, wantDigests } from './comparison.ts'
import { createDigestList } from './digest-list.ts'
import type { LocalState, SwarmEffect, SwarmEvent } from './events.ts'
import { parseNodeId } from './identity.ts'
import type { NodeId } from './identity.ts'
import { viewMember } from './member.ts'
import type { MemberView } from './member.ts'
import { encodeLeave, isNodeName } from './messages.ts'
import type { SwarmOptions } from './options.ts'
import { createReception } from './reception.ts'
import { createRemembered } from './remembered.ts'
import { createState, dropMember, greetStranger, sendHeartbeat, sendMessages } from './state.ts'
import type { SwarmPorts } from './state.ts'

/** A clean stop is said this often, this far apart. */
const LEAVE_ROUNDS = 3
const LEAVE_PAUSE_MS = 40
/** Without a tick for this many periods the process stood still: the silence of the others is its own. */
const STALL_PERIODS = 3
/** Members heard through the group within this many periods are told of changes by the next beacon. */
const GROUP_PERIODS = 3

export interface Swarm {
  step(event: SwarmEvent, nowMs: number): SwarmEffect[]
  /** When the next `tick` is due, in monotonic milliseconds; Infinity before the start and after the stop. */
  deadline(): number
  members(nowMs: number): readonly MemberView[]
  member(nodeId: NodeId, nowMs: number): MemberView | undefined
}

export function createSwarm(options: SwarmOptions, ports: SwarmPorts): Swarm {
  assert(parseNodeId(options.nodeId) !== undefined, 'the node id is a UUID in lower case')
  assert(isNodeName(options.nodeName), 'the node name has 1 to 128 characters, none of which controls a terminal')
  const { timings, limits } = options
  const state = createState(options, ports)
  const { own, membership, seeds, exchanges, outbound } = state
  const reception = createReception(state)
  const remembered = createRemembered(timings, ports.random)

  let phase: 'new' | 'running' | 'leaving' | 'stopped' = 'new'
  let lastTickMs = 0
  let periodDueMs = Infinity
  let tombstoneDueMs = Infinity
  /** No later than the first drop; evidence only moves drops back, so it is worked out anew at ticks alone. */
  let dropDueMs = Infinity
  /** Nobody is dropped before this time. */
  let graceUntilMs = -Infinity
  /** When changed digests are told next; Infinity when everybody has been told. */
  let tellDueMs = Infinity
  let toldAtMs = -Infinity
  /** Our digests have changed since they were last compared with everybody's. */
  let compareDue = false
  let leaveRoundsLeft = 0
  let leaveDueMs = Infinity

  function onStart(): void {
    assert(phase === 'new', 'a swarm starts once')
    phase = 'running'
    state.startedAtMs = state.nowMs
    lastTickMs = state.nowMs
    periodDueMs = state.nowMs + ports.random.fraction() * timings.bootJitterMs
    tombstoneDueMs = state.nowMs + timings.tombstoneContactMs
  }

  function onTick(): void {
    if (phase === 'leaving') sayLeave()
    if (phase !== 'running') return
    if (state.nowMs - lastTickMs > STALL_PERIODS * timings.periodMs) graceUntilMs = state.nowMs + 2 * timings.periodMs
    lastTickMs = state.nowMs
    dropSilent()
    if (periodDueMs <= state.nowMs) onPeriod()
    const isMember = (nodeId: NodeId): boolean => membership.get(nodeId) !== undefined
    for (const { address, token } of seeds.takeDue(state.nowMs, isMember)) greetStranger(state, address, token)
    for (const address of remembered.takeDue(state.nowMs, isMember)) greetStranger(state, address)
    exchanges.tick(state.nowMs)
    tellChanges()
  }

  function dropSilent(): void {
    dropDueMs = Infinity
    for (const member of membership.all()) {
      const dueMs = Math.max(graceUntilMs, member.evidenceMs + timings.memberTimeoutMs)
      if (dueMs <= state.nowMs) dropMember(state, member, 'timeout')
      else dropDueMs = Math.min(dropDueMs, dueMs)
    }
  }

  function onPeriod(): void {
    own.heartbeatCounter += 1
    periodDueMs = state.nowMs + timings.periodMs * (0.9 + 0.2 * ports.random.fraction())
    if (options.multicast) sendBeacon()
    const greeted = membership.nextInTurn(timings.fanout)
    for (const member of greeted) sendHeartbeat(state, member, { answerMe: false, rumours: true })
    const silent = membership.sample(limits.probesPerPeriod, member => state.nowMs - member.evidenceMs >= timings.probeAfterMs)
    for (const member of silent) if (!greeted.includes(member)) sendHeartbeat(state, member, { answerMe: true })
    if (tombstoneDueMs <= state.nowMs) greetTombstone()
    wantDigests(state)
  }

  function sendBeacon(): void {
    state.effects.push({ type: 'send', to: 'multicast', bytes: outbound.beacon() })
    for (const member of membership.all()) {
      const heardMs = member.multicastMs ?? -Infinity
      // Whoever we hear through the group hears us through it.
      if (state.nowMs - heardMs < GROUP_PERIODS * timings.periodMs) member.toldSummary = own.summary
    }
  }

  /** So that a healed partition meets again, also where no seed and no group connects it. */
  function greetTombstone(): void {
    tombstoneDueMs = state.nowMs + timings.tombstoneContactMs
    const tombstone = membership.randomTombstone(state.nowMs)
    if (tombstone !== undefined) greetStranger(state, tombstone.address)
  }

  function onLocalState(local: LocalState): void {
    own.logicalClock = Math.max(own.logicalClock, local.logicalClock)
    const list = createDigestList(local.collections, ports.hash)
    if (list.summary === own.summary) return
    exchanges.setLocal(list, state.nowMs)
    own.summary = list.summary
    compareDue = true
    tellDueMs = Math.max(state.nowMs, toldAtMs + timings.changeIntervalMs)
    if (phase === 'running') tellChanges()
  }

  /** Compares changed digests with everybody's and tells some of those who do not know of them; the others at the next turn. */
  function tellChanges(): void {
    if (tellDueMs > state.nowMs) return
    toldAtMs = state.nowMs
    if (compareDue) {
      compareDue = false
      for (const member of membership.all()) compareDigests(state, member)
      wantDigests(state)
    }
    const untold = membership.sample(timings.changeFanout + 1, member => member.toldSummary !== own.summary)
    for (const member of untold.slice(0, timings.changeFanout)) sendHeartbeat(state, member, { answerMe: false })
    tellDueMs = untold.length > timings.changeFanout ? state.nowMs + timings.changeIntervalMs : Infinity
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
    const message = encodeLeave(own.incarnation, ports.codec)
    if (options.multicast) state.effects.push({ type: 'send', to: 'multicast', bytes: outbound.packet([message], true) })
    for (const member of membership.sample(limits.leaveFanout, () => true)) sendMessages(state, member.address, [message])
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
        // The first member after a while without any.
        if (dropDueMs === Infinity && membership.all().length > 0) dropDueMs = state.nowMs + timings.memberTimeoutMs
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
        return
      case 'leave':
        return onLeave()
    }
  }

  return {
    step(event, nowMs) {
      state.nowMs = Math.max(state.nowMs, nowMs)
      state.effects = []
      handle(event)
      return state.effects
    },
    deadline() {
      if (phase === 'leaving') return leaveDueMs
      if (phase !== 'running') return Infinity
      return Math.min(periodDueMs, tellDueMs, dropDueMs, seeds.deadline(), remembered.deadline(), exchanges.deadline())
    },
    members: nowMs => membership.all().map(member => viewMember(member, options, nowMs)),
    member(nodeId, nowMs) {
      const member = membership.get(nodeId)
      return member && viewMember(member, options, nowMs)
    },
  }
}

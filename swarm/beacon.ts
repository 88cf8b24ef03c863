/**
 * Beacons: introductions to the discovery group, seldom while nothing is new, and answered by a few.
 *
 * Source: RFC 6206 (trickle.ts). A beacon of a member in the boot that is known is "consistent" there: whoever hears it finds the swarm through
 * its sender. One of a stranger, or of somebody held dead, is news and makes the interval short again; so do the start, the end of an isolation
 * and a change of interfaces.
 *
 * Departures: an interval is at least N / 5 s, so that all nodes together send at most 5 packets a second even if nobody heard anybody; what is
 * heard takes from the same allowance, so that nodes that do not know of one another yet keep it too. At most three answer a stranger: those
 * whose keys, mixed with its own, are least - the probability of 3 / N, without the chance that nobody does.
 *
 * Invariant M8: multicast stays within `multicastPerSecond` for the whole network, apart from a burst.
 */
import type { Member } from './member.ts'
import { mix } from './member-key.ts'
import type { SwarmState } from './state.ts'
import { createTokenBucket } from './token-bucket.ts'
import { createTrickle } from './trickle.ts'

/** Of those who hear a stranger's beacon, so many answer. */
const ANSWERERS = 3
/** Beacons at the end of an isolation, and the time within which they leave. */
const BURST_BEACONS = 3
const BURST_MS = 400
/** Packets to the group that may come at once: a rack that is switched on. */
const BURST_PACKETS = 20
/** No beacon for this long, and for three intervals, while others answer by unicast: the group does not carry. */
const MUTE_MS = 60_000

export interface Beacon {
  start(): void
  /** There is news: who we hear, or where we are. */
  restart(): void
  /** A few beacons soon, whatever others say: an isolation has ended. */
  burst(): void
  /** A packet of somebody else came through the group. */
  heard(isMember: boolean): void
  /** Whether it is for us to answer the beacon of somebody with this key. */
  isAnswerer(key: number, packetCounter: number): boolean
  /** Once a period: whether the group carries. */
  judgeMute(): void
  tick(): void
  deadline(): number
}

export function createBeacon(state: SwarmState): Beacon {
  const { options, ports, membership, outbound } = state
  const { timings } = options
  const allowance = createTokenBucket({ perSecond: timings.multicastPerSecond, burst: BURST_PACKETS })
  const spreadMs = (): number => (membership.size() / timings.multicastPerSecond) * 1_000
  const bounds = (): { minMs: number; maxMs: number } => ({
    minMs: Math.max(timings.beaconMinMs, spreadMs()),
    maxMs: Math.max(timings.beaconMaxMs, spreadMs()),
  })
  const trickle = createTrickle(bounds, timings.beaconRedundancy, ports.random)
  let burstMs: number[] = []
  let heardMs = 0
  let mute = false

  function send(): void {
    if (!allowance.take(state.nowMs)) {
      trickle.defer(state.nowMs, 2 * Math.max(1_000, spreadMs()))
      return
    }
    state.effects.push({
      type: 'send',
      to: 'multicast',
      bytes: outbound.packet([outbound.heartbeat({ named: false, answerMe: false })], true),
    })
  }

  function setMute(value: boolean): void {
    if (mute === value) return
    mute = value
    state.effects.push({ type: 'multicast-mute', mute })
  }

  return {
    start() {
      heardMs = state.nowMs
      if (options.multicast) trickle.reset(state.nowMs, timings.bootJitterMs)
    },
    restart() {
      heardMs = state.nowMs
      if (options.multicast) trickle.reset(state.nowMs)
    },
    burst() {
      if (!options.multicast) return
      burstMs = Array.from({ length: BURST_BEACONS }, (_, i) => state.nowMs + ((i + ports.random.fraction()) * BURST_MS) / BURST_BEACONS)
      trickle.reset(state.nowMs)
    },
    heard(isMember) {
      heardMs = state.nowMs
      setMute(false)
      allowance.take(state.nowMs)
      if (!options.multicast) return
      if (isMember) trickle.heardConsistent()
      else trickle.reset(state.nowMs)
    },
    isAnswerer(key, packetCounter) {
      const salt = mix(key ^ packetCounter)
      const own = mix(state.key ^ salt)
      let before = 0
      for (const member of membership.all()) if (member.key !== key && mix(member.key ^ salt) < own) before += 1
      return before < ANSWERERS
    },
    judgeMute() {
      if (!options.multicast || mute) return
      if (state.nowMs - heardMs <= Math.max(MUTE_MS, 3 * trickle.intervalMs())) return
      const isNear = (member: Member): boolean => member.description.multicast && state.nowMs - member.directMs < timings.memberTimeoutMs
      if (membership.all().some(isNear)) setMute(true)
    },
    tick() {
      const [next] = burstMs
      if (next !== undefined && next <= state.nowMs) {
        burstMs.shift()
        send()
      }
      if (trickle.deadline() <= state.nowMs && trickle.tick(state.nowMs)) send()
    },
    deadline: () => Math.min(burstMs[0] ?? Infinity, trickle.deadline()),
  }
}

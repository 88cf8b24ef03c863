/**
 * The 30 s rule: a member is dropped 30 s after the last evidence of its life, and not without having been asked.
 *
 * Evidence is a packet of its own, a helper's word that it has just answered, or an age that others tell (evidence-vector.ts). Who has been
 * silent for longer than evidence needs to spread is probed out of turn; from 20 s on it is pinged every period as well.
 *
 * Invariant G3: nobody is dropped for silence before 30 s without evidence by our monotonic clock; our own standstill is not evidence.
 */
import type { Member } from './member.ts'
import { encodeToken, PING_TOKEN_BYTES } from './messages.ts'
import { dropMember, sendMessages } from './state.ts'
import type { SwarmState } from './state.ts'

/** Members pinged per period because they are about to be dropped. */
const LAST_PINGS = 128

/**
 * Periods within which evidence of a member reaches nearly everybody: log2 of N + 1 in a small swarm, more in a large one, whose packets carry a
 * part of the table. In the simulator the 99th percentile of all ages is 2.9 at N = 10 and 8.7 at N = 1,000, the greatest 4 and 12.
 */
function silentPeriods(size: number): number {
  const doublings = Math.log2(size + 1)
  return Math.max(doublings, 1.5 * doublings - 2)
}

export interface Silence {
  /** Drops whom nobody has heard for 30 s. */
  drop(): void
  /** Pings those who are about to be dropped, and returns those to be probed out of turn. */
  period(): Member[]
  /** Nobody is dropped for this long: we stood still. */
  grace(forMs: number): void
  /** No later than the first drop; evidence only moves drops back. */
  deadline(): number
}

export function createSilence(state: SwarmState): Silence {
  const { options, ports, membership } = state
  const { timings, limits } = options
  let graceUntilMs = -Infinity
  let dropDueMs = -Infinity
  const randomIndex = (length: number): number => Math.min(length - 1, Math.floor(ports.random.fraction() * length))

  return {
    drop() {
      if (dropDueMs > state.nowMs) return
      const { table } = membership
      let earliestMs = state.nowMs
      for (let slot = table.size() - 1; slot >= 0; slot--) {
        const evidenceMs = table.evidenceMs(slot)
        const member = table.at(slot)
        if (evidenceMs + timings.memberTimeoutMs <= state.nowMs && state.nowMs >= graceUntilMs && member !== undefined) {
          dropMember(state, member, 'timeout')
        } else earliestMs = Math.min(earliestMs, evidenceMs)
      }
      // Somebody may join at any time, with evidence that is almost as old.
      dropDueMs = Math.max(graceUntilMs, Math.min(earliestMs + timings.memberTimeoutMs, state.nowMs + timings.periodMs))
    },
    period() {
      const silentMs = silentPeriods(membership.size()) * timings.periodMs
      const { table } = membership
      const silent: Member[] = []
      let pings = LAST_PINGS
      for (let slot = 0; slot < table.size(); slot++) {
        const ageMs = state.nowMs - table.evidenceMs(slot)
        const member = table.at(slot)
        if (ageMs < silentMs || member === undefined) continue
        silent.push(member)
        if (ageMs < timings.probeAfterMs || pings === 0) continue
        pings -= 1
        sendMessages(state, member.address, [encodeToken('ping', ports.random.bytes(PING_TOKEN_BYTES))], { gossip: false })
      }
      const chosen: Member[] = []
      while (chosen.length < limits.probesPerPeriod && silent.length > 0) chosen.push(...silent.splice(randomIndex(silent.length), 1))
      return chosen
    },
    grace(forMs) {
      graceUntilMs = Math.max(graceUntilMs, state.nowMs + forMs)
    },
    deadline: () => (membership.all().length === 0 ? Infinity : dropDueMs),
  }
}

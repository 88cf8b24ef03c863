/**
 * The end of an isolation: the first packet after 2.5 s without any.
 *
 * Why: a node that was deaf for a while comes back with opinions about everybody else, all formed while nothing could have told it better, and
 * spreads them. In swarms that only follow Lifeguard one node's outage of 25 s makes healthy nodes raise 8 to 21 false failures about healthy
 * nodes (measured, Serf 0.9.4, N = 10). So what was formed since the last packet is taken back and leaves the queue, this node's incarnation is
 * raised, since others rightly suspect it by now, and it is seen and sees at once: beacons, and two exchanges of members.
 */
import type { Beacon } from './beacon.ts'
import type { Claims } from './claims.ts'
import type { MemberExchange } from './member-exchange.ts'
import type { Prober } from './probe.ts'
import type { SwarmState } from './state.ts'

export interface Isolation {
  /** A packet of somebody else was accepted. */
  heard(): void
}

export function createIsolation(
  state: SwarmState,
  parts: { readonly claims: Claims; readonly prober: Prober; readonly beacon: Beacon; readonly memberExchange: MemberExchange },
): Isolation {
  return {
    heard() {
      const sinceMs = state.inboundMs
      state.inboundMs = state.nowMs
      if (sinceMs === -Infinity || state.nowMs - sinceMs <= state.options.timings.isolationMs) return
      state.counters.isolationsEnded += 1
      parts.claims.withdrawSince(sinceMs)
      parts.prober.void()
      parts.claims.assertAlive(state.own.incarnation)
      parts.beacon.burst()
      parts.memberExchange.hunger()
    },
  }
}

/**
 * Isolation: 2.5 s without any packet, or without any answer. It ends with the first one.
 *
 * Why: a node that was cut off for a while comes back with opinions about everybody else, all formed while nothing could have told it better, and
 * spreads them. In swarms that only follow Lifeguard one node's outage of 25 s makes healthy nodes raise 8 to 21 false failures about healthy
 * nodes (measured, Serf 0.9.4, N = 10). So what was formed since the last packet, or the last answer, is taken back and leaves the queue: at
 * once when the isolation is noticed, because its end is noticed later than the others can hear this node again. After that nothing is formed
 * (deafness.ts). In the end this node's incarnation is raised, since others rightly suspect it by now, and it is seen and sees at once: beacons,
 * and two exchanges of members.
 *
 * Why answers: a node whose packets do not get out still hears beacons, and greetings of those who hold it dead. Taken for a sign that it hears,
 * they would make it accuse everybody whom it asks in vain.
 */
import type { Beacon } from './beacon.ts'
import type { Claims } from './claims.ts'
import { isDeafSince } from './deafness.ts'
import type { MemberExchange } from './member-exchange.ts'
import type { SwarmMessage } from './messages.ts'
import type { Prober } from './probe.ts'
import type { SwarmState } from './state.ts'

const ANSWERS: ReadonlySet<SwarmMessage['kind']> = new Set(['pong', 'relayed-ack', 'nack'])

export interface Isolation {
  /** A packet of somebody else was accepted. */
  heard(messages: readonly SwarmMessage[]): void
  /** A period begins. */
  period(): void
}

export function createIsolation(
  state: SwarmState,
  parts: { readonly claims: Claims; readonly prober: Prober; readonly beacon: Beacon; readonly memberExchange: MemberExchange },
): Isolation {
  const { isolationMs } = state.options.timings
  let isNoticed = false
  let endedMs = -Infinity

  function end(): void {
    // The first packet has ended it, the first answer comes right behind.
    if (state.nowMs - endedMs <= isolationMs) return
    endedMs = state.nowMs
    state.counters.isolationsEnded += 1
    parts.prober.void()
    parts.claims.assertAlive(state.own.incarnation)
    parts.beacon.burst()
    parts.memberExchange.hunger()
  }

  /** Whether it ends a silence since `sinceMs`. */
  function breakSilence(sinceMs: number): boolean {
    if (sinceMs === -Infinity || state.nowMs - sinceMs <= isolationMs) return false
    parts.claims.withdrawSince(sinceMs)
    return true
  }

  return {
    heard(messages) {
      const isAnswer = messages.some(({ kind }) => ANSWERS.has(kind))
      const isPacketNews = breakSilence(state.inboundMs)
      const isAnswerNews = isAnswer && breakSilence(state.answeredMs)
      state.inboundMs = state.nowMs
      if (isAnswer) state.answeredMs = state.nowMs
      if (isPacketNews || isAnswerNews) end()
    },
    period() {
      const isIsolated = isDeafSince(state, state.nowMs - isolationMs)
      if (isIsolated && !isNoticed) parts.claims.withdrawSince(state.answeredMs)
      isNoticed = isIsolated
    },
  }
}

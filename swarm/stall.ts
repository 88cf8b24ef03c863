/**
 * The stall guard: when a tick comes much later than it was asked for, this process stood still - a busy event loop, SIGSTOP, a board that
 * slept - and the silence of the others is its own.
 *
 * Then probes under way get the time back (once each, so that a board that is always late still comes to verdicts), suspicions last that much
 * longer, and nobody is dropped before they had a chance to be heard again. The other half is the driver's: it drains the sockets before
 * it gives the tick, because Node fires an overdue timer after at most 32 queued datagrams.
 */
import type { Claims } from './claims.ts'
import type { Prober } from './probe.ts'
import type { Silence } from './silence.ts'
import type { SwarmState } from './state.ts'

/** Periods without drops after a standstill. */
const GRACE_PERIODS = 3

export interface StallGuard {
  /** A tick has come that was due at `dueMs`. */
  tick(dueMs: number): void
  /** The process was stopped or the board slept, as the driver found out by other clocks. */
  stood(forMs: number): void
}

export function createStallGuard(
  state: SwarmState,
  parts: { readonly claims: Claims; readonly prober: Prober; readonly silence: Silence },
): StallGuard {
  const { timings } = state.options
  const stood = (forMs: number): void => {
    state.counters.stalls += 1
    state.health.worse()
    parts.prober.extend(forMs)
    parts.claims.extend(forMs)
    if (forMs > timings.periodMs) parts.silence.grace(GRACE_PERIODS * timings.periodMs)
  }
  return {
    tick(dueMs) {
      const lateMs = state.nowMs - dueMs
      if (lateMs > timings.stallMs) stood(lateMs)
    },
    stood,
  }
}

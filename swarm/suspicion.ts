/**
 * One suspicion: who accuses, and how long the accused has to refute.
 *
 * Source: Lifeguard (health.ts), section IV-B, Local Health Aware Suspicion: with C independent confirmations of at most K the time is
 * `max - (max - min) * log(C + 1) / log(K + 1)`, not below `min`.
 *
 * Departures:
 *   - `min` is 3.5 * max(1, log10 N) periods, not 4: here everybody who hears of a suspicion probes the suspect at once and confirms by its own
 *     failure, and the suspect is told with these probes, so confirmations and refutations come within a second;
 *   - a suspect whose host still accepts TCP connections is a stopped process rather than a dead one: it gets twice the time (an accepted
 *     connection is the kernel's word, not the agent's, so it delays death and clears nothing);
 *   - before the end others are asked what they have heard: whoever hears a deaf node cannot make it refute (claims.ts);
 *   - the time can be extended by as long as this node itself stood still (stall.ts).
 */

const ASKS_MAX = 2

export interface SuspicionOptions {
  readonly startedMs: number
  readonly minMs: number
  readonly maxMs: number
  /** Others are asked two of these before the end, and again one before. */
  readonly askIntervalMs: number
  /** K: confirmations after which `min` holds; 0 when there is nobody to confirm. */
  readonly confirmationsMax: number
}

export interface Suspicion {
  readonly startedMs: number
  /** Adds an accuser; true when it is news and the time may have become shorter. The first one is no confirmation. */
  confirm(accuser: number): boolean
  isAccusedBy(accuser: number): boolean
  /** The suspect's host accepts connections. */
  listens(): void
  isListening(): boolean
  extend(byMs: number): void
  /** When others are to be asked what they have heard; Infinity when they have been, twice. */
  askMs(): number
  asked(nowMs: number): void
  /** Not before others can have answered. */
  dueMs(): number
}

export function createSuspicion(options: SuspicionOptions): Suspicion {
  const { startedMs, minMs, maxMs, askIntervalMs, confirmationsMax } = options
  const accusers = new Set<number>()
  let listening = false
  let extendedMs = 0
  let asks = 0
  let earliestMs = -Infinity
  const endMs = (): number => {
    const confirmations = Math.max(0, accusers.size - 1)
    const share = confirmationsMax === 0 ? 1 : Math.log(confirmations + 1) / Math.log(confirmationsMax + 1)
    const timeMs = Math.max(minMs, maxMs - (maxMs - minMs) * share)
    return startedMs + extendedMs + (listening ? 2 : 1) * timeMs
  }
  return {
    startedMs,
    confirm(accuser) {
      if (accusers.has(accuser) || accusers.size > confirmationsMax) return false
      accusers.add(accuser)
      return true
    },
    isAccusedBy: accuser => accusers.has(accuser),
    listens() {
      listening = true
    },
    isListening: () => listening,
    extend(byMs) {
      extendedMs += byMs
    },
    askMs: () => (asks < ASKS_MAX ? endMs() - (ASKS_MAX - asks) * askIntervalMs : Infinity),
    asked(nowMs) {
      if (asks === 0) earliestMs = nowMs + askIntervalMs
      asks += 1
    },
    dueMs: () => Math.max(endMs(), earliestMs),
  }
}

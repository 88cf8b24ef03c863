/**
 * Local health: how far this node trusts its own view. 0 is healthy; every sign that it is slow or deaf itself adds one.
 *
 * Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection" (2017), section IV-A, the Local
 * Health Multiplier: +1 for a failed probe, for a helper whose nack is missing, and for having to refute; -1 for a probe that succeeded;
 * probe interval and timeout are multiplied by the score + 1.
 *
 * Departure: a probe window in which nothing came in at all, and a late event loop, add one as well (rules 2 and 4 of the detector).
 */

/** The paper's S. */
const SCORE_MAX = 8

export interface LocalHealth {
  score(): number
  worse(by?: number): void
  better(): void
}

export function createLocalHealth(): LocalHealth {
  let score = 0
  return {
    score: () => score,
    worse(by = 1) {
      score = Math.min(SCORE_MAX, score + by)
    },
    better() {
      score = Math.max(0, score - 1)
    },
  }
}

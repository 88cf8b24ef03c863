/**
 * The Trickle timer: talks often while there is news and seldom while everybody agrees.
 *
 * Source: RFC 6206, section 4.2. Each interval I has a random time in its second half at which to transmit, unless k consistent messages
 * were heard before; at its end I doubles up to Imax; news makes it Imin again.
 *
 * Departure: Imin and Imax are asked for at every interval, since they grow with the swarm (beacon.ts).
 */
import type { Random } from '../base/ports.ts'

export interface TrickleBounds {
  readonly minMs: number
  readonly maxMs: number
}

export interface Trickle {
  /** Begins anew with Imin; with `withinMs`, with a first transmission within that time, whatever is heard before. */
  reset(nowMs: number, withinMs?: number): void
  /** Somebody said what we would say. */
  heardConsistent(): void
  /** True when it is time to transmit; to be called at `deadline` or later. */
  tick(nowMs: number): boolean
  /** It could not be sent now: once more within this time, whatever is heard meanwhile. */
  defer(nowMs: number, withinMs: number): void
  intervalMs(): number
  deadline(): number
}

export function createTrickle(bounds: () => TrickleBounds, redundancy: number, random: Random): Trickle {
  let intervalMs = 0
  let sendMs = Infinity
  let endMs = Infinity
  let heard = 0
  let forced = false

  const begin = (nowMs: number): void => {
    heard = 0
    sendMs = nowMs + intervalMs * (0.5 + 0.5 * random.fraction())
    endMs = nowMs + intervalMs
  }

  return {
    reset(nowMs, withinMs) {
      const { minMs } = bounds()
      // Section 4.2, rule 6: an interval that is as short as can be goes on.
      if (withinMs === undefined && intervalMs <= minMs && nowMs < endMs) return
      intervalMs = minMs
      begin(nowMs)
      if (withinMs === undefined) return
      forced = true
      sendMs = nowMs + withinMs * random.fraction()
    },
    heardConsistent() {
      heard += 1
    },
    tick(nowMs) {
      let due = false
      if (sendMs <= nowMs) {
        due = forced || heard < redundancy
        forced = false
        sendMs = Infinity
      }
      if (endMs <= nowMs) {
        const { minMs, maxMs } = bounds()
        intervalMs = Math.min(maxMs, Math.max(minMs, intervalMs * 2))
        begin(nowMs)
      }
      return due
    },
    defer(nowMs, withinMs) {
      forced = true
      sendMs = nowMs + withinMs * (0.5 + 0.5 * random.fraction())
      endMs = Math.max(endMs, sendMs)
    },
    intervalMs: () => intervalMs,
    deadline: () => Math.min(sendMs, endMs),
  }
}

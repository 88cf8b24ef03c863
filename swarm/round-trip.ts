/** Round-trip estimate to one member. Source: RFC 6298, section 2 (smoothed mean and variation); only its timeout rule is ours. */
import { equalBytes } from '../base/bytes.ts'

export interface RoundTrip {
  /** Remembers that a ping with this token left now; only the latest one counts. */
  sent(token: Uint8Array, nowMs: number): void
  /** Takes an echoed token; false when it is not that of the latest ping. */
  echoed(token: Uint8Array, nowMs: number): boolean
  /** Takes a round trip measured elsewhere. */
  sample(sampleMs: number): void
  /** Smoothed round trip, undefined before the first sample. */
  smoothedMs(): number | undefined
  /** How long to wait for an answer: `srtt + 4 var` within the bounds; the upper one while nothing is known. */
  timeoutMs(minMs: number, maxMs: number): number
}

export function createRoundTrip(): RoundTrip {
  let latest: { readonly token: Uint8Array; readonly sentAtMs: number } | undefined
  let smoothedMs: number | undefined
  let variationMs = 0
  const sample = (sampleMs: number): void => {
    if (smoothedMs === undefined) {
      smoothedMs = sampleMs
      variationMs = sampleMs / 2
    } else {
      variationMs += (Math.abs(smoothedMs - sampleMs) - variationMs) / 4
      smoothedMs += (sampleMs - smoothedMs) / 8
    }
  }
  return {
    sent(token, nowMs) {
      latest = { token, sentAtMs: nowMs }
    },
    echoed(token, nowMs) {
      if (latest === undefined || !equalBytes(token, latest.token)) return false
      sample(nowMs - latest.sentAtMs)
      latest = undefined
      return true
    },
    sample,
    smoothedMs: () => smoothedMs,
    timeoutMs: (minMs, maxMs) => (smoothedMs === undefined ? maxMs : Math.min(maxMs, Math.max(minMs, smoothedMs + 4 * variationMs))),
  }
}

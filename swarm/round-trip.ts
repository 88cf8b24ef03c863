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
  return new Estimate()
}

/** There is one a member: a class, so that a thousand of them share their functions. */
class Estimate implements RoundTrip {
  private token: Uint8Array | undefined
  private sentAtMs = 0
  private meanMs: number | undefined
  private variationMs = 0

  sent(token: Uint8Array, nowMs: number): void {
    this.token = token
    this.sentAtMs = nowMs
  }

  echoed(token: Uint8Array, nowMs: number): boolean {
    if (this.token === undefined || !equalBytes(token, this.token)) return false
    this.token = undefined
    this.sample(nowMs - this.sentAtMs)
    return true
  }

  sample(sampleMs: number): void {
    if (this.meanMs === undefined) {
      this.meanMs = sampleMs
      this.variationMs = sampleMs / 2
    } else {
      this.variationMs += (Math.abs(this.meanMs - sampleMs) - this.variationMs) / 4
      this.meanMs += (sampleMs - this.meanMs) / 8
    }
  }

  smoothedMs(): number | undefined {
    return this.meanMs
  }

  timeoutMs(minMs: number, maxMs: number): number {
    return this.meanMs === undefined ? maxMs : Math.min(maxMs, Math.max(minMs, this.meanMs + 4 * this.variationMs))
  }
}

/**
 * How fast a link may send (HS_SYNC_KBPS_MAX): a token bucket that goes into debt. Whatever is to be sent is reserved, and may go when
 * the debt is paid off; so no piece waits for more than what was reserved before it, and none is ever too large for the bucket.
 */
const BITS_PER_BYTE = 8
/** What may go at once after a pause. */
const BURST_MS = 250
const BURST_BYTES_MIN = 1_024

export interface SendBudget {
  /** Bytes that are written in one go: small enough that the other side hears something several times a second. */
  readonly pieceBytes: number
  /** Reserves so many bytes, and says in how many milliseconds they may go. `nowMs` is monotonic. */
  reserve(bytes: number, nowMs: number): number
}

/** `kbpsMax`: thousand bits a second, above 0. */
export function createSendBudget(kbpsMax: number): SendBudget {
  const bytesPerMs = kbpsMax / BITS_PER_BYTE
  const burstBytes = Math.max(BURST_BYTES_MIN, Math.floor(bytesPerMs * BURST_MS))
  let tokens = burstBytes
  let filledAtMs: number | undefined
  return {
    pieceBytes: burstBytes,
    reserve(bytes, nowMs) {
      // A clock that stands still or goes back fills nothing.
      const passedMs = Math.max(0, nowMs - (filledAtMs ?? nowMs))
      filledAtMs = Math.max(nowMs, filledAtMs ?? nowMs)
      tokens = Math.min(burstBytes, tokens + passedMs * bytesPerMs) - bytes
      return tokens >= 0 ? 0 : Math.ceil(-tokens / bytesPerMs)
    },
  }
}

/**
 * Which addresses have shown that they receive what is sent to them, by echoing a cookie, and what may be sent to the others: three
 * times the bytes that came from there (RFC 9000, section 8.1), so that a forged source address cannot turn this node on anybody.
 *
 * What this node sends there of its own accord - greetings of seeds, remembered peers and tombstones, first probes of members that others
 * speak of - is small (state.ts) and bounded for each host instead.
 *
 * Invariant G13 (docs/protocol.md): what is answered to an address not yet proven is at most three times what came from it, and what is
 * sent unasked to the unproven addresses of one host is within `unaskedRate`.
 */
import { addressKey } from './address.ts'
import type { Address } from './address.ts'
import type { SwarmLimits } from './options.ts'
import { createSourceLimits } from './token-bucket.ts'

const AMPLIFICATION_MAX = 3
/** A proof is good for this long; from its half on it is asked for again. */
const PROOF_MS = 3_600_000

export interface AddressProofs {
  prove(address: Address, nowMs: number): void
  isProven(address: Address, nowMs: number): boolean
  /** The same of an `addressKey`. */
  isKeyProven(key: string, nowMs: number): boolean
  /** Whether the next packet should carry a cookie. */
  isDue(address: Address, nowMs: number): boolean
  received(address: Address, bytes: number, nowMs: number): void
  /** Bytes that may be answered; Infinity where it is proven. */
  allowance(address: Address, nowMs: number): number
  /** Whether this many bytes may be answered; counts them when they may. */
  take(address: Address, bytes: number, nowMs: number): boolean
  /** Whether one more small packet that nobody there asked for may go there. */
  takeUnasked(address: Address, nowMs: number): boolean
}

export function createAddressProofs(limits: SwarmLimits): AddressProofs {
  const provenMsByKey = new Map<string, number>()
  /** Bytes that may still be sent. */
  const creditByKey = new Map<string, number>()
  const unasked = createSourceLimits(limits.unaskedRate, limits.sourcesMax)
  let last: { readonly address: Address; readonly key: string } | undefined
  /** Each packet asks several times about one address. */
  const keyOf = (address: Address): string => {
    if (last?.address !== address) last = { address, key: addressKey(address) }
    return last.key
  }
  const provenMs = (address: Address): number => provenMsByKey.get(keyOf(address)) ?? -Infinity
  const isProven = (address: Address, nowMs: number): boolean => nowMs - provenMs(address) < PROOF_MS

  return {
    isProven,
    isKeyProven: (key, nowMs) => nowMs - (provenMsByKey.get(key) ?? -Infinity) < PROOF_MS,
    isDue: (address, nowMs) => nowMs - provenMs(address) >= PROOF_MS / 2,
    prove(address, nowMs) {
      creditByKey.delete(keyOf(address))
      put(provenMsByKey, keyOf(address), nowMs, limits.provenAddressesMax)
    },
    received(address, bytes, nowMs) {
      if (isProven(address, nowMs)) return
      const key = keyOf(address)
      // Whose entry is pushed out starts again at nothing, never at more than it had.
      put(creditByKey, key, (creditByKey.get(key) ?? 0) + AMPLIFICATION_MAX * bytes, limits.unprovenAddressesMax)
    },
    allowance: (address, nowMs) => (isProven(address, nowMs) ? Infinity : (creditByKey.get(keyOf(address)) ?? 0)),
    takeUnasked: (address, nowMs) => isProven(address, nowMs) || unasked.admit(address.host, nowMs),
    take(address, bytes, nowMs) {
      if (isProven(address, nowMs)) return true
      const key = keyOf(address)
      const credit = creditByKey.get(key) ?? 0
      if (credit < bytes) return false
      creditByKey.set(key, credit - bytes)
      return true
    },
  }
}

/** Puts an entry last; the first goes when there are too many. */
function put<Value>(map: Map<string, Value>, key: string, value: Value, entriesMax: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= entriesMax) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

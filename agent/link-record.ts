/** How dialling peers went, for people who look for a fault: by address, the latest attempt. Bounded; the oldest goes first. */
import { addressKey } from '../swarm/address.ts'
import type { Address } from '../swarm/address.ts'

export const LINK_RECORDS_MAX = 256

export interface LinkAttempt {
  /** `open`, or why not (dialPeer). */
  readonly outcome: string
  /** Monotonic. */
  readonly atMs: number
}

export interface LinkRecord {
  note(address: Address, outcome: string): void
  last(address: Address): LinkAttempt | undefined
}

export function createLinkRecord(monotonicMs: () => number): LinkRecord {
  const attemptByAddress = new Map<string, LinkAttempt>()
  return {
    note(address, outcome) {
      const key = addressKey(address)
      attemptByAddress.delete(key)
      attemptByAddress.set(key, { outcome, atMs: monotonicMs() })
      if (attemptByAddress.size <= LINK_RECORDS_MAX) return
      const oldest = attemptByAddress.keys().next()
      if (oldest.done !== true) attemptByAddress.delete(oldest.value)
    },
    last: address => attemptByAddress.get(addressKey(address)),
  }
}

/**
 * The addresses behind HS_GOSSIP_PEERS. Each is greeted for ever, also while it answers and while multicast works, with a pause that doubles
 * up to a minute; it begins anew when the node there is gone or restarts. So two halves that only a seed connects always meet again.
 *
 * Every greeting carries a token of its own. Whoever echoes it has the address that we named, from wherever its packets come.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Random } from '../base/ports.ts'
import { addressKey } from './address.ts'
import type { Address } from './address.ts'
import type { NodeId } from './identity.ts'
import { PING_TOKEN_BYTES } from './messages.ts'
import type { SwarmLimits, SwarmTimings } from './options.ts'

interface Seed {
  readonly address: Address
  readonly token: Uint8Array
  /** Who has answered there. */
  nodeId: NodeId | undefined
  dueAtMs: number
  pauseMs: number
}

export interface Seeds {
  /** Replaces the list; what is known of an address that stays is kept. */
  resolved(addresses: readonly Address[], nowMs: number): void
  has(address: Address): boolean
  deadline(): number
  /** Seeds to greet now, each with its token. */
  takeDue(nowMs: number): { readonly address: Address; readonly token: Uint8Array }[]
  /** A token came back from this node, or a packet came from this address; whether it is a seed. */
  answered(nodeId: NodeId, by: Uint8Array | Address): boolean
  /** Greets all that are not answering at once: there is a new network. */
  retryNow(nowMs: number): void
  /** The node is gone: its seed is tried again soon. */
  lost(nodeId: NodeId, nowMs: number): void
}

export function createSeeds(timings: SwarmTimings, limits: SwarmLimits, random: Random): Seeds {
  let seedByAddress = new Map<string, Seed>()
  const find = (by: Uint8Array | Address): Seed | undefined => {
    if (!(by instanceof Uint8Array)) return seedByAddress.get(addressKey(by))
    for (const seed of seedByAddress.values()) if (equalBytes(seed.token, by)) return seed
    return undefined
  }
  const restart = (seed: Seed, nowMs: number, withinMs: number): void => {
    seed.pauseMs = timings.seedBackoffMinMs
    seed.dueAtMs = Math.min(seed.dueAtMs, nowMs + random.fraction() * withinMs)
  }
  return {
    resolved(addresses, nowMs) {
      const next = new Map<string, Seed>()
      for (const address of addresses.slice(0, limits.seedsMax)) {
        const key = addressKey(address)
        const seed = seedByAddress.get(key) ?? {
          address,
          token: random.bytes(PING_TOKEN_BYTES),
          nodeId: undefined,
          dueAtMs: nowMs + random.fraction() * timings.bootJitterMs,
          pauseMs: timings.seedBackoffMinMs,
        }
        next.set(key, seed)
      }
      seedByAddress = next
    },
    has: address => seedByAddress.has(addressKey(address)),
    deadline() {
      let earliestMs = Infinity
      for (const seed of seedByAddress.values()) earliestMs = Math.min(earliestMs, seed.dueAtMs)
      return earliestMs
    },
    takeDue(nowMs) {
      const due: Seed[] = []
      for (const seed of seedByAddress.values()) {
        if (seed.dueAtMs > nowMs) continue
        seed.dueAtMs = nowMs + seed.pauseMs * (0.9 + 0.2 * random.fraction())
        seed.pauseMs = Math.min(timings.seedBackoffMaxMs, seed.pauseMs * 2)
        due.push(seed)
      }
      return due
    },
    answered(nodeId, by) {
      const seed = find(by)
      if (seed === undefined) return false
      seed.nodeId = nodeId
      return true
    },
    retryNow(nowMs) {
      for (const seed of seedByAddress.values()) restart(seed, nowMs, timings.bootJitterMs)
    },
    lost(nodeId, nowMs) {
      for (const seed of seedByAddress.values()) if (seed.nodeId === nodeId) restart(seed, nowMs, timings.seedBackoffMinMs)
    },
  }
}

/**
 * The addresses behind HS_GOSSIP_PEERS. Each is greeted for ever, also while it answers and while multicast works, with a pause that doubles
 * up to a minute; it begins anew when the node there is gone or restarts. So two halves that only a seed connects always meet again.
 *
 * While nobody there is listed the pause stays short, in a small swarm a few seconds: a greeting is one packet, and after a cut that
 * has lasted for a while one lost greeting must not cost a minute more. It begins anew also when the seed speaks and is not listed, since our
 * answer may be lost and nothing else would follow it.
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

/** Above this many nodes each of them looks less often for a seed that is missing. */
const SILENT_CROWD = 10

interface Seed {
  readonly address: Address
  readonly token: Uint8Array
  /** Who has answered there. */
  nodeId: NodeId | undefined
  dueAtMs: number
  pauseMs: number
}

export interface SeedAnswer {
  readonly address: Address
  /** Undefined while nobody has. */
  readonly nodeId: NodeId | undefined
}

export interface Seeds {
  /** Replaces the list; what is known of an address that stays is kept. */
  resolved(addresses: readonly Address[], nowMs: number): void
  has(address: Address): boolean
  /** Where who has answered last. */
  answers(): readonly SeedAnswer[]
  deadline(): number
  /** Seeds to greet now, each with its token, in a swarm of `size` nodes. */
  takeDue(nowMs: number, size: number, isMember: (nodeId: NodeId) => boolean): { readonly address: Address; readonly token: Uint8Array }[]
  /** A token came back from this node, or a packet came from this address; whether it is a seed. */
  answered(nodeId: NodeId, by: Uint8Array | Address): boolean
  /** Greets all that are not answering at once: there is a new network. */
  retryNow(nowMs: number): void
  /** The node is gone: its seed is tried again soon. */
  lost(nodeId: NodeId, nowMs: number): void
  /** Somebody who is not listed has spoken from there: greeted again soon. */
  spoke(address: Address, nowMs: number): void
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
  /** All nodes together greet a missing seed about twice a second, and one node no more than one a second. */
  const silentPauseMs = (size: number, isSilent: (seed: Seed) => boolean): number => {
    let silent = 0
    for (const seed of seedByAddress.values()) if (isSilent(seed)) silent += 1
    const pauseMs = Math.max(timings.seedSilentMs * Math.max(1, size / SILENT_CROWD), silent * timings.seedBackoffMinMs)
    return Math.min(timings.seedBackoffMaxMs, pauseMs)
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
    answers: () => [...seedByAddress.values()].map(({ address, nodeId }) => ({ address, nodeId })),
    has: address => seedByAddress.has(addressKey(address)),
    deadline() {
      let earliestMs = Infinity
      for (const seed of seedByAddress.values()) earliestMs = Math.min(earliestMs, seed.dueAtMs)
      return earliestMs
    },
    takeDue(nowMs, size, isMember) {
      const due: Seed[] = []
      const isSilent = ({ nodeId }: Seed): boolean => nodeId === undefined || !isMember(nodeId)
      for (const seed of seedByAddress.values()) {
        if (seed.dueAtMs > nowMs) continue
        const pauseMaxMs = isSilent(seed) ? silentPauseMs(size, isSilent) : timings.seedBackoffMaxMs
        seed.dueAtMs = nowMs + Math.min(seed.pauseMs, pauseMaxMs) * (0.9 + 0.2 * random.fraction())
        seed.pauseMs = Math.min(pauseMaxMs, seed.pauseMs * 2)
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
    spoke(address, nowMs) {
      const seed = find(address)
      if (seed !== undefined) restart(seed, nowMs, timings.seedBackoffMinMs)
    },
  }
}

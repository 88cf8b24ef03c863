/**
 * Nodes that others speak of and that have not been heard yet: each gets heartbeats, with a doubling pause, for as long as there
 * are fresh rumours of it. Bounded in nodes and in heartbeats per second, since a rumour can name any address.
 */
import type { Address } from './address.ts'
import { sameAddress } from './address.ts'
import type { NodeId } from './identity.ts'
import type { SwarmLimits, SwarmTimings } from './options.ts'
import { createTokenBucket } from './token-bucket.ts'

export interface Contacts {
  /** Whether to send this node a heartbeat now. */
  shouldGreet(nodeId: NodeId, address: Address, nowMs: number): boolean
  forget(nodeId: NodeId): void
}

interface Contact {
  readonly address: Address
  readonly greetedAtMs: number
  readonly pauseMs: number
}

export function createContacts(timings: SwarmTimings, limits: SwarmLimits): Contacts {
  const contactById = new Map<NodeId, Contact>()
  const bucket = createTokenBucket(limits.contactRate)
  return {
    shouldGreet(nodeId, address, nowMs) {
      const known = contactById.get(nodeId)
      const elapsedMs = known === undefined ? Infinity : nowMs - known.greetedAtMs
      const moved = known !== undefined && !sameAddress(known.address, address)
      if (known !== undefined && elapsedMs < (moved ? timings.seedBackoffMinMs : known.pauseMs)) return false
      if (!bucket.take(nowMs)) return false
      const fresh = known === undefined || moved || elapsedMs > 2 * timings.seedBackoffMaxMs
      const pauseMs = fresh ? timings.seedBackoffMinMs : Math.min(timings.seedBackoffMaxMs, known.pauseMs * 2)
      contactById.delete(nodeId)
      contactById.set(nodeId, { address, greetedAtMs: nowMs, pauseMs })
      const [oldest] = contactById.keys()
      if (contactById.size > limits.contactsMax && oldest !== undefined) contactById.delete(oldest)
      return true
    },
    forget(nodeId) {
      contactById.delete(nodeId)
    },
  }
}

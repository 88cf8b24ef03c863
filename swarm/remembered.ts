/**
 * Where peers were in an earlier run of this node: greeted so that a robot that boots meets its swarm again without a seed and without
 * multicast. Each with a doubling pause while nobody there is listed, and a few at a time: a record of many addresses, most of
 * which may be stale, is no storm.
 *
 * Being remembered says where to ask, and nothing more: who answers is a member on the same terms as anybody, and the trust rule
 * (trust.ts) does not know of this list.
 */
import type { Random } from '../base/ports.ts'
import { isUnicast } from './address.ts'
import type { Address } from './address.ts'
import type { NodeId } from './identity.ts'
import type { SwarmTimings } from './options.ts'

/** Peers kept, and peers greeted per period. */
export const REMEMBERED_MAX = 256
const GREETED_PER_PERIOD = 4

export interface RememberedPeer {
  readonly nodeId: NodeId
  readonly address: Address
}

export interface Remembered {
  /** Replaces the list, the most promising first; what is known of a peer that stays is kept. */
  replace(peers: readonly RememberedPeer[], nowMs: number): void
  deadline(): number
  /** Where to send a heartbeat now; `isMember` says who needs none. */
  takeDue(nowMs: number, isMember: (nodeId: NodeId) => boolean): Address[]
  /** Greets all soon: there is a new network. */
  retryNow(nowMs: number): void
}

interface Entry extends RememberedPeer {
  dueAtMs: number
  pauseMs: number
}

export function createRemembered(timings: SwarmTimings, random: Random): Remembered {
  const { periodMs, bootJitterMs, seedBackoffMinMs, seedBackoffMaxMs } = timings
  let entryById = new Map<NodeId, Entry>()
  /** The next few go out no earlier. */
  let turnAtMs = -Infinity

  return {
    replace(peers, nowMs) {
      const next = new Map<NodeId, Entry>()
      // One draw for all: the first few go out together, those of a rack that is switched on do not.
      const firstMs = nowMs + random.fraction() * bootJitterMs
      for (const { nodeId, address } of peers) {
        if (next.size >= REMEMBERED_MAX || !isUnicast(address.host)) continue
        const known = entryById.get(nodeId)
        next.set(nodeId, { nodeId, address, dueAtMs: known?.dueAtMs ?? firstMs, pauseMs: known?.pauseMs ?? seedBackoffMinMs })
      }
      entryById = next
    },
    deadline() {
      let earliestMs = Infinity
      for (const { dueAtMs } of entryById.values()) earliestMs = Math.min(earliestMs, dueAtMs)
      return Math.max(turnAtMs, earliestMs)
    },
    takeDue(nowMs, isMember) {
      if (nowMs < turnAtMs) return []
      const due: Entry[] = []
      for (const entry of entryById.values()) {
        if (entry.dueAtMs > nowMs) continue
        if (isMember(entry.nodeId)) {
          // Looked at again later, from the shortest pause on: it may have gone by then.
          entry.dueAtMs = nowMs + seedBackoffMaxMs
          entry.pauseMs = seedBackoffMinMs
        } else due.push(entry)
      }
      // Who has waited longest; among equals the order of the list.
      const taken = due.sort((a, b) => a.dueAtMs - b.dueAtMs).slice(0, GREETED_PER_PERIOD)
      for (const entry of taken) {
        entry.dueAtMs = nowMs + entry.pauseMs * (0.9 + 0.2 * random.fraction())
        entry.pauseMs = Math.min(seedBackoffMaxMs, entry.pauseMs * 2)
      }
      if (taken.length > 0) turnAtMs = nowMs + periodMs
      return taken.map(({ address }) => address)
    },
    retryNow(nowMs) {
      const firstMs = nowMs + random.fraction() * bootJitterMs
      for (const entry of entryById.values()) {
        entry.pauseMs = seedBackoffMinMs
        entry.dueAtMs = Math.min(entry.dueAtMs, firstMs)
      }
    },
  }
}

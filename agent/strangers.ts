/**
 * Who was heard on the gossip sockets and is not listed: packets that were refused, with the reason, and nodes that are welcome and never
 * answer. It is kept for people who wonder why two robots do not see one another (diagnosis/explain.ts); nothing is decided by it.
 *
 * Nothing here is authenticated: whoever can send a packet can write into it. So it is bounded, also for each host, and the entry that was
 * unheard for longest goes first.
 */
import type { Address } from '../swarm/address.ts'
import type { RejectReason } from '../swarm/events.ts'
import type { PacketClaim } from './packet-claim.ts'

export const STRANGERS_MAX = 64
/** Nodes told apart at one host; what further ones send is counted in one entry. */
export const STRANGERS_PER_HOST_MAX = 8

/** `unproven`: nothing was wrong with its packets, but it has not sent back what only the receiver of our packets can know. */
export type StrangerReason = RejectReason | 'unproven'

export interface Stranger {
  readonly host: string
  /** Its gossip port; undefined while only the discovery group has brought something of it. */
  readonly port: number | undefined
  /** What the last packet says of itself. */
  readonly claim: PacketClaim
  /** Of its last packet. */
  readonly reason: StrangerReason
  readonly packets: number
  /** Monotonic. */
  readonly firstMs: number
  readonly lastMs: number
}

export interface Strangers {
  heard(from: Address, isMulticast: boolean, claim: PacketClaim, reason: StrangerReason): void
  /** This node was let in, from this host. */
  admitted(host: string, nodeId: string): void
  /** Heard last comes last. */
  list(): readonly Stranger[]
}

export function createStrangers(monotonicMs: () => number): Strangers {
  const strangerByKey = new Map<string, Stranger>()

  const keyOf = (host: string, name: string): string => `${host} ${name}`
  const isCrowded = (host: string): boolean => {
    let count = 0
    for (const stranger of strangerByKey.values()) if (stranger.host === host) count += 1
    return count >= STRANGERS_PER_HOST_MAX
  }

  return {
    heard(from, isMulticast, claim, reason) {
      const { host } = from
      let key = keyOf(host, claim.nodeId ?? `:${from.port}`)
      if (!strangerByKey.has(key) && isCrowded(host)) key = keyOf(host, '')
      const before = strangerByKey.get(key)
      const nowMs = monotonicMs()
      // Behind all others: a map keeps the order in which its keys came.
      strangerByKey.delete(key)
      strangerByKey.set(key, {
        host,
        // A beacon leaves from a socket of its own.
        port: isMulticast ? before?.port : from.port,
        claim,
        reason,
        packets: (before?.packets ?? 0) + 1,
        firstMs: before?.firstMs ?? nowMs,
        lastMs: nowMs,
      })
      if (strangerByKey.size <= STRANGERS_MAX) return
      const oldest = strangerByKey.keys().next()
      if (oldest.done !== true) strangerByKey.delete(oldest.value)
    },
    admitted(host, nodeId) {
      if (strangerByKey.size > 0) strangerByKey.delete(keyOf(host, nodeId))
    },
    list: () => [...strangerByKey.values()],
  }
}

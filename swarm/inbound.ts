/**
 * The way in: from a datagram to checked messages, the cheap checks first.
 *
 * Invariant G1 (docs/protocol.md): whatever the bytes are, the result is a value, and a packet that is not accepted leaves no trace
 * but its source's rate.
 */
import type { Codec } from '../base/ports.ts'
import type { Address } from './address.ts'
import type { RejectReason } from './events.ts'
import type { BootId } from './identity.ts'
import type { Membership } from './membership.ts'
import { decodeMessages } from './messages.ts'
import type { SwarmMessage } from './messages.ts'
import type { SwarmOptions } from './options.ts'
import { decodeHeader, HEADER_BYTES } from './packet.ts'
import type { PacketHeader } from './packet.ts'
import { createSourceLimits } from './token-bucket.ts'

/** A packet of an earlier boot of our own may still be under way for this long after the start. */
const OWN_PAST_MS = 5_000

export type Opened =
  | { readonly verdict: 'accepted'; readonly header: PacketHeader; readonly messages: readonly SwarmMessage[]; readonly unknown: number }
  /** Our own words, come back through the group. */
  | { readonly verdict: 'own' }
  /** Our node id with another boot: somebody else has our identity. */
  | { readonly verdict: 'double'; readonly header: PacketHeader }
  | { readonly verdict: 'rejected'; readonly reason: RejectReason; readonly header?: PacketHeader }

export interface Inbound {
  open(bytes: Uint8Array, from: Address, nowMs: number): Opened
}

export function createInbound(
  options: SwarmOptions,
  codec: Codec,
  own: { readonly bootId: BootId; readonly swarm: string; readonly startedAtMs: () => number },
  membership: Membership,
): Inbound {
  const { limits, timings } = options
  const sources = createSourceLimits(limits.sourceRate, limits.sourcesMax)

  /** Whether the boot and the counter can be new; the older boot of a node is refused for as long as the newer one is listed. */
  const judge = (header: PacketHeader, nowMs: number): RejectReason | undefined => {
    const member = membership.get(header.nodeId)
    if (member !== undefined) {
      if (header.bootId < member.bootId) return 'stale-boot'
      return header.bootId === member.bootId && member.window.seen(header.counter) ? 'duplicate' : undefined
    }
    const tombstone = membership.tombstone(header.nodeId)
    if (tombstone === undefined || header.bootId > tombstone.bootId) return undefined
    // A node restored from an older copy counts its boots from further back: in the end it must be let in again.
    if (header.bootId < tombstone.bootId) return nowMs - tombstone.droppedAtMs < timings.memberTimeoutMs ? 'stale-boot' : undefined
    if (tombstone.left) return 'left'
    return tombstone.window.seen(header.counter) ? 'duplicate' : undefined
  }

  return {
    open(bytes, from, nowMs) {
      if (!sources.admit(from.host, nowMs)) return { verdict: 'rejected', reason: 'rate-limited' }
      const header = decodeHeader(bytes)
      if (typeof header === 'string') return { verdict: 'rejected', reason: header }
      if (header.swarm !== own.swarm) return { verdict: 'rejected', reason: 'other-swarm' }
      if (header.nodeId === options.nodeId) {
        if (header.bootId === own.bootId) return { verdict: 'own' }
        if (header.bootId < own.bootId && nowMs - own.startedAtMs() < OWN_PAST_MS) return { verdict: 'rejected', reason: 'stale-boot' }
        return { verdict: 'double', header }
      }
      const reason = judge(header, nowMs)
      if (reason !== undefined) return { verdict: 'rejected', reason, header }
      const decoded = decodeMessages(codec.decode(bytes.subarray(HEADER_BYTES)))
      if (decoded === undefined) return { verdict: 'rejected', reason: 'malformed' }
      return { verdict: 'accepted', header, ...decoded }
    },
  }
}

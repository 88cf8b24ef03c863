/**
 * The way in: from a datagram to checked messages, the cheap checks first. Whatever is answered or reported of a packet comes behind
 * its seal; before it stand only checks that drop it in silence.
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
import { decodeHeader } from './packet.ts'
import type { PacketHeader } from './packet.ts'
import type { OpenPacket } from './seal.ts'
import { createSourceLimits } from './token-bucket.ts'

/** A packet of an earlier boot of our own may still be under way for this long after the start. */
const OWN_PAST_MS = 5_000

export type Opened =
  | { readonly verdict: 'accepted'; readonly header: PacketHeader; readonly messages: readonly SwarmMessage[]; readonly unknown: number }
  /** Our own words, come back through the group. */
  | { readonly verdict: 'own' }
  /** Our node id with another boot: somebody else has our identity, or has recorded us. */
  | { readonly verdict: 'double'; readonly header: PacketHeader; readonly messages: readonly SwarmMessage[] }
  /** A boot of a node before the one that is listed. */
  | { readonly verdict: 'stale'; readonly header: PacketHeader; readonly messages: readonly SwarmMessage[] }
  | { readonly verdict: 'rejected'; readonly reason: RejectReason }

export interface Inbound {
  open(bytes: Uint8Array, from: Address, nowMs: number): Opened
}

export function createInbound(
  options: SwarmOptions,
  codec: Codec,
  own: { readonly bootId: BootId; readonly swarm: string; readonly startedAtMs: () => number },
  membership: Membership,
  openPacket: OpenPacket,
): Inbound {
  const { limits, timings } = options
  const sources = createSourceLimits(limits.sourceRate, limits.sourcesMax)

  const isCopy = (header: PacketHeader): boolean => {
    const known = membership.get(header.nodeId) ?? membership.tombstone(header.nodeId)
    return known !== undefined && known.bootId === header.bootId && known.window.seen(header.counter)
  }

  /** Whether the boot can be the present one; an older boot of a node is refused for as long as the newer one is listed. */
  const judge = (header: PacketHeader, nowMs: number): 'stale-boot' | 'left' | undefined => {
    const member = membership.get(header.nodeId)
    if (member !== undefined) return header.bootId < member.bootId ? 'stale-boot' : undefined
    const tombstone = membership.tombstone(header.nodeId)
    if (tombstone === undefined || header.bootId > tombstone.bootId) return undefined
    // A node restored from an older copy counts its boots from further back: in the end it must be let in again.
    if (header.bootId < tombstone.bootId) return nowMs - tombstone.droppedAtMs < timings.memberTimeoutMs ? 'stale-boot' : undefined
    return tombstone.left ? 'left' : undefined
  }

  return {
    open(bytes, from, nowMs) {
      if (!sources.admit(from.host, nowMs)) return { verdict: 'rejected', reason: 'rate-limited' }
      const header = decodeHeader(bytes)
      if (typeof header === 'string') return { verdict: 'rejected', reason: header }
      if (header.swarm !== own.swarm) return { verdict: 'rejected', reason: 'other-swarm' }
      const isOwnId = header.nodeId === options.nodeId
      if (isOwnId && header.bootId === own.bootId) return { verdict: 'own' }
      // Copies are many and cost least here.
      if (isCopy(header)) return { verdict: 'rejected', reason: 'duplicate' }
      const body = openPacket(header, bytes)
      if (typeof body === 'string') return { verdict: 'rejected', reason: body }
      if (isOwnId && header.bootId < own.bootId && nowMs - own.startedAtMs() < OWN_PAST_MS)
        return { verdict: 'rejected', reason: 'stale-boot' }
      const reason = isOwnId ? undefined : judge(header, nowMs)
      if (reason === 'left') return { verdict: 'rejected', reason }
      const decoded = decodeMessages(codec.decode(body))
      if (decoded === undefined) return { verdict: 'rejected', reason: 'malformed' }
      if (isOwnId) return { verdict: 'double', header, messages: decoded.messages }
      if (reason === 'stale-boot') return { verdict: 'stale', header, messages: decoded.messages }
      return { verdict: 'accepted', header, ...decoded }
    },
  }
}

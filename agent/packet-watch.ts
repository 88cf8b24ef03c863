/** Watches the packets that gossip takes in: who is not taken (strangers.ts), and when the discovery group last brought something. */
import type { Address } from '../swarm/address.ts'
import type { RejectReason } from '../swarm/events.ts'
import { readPacketClaim } from './packet-claim.ts'
import type { PacketClaim } from './packet-claim.ts'
import { createStrangers } from './strangers.ts'
import type { Stranger, StrangerReason } from './strangers.ts'

/** These happen to packets of every member, and say nothing of who is there: copies, last words, the echo of a farewell. */
const ORDINARY: ReadonlySet<RejectReason> = new Set(['duplicate', 'left', 'unknown-message', 'digest-mismatch', 'too-many-collections'])

export interface PacketWatch {
  /** Before a datagram is given to the core. */
  began(bytes: Uint8Array, from: Address, onGroupSocket: boolean): void
  /** The core did not take it, or not all of it. */
  refused(reason: RejectReason): void
  /** Behind the core's step. */
  ended(): void
  strangers(): readonly Stranger[]
  /** When the group last brought a packet of somebody else, and of ourselves; monotonic, undefined for never. */
  groupHeardMs(): { readonly others: number | undefined; readonly own: number | undefined }
}

export function createPacketWatch(options: {
  readonly nodeId: string
  readonly isMember: (nodeId: string) => boolean
  readonly monotonicMs: () => number
}): PacketWatch {
  const strangers = createStrangers(options.monotonicMs)
  let arriving: { readonly claim: PacketClaim; readonly from: Address; readonly isMulticast: boolean } | undefined
  let reason: StrangerReason | undefined
  let othersMs: number | undefined
  let ownMs: number | undefined

  return {
    began(bytes, from, onGroupSocket) {
      const claim = readPacketClaim(bytes)
      // A socket that is bound to all addresses hears the group as well, when the ports are equal.
      arriving = { claim, from, isMulticast: onGroupSocket || claim.isMulticast }
      reason = undefined
    },
    refused(refusal) {
      reason ??= refusal
    },
    ended() {
      if (arriving === undefined) return
      const { claim, from, isMulticast } = arriving
      const { nodeId } = claim
      arriving = undefined
      const isOwn = nodeId === options.nodeId
      if (isMulticast && isOwn) ownMs = options.monotonicMs()
      else if (isMulticast) othersMs = options.monotonicMs()
      // A double of this node is reported as such.
      if (isOwn || (reason !== undefined && reason !== 'unproven' && ORDINARY.has(reason))) return
      if (reason !== undefined) strangers.heard(from, isMulticast, claim, reason)
      else if (nodeId !== undefined && options.isMember(nodeId)) strangers.admitted(from.host, nodeId)
      else if (nodeId !== undefined) strangers.heard(from, isMulticast, claim, 'unproven')
    },
    strangers: () => strangers.list(),
    groupHeardMs: () => ({ others: othersMs, own: ownMs }),
  }
}

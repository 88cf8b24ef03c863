/** Makes the packets of this node: header, packet counter, what the packet is for, whatever else is worth saying and still fits, and the seal. */
import { concatBytes, fromHex } from '../base/bytes.ts'
import type { Codec, Hash, Random } from '../base/ports.ts'
import { encodeHost, isTellable } from './address.ts'
import type { Address } from './address.ts'
import { createBroadcastQueue } from './broadcast.ts'
import type { BroadcastQueue } from './broadcast.ts'
import { countPacket } from './counters.ts'
import type { SwarmCounters } from './counters.ts'
import { UPDATES_MAX } from './digest-messages.ts'
import { encodeEvidence } from './evidence-vector.ts'
import type { BootId } from './identity.ts'
import { parseNodeId } from './identity.ts'
import type { KeyRing } from './key-ring.ts'
import type { Member } from './member.ts'
import { CLAIMS_MAX, encodeAgeless, encodeRecord, RECORDS_MAX } from './member-messages.ts'
import type { AgelessRecord } from './member-messages.ts'
import type { Membership } from './membership.ts'
import { listMessage } from './message-fields.ts'
import { encodeCore, encodeHeartbeat, encodeKeys, KIND, kindOf } from './messages.ts'
import type { NodeDescription } from './node-description.ts'
import type { SwarmOptions } from './options.ts'
import { DATAGRAM_BYTES_MAX, encodeBody, encodeHeader, HEADER_BYTES, MESSAGES_BYTES_MAX, swarmTag, TAG_BYTES } from './packet.ts'
import { createSeal } from './seal.ts'

/** Bytes that a list of items takes besides them. */
const LIST_HEAD_BYTES = 5

export interface Introduction {
  /** The address stands in our HS_GOSSIP_PEERS. */
  readonly named: boolean
  /** We do not hold whoever is there and want a heartbeat back. */
  readonly answerMe: boolean
}

export interface Contents {
  /** Who we are, for somebody who may not know; others get the core of it. */
  readonly introduction?: Introduction
  /** Ages of evidence. */
  readonly evidence?: boolean
  /** What is to be passed on; true unless said otherwise. */
  readonly gossip?: boolean
  /** Messages that go with whatever the packet is for. */
  readonly besides?: readonly Uint8Array[]
  /** Of the datagram. */
  readonly bytesMax?: number
}

export interface Outbound {
  readonly swarm: string
  readonly claims: BroadcastQueue
  readonly records: BroadcastQueue
  readonly updates: BroadcastQueue
  /** A packet of these messages alone. */
  packet(messages: readonly Uint8Array[], multicast?: boolean): Uint8Array
  /** A packet to one node: these messages, who we are, and what fits besides; undefined when not even the former do. */
  compose(to: Address, messages: readonly Uint8Array[], contents: Contents, nowMs: number): Uint8Array | undefined
  heartbeat(introduction: Introduction): Uint8Array
  /** How often one update is told. */
  timesMax(): number
  /** Broadcasts that wait. */
  waiting(): number
  /** Grows with every new broadcast about members. */
  newsCount(): number
  /** Packets made so far: the packet counter. */
  packetCounter(): number
}

export interface OwnState {
  readonly bootId: BootId
  incarnation: number
  logicalClock: number
  summary: string
  description: () => NodeDescription
}

export function createOutbound(
  options: SwarmOptions,
  ports: { readonly hash: Hash; readonly codec: Codec; readonly random: Random; readonly wallMs: () => number },
  own: OwnState,
  membership: Membership,
  counters: SwarmCounters,
  ring: KeyRing,
): Outbound {
  const { limits } = options
  const swarm = swarmTag(options.swarmName, ports.hash)
  const none = new Uint8Array(0)
  const fixed = concatBytes(fromHex(swarm) ?? none, parseNodeId(options.nodeId) ?? none, fromHex(own.bootId) ?? none)
  const seal = createSeal(ring, { nodeId: options.nodeId, bootId: own.bootId })
  const claims = createBroadcastQueue(limits.broadcastsMax)
  const records = createBroadcastQueue(limits.recordsMax)
  const updates = createBroadcastQueue(limits.broadcastsMax)
  let packetCounter = 0

  /** While the key is being changed, others want to know who holds which. */
  const keys = (): Uint8Array[] => (ring.ids.length > 1 ? [encodeKeys(ring.ids)] : [])

  const makePacket = (messages: readonly Uint8Array[], multicast: boolean): Uint8Array => {
    packetCounter += 1
    const bytes = seal(encodeHeader(fixed, ring.sealingId, packetCounter, multicast), packetCounter, encodeBody(messages))
    const [first] = messages
    if (first !== undefined) countPacket(counters.sentByKind, multicast ? 'multicast' : kindOf(first), bytes.length)
    if (multicast) counters.multicastSent += 1
    return bytes
  }

  const heartbeat = ({ named, answerMe }: Introduction): Uint8Array =>
    encodeHeartbeat(
      {
        kind: 'heartbeat',
        ...own.description(),
        gossipPort: options.gossipPort,
        logicalClock: own.logicalClock,
        incarnation: own.incarnation,
        summary: own.summary,
        wallMs: ports.wallMs(),
        named,
        answerMe,
      },
      ports.codec,
    )

  const timesMax = (): number => 4 * Math.ceil(Math.log10(membership.size() + 1))

  /** The message of what a queue has for this receiver; undefined when it has nothing that fits. */
  const takeFrom = (
    queue: BroadcastQueue,
    kind: number,
    itemsMax: number,
    to: Address,
    bytesMax: number,
    nowMs: number,
  ): Uint8Array | undefined => {
    if (queue.size() === 0 || bytesMax <= LIST_HEAD_BYTES) return undefined
    // What is lost of descriptions, exchanges of members repair.
    const times = queue === records ? timesMax() / 2 : timesMax()
    const items = queue.take(to, bytesMax - LIST_HEAD_BYTES, itemsMax, times, nowMs)
    return items.length === 0 ? undefined : listMessage(kind, items)
  }

  return {
    swarm,
    claims,
    records,
    updates,
    packet: (messages, multicast = false) => makePacket([...messages, ...keys()], multicast),
    heartbeat,
    timesMax,
    waiting: () => claims.size() + records.size() + updates.size(),
    newsCount: () => claims.enqueued() + records.enqueued() + updates.enqueued(),
    packetCounter: () => packetCounter,
    compose(to, messages, { introduction, evidence = false, gossip = true, besides = [], bytesMax = DATAGRAM_BYTES_MAX }, nowMs) {
      const parts = [...messages, introduction === undefined ? encodeCore(own) : heartbeat(introduction), ...besides, ...keys()]
      let left = Math.min(MESSAGES_BYTES_MAX, bytesMax - HEADER_BYTES - TAG_BYTES - 1)
      for (const part of parts) left -= part.length
      if (left < 0) return undefined
      const add = (message: Uint8Array | undefined): void => {
        if (message === undefined) return
        parts.push(message)
        left -= message.length
      }
      if (gossip) {
        const reserved = updates.size() === 0 ? 0 : limits.digestBytesPerPacket
        add(takeFrom(claims, KIND.claims, CLAIMS_MAX, to, left - reserved, nowMs))
        // Ages have room before descriptions, or a thousand newcomers would leave everybody without evidence of one another.
        const kept = reserved + (evidence ? limits.evidenceBytesPerPacket : 0)
        add(takeFrom(records, KIND.records, RECORDS_MAX, to, left - kept, nowMs))
        const digestBytesMax = Math.min(left, messages.length === 0 ? left : limits.digestBytesPerPacket)
        add(takeFrom(updates, KIND['digest-updates'], UPDATES_MAX, to, digestBytesMax, nowMs))
      }
      const evidenceBytesMax = Math.min(left, limits.evidenceBytesPerPacket)
      if (evidence) add(encodeEvidence(KIND.evidence, membership.table, evidenceBytesMax, nowMs, ports.random))
      return makePacket(parts, false)
    },
  }
}

/** The description of a member for a receiver to whom its address means something; undefined otherwise. */
export function encodeMember(member: Member, to: Address, ageMs: number, codec: Codec): Uint8Array | undefined {
  return createMemberEncoder(member, codec)(to, ageMs)
}

/** The same for many receivers. */
export function createMemberEncoder(member: Member, codec: Codec): (to: Address, ageMs: number) => Uint8Array | undefined {
  let made: { readonly of: MadeOf; readonly record: AgelessRecord } | undefined
  return (to, ageMs) => {
    const { incarnation, address, description, summary } = member
    if (!isTellable(address.host, to.host) || encodeHost(address.host) === undefined) return undefined
    const isCurrent =
      made?.of.incarnation === incarnation &&
      made.of.address === address &&
      made.of.description === description &&
      made.of.summary === summary
    if (made === undefined || !isCurrent) {
      const { nodeId, bootId } = member
      const record = encodeAgeless({ nodeId, bootId, incarnation, address, ...description, summary: summary || NO_SUMMARY }, codec)
      made = { of: { incarnation, address, description, summary }, record }
    }
    return encodeRecord(made.record, ageMs)
  }
}

type MadeOf = Pick<Member, 'incarnation' | 'address' | 'description' | 'summary'>

/** Of a member whose digests are not known. */
const NO_SUMMARY = '0000000000000000'

/** Makes the packets of this node: header, packet counter, heartbeats that are filled up with rumours. */
import { concatBytes, fromHex } from '../base/bytes.ts'
import type { Codec, Hash } from '../base/ports.ts'
import { encodeHost, isTellable, sameAddress } from './address.ts'
import type { Address } from './address.ts'
import type { BootId } from './identity.ts'
import { parseNodeId } from './identity.ts'
import type { KeyRing } from './key-ring.ts'
import type { Member } from './member.ts'
import type { Membership } from './membership.ts'
import { encodeHeartbeat, encodeKeys, encodePing, encodeRumours } from './messages.ts'
import type { Rumour } from './messages.ts'
import type { SwarmOptions } from './options.ts'
import { encodeBody, encodeHeader, MESSAGES_BYTES_MAX, swarmTag } from './packet.ts'
import { createSeal } from './seal.ts'

export interface Greeting {
  /** The address stands in our HS_GOSSIP_PEERS. */
  readonly named: boolean
  /** We do not hold whoever is there and want a heartbeat back. */
  readonly answerMe: boolean
  /** To be echoed. */
  readonly token?: Uint8Array
  /** Messages to put in front. */
  readonly before?: readonly Uint8Array[]
  readonly rumours?: boolean
}

export interface Outbound {
  readonly swarm: string
  packet(messages: readonly Uint8Array[], multicast?: boolean): Uint8Array
  /** A heartbeat to one address, with rumours for as long as there is room. */
  greeting(to: Address, greeting: Greeting, nowMs: number): Uint8Array
  beacon(): Uint8Array
  /** What we know of one member, for a receiver to whom its address means something; undefined otherwise. */
  rumour(about: Member, to: Address, nowMs: number): Uint8Array | undefined
}

export interface OwnState {
  readonly bootId: BootId
  readonly incarnation: number
  heartbeatCounter: number
  logicalClock: number
  summary: string
}

export function createOutbound(
  options: SwarmOptions,
  ports: { readonly hash: Hash; readonly codec: Codec; readonly wallMs: () => number },
  own: OwnState,
  membership: Membership,
  ring: KeyRing,
): Outbound {
  const swarm = swarmTag(options.swarmName, ports.hash)
  const none = new Uint8Array(0)
  const fixed = concatBytes(fromHex(swarm) ?? none, parseNodeId(options.nodeId) ?? none, fromHex(own.bootId) ?? none)
  const seal = createSeal(ring, { nodeId: options.nodeId, bootId: own.bootId })
  /** While the key is being changed, others want to know who holds which. */
  const keys = (): Uint8Array[] => (ring.ids.length > 1 ? [encodeKeys(ring.ids, ports.codec)] : [])
  let packetCounter = 0

  const packet = (messages: readonly Uint8Array[], multicast = false): Uint8Array => {
    packetCounter += 1
    return seal(encodeHeader(fixed, ring.sealingId, packetCounter, multicast), packetCounter, encodeBody(messages))
  }

  const heartbeat = (named: boolean, answerMe: boolean): Uint8Array =>
    encodeHeartbeat(
      {
        kind: 'heartbeat',
        httpPort: options.httpPort(),
        gossipPort: options.gossipPort,
        role: options.role,
        logicalClock: own.logicalClock,
        incarnation: own.incarnation,
        nodeName: options.nodeName,
        summary: own.summary,
        heartbeatCounter: own.heartbeatCounter,
        wallMs: ports.wallMs(),
        secured: ring.sealingId !== 0,
        httpReachable: options.httpReachable,
        named,
        answerMe,
      },
      ports.codec,
    )

  const tell = (member: Member, nowMs: number): Rumour => ({
    nodeId: member.nodeId,
    bootId: member.bootId,
    heartbeatCounter: member.heartbeatCounter,
    address: member.address,
    ageMs: nowMs - member.evidenceMs,
  })

  const isTold = (member: Member, to: Address): boolean =>
    isTellable(member.address.host, to.host) && encodeHost(member.address.host) !== undefined

  return {
    swarm,
    packet,
    greeting(to, greeting, nowMs) {
      const messages = [...(greeting.before ?? []), heartbeat(greeting.named, greeting.answerMe), ...keys()]
      if (greeting.token !== undefined) messages.push(encodePing('ping', greeting.token, ports.codec))
      if (greeting.rumours === true) {
        const about = membership.sample(options.limits.rumoursPerPacket, member => !sameAddress(member.address, to) && isTold(member, to))
        const left = messages.reduce((bytes, message) => bytes - message.length, MESSAGES_BYTES_MAX)
        const rumours = encodeRumours(
          about.map(member => tell(member, nowMs)),
          left,
          ports.codec,
        )
        if (rumours !== undefined) messages.push(rumours)
      }
      return packet(messages)
    },
    beacon: () => packet([heartbeat(false, false), ...keys()], true),
    rumour: (about, to, nowMs) => (isTold(about, to) ? encodeRumours([tell(about, nowMs)], MESSAGES_BYTES_MAX, ports.codec) : undefined),
  }
}

/**
 * One UDP datagram: a clear header, then a CBOR array of messages (messages.ts).
 *
 * | at | bytes | field |
 * |---|---|---|
 * | 0 | 2 | magic `68 73` ("hs") |
 * | 2 | 1 | version, 1 |
 * | 3 | 1 | flags: bit 0 = sent to the multicast group; bits 1-7 are 0 |
 * | 4 | 4 | key id, 0 = not sealed |
 * | 8 | 8 | swarm: leading bytes of SHA-256("hs-agent swarm\0" + swarm name) |
 * | 16 | 16 | sender's node id |
 * | 32 | 8 | sender's boot id |
 * | 40 | 8 | packet counter of this boot, from 1, big-endian, below 2^53 |
 * | 48 | up to 1,152 | CBOR array of messages |
 *
 * The multicast bit is needed because a socket bound to 0.0.0.0 hears the group too when the ports are equal, and nothing that
 * Node tells of a datagram says which address it was sent to.
 */
import { concatBytes, createByteWriter, readU32, readU64, toHex } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import type { RejectReason } from './events.ts'
import { formatNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'

/** Largest UDP payload: below every usual MTU with room for tunnels, so IP never fragments. */
export const DATAGRAM_BYTES_MAX = 1_200
export const HEADER_BYTES = 48
/** What the encoded messages of one packet may take together; one byte goes to the head of their array. */
export const MESSAGES_BYTES_MAX = DATAGRAM_BYTES_MAX - HEADER_BYTES - 1

const MAGIC = 0x6873
const VERSION = 1
const FLAG_MULTICAST = 1

export interface PacketHeader {
  readonly multicast: boolean
  /** 16 hexadecimal digits. */
  readonly swarm: string
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly counter: number
}

/** The header's name of a swarm: 16 hexadecimal digits. */
export function swarmTag(swarmName: string, hash: Hash): string {
  return toHex(hash.sha256(encodeUtf8(`hs-agent swarm\0${swarmName}`) ?? new Uint8Array(0)).subarray(0, 8))
}

/** `fixed` is what never changes for this boot: swarm, node id, boot id (32 bytes). `messages` are encoded ones, fewer than 24. */
export function encodePacket(fixed: Uint8Array, counter: number, multicast: boolean, messages: readonly Uint8Array[]): Uint8Array {
  const head = createByteWriter(HEADER_BYTES + 1)
    .u16(MAGIC)
    .u8(VERSION)
    .u8(multicast ? FLAG_MULTICAST : 0)
    .u32(0)
    .raw(fixed)
    .u64(counter)
    .u8(0x80 | messages.length)
  return concatBytes(head.finish(), ...messages)
}

/** Reads the header of a datagram; the messages are `bytes` from HEADER_BYTES on. */
export function decodeHeader(bytes: Uint8Array): PacketHeader | RejectReason {
  if (bytes.length > DATAGRAM_BYTES_MAX) return 'too-large'
  if (bytes.length <= HEADER_BYTES) return 'truncated'
  if (bytes[0] !== MAGIC >> 8 || bytes[1] !== (MAGIC & 0xff)) return 'not-a-packet'
  if (bytes[2] !== VERSION) return 'other-version'
  if (readU32(bytes, 4) !== 0) return 'sealed'
  const flags = bytes[3]!
  const counter = readU64(bytes.subarray(40, 48))
  if ((flags & ~FLAG_MULTICAST) !== 0 || counter === undefined || counter === 0) return 'malformed'
  return {
    multicast: (flags & FLAG_MULTICAST) !== 0,
    swarm: toHex(bytes.subarray(8, 16)),
    nodeId: formatNodeId(bytes.subarray(16, 32)),
    bootId: toHex(bytes.subarray(32, 40)),
    counter,
  }
}

/**
 * One UDP datagram: a clear header, then a CBOR array of messages (messages.ts), sealed when there is a swarm key (seal.ts).
 *
 * | at | bytes | field |
 * |---|---|---|
 * | 0 | 2 | magic `68 73` ("hs") |
 * | 2 | 1 | version, 1 |
 * | 3 | 1 | flags: bit 0 = sent to the multicast group; bits 1-7 are 0 |
 * | 4 | 4 | key id (key-ring.ts), 0 = not sealed |
 * | 8 | 8 | swarm: leading bytes of SHA-256("hs-agent swarm\0" + swarm name) |
 * | 16 | 16 | sender's node id |
 * | 32 | 8 | sender's boot id |
 * | 40 | 8 | packet counter of this boot, from 1, big-endian, below 2^53 |
 * | 48 | up to 1,136 | CBOR array of messages |
 * | end | 16 | tag, when sealed |
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
/** What sealing adds to the body. */
export const TAG_BYTES = 16
/**
 * What the encoded messages of one packet may take together; one byte goes to the head of their array. The tag's room is kept free
 * without a key too: a digest page has one size in every swarm.
 */
export const MESSAGES_BYTES_MAX = DATAGRAM_BYTES_MAX - HEADER_BYTES - TAG_BYTES - 1

/** Room that pages leave for what a packet says besides them: core, challenge, echo, and the ids of eight keys. */
export const BESIDES_BYTES_MAX = 100

const MAGIC = 0x6873
const VERSION = 1
const FLAG_MULTICAST = 1

export interface PacketHeader {
  readonly multicast: boolean
  /** 0: not sealed. */
  readonly keyId: number
  /** 16 hexadecimal digits. */
  readonly swarm: string
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly counter: number
}

/** What a swarm's name comes down to: 32 bytes. */
export function hashSwarmName(swarmName: string, hash: Hash): Uint8Array {
  return hash.sha256(encodeUtf8(`hs-agent swarm\0${swarmName}`) ?? new Uint8Array(0))
}

/** The header's name of a swarm: 16 hexadecimal digits. */
export function swarmTag(swarmName: string, hash: Hash): string {
  return toHex(hashSwarmName(swarmName, hash).subarray(0, 8))
}

/** `fixed` is what never changes for this boot: swarm, node id, boot id (32 bytes). */
export function encodeHeader(fixed: Uint8Array, keyId: number, counter: number, multicast: boolean): Uint8Array {
  return createByteWriter(HEADER_BYTES)
    .u16(MAGIC)
    .u8(VERSION)
    .u8(multicast ? FLAG_MULTICAST : 0)
    .u32(keyId)
    .raw(fixed)
    .u64(counter)
    .finish()
}

/** `messages` are encoded ones, fewer than 24. */
export function encodeBody(messages: readonly Uint8Array[]): Uint8Array {
  return concatBytes(Uint8Array.of(0x80 | messages.length), ...messages)
}

/** Reads the header of a datagram; the body, perhaps sealed, is `bytes` from HEADER_BYTES on. Nothing of it is authenticated yet. */
export function decodeHeader(bytes: Uint8Array): PacketHeader | RejectReason {
  if (bytes.length > DATAGRAM_BYTES_MAX) return 'too-large'
  if (bytes.length <= HEADER_BYTES) return 'truncated'
  if (bytes[0] !== MAGIC >> 8 || bytes[1] !== (MAGIC & 0xff)) return 'not-a-packet'
  if (bytes[2] !== VERSION) return 'other-version'
  const keyId = readU32(bytes, 4)
  if (keyId !== 0 && bytes.length <= HEADER_BYTES + TAG_BYTES) return 'truncated'
  const flags = bytes[3]!
  const counter = readU64(bytes.subarray(40, 48))
  if ((flags & ~FLAG_MULTICAST) !== 0 || counter === undefined || counter === 0) return 'malformed'
  return {
    multicast: (flags & FLAG_MULTICAST) !== 0,
    keyId,
    swarm: toHex(bytes.subarray(8, 16)),
    nodeId: formatNodeId(bytes.subarray(16, 32)),
    bootId: toHex(bytes.subarray(32, 40)),
    counter,
  }
}

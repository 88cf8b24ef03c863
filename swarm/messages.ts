/**
 * The messages of a packet: positional CBOR arrays whose first item is the kind (docs/protocol.md has the CDDL).
 *
 * Decoding takes nothing on trust: every field is checked for type, range and length. A message of an unknown kind is skipped and
 * counted, and items behind the known ones of an array are ignored, so that a later version can add both. Anything else that does
 * not fit makes the whole packet malformed, and none of its messages is applied.
 */
import { concatBytes, fromHex, readU64, toHex, u64Bytes } from '../base/bytes.ts'
import type { Codec } from '../base/ports.ts'
import { decodeHost, encodeHost } from './address.ts'
import type { Address } from './address.ts'
import { COOKIE_BYTES } from './cookie.ts'
import { DIGEST_BYTES, isCollectionName } from './digest-list.ts'
import type { CollectionDigest } from './digest-list.ts'
import { formatNodeId, parseNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'
import { SWARM_KEYS_MAX } from './key-ring.ts'

const KIND = {
  heartbeat: 1,
  ping: 2,
  pong: 3,
  rumours: 4,
  leave: 5,
  digestRequest: 6,
  digestPage: 7,
  challenge: 48,
  echo: 49,
  keys: 50,
} as const

/** Messages in one packet; what the sender makes stays far below. */
const MESSAGES_MAX = 16
const RUMOURS_MAX = 23
const PAGE_ENTRIES_MAX = 64
const U32_MAX = 0xffff_ffff
/** UTF-16 units. */
export const NODE_NAME_LENGTH_MAX = 128
export const PING_TOKEN_BYTES = 8

export type Role = 'edge' | 'leader' | 'follower'
const ROLES: readonly Role[] = ['edge', 'leader', 'follower']

const FLAG = { secured: 1, httpReachable: 2, named: 4, answerMe: 8 } as const

export interface Heartbeat {
  readonly kind: 'heartbeat'
  readonly httpPort: number
  readonly gossipPort: number
  readonly role: Role
  readonly logicalClock: number
  readonly incarnation: number
  readonly nodeName: string
  /** 16 hexadecimal digits. */
  readonly summary: string
  readonly heartbeatCounter: number
  /** The sender's wall clock in Unix milliseconds, for showing the skew and for nothing else. */
  readonly wallMs: number
  readonly secured: boolean
  readonly httpReachable: boolean
  /** The packet goes to an address that the sender names in HS_GOSSIP_PEERS. */
  readonly named: boolean
  /** The sender does not hold the receiver as a member and wants a heartbeat back. */
  readonly answerMe: boolean
}

/** What the sender knows of a third node. */
export interface Rumour {
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly heartbeatCounter: number
  readonly address: Address
  /** How long ago the sender had evidence of its life, by the sender's monotonic clock. */
  readonly ageMs: number
}

export interface DigestRequest {
  readonly kind: 'digest-request'
  readonly summary: string
  /** The page begins behind this name; '' asks for the first. */
  readonly after: string
}

export interface DigestPage {
  readonly kind: 'digest-page'
  readonly summary: string
  readonly after: string
  readonly more: boolean
  readonly entries: readonly CollectionDigest[]
}

export type SwarmMessage =
  | Heartbeat
  | { readonly kind: 'ping'; readonly token: Uint8Array }
  | { readonly kind: 'pong'; readonly token: Uint8Array }
  | { readonly kind: 'rumours'; readonly rumours: readonly Rumour[] }
  | { readonly kind: 'leave'; readonly incarnation: number }
  /** Whoever reads this is to send the cookie back, from where it was sent to. */
  | { readonly kind: 'challenge'; readonly cookie: Uint8Array }
  | { readonly kind: 'echo'; readonly cookie: Uint8Array }
  /** The ids of the keys that the sender holds, when it is more than the one that seals. */
  | { readonly kind: 'keys'; readonly keyIds: readonly number[] }
  | DigestRequest
  | DigestPage

/** Whether a node may bear this name: 1 to 128 UTF-16 units without control characters or lone surrogates. */
export function isNodeName(name: string): boolean {
  return name.length > 0 && name.length <= NODE_NAME_LENGTH_MAX && !/\p{Cc}|\p{Cs}/u.test(name)
}

// --- Encoding: each message by itself, so that a packet is filled to the byte ---

export function encodeHeartbeat(heartbeat: Heartbeat, codec: Codec): Uint8Array {
  let flags = 0
  if (heartbeat.secured) flags |= FLAG.secured
  if (heartbeat.httpReachable) flags |= FLAG.httpReachable
  if (heartbeat.named) flags |= FLAG.named
  if (heartbeat.answerMe) flags |= FLAG.answerMe
  return codec.encode([
    KIND.heartbeat,
    heartbeat.httpPort,
    heartbeat.gossipPort,
    ROLES.indexOf(heartbeat.role),
    u64Bytes(heartbeat.logicalClock),
    heartbeat.incarnation,
    heartbeat.nodeName,
    fromHex(heartbeat.summary),
    heartbeat.heartbeatCounter,
    u64Bytes(Math.max(0, Math.floor(heartbeat.wallMs))),
    flags,
  ])
}

export function encodePing(kind: 'ping' | 'pong', token: Uint8Array, codec: Codec): Uint8Array {
  return codec.encode([KIND[kind], token])
}

export function encodeCookie(kind: 'challenge' | 'echo', cookie: Uint8Array, codec: Codec): Uint8Array {
  return codec.encode([KIND[kind], cookie])
}

export function encodeKeys(keyIds: readonly number[], codec: Codec): Uint8Array {
  return codec.encode([KIND.keys, [...keyIds]])
}

export function encodeLeave(incarnation: number, codec: Codec): Uint8Array {
  return codec.encode([KIND.leave, incarnation])
}

/** As many rumours, in order, as fit the bytes; undefined when none does. */
export function encodeRumours(rumours: readonly Rumour[], bytesMax: number, codec: Codec): Uint8Array | undefined {
  const { items, bytes } = fill(rumours.slice(0, RUMOURS_MAX), bytesMax - 4, rumour =>
    codec.encode([
      parseNodeId(rumour.nodeId),
      fromHex(rumour.bootId),
      rumour.heartbeatCounter,
      encodeHost(rumour.address.host),
      rumour.address.port,
      Math.min(U32_MAX, Math.max(0, Math.floor(rumour.ageMs))),
    ]),
  )
  return items === 0 ? undefined : concatBytes(Uint8Array.of(0x82, KIND.rumours), arrayHead(items), bytes)
}

export function encodeDigestRequest(summary: string, after: string, codec: Codec): Uint8Array {
  return codec.encode([KIND.digestRequest, fromHex(summary), after])
}

/** One page of the collections from index `from` on: as many as fit the bytes, which is at least one; `more` when others follow. */
export function encodeDigestPage(
  list: { readonly summary: string; readonly collections: readonly CollectionDigest[] },
  after: string,
  from: number,
  bytesMax: number,
  codec: Codec,
): { readonly bytes: Uint8Array; readonly more: boolean } {
  // Kind, summary, cursor and flag take at most 1 + 9 + 66 + 1, the heads of the two arrays 1 + 2.
  const { items, bytes } = fill(list.collections.slice(from, from + PAGE_ENTRIES_MAX), bytesMax - 80, entry =>
    codec.encode([entry.name, entry.generation, entry.digest, entry.recordCount, entry.vectorCount]),
  )
  const more = from + items < list.collections.length
  const fields = [KIND.digestPage, fromHex(list.summary), after, more].map(field => codec.encode(field))
  return { bytes: concatBytes(Uint8Array.of(0x85), ...fields, arrayHead(items), bytes), more }
}

function fill<T>(values: readonly T[], bytesMax: number, encode: (value: T) => Uint8Array): { items: number; bytes: Uint8Array } {
  const parts: Uint8Array[] = []
  let left = bytesMax
  for (const value of values) {
    const part = encode(value)
    left -= part.length
    if (left < 0) break
    parts.push(part)
  }
  return { items: parts.length, bytes: concatBytes(...parts) }
}

/** The head of a CBOR array of fewer than 256 items. */
function arrayHead(items: number): Uint8Array {
  return items < 24 ? Uint8Array.of(0x80 | items) : Uint8Array.of(0x98, items)
}

// --- Decoding ---

/** The messages of a decoded packet body and how many were of unknown kind; undefined when it is malformed. */
export function decodeMessages(body: unknown): { readonly messages: readonly SwarmMessage[]; readonly unknown: number } | undefined {
  if (!Array.isArray(body) || body.length === 0 || body.length > MESSAGES_MAX) return undefined
  const messages: SwarmMessage[] = []
  let unknown = 0
  for (const item of body) {
    const message = decodeMessage(item)
    if (message === undefined) return undefined
    if (message === 'unknown') unknown += 1
    else messages.push(message)
  }
  return { messages, unknown }
}

function decodeMessage(item: unknown): SwarmMessage | 'unknown' | undefined {
  if (!Array.isArray(item)) return undefined
  const fields: readonly unknown[] = item
  const kind = asInteger(fields[0], 255)
  switch (kind) {
    case undefined:
      return undefined
    case KIND.heartbeat:
      return decodeHeartbeat(fields)
    case KIND.ping:
    case KIND.pong: {
      const token = asBytes(fields[1], PING_TOKEN_BYTES)
      return token && { kind: kind === KIND.ping ? 'ping' : 'pong', token: Uint8Array.from(token) }
    }
    case KIND.rumours: {
      const rumours = decodeAll(fields[1], RUMOURS_MAX, decodeRumour)
      return rumours && { kind: 'rumours', rumours }
    }
    case KIND.leave: {
      const incarnation = asInteger(fields[1], U32_MAX)
      return incarnation === undefined ? undefined : { kind: 'leave', incarnation }
    }
    case KIND.digestRequest: {
      const summary = asBytes(fields[1], 8)
      const after = asCursor(fields[2])
      return summary === undefined || after === undefined ? undefined : { kind: 'digest-request', summary: toHex(summary), after }
    }
    case KIND.digestPage:
      return decodeDigestPage(fields)
    case KIND.challenge:
    case KIND.echo: {
      const cookie = asBytes(fields[1], COOKIE_BYTES)
      return cookie && { kind: kind === KIND.challenge ? 'challenge' : 'echo', cookie: Uint8Array.from(cookie) }
    }
    case KIND.keys: {
      const keyIds = decodeAll(fields[1], SWARM_KEYS_MAX, item => asInteger(item, U32_MAX))
      return keyIds && { kind: 'keys', keyIds }
    }
    default:
      return 'unknown'
  }
}

function decodeHeartbeat(fields: readonly unknown[]): Heartbeat | undefined {
  const httpPort = asInteger(fields[1], 0xffff)
  const gossipPort = asInteger(fields[2], 0xffff)
  const role = ROLES[asInteger(fields[3], 255) ?? -1]
  const logicalClock = asClock(fields[4])
  const incarnation = asInteger(fields[5], U32_MAX)
  const nodeName = fields[6]
  const summary = asBytes(fields[7], 8)
  const heartbeatCounter = asInteger(fields[8], U32_MAX)
  const wallMs = asClock(fields[9])
  const flags = asInteger(fields[10], U32_MAX)
  if (httpPort === undefined || gossipPort === undefined || gossipPort === 0 || role === undefined) return undefined
  if (logicalClock === undefined || incarnation === undefined || summary === undefined || heartbeatCounter === undefined) return undefined
  if (wallMs === undefined || flags === undefined || typeof nodeName !== 'string' || !isNodeName(nodeName)) return undefined
  return {
    kind: 'heartbeat',
    httpPort,
    gossipPort,
    role,
    logicalClock,
    incarnation,
    nodeName,
    summary: toHex(summary),
    heartbeatCounter,
    wallMs,
    secured: (flags & FLAG.secured) !== 0,
    httpReachable: (flags & FLAG.httpReachable) !== 0,
    named: (flags & FLAG.named) !== 0,
    answerMe: (flags & FLAG.answerMe) !== 0,
  }
}

function decodeRumour(item: unknown): Rumour | undefined {
  if (!Array.isArray(item)) return undefined
  const fields: readonly unknown[] = item
  const nodeId = asBytes(fields[0], 16)
  const bootId = asBytes(fields[1], 8)
  const heartbeatCounter = asInteger(fields[2], U32_MAX)
  const host = fields[3] instanceof Uint8Array ? decodeHost(fields[3]) : undefined
  const port = asInteger(fields[4], 0xffff)
  const ageMs = asInteger(fields[5], U32_MAX)
  if (nodeId === undefined || bootId === undefined || heartbeatCounter === undefined) return undefined
  if (host === undefined || port === undefined || port === 0 || ageMs === undefined) return undefined
  return { nodeId: formatNodeId(nodeId), bootId: toHex(bootId), heartbeatCounter, address: { host, port }, ageMs }
}

function decodeDigestPage(fields: readonly unknown[]): DigestPage | undefined {
  const summary = asBytes(fields[1], 8)
  const after = asCursor(fields[2])
  const more = fields[3]
  const entries = decodeAll(fields[4], PAGE_ENTRIES_MAX, decodeDigest)
  if (summary === undefined || after === undefined || typeof more !== 'boolean' || entries === undefined) return undefined
  // A page that promises more must bring something, or the exchange would never end.
  if (more && entries.length === 0) return undefined
  let last = after
  for (const { name } of entries) {
    if (name <= last) return undefined
    last = name
  }
  return { kind: 'digest-page', summary: toHex(summary), after, more, entries }
}

function decodeDigest(item: unknown): CollectionDigest | undefined {
  if (!Array.isArray(item)) return undefined
  const fields: readonly unknown[] = item
  const name = fields[0]
  const generation = asInteger(fields[1], Number.MAX_SAFE_INTEGER)
  const digest = asBytes(fields[2], DIGEST_BYTES)
  const recordCount = asInteger(fields[3], Number.MAX_SAFE_INTEGER)
  const vectorCount = asInteger(fields[4], Number.MAX_SAFE_INTEGER)
  if (typeof name !== 'string' || !isCollectionName(name) || generation === undefined || digest === undefined) return undefined
  if (recordCount === undefined || vectorCount === undefined) return undefined
  // A copy: the decoder's byte strings are views into the datagram's buffer.
  return { name, generation, digest: Uint8Array.from(digest), recordCount, vectorCount }
}

function decodeAll<T>(value: unknown, itemsMax: number, decode: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > itemsMax) return undefined
  const decoded: T[] = []
  for (const item of value) {
    const one = decode(item)
    if (one === undefined) return undefined
    decoded.push(one)
  }
  return decoded
}

function asInteger(value: unknown, max: number): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max ? value : undefined
}

function asBytes(value: unknown, length: number): Uint8Array | undefined {
  return value instanceof Uint8Array && value.length === length ? value : undefined
}

function asClock(value: unknown): number | undefined {
  return value instanceof Uint8Array ? readU64(value) : undefined
}

function asCursor(value: unknown): string | undefined {
  return typeof value === 'string' && (value === '' || isCollectionName(value)) ? value : undefined
}

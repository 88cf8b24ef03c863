/**
 * The messages of a packet: positional CBOR arrays whose first item is the kind (docs/protocol.md has the CDDL).
 *
 * Decoding takes nothing on trust: every field is checked for type, range and length. A message of an unknown kind is skipped and
 * counted, and items behind the known ones of an array are ignored, so that a later version can add both. Anything else that does
 * not fit makes the whole packet malformed, and none of its messages is applied.
 */
import { concatBytes, fromHex, toHex, u64Bytes } from '../base/bytes.ts'
import type { Codec } from '../base/ports.ts'
import { decodeDigestPage, decodeDigestRequest, decodeDigestUpdate, UPDATES_MAX } from './digest-messages.ts'
import type { DigestPage, DigestRequest, DigestUpdate } from './digest-messages.ts'
import type { Claim } from './claim-order.ts'
import { COOKIE_BYTES } from './cookie.ts'
import { formatNodeId, parseNodeId } from './identity.ts'
import type { NodeId } from './identity.ts'
import { SWARM_KEYS_MAX } from './key-ring.ts'
import { CLAIMS_MAX, decodeClaim, decodeMembersPage, decodeMembersRequest, decodeRecord, RECORDS_MAX } from './member-messages.ts'
import type { MemberRecord, MembersPage, MembersRequest } from './member-messages.ts'
import { asBytes, asClock, asInteger, cborHead, decodeAll, listMessage, U32_MAX } from './message-fields.ts'
import { isNodeName, ROLES } from './node-description.ts'
import type { NodeDescription } from './node-description.ts'

/** 4 was that of an earlier version and stays unused. */
export const KIND = {
  heartbeat: 1,
  ping: 2,
  pong: 3,
  leave: 5,
  'digest-request': 6,
  'digest-page': 7,
  core: 8,
  evidence: 9,
  records: 10,
  claims: 11,
  'ping-req': 12,
  'relayed-ack': 13,
  nack: 14,
  'members-request': 15,
  'members-page': 16,
  'digest-updates': 17,
  challenge: 48,
  echo: 49,
  keys: 50,
} as const

export type MessageKind = keyof typeof KIND

/** Messages in one packet; what the sender makes stays far below. */
const MESSAGES_MAX = 16
/** The last byte of a probe's token counts its tries. */
export const PING_TOKEN_BYTES = 8

const FLAG = { secured: 1, httpReachable: 2, named: 4, answerMe: 8, multicast: 16 } as const

/** What every packet to a member says of its sender. */
export interface Core {
  readonly logicalClock: number
  readonly incarnation: number
  /** 16 hexadecimal digits. */
  readonly summary: string
}

/** What a node says of itself to those who may not know it. */
export interface Heartbeat extends Core, NodeDescription {
  readonly kind: 'heartbeat'
  readonly gossipPort: number
  /** The sender's wall clock in Unix milliseconds, for showing the skew and for nothing else. */
  readonly wallMs: number
  /** The packet goes to an address that the sender names in HS_GOSSIP_PEERS. */
  readonly named: boolean
  /** The sender does not hold the receiver as a member and wants a heartbeat back. */
  readonly answerMe: boolean
}

export type TokenKind = 'ping' | 'pong' | 'relayed-ack' | 'nack'
export type CookieKind = 'challenge' | 'echo'

export type SwarmMessage =
  | Heartbeat
  | (Core & { readonly kind: 'core' })
  | { readonly kind: 'ping'; readonly token: Uint8Array }
  /** `wallMs`: the sender's wall clock, to be shown as a difference; descriptions, which carry it too, are rare. */
  | { readonly kind: 'pong'; readonly token: Uint8Array; readonly wallMs?: number }
  | { readonly kind: Exclude<TokenKind, 'ping' | 'pong'>; readonly token: Uint8Array }
  | { readonly kind: 'ping-req'; readonly token: Uint8Array; readonly nodeId: NodeId }
  | { readonly kind: 'leave'; readonly incarnation: number }
  | { readonly kind: 'claims'; readonly claims: readonly Claim[] }
  | { readonly kind: 'records'; readonly records: readonly MemberRecord[] }
  /** Checked in its parts by evidence-vector.ts. */
  | { readonly kind: 'evidence'; readonly splitBits: number; readonly ages: Uint8Array }
  /** Whoever reads a challenge is to send the cookie back, from where it was sent to. */
  | { readonly kind: 'challenge'; readonly cookie: Uint8Array }
  | { readonly kind: 'echo'; readonly cookie: Uint8Array }
  /** The ids of the keys that the sender holds, in every packet when it is more than the one that seals. */
  | { readonly kind: 'keys'; readonly keyIds: readonly number[] }
  | { readonly kind: 'digest-updates'; readonly updates: readonly DigestUpdate[] }
  | MembersRequest
  | MembersPage
  | DigestRequest
  | DigestPage

// --- Encoding: each message by itself, so that a packet is filled to the byte ---

export function encodeHeartbeat(heartbeat: Heartbeat, codec: Codec): Uint8Array {
  let flags = 0
  if (heartbeat.secured) flags |= FLAG.secured
  if (heartbeat.httpReachable) flags |= FLAG.httpReachable
  if (heartbeat.named) flags |= FLAG.named
  if (heartbeat.answerMe) flags |= FLAG.answerMe
  if (heartbeat.multicast) flags |= FLAG.multicast
  return codec.encode([
    KIND.heartbeat,
    heartbeat.httpPort,
    heartbeat.gossipPort,
    ROLES.indexOf(heartbeat.role),
    u64Bytes(heartbeat.logicalClock),
    heartbeat.incarnation,
    heartbeat.nodeName,
    fromHex(heartbeat.summary),
    u64Bytes(Math.max(0, Math.floor(heartbeat.wallMs))),
    flags,
  ])
}

const BYTES_8 = Uint8Array.of(0x48)

export function encodeCore(core: Core): Uint8Array {
  const summary = fromHex(core.summary) ?? new Uint8Array(8)
  const head = Uint8Array.of(0x84, KIND.core, 0x48)
  return concatBytes(head, u64Bytes(core.logicalClock), cborHead(0, core.incarnation), BYTES_8, summary)
}

export function encodeToken(kind: Exclude<TokenKind, 'pong'>, token: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(0x82, KIND[kind], 0x48), token)
}

export function encodePong(token: Uint8Array, wallMs: number): Uint8Array {
  return concatBytes(Uint8Array.of(0x83, KIND.pong, 0x48), token, BYTES_8, u64Bytes(Math.max(0, Math.floor(wallMs))))
}

export function encodeCookie(kind: CookieKind, cookie: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(0x82), cborHead(0, KIND[kind]), BYTES_8, cookie)
}

export function encodeKeys(keyIds: readonly number[]): Uint8Array {
  return listMessage(
    KIND.keys,
    keyIds.map(keyId => cborHead(0, keyId)),
  )
}

export function encodePingReq(token: Uint8Array, nodeId: NodeId, codec: Codec): Uint8Array {
  return codec.encode([KIND['ping-req'], token, parseNodeId(nodeId)])
}

export function encodeLeave(incarnation: number): Uint8Array {
  return concatBytes(Uint8Array.of(0x82, KIND.leave), cborHead(0, incarnation))
}

const NAME_BY_KIND = new Map<number, MessageKind>(Object.entries(KIND).map(([name, kind]) => [kind, name as MessageKind]))

/** The kind of an encoded message. */
export function kindOf(message: Uint8Array): MessageKind | 'unknown' {
  const kind = (message[1] ?? 0) < 24 ? message[1] : message[2]
  return NAME_BY_KIND.get(kind ?? 0) ?? 'unknown'
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
  const number = asInteger(fields[0], 255)
  if (number === undefined) return undefined
  const kind = NAME_BY_KIND.get(number)
  switch (kind) {
    case undefined:
      return 'unknown'
    case 'heartbeat':
      return decodeHeartbeat(fields)
    case 'pong': {
      const token = asBytes(fields[1], PING_TOKEN_BYTES)
      const wallMs = asClock(fields[2])
      return token && { kind, token: Uint8Array.from(token), ...(wallMs !== undefined && { wallMs }) }
    }
    case 'ping':
    case 'relayed-ack':
    case 'nack': {
      const token = asBytes(fields[1], PING_TOKEN_BYTES)
      return token && { kind, token: Uint8Array.from(token) }
    }
    case 'challenge':
    case 'echo': {
      const cookie = asBytes(fields[1], COOKIE_BYTES)
      return cookie && { kind, cookie: Uint8Array.from(cookie) }
    }
    case 'keys': {
      const keyIds = decodeKeyIds(fields[1])
      return keyIds && { kind, keyIds }
    }
    case 'ping-req': {
      const token = asBytes(fields[1], PING_TOKEN_BYTES)
      const nodeId = asBytes(fields[2], 16)
      return token && nodeId && { kind, token: Uint8Array.from(token), nodeId: formatNodeId(nodeId) }
    }
    case 'leave': {
      const incarnation = asInteger(fields[1], U32_MAX)
      return incarnation === undefined ? undefined : { kind, incarnation }
    }
    case 'core': {
      const logicalClock = asClock(fields[1])
      const incarnation = asInteger(fields[2], U32_MAX)
      const summary = asBytes(fields[3], 8)
      if (logicalClock === undefined || incarnation === undefined || summary === undefined) return undefined
      return { kind, logicalClock, incarnation, summary: toHex(summary) }
    }
    case 'evidence': {
      const splitBits = asInteger(fields[1], 32)
      const ages = fields[2]
      return splitBits === undefined || !(ages instanceof Uint8Array) ? undefined : { kind, splitBits, ages }
    }
    case 'records': {
      const records = decodeAll(fields[1], RECORDS_MAX, decodeRecord)
      return records && { kind, records }
    }
    case 'claims': {
      const claims = decodeAll(fields[1], CLAIMS_MAX, decodeClaim)
      return claims && { kind, claims }
    }
    case 'digest-updates': {
      const updates = decodeAll(fields[1], UPDATES_MAX, decodeDigestUpdate)
      return updates && { kind, updates }
    }
    case 'members-request':
      return decodeMembersRequest(fields)
    case 'members-page':
      return decodeMembersPage(fields)
    case 'digest-request':
      return decodeDigestRequest(fields)
    case 'digest-page':
      return decodeDigestPage(fields)
  }
}

function decodeKeyIds(value: unknown): number[] | undefined {
  if (!Array.isArray(value) || value.length > SWARM_KEYS_MAX) return undefined
  const keyIds = value.map(item => asInteger(item, U32_MAX))
  return keyIds.every(keyId => keyId !== undefined) ? keyIds : undefined
}

function decodeHeartbeat(fields: readonly unknown[]): Heartbeat | undefined {
  const httpPort = asInteger(fields[1], 0xffff)
  const gossipPort = asInteger(fields[2], 0xffff)
  const role = ROLES[asInteger(fields[3], 255) ?? -1]
  const logicalClock = asClock(fields[4])
  const incarnation = asInteger(fields[5], U32_MAX)
  const nodeName = fields[6]
  const summary = asBytes(fields[7], 8)
  const wallMs = asClock(fields[8])
  const flags = asInteger(fields[9], U32_MAX)
  if (httpPort === undefined || gossipPort === undefined || gossipPort === 0 || role === undefined) return undefined
  if (logicalClock === undefined || incarnation === undefined || summary === undefined) return undefined
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
    wallMs,
    secured: (flags & FLAG.secured) !== 0,
    httpReachable: (flags & FLAG.httpReachable) !== 0,
    multicast: (flags & FLAG.multicast) !== 0,
    named: (flags & FLAG.named) !== 0,
    answerMe: (flags & FLAG.answerMe) !== 0,
  }
}

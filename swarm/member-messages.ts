/** Messages about members: claims, descriptions of third nodes, and pages of the table. */
import { concatBytes, fromHex, toHex } from '../base/bytes.ts'
import type { Codec } from '../base/ports.ts'
import { decodeHost, encodeHost } from './address.ts'
import type { Address } from './address.ts'
import { CLAIM_STATUSES } from './claim-order.ts'
import type { Claim } from './claim-order.ts'
import { formatNodeId, parseNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'
import { asBytes, asInteger, cborHead, decodeAll, U32_MAX } from './message-fields.ts'
import { isNodeName, ROLES } from './node-description.ts'
import type { NodeDescription } from './node-description.ts'

export const CLAIMS_MAX = 64
export const RECORDS_MAX = 64

const FLAG = { secured: 1, httpReachable: 2, multicast: 4 } as const
const LISTENING = 1
const RECORD_HEAD = cborHead(4, 11)

/** A member as another one knows it: enough to list it. */
export interface MemberRecord extends NodeDescription {
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly incarnation: number
  readonly address: Address
  /** How long ago the sender had evidence of its life, by the sender's monotonic clock. */
  readonly ageMs: number
  readonly summary: string
}

export interface MembersRequest {
  readonly kind: 'members-request'
  /** Keys, both included. */
  readonly from: number
  readonly until: number
}

export interface MembersPage {
  readonly kind: 'members-page'
  readonly from: number
  /** All members whose keys are from `from` to this one are in the page. */
  readonly through: number
  readonly records: readonly MemberRecord[]
}

const u32 = (value: number): number => Math.min(U32_MAX, Math.max(0, Math.floor(value)))

export function encodeClaim(claim: Claim, codec: Codec): Uint8Array {
  return codec.encode([
    parseNodeId(claim.nodeId),
    fromHex(claim.bootId),
    CLAIM_STATUSES.indexOf(claim.status),
    claim.incarnation,
    u32(claim.ageMs),
    claim.accuser,
    claim.listening ? LISTENING : 0,
  ])
}

export function decodeClaim(fields: readonly unknown[]): Claim | undefined {
  const nodeId = asBytes(fields[0], 16)
  const bootId = asBytes(fields[1], 8)
  const status = CLAIM_STATUSES[asInteger(fields[2], 255) ?? -1]
  const incarnation = asInteger(fields[3], U32_MAX)
  const ageMs = asInteger(fields[4], U32_MAX)
  const accuser = asInteger(fields[5], U32_MAX)
  const flags = asInteger(fields[6], U32_MAX)
  if (nodeId === undefined || bootId === undefined || status === undefined || incarnation === undefined) return undefined
  if (ageMs === undefined || accuser === undefined || flags === undefined) return undefined
  const listening = (flags & LISTENING) !== 0
  return { nodeId: formatNodeId(nodeId), bootId: toHex(bootId), status, incarnation, ageMs, accuser, listening }
}

/** A record but for its age, which is all that changes from one telling to the next. */
export interface AgelessRecord {
  readonly before: Uint8Array
  readonly after: Uint8Array
}

export function encodeAgeless(record: Omit<MemberRecord, 'ageMs'>, codec: Codec): AgelessRecord {
  let flags = 0
  if (record.secured) flags |= FLAG.secured
  if (record.httpReachable) flags |= FLAG.httpReachable
  if (record.multicast) flags |= FLAG.multicast
  // The items of an array are what follows its head, a byte here.
  const itemsOf = (values: readonly unknown[]): Uint8Array => codec.encode(values).subarray(1)
  const { nodeId, bootId, incarnation, address } = record
  return {
    before: itemsOf([parseNodeId(nodeId), fromHex(bootId), incarnation, encodeHost(address.host), address.port]),
    after: itemsOf([record.httpPort, ROLES.indexOf(record.role), flags, record.nodeName, fromHex(record.summary)]),
  }
}

export function encodeRecord({ before, after }: AgelessRecord, ageMs: number): Uint8Array {
  return concatBytes(RECORD_HEAD, before, cborHead(0, u32(ageMs)), after)
}

export function decodeRecord(fields: readonly unknown[]): MemberRecord | undefined {
  const nodeId = asBytes(fields[0], 16)
  const bootId = asBytes(fields[1], 8)
  const incarnation = asInteger(fields[2], U32_MAX)
  const host = fields[3] instanceof Uint8Array ? decodeHost(fields[3]) : undefined
  const port = asInteger(fields[4], 0xffff)
  const ageMs = asInteger(fields[5], U32_MAX)
  const httpPort = asInteger(fields[6], 0xffff)
  const role = ROLES[asInteger(fields[7], 255) ?? -1]
  const flags = asInteger(fields[8], U32_MAX)
  const nodeName = fields[9]
  const summary = asBytes(fields[10], 8)
  if (nodeId === undefined || bootId === undefined || incarnation === undefined || host === undefined) return undefined
  if (port === undefined || port === 0 || ageMs === undefined || httpPort === undefined || role === undefined) return undefined
  if (flags === undefined || typeof nodeName !== 'string' || !isNodeName(nodeName) || summary === undefined) return undefined
  return {
    nodeId: formatNodeId(nodeId),
    bootId: toHex(bootId),
    incarnation,
    address: { host, port },
    ageMs,
    httpPort,
    role,
    secured: (flags & FLAG.secured) !== 0,
    httpReachable: (flags & FLAG.httpReachable) !== 0,
    multicast: (flags & FLAG.multicast) !== 0,
    nodeName,
    summary: toHex(summary),
  }
}

export function encodeMembersRequest(kind: number, from: number, until: number): Uint8Array {
  return concatBytes(Uint8Array.of(0x83), cborHead(0, kind), cborHead(0, from), cborHead(0, until))
}

/** Bytes that a page takes besides its records. */
export const PAGE_HEAD_BYTES = 14

export function encodeMembersPage(kind: number, from: number, through: number, records: readonly Uint8Array[]): Uint8Array {
  const list = cborHead(4, records.length)
  return concatBytes(Uint8Array.of(0x84), cborHead(0, kind), cborHead(0, from), cborHead(0, through), list, ...records)
}

export function decodeMembersRequest(fields: readonly unknown[]): MembersRequest | undefined {
  const from = asInteger(fields[1], U32_MAX)
  const until = asInteger(fields[2], U32_MAX)
  if (from === undefined || until === undefined || until < from) return undefined
  return { kind: 'members-request', from, until }
}

export function decodeMembersPage(fields: readonly unknown[]): MembersPage | undefined {
  const from = asInteger(fields[1], U32_MAX)
  const through = asInteger(fields[2], U32_MAX)
  const records = decodeAll(fields[3], RECORDS_MAX, decodeRecord)
  if (from === undefined || through === undefined || through < from || records === undefined) return undefined
  return { kind: 'members-page', from, through, records }
}

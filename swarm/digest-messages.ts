/** Messages about digests: asking for a page, a page, and the news of a few changed collections. */
import { concatBytes, fromHex, toHex } from '../base/bytes.ts'
import type { Codec } from '../base/ports.ts'
import { DIGEST_BYTES, isCollectionName, KNOWN_BYTES } from './digest-list.ts'
import type { CollectionDigest } from './digest-list.ts'
import { formatNodeId, parseNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'
import { asBytes, asCursor, asInteger, cborHead, decodeAll, fillItems } from './message-fields.ts'

const PAGE_ENTRIES_MAX = 64
/** Changed collections in one update; more of them are left to pages. */
export const UPDATE_ENTRIES_MAX = 8
export const UPDATES_MAX = 16

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

/** A change of one node's digests: from the list with one summary to that with another. */
export interface DigestUpdate {
  readonly nodeId: NodeId
  readonly bootId: BootId
  /** The sender's packet counter when it changed: later updates have greater ones. */
  readonly counter: number
  readonly before: string
  readonly after: string
  /** Collections added or changed. */
  readonly entries: readonly CollectionDigest[]
}

export function encodeDigestRequest(kind: number, summary: string, after: string, codec: Codec): Uint8Array {
  return codec.encode([kind, fromHex(summary), after])
}

const encodeEntry = (entry: CollectionDigest, codec: Codec): Uint8Array =>
  codec.encode([
    entry.name,
    entry.generation,
    entry.digest,
    entry.recordCount,
    entry.vectorCount,
    ...(entry.partial === undefined ? [] : [entry.partial.known, entry.partial.flags]),
  ])

/** One page of the collections from index `from` on: as many as fit the bytes, which is at least one; `more` when others follow. */
export function encodeDigestPage(
  kind: number,
  list: { readonly summary: string; readonly collections: readonly CollectionDigest[] },
  after: string,
  from: number,
  bytesMax: number,
  codec: Codec,
): { readonly bytes: Uint8Array; readonly more: boolean } {
  // Kind, summary, cursor and flag take at most 1 + 9 + 66 + 1, the heads of the two arrays 1 + 2.
  const { items, bytes } = fillItems(list.collections.slice(from, from + PAGE_ENTRIES_MAX), bytesMax - 80, entry =>
    encodeEntry(entry, codec),
  )
  const more = from + items < list.collections.length
  const fields = [kind, fromHex(list.summary), after, more].map(field => codec.encode(field))
  return { bytes: concatBytes(Uint8Array.of(0x85), ...fields, cborHead(4, items), bytes), more }
}

/** One item of the message of updates. */
export function encodeDigestUpdate(update: DigestUpdate, codec: Codec): Uint8Array {
  const fields = [parseNodeId(update.nodeId), fromHex(update.bootId), update.counter, fromHex(update.before), fromHex(update.after)]
  const entries = update.entries.map(entry => encodeEntry(entry, codec))
  return concatBytes(Uint8Array.of(0x86), ...fields.map(field => codec.encode(field)), cborHead(4, entries.length), ...entries)
}

export function decodeDigestRequest(fields: readonly unknown[]): DigestRequest | undefined {
  const summary = asBytes(fields[1], 8)
  const after = asCursor(fields[2])
  return summary === undefined || after === undefined ? undefined : { kind: 'digest-request', summary: toHex(summary), after }
}

export function decodeDigestPage(fields: readonly unknown[]): DigestPage | undefined {
  const summary = asBytes(fields[1], 8)
  const after = asCursor(fields[2])
  const more = fields[3]
  const entries = decodeAll(fields[4], PAGE_ENTRIES_MAX, decodeEntry)
  if (summary === undefined || after === undefined || typeof more !== 'boolean' || entries === undefined) return undefined
  // A page that promises more must bring something, or the exchange would never end.
  if (more && entries.length === 0) return undefined
  return isAscending(entries, after) ? { kind: 'digest-page', summary: toHex(summary), after, more, entries } : undefined
}

export function decodeDigestUpdate(fields: readonly unknown[]): DigestUpdate | undefined {
  const nodeId = asBytes(fields[0], 16)
  const bootId = asBytes(fields[1], 8)
  const counter = asInteger(fields[2], Number.MAX_SAFE_INTEGER)
  const before = asBytes(fields[3], 8)
  const after = asBytes(fields[4], 8)
  const entries = decodeAll(fields[5], UPDATE_ENTRIES_MAX, decodeEntry)
  if (nodeId === undefined || bootId === undefined || counter === undefined) return undefined
  if (before === undefined || after === undefined || entries === undefined || !isAscending(entries, '')) return undefined
  return { nodeId: formatNodeId(nodeId), bootId: toHex(bootId), counter, before: toHex(before), after: toHex(after), entries }
}

function isAscending(entries: readonly CollectionDigest[], after: string): boolean {
  let last = after
  for (const { name } of entries) {
    if (name <= last) return false
    last = name
  }
  return true
}

function decodeEntry(fields: readonly unknown[]): CollectionDigest | undefined {
  const name = fields[0]
  const generation = asInteger(fields[1], Number.MAX_SAFE_INTEGER)
  const digest = asBytes(fields[2], DIGEST_BYTES)
  const recordCount = asInteger(fields[3], Number.MAX_SAFE_INTEGER)
  const vectorCount = asInteger(fields[4], Number.MAX_SAFE_INTEGER)
  if (typeof name !== 'string' || !isCollectionName(name) || generation === undefined || digest === undefined) return undefined
  if (recordCount === undefined || vectorCount === undefined) return undefined
  const known = asBytes(fields[5], KNOWN_BYTES)
  const flags = asInteger(fields[6], 0xff)
  // Copies: the decoder's byte strings are views into the datagram's buffer.
  const partial = known === undefined || flags === undefined ? {} : { partial: { known: Uint8Array.from(known), flags } }
  return { name, generation, digest: Uint8Array.from(digest), recordCount, vectorCount, ...partial }
}

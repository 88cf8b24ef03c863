/**
 * The messages of a sync session: positional CBOR arrays, the first item names the kind (docs/protocol.md has the CDDL).
 * Decoding checks every field; what does not fit is not a message. Fields behind the known ones are ignored: room for later versions.
 */
import { fromHex, readU64, toHex, u64Bytes } from '../base/bytes.ts'
import type { Codec } from '../base/ports.ts'
import type { Acknowledgement } from './acknowledgement.ts'
import type { RunId, VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import type { Stamp } from './hlc.ts'
import { nameFault } from './key.ts'
import type { ResumePoint } from './replica-snapshot.ts'
import { ROSTER_HASH_BYTES } from './roster.ts'
import { isPriority, SYSTEM_COLLECTION } from './settings.ts'
import { readStamp, writeStamp } from './version.ts'

export const PROTOCOL_VERSION = 1
/** Origins in one vector. */
export const VECTOR_ENTRIES_MAX = 65_536
export const OFFERS_PER_MESSAGE_MAX = 500
export const NODES_PER_MESSAGE_MAX = 64
export const ITEMS_PER_MESSAGE_MAX = 256
/** Acknowledgements of others in one message, and entries of all their vectors together. What does not fit goes another time. */
export const ACKNOWLEDGEMENTS_MAX = 256
export const ACKNOWLEDGED_ENTRIES_MAX = 8_192
const STAMP_BYTES = 8

/** 16 child digests and counts of one node of the digest tree. */
export interface NodeChildren {
  readonly index: number
  readonly digests: readonly Uint8Array[]
  readonly counts: readonly number[]
}

export interface Offer {
  readonly name: string
  readonly generation: number
  readonly root: Uint8Array
  readonly knowledge: Uint8Array
  /** As the sender has it set: the greater of both sides' counts. */
  readonly priority: number
}

export interface ItemName {
  readonly key: string
  readonly dot: Dot
}

export interface ItemClaim extends ItemName {
  readonly hash: Uint8Array
}

export interface Hello {
  readonly kind: 'hello'
  readonly protocol: number
  readonly swarmName: string
  /** 16 bytes each, as hexadecimal. */
  readonly nodeId: string
  readonly storeId: string
  /** 8 bytes. */
  readonly saltId: Uint8Array
  readonly logicalClock: number
  readonly wallMs: number
  /** The sender names the receiver in HS_GOSSIP_PEERS. */
  readonly isNamed: boolean
}

export interface Open {
  readonly kind: 'open'
  readonly name: string
  /** 0: the sender does not hold the collection. */
  readonly generation: number
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  readonly collected: VersionVector
  /** Where the receiver's tail towards the sender stood when it was interrupted. */
  readonly resume: ResumePoint | undefined
  /** The greatest stamp that the sender has collected as a tombstone. */
  readonly collectedStampMax: Stamp
  /** 8 bytes: the roster under which the sender acknowledges `vector`. */
  readonly rosterHash: Uint8Array
  /** What others have acknowledged, as far as the sender has heard. */
  readonly acknowledgements: readonly Acknowledgement[]
}

/** One version on the wire: its key, and its bytes as they lie in the store. */
export interface WireItem {
  readonly key: string
  readonly version: Uint8Array
}

export type Message =
  | Hello
  /** `rosterHash`: 8 bytes, the roster under which the sender acknowledges what it offers (R7). */
  | { readonly kind: 'offers'; readonly offers: readonly Offer[]; readonly isLast: boolean; readonly rosterHash: Uint8Array }
  | Open
  | { readonly kind: 'frame'; readonly items: readonly WireItem[]; readonly position: Dot | undefined; readonly logicalClock: number }
  | { readonly kind: 'ack' }
  | { readonly kind: 'mark'; readonly vector: ReadonlyMap<Origin, VectorEntry> }
  | { readonly kind: 'state'; readonly root: Uint8Array; readonly knowledge: Uint8Array; readonly rosterHash: Uint8Array }
  | { readonly kind: 'repair'; readonly vector: ReadonlyMap<Origin, VectorEntry>; readonly collected: VersionVector }
  | { readonly kind: 'get-nodes'; readonly level: number; readonly indexes: readonly number[] }
  | { readonly kind: 'nodes'; readonly nodes: readonly NodeChildren[] }
  | { readonly kind: 'get-items'; readonly level: number; readonly index: number; readonly skip: number }
  | { readonly kind: 'items'; readonly items: readonly ItemClaim[]; readonly hasMore: boolean }
  | { readonly kind: 'want'; readonly items: readonly ItemName[] }
  | { readonly kind: 'drop'; readonly items: readonly ItemName[] }
  | { readonly kind: 'repaired' }
  | { readonly kind: 'bye'; readonly reason: string }

const KINDS = [
  'hello',
  'offers',
  'open',
  'frame',
  'ack',
  'mark',
  'state',
  'repair',
  'get-nodes',
  'nodes',
  'get-items',
  'items',
  'want',
  'drop',
  'repaired',
  'bye',
] as const satisfies readonly Message['kind'][]

const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? new Uint8Array(0)
const encodeDot = (dot: Dot): unknown[] => [bytesOf(dot.origin), u64Bytes(dot.counter)]
const encodeEntries = (vector: ReadonlyMap<Origin, VectorEntry>): unknown[] =>
  [...vector].map(([origin, { counter, run }]) => [bytesOf(origin), u64Bytes(counter), bytesOf(run)])
const encodeCounters = (vector: VersionVector): unknown[] => [...vector].map(([origin, counter]) => [bytesOf(origin), u64Bytes(counter)])
const encodeNames = (items: readonly ItemName[]): unknown[] => items.map(({ key, dot }) => [key, ...encodeDot(dot)])

function encodeFields(message: Message): unknown[] {
  switch (message.kind) {
    case 'hello': {
      const { protocol, swarmName, nodeId, storeId, saltId, logicalClock, wallMs, isNamed } = message
      return [protocol, swarmName, bytesOf(nodeId), bytesOf(storeId), saltId, u64Bytes(logicalClock), u64Bytes(wallMs), isNamed]
    }
    case 'offers': {
      const offers = message.offers.map(({ name, generation, root, knowledge, priority }) => [
        name,
        u64Bytes(generation),
        root,
        knowledge,
        priority,
      ])
      return [offers, message.isLast, message.rosterHash]
    }
    case 'open': {
      const { name, generation, vector, collected, resume, collectedStampMax, rosterHash, acknowledgements } = message
      const point = resume && [...encodeDot(resume.position), encodeCounters(resume.target)]
      const acks = acknowledgements.map(ack => [bytesOf(ack.storeId), ack.rosterHash, encodeCounters(ack.vector)])
      const stamp = new Uint8Array(STAMP_BYTES)
      writeStamp(stamp, 0, collectedStampMax)
      return [name, u64Bytes(generation), encodeEntries(vector), encodeCounters(collected), point ?? null, stamp, rosterHash, acks]
    }
    case 'frame': {
      const { items, position, logicalClock } = message
      return [items.map(({ key, version }) => [key, version]), position === undefined ? null : encodeDot(position), u64Bytes(logicalClock)]
    }
    case 'mark':
      return [encodeEntries(message.vector)]
    case 'state':
      return [message.root, message.knowledge, message.rosterHash]
    case 'repair':
      return [encodeEntries(message.vector), encodeCounters(message.collected)]
    case 'get-nodes':
      return [message.level, message.indexes]
    case 'nodes':
      return [message.nodes.map(({ index, digests, counts }) => [index, digests, counts])]
    case 'get-items':
      return [message.level, message.index, message.skip]
    case 'items':
      return [message.items.map(({ key, dot, hash }) => [key, ...encodeDot(dot), hash]), message.hasMore]
    case 'want':
    case 'drop':
      return [encodeNames(message.items)]
    case 'bye':
      return [message.reason]
    case 'ack':
    case 'repaired':
      return []
  }
}

export function encodeMessage(codec: Codec, message: Message): Uint8Array {
  return codec.encode([KINDS.indexOf(message.kind), ...encodeFields(message)])
}

/** Thrown and caught inside this file only. */
class Malformed extends Error {}

const isArray: (value: unknown) => value is readonly unknown[] = Array.isArray

function list(value: unknown, itemsMax: number): readonly unknown[] {
  if (!isArray(value) || value.length > itemsMax) throw new Malformed()
  return value
}

function text(value: unknown, charactersMax: number): string {
  if (typeof value !== 'string' || value.length > charactersMax) throw new Malformed()
  return value
}

/** A name that a replica may hold: checked before anything is made for it. */
function collectionName(value: unknown): string {
  const name = text(value, 64)
  if (name !== SYSTEM_COLLECTION && nameFault(name) !== undefined) throw new Malformed()
  return name
}

function octets(value: unknown, length: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw new Malformed()
  return value
}

function counter(value: unknown): number {
  const number = readU64(octets(value, 8))
  if (number === undefined) throw new Malformed()
  return number
}

/** Counters begin at 1: an entry of 0 says nothing and is not sent. */
function positive(value: unknown): number {
  const number = counter(value)
  if (number === 0) throw new Malformed()
  return number
}

function small(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) throw new Malformed()
  return value
}

function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Malformed()
  return value
}

function dot(origin: unknown, count: unknown): Dot {
  return { origin: toHex(octets(origin, 16)), counter: counter(count) }
}

function entries(value: unknown): Map<Origin, VectorEntry> {
  const vector = new Map<Origin, VectorEntry>()
  for (const entry of list(value, VECTOR_ENTRIES_MAX)) {
    const [origin, count, run] = list(entry, 8)
    const runId: RunId = toHex(octets(run, 8))
    vector.set(toHex(octets(origin, 16)), { counter: positive(count), run: runId })
  }
  return vector
}

function counters(value: unknown): Map<Origin, number> {
  const vector = new Map<Origin, number>()
  for (const entry of list(value, VECTOR_ENTRIES_MAX)) {
    const [origin, count] = list(entry, 8)
    vector.set(toHex(octets(origin, 16)), positive(count))
  }
  return vector
}

function acknowledgements(value: unknown): Acknowledgement[] {
  let left = ACKNOWLEDGED_ENTRIES_MAX
  return list(value, ACKNOWLEDGEMENTS_MAX).map(item => {
    const [storeId, rosterHash, vector] = list(item, 8)
    const acknowledged = counters(vector)
    left -= acknowledged.size
    if (left < 0) throw new Malformed()
    return { storeId: toHex(octets(storeId, 16)), rosterHash: octets(rosterHash, ROSTER_HASH_BYTES), vector: acknowledged }
  })
}

function itemNames(value: unknown): ItemName[] {
  return list(value, ITEMS_PER_MESSAGE_MAX).map(item => {
    const [key, origin, count] = list(item, 8)
    return { key: text(key, 512), dot: dot(origin, count) }
  })
}

function decodeFields(kind: Message['kind'], fields: readonly unknown[]): Message {
  const [a, b, c, d, e, f, g, h] = fields
  switch (kind) {
    case 'hello':
      return {
        kind,
        protocol: small(a, 0xffff),
        swarmName: text(b, 64),
        nodeId: toHex(octets(c, 16)),
        storeId: toHex(octets(d, 16)),
        saltId: octets(e, 8),
        logicalClock: counter(f),
        wallMs: counter(g),
        isNamed: flag(h),
      }
    case 'offers': {
      const offers = list(a, OFFERS_PER_MESSAGE_MAX).map(offer => {
        const [name, generation, root, knowledge, priority = 0] = list(offer, 16)
        if (!isPriority(priority)) throw new Malformed()
        const [rootHash, knowledgeHash] = [octets(root, 16), octets(knowledge, 16)]
        return { name: collectionName(name), generation: counter(generation), root: rootHash, knowledge: knowledgeHash, priority }
      })
      return { kind, offers, isLast: flag(b), rosterHash: octets(c, ROSTER_HASH_BYTES) }
    }
    case 'open': {
      let resume: ResumePoint | undefined
      if (e !== null) {
        const [origin, count, target] = list(e, 8)
        resume = { position: dot(origin, count), target: counters(target) }
      }
      return {
        kind,
        name: collectionName(a),
        generation: counter(b),
        vector: entries(c),
        collected: counters(d),
        resume,
        collectedStampMax: readStamp(octets(f, STAMP_BYTES), 0),
        rosterHash: octets(g, ROSTER_HASH_BYTES),
        acknowledgements: acknowledgements(h),
      }
    }
    case 'frame': {
      const items = list(a, Number.MAX_SAFE_INTEGER).map(item => {
        const [key, version] = list(item, 8)
        if (!(version instanceof Uint8Array)) throw new Malformed()
        return { key: text(key, 512), version }
      })
      const position = b === null ? undefined : list(b, 8)
      return { kind, items, position: position && dot(position[0], position[1]), logicalClock: counter(c) }
    }
    case 'mark':
      return { kind, vector: entries(a) }
    case 'state':
      return { kind, root: octets(a, 16), knowledge: octets(b, 16), rosterHash: octets(c, ROSTER_HASH_BYTES) }
    case 'repair':
      return { kind, vector: entries(a), collected: counters(b) }
    case 'get-nodes':
      return { kind, level: small(a, 8), indexes: list(b, NODES_PER_MESSAGE_MAX).map(index => small(index, 2 ** 32)) }
    case 'nodes': {
      const nodes = list(a, NODES_PER_MESSAGE_MAX).map(node => {
        const [index, digests, counts] = list(node, 8)
        return {
          index: small(index, 2 ** 32),
          digests: list(digests, 16).map(digest => octets(digest, 8)),
          counts: list(counts, 16).map(count => small(count, 2 ** 32)),
        }
      })
      return { kind, nodes }
    }
    case 'get-items':
      return { kind, level: small(a, 8), index: small(b, 2 ** 32), skip: small(c, 2 ** 32) }
    case 'items': {
      const items = list(a, ITEMS_PER_MESSAGE_MAX).map(item => {
        const [key, origin, count, hash] = list(item, 8)
        return { key: text(key, 512), dot: dot(origin, count), hash: octets(hash, 16) }
      })
      return { kind, items, hasMore: flag(b) }
    }
    case 'want':
    case 'drop':
      return { kind, items: itemNames(a) }
    case 'bye':
      return { kind, reason: text(a, 200) }
    case 'ack':
    case 'repaired':
      return { kind }
  }
}

/** The message that the bytes hold; undefined when they do not hold one. */
export function decodeMessage(codec: Codec, bytes: Uint8Array): Message | undefined {
  const value = codec.decode(bytes)
  if (!isArray(value)) return undefined
  const kind = typeof value[0] === 'number' ? KINDS[value[0]] : undefined
  if (kind === undefined) return undefined
  try {
    return decodeFields(kind, value.slice(1))
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

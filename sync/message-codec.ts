/**
 * The bytes of the messages of a sync session: positional CBOR arrays, the first item names the kind (docs/protocol.md has the CDDL).
 * Decoding checks every field; what does not fit is not a message. Fields behind the known ones are ignored: room for later versions.
 */
import { fromHex, toHex, u64Bytes } from '../base/bytes.ts'
import type { Codec } from '../base/ports.ts'
import { ACKNOWLEDGED_ENTRIES_MAX, ACKNOWLEDGEMENTS_MAX, type Acknowledgement } from './acknowledgement.ts'
import type { RunId, VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import type { Stamp } from './hlc.ts'
import {
  ITEMS_PER_MESSAGE_MAX,
  NODES_PER_MESSAGE_MAX,
  OFFERS_PER_MESSAGE_MAX,
  VECTOR_ENTRIES_MAX,
  VOIDED_RANGES_MAX,
  type ItemName,
  type Message,
  type Open,
} from './messages.ts'
import { readTerms, termsFlags, type VoidedRange } from './partial.ts'
import type { ResumePoint } from './replica-snapshot.ts'
import { ROSTER_HASH_BYTES } from './roster.ts'
import { isPriority } from './settings.ts'
import { isSketchMessage, sketchMessageOf, sketchMessageToFields, type SketchMessage } from './sketch-messages.ts'
import { readStamp, writeStamp } from './version.ts'
import {
  collectionName,
  clock,
  count,
  dot,
  flag,
  isArray,
  list,
  Malformed,
  octets,
  optional,
  positive,
  small,
  text,
} from './wire-fields.ts'

const STAMP_BYTES = 8

type PlainMessage = Exclude<Message, SketchMessage>

/** A kind's number is its place; those of sketches are in their own file. */
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
  'held',
  'round',
  'pull',
] as const satisfies readonly PlainMessage['kind'][]

const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? new Uint8Array(0)
const encodeDot = (dot: Dot): unknown[] => [bytesOf(dot.origin), dot.counter]
const encodeEntries = (vector: ReadonlyMap<Origin, VectorEntry>): unknown[] =>
  [...vector].map(([origin, { counter, run }]) => [bytesOf(origin), counter, bytesOf(run)])
const encodeCounters = (vector: VersionVector): unknown[] => [...vector].map(([origin, counter]) => [bytesOf(origin), counter])
const encodeAcknowledgements = (known: readonly Acknowledgement[]): unknown[] =>
  known.map(({ storeId, rosterHash, vector }) => [bytesOf(storeId), rosterHash, encodeCounters(vector)])
const encodeStamp = (stamp: Stamp): Uint8Array => {
  const bytes = new Uint8Array(STAMP_BYTES)
  writeStamp(bytes, 0, stamp)
  return bytes
}
const encodeNames = (items: readonly ItemName[]): unknown[] => items.map(({ key, dot }) => [key, ...encodeDot(dot)])

/** Nothing for a full replica without a horizon that says all of its vector. */
function encodeTerms({ terms, voided, commonHash }: Open): unknown[] {
  const { horizonMs, horizonMaxMs } = terms
  const flags = termsFlags(terms)
  if (flags === 0 && horizonMs === 0 && horizonMaxMs === 0 && voided.length === 0 && commonHash === undefined) return []
  const ranges = voided.slice(0, VOIDED_RANGES_MAX).map(({ origin, from, to }) => [bytesOf(origin), from, to])
  return [flags, u64Bytes(horizonMs), u64Bytes(horizonMaxMs), ranges, ...(commonHash === undefined ? [] : [commonHash])]
}

function encodeFields(message: PlainMessage): unknown[] {
  switch (message.kind) {
    case 'hello': {
      const { protocol, swarmName, nodeId, storeId, saltId, logicalClock, wallMs, isNamed, isLive } = message
      return [protocol, swarmName, bytesOf(nodeId), bytesOf(storeId), saltId, u64Bytes(logicalClock), u64Bytes(wallMs), isNamed, isLive]
    }
    case 'offers': {
      const offers = message.offers.map(({ name, generation, root, knowledge, flags, priority, commonHash }) => {
        const fixed = [name, generation, root, knowledge]
        if (commonHash !== undefined) return [...fixed, flags, priority, commonHash]
        return priority === 0 ? (flags === 0 ? fixed : [...fixed, flags]) : [...fixed, flags, priority]
      })
      return [offers, message.isLast, message.rosterHash]
    }
    case 'open': {
      const { name, generation, vector, collected, resume, collectedStampMax, rosterHash, acknowledgements } = message
      const point = resume && [...encodeDot(resume.position), encodeCounters(resume.target)]
      const fixed = [name, generation, encodeEntries(vector), encodeCounters(collected), point ?? null]
      return [...fixed, encodeStamp(collectedStampMax), rosterHash, encodeAcknowledgements(acknowledgements), ...encodeTerms(message)]
    }
    case 'frame': {
      const { items, position, logicalClock } = message
      return [items.map(({ key, version }) => [key, version]), position === undefined ? null : encodeDot(position), u64Bytes(logicalClock)]
    }
    case 'mark':
      return message.isAsOpened === true ? [encodeEntries(message.vector), true] : [encodeEntries(message.vector)]
    case 'state':
      return [message.root, message.knowledge, message.rosterHash, ...(message.flags === 0 ? [] : [message.flags])]
    case 'repair':
      return [encodeEntries(message.vector), encodeCounters(message.collected), message.bucketCells ?? null]
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
    case 'held': {
      const { name, generation, vector, collected, collectedStampMax, rosterHash, acknowledgements, root, knowledge, hasTail } = message
      const fixed = [name, generation, encodeEntries(vector), encodeCounters(collected), encodeStamp(collectedStampMax)]
      return [...fixed, rosterHash, encodeAcknowledgements(acknowledgements), root, knowledge, hasTail]
    }
    case 'pull':
      return [message.name, message.generation]
    case 'ack':
    case 'repaired':
    case 'round':
      return []
  }
}

export function encodeMessage(codec: Codec, message: Message): Uint8Array {
  return codec.encode(isSketchMessage(message) ? sketchMessageToFields(message) : [KINDS.indexOf(message.kind), ...encodeFields(message)])
}

function entries(value: unknown): Map<Origin, VectorEntry> {
  const vector = new Map<Origin, VectorEntry>()
  for (const entry of list(value, VECTOR_ENTRIES_MAX)) {
    const [origin, counter, run] = list(entry, 8)
    const runId: RunId = toHex(octets(run, 8))
    vector.set(toHex(octets(origin, 16)), { counter: positive(counter), run: runId })
  }
  return vector
}

function counters(value: unknown): Map<Origin, number> {
  const vector = new Map<Origin, number>()
  for (const entry of list(value, VECTOR_ENTRIES_MAX)) {
    const [origin, counter] = list(entry, 8)
    vector.set(toHex(octets(origin, 16)), positive(counter))
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

const digest16 = (value: unknown): Uint8Array | undefined => octets(value, 16)

function voidedRanges(value: unknown): VoidedRange[] {
  return list(value, VOIDED_RANGES_MAX).map(item => {
    const [origin, from, to] = list(item, 8)
    return { origin: toHex(octets(origin, 16)), from: count(from), to: positive(to) }
  })
}

function itemNames(value: unknown): ItemName[] {
  return list(value, ITEMS_PER_MESSAGE_MAX).map(item => {
    const [key, origin, count] = list(item, 8)
    return { key: text(key, 512), dot: dot(origin, count) }
  })
}

function decodeFields(kind: PlainMessage['kind'], fields: readonly unknown[]): Message {
  const [a, b, c, d, e, f, g, h, i, j, k, l, m] = fields
  switch (kind) {
    case 'hello':
      return {
        kind,
        protocol: small(a, 0xffff),
        swarmName: text(b, 64),
        nodeId: toHex(octets(c, 16)),
        storeId: toHex(octets(d, 16)),
        saltId: octets(e, 8),
        logicalClock: clock(f),
        wallMs: clock(g),
        isNamed: flag(h),
        // Versions before the live phase do not say.
        isLive: i === undefined ? false : flag(i),
      }
    case 'offers': {
      const offers = list(a, OFFERS_PER_MESSAGE_MAX).map(offer => {
        const [name, generation, root, knowledge, flags, priority = 0, commonHash] = list(offer, 16)
        if (!isPriority(priority)) throw new Malformed()
        return {
          name: collectionName(name),
          generation: count(generation),
          root: octets(root, 16),
          knowledge: octets(knowledge, 16),
          flags: optional(flags, 0, value => small(value, 0xff)),
          priority,
          commonHash: optional(commonHash, undefined, digest16),
        }
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
        generation: count(b),
        vector: entries(c),
        collected: counters(d),
        resume,
        collectedStampMax: readStamp(octets(f, STAMP_BYTES), 0),
        rosterHash: octets(g, ROSTER_HASH_BYTES),
        acknowledgements: acknowledgements(h),
        terms: readTerms(
          optional(i, 0, value => small(value, 0xff)),
          optional(j, 0, clock),
          optional(k, 0, clock),
        ),
        voided: optional(l, [], voidedRanges),
        commonHash: optional(m, undefined, digest16),
      }
    }
    case 'frame': {
      const items = list(a, Number.MAX_SAFE_INTEGER).map(item => {
        const [key, version] = list(item, 8)
        if (!(version instanceof Uint8Array)) throw new Malformed()
        return { key: text(key, 512), version }
      })
      const position = b === null ? undefined : list(b, 8)
      return { kind, items, position: position && dot(position[0], position[1]), logicalClock: clock(c) }
    }
    case 'mark':
      return { kind, vector: entries(a), isAsOpened: optional(b, false, flag) }
    case 'state':
      return {
        kind,
        root: octets(a, 16),
        knowledge: octets(b, 16),
        rosterHash: octets(c, ROSTER_HASH_BYTES),
        flags: optional(d, 0, value => small(value, 0xff)),
      }
    case 'repair':
      return { kind, vector: entries(a), collected: counters(b), ...(c instanceof Uint8Array ? { bucketCells: c } : {}) }
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
    case 'held':
      return {
        kind,
        name: collectionName(a),
        generation: count(b),
        vector: entries(c),
        collected: counters(d),
        collectedStampMax: readStamp(octets(e, STAMP_BYTES), 0),
        rosterHash: octets(f, ROSTER_HASH_BYTES),
        acknowledgements: acknowledgements(g),
        root: octets(h, 16),
        knowledge: octets(i, 16),
        hasTail: flag(j),
      }
    case 'pull':
      return { kind, name: collectionName(a), generation: count(b) }
    case 'ack':
    case 'repaired':
    case 'round':
      return { kind }
  }
}

/** The message that the bytes hold; undefined when they do not hold one. */
export function decodeMessage(codec: Codec, bytes: Uint8Array): Message | undefined {
  const value = codec.decode(bytes)
  if (!isArray(value)) return undefined
  const kind = typeof value[0] === 'number' ? KINDS[value[0]] : undefined
  if (kind === undefined) return sketchMessageOf(value)
  try {
    return decodeFields(kind, value.slice(1))
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

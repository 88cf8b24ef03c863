/**
 * A version: what one write said about one key. Immutable, byte-identical on every replica.
 *
 * Layout (big-endian), in the store and on the wire:
 *
 *   flags     1   FLAG_* below; unknown bits are kept and relayed, such versions are hidden from queries
 *   origin   16   \ the dot
 *   counter   8   /
 *   ms        6   \ the stamp
 *   tick      2   /
 *   contexts  2   number of context entries, ascending by origin
 *     origin 16, counter 8   each
 *   body      -   the rest, see content.ts
 *
 * Total order (R1): stamp, origin, counter, then content. A write's stamp is greater than that of every version it supersedes,
 * so the order respects causality whatever the clocks say, and `lww` is a plain maximum.
 * Departure from the design: the last tie-break compares the content's bytes rather than their hash. Two versions only get there with
 * one dot, which correct replicas never make.
 */
import { compareBytes, fromHex, readU32, toHex } from '../base/bytes.ts'
import { sortedEntries, type Dot, type Origin, type VersionVector } from './dot.ts'
import { compareStamps, STAMP_MS_MAX, type Stamp } from './hlc.ts'

export const FLAG_TOMBSTONE = 1
/** The writer's board said that its clock was synchronised: information only. */
export const FLAG_TRUSTED_TIME = 2
/** The body ends with JSON text. */
export const FLAG_PAYLOAD = 4
/** The body holds a media type and ends with raw bytes. */
export const FLAG_DATA = 8
export const FLAG_VECTOR = 16
const FLAGS_KNOWN = FLAG_TOMBSTONE | FLAG_TRUSTED_TIME | FLAG_PAYLOAD | FLAG_DATA | FLAG_VECTOR

export interface Version {
  readonly flags: number
  readonly origin: Origin
  readonly counter: number
  readonly stamp: Stamp
  /** Version vector of this key alone: what the writer had seen. Ascending by origin. */
  readonly context: readonly Dot[]
  readonly body: Uint8Array
}

export const ORIGIN_BYTES = 16
/** Length of a dot in bytes: origin and counter. */
export const DOT_BYTES = ORIGIN_BYTES + 8
const HEADER_BYTES = 1 + DOT_BYTES + 8 + 2
/** What a version takes beside context and body. */
export const VERSION_OVERHEAD_BYTES = HEADER_BYTES
/** More origins than this in one key's context is refused from a peer: about as many robots wrote this one key. */
export const CONTEXT_ENTRIES_MAX = 4_096

export const isTombstone = (version: Version): boolean => (version.flags & FLAG_TOMBSTONE) !== 0

/** A version made by a newer release: stored, digested and relayed, but not understood here. */
export const isOpaque = (version: Version): boolean => (version.flags & ~FLAGS_KNOWN) !== 0

/** Whether `version` was written by somebody who had seen `other`. */
export function supersedes(version: Version, other: Dot): boolean {
  return version.context.some(dot => dot.origin === other.origin && dot.counter >= other.counter)
}

export function compareVersions(a: Version, b: Version): number {
  return (
    compareStamps(a.stamp, b.stamp) ||
    (a.origin < b.origin ? -1 : a.origin > b.origin ? 1 : 0) ||
    Math.sign(a.counter - b.counter) ||
    Math.sign(a.flags - b.flags) ||
    compareBytes(a.body, b.body)
  )
}

// Origins repeat millions of times; their two forms are remembered, up to a bound.
const ORIGINS_REMEMBERED_MAX = 4_096
const bytesByOrigin = new Map<Origin, Uint8Array>()

/** The 16 bytes of an origin. Shared: do not write into them. */
export function originBytes(origin: Origin): Uint8Array {
  let bytes = bytesByOrigin.get(origin)
  if (bytes === undefined) {
    bytes = fromHex(origin) ?? new Uint8Array(ORIGIN_BYTES)
    if (bytesByOrigin.size >= ORIGINS_REMEMBERED_MAX) bytesByOrigin.clear()
    bytesByOrigin.set(origin, bytes)
  }
  return bytes
}

/** The origin that was read last: what is read next is mostly by the same one. */
const lastRead = { origin: '0'.repeat(2 * ORIGIN_BYTES), bytes: new Uint8Array(ORIGIN_BYTES) }

export function readOrigin(bytes: Uint8Array, at: number): Origin {
  for (let i = 0; i < ORIGIN_BYTES; i++) {
    if (bytes[at + i] === lastRead.bytes[i]) continue
    lastRead.bytes.set(bytes.subarray(at, at + ORIGIN_BYTES))
    lastRead.origin = toHex(lastRead.bytes)
    break
  }
  return lastRead.origin
}

/** Writes an integer below 2^53 as 8 bytes. */
export function writeCounter(target: Uint8Array, at: number, value: number): void {
  let high = Math.floor(value / 2 ** 32)
  let low = value >>> 0
  for (let i = 3; i >= 0; i--) {
    target[at + i] = high
    target[at + 4 + i] = low
    high >>>= 8
    low >>>= 8
  }
}

export function writeDot(target: Uint8Array, at: number, dot: Dot): void {
  target.set(originBytes(dot.origin), at)
  writeCounter(target, at + ORIGIN_BYTES, dot.counter)
}

/** The dots of a vector one after the other, ascending by origin. */
export function vectorBytes(vector: VersionVector): Uint8Array {
  const bytes = new Uint8Array(DOT_BYTES * vector.size)
  let at = 0
  for (const [origin, counter] of sortedEntries(vector)) {
    bytes.set(originBytes(origin), at)
    writeCounter(bytes, at + ORIGIN_BYTES, counter)
    at += DOT_BYTES
  }
  return bytes
}

export function readDot(bytes: Uint8Array, at: number): Dot {
  return { origin: readOrigin(bytes, at), counter: readCounter(bytes, at + ORIGIN_BYTES) }
}

export function readCounter(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 2 ** 32 + readU32(bytes, at + 4)
}

/** Writes 48-bit milliseconds and a 16-bit tick, 8 bytes. */
export function writeStamp(target: Uint8Array, at: number, stamp: Stamp): void {
  const high = Math.floor(stamp.ms / 2 ** 32)
  const low = stamp.ms >>> 0
  target[at] = high >>> 8
  target[at + 1] = high
  target[at + 2] = low >>> 24
  target[at + 3] = low >>> 16
  target[at + 4] = low >>> 8
  target[at + 5] = low
  target[at + 6] = stamp.tick >>> 8
  target[at + 7] = stamp.tick
}

export function readStamp(bytes: Uint8Array, at: number): Stamp {
  return { ms: (bytes[at]! * 256 + bytes[at + 1]!) * 2 ** 32 + readU32(bytes, at + 2), tick: bytes[at + 6]! * 256 + bytes[at + 7]! }
}

export function versionLength(version: Version): number {
  return HEADER_BYTES + version.context.length * DOT_BYTES + version.body.length
}

/** Writes a version at `at` and returns the offset behind it; `versionLength` bytes must be free there. */
export function writeVersion(target: Uint8Array, start: number, version: Version): number {
  let at = start
  target[at++] = version.flags
  writeDot(target, at, version)
  at += DOT_BYTES
  writeStamp(target, at, version.stamp)
  at += 8
  target[at++] = version.context.length >>> 8
  target[at++] = version.context.length
  for (const dot of version.context) {
    writeDot(target, at, dot)
    at += DOT_BYTES
  }
  target.set(version.body, at)
  return at + version.body.length
}

export function encodeVersion(version: Version): Uint8Array {
  const bytes = new Uint8Array(versionLength(version))
  writeVersion(bytes, 0, version)
  return bytes
}

/** Reads a version; undefined when the bytes are not one. The body is a view into `bytes`. */
export function decodeVersion(bytes: Uint8Array): Version | undefined {
  if (bytes.length < HEADER_BYTES) return undefined
  const { origin, counter } = readDot(bytes, 1)
  const stamp = readStamp(bytes, 1 + DOT_BYTES)
  const contexts = bytes[HEADER_BYTES - 2]! * 256 + bytes[HEADER_BYTES - 1]!
  const bodyAt = HEADER_BYTES + contexts * DOT_BYTES
  // No write could stand above the last stamp there is (R1).
  if (stamp.ms === STAMP_MS_MAX) return undefined
  if (counter < 1 || counter > Number.MAX_SAFE_INTEGER || contexts > CONTEXT_ENTRIES_MAX || bodyAt > bytes.length) return undefined
  const context: Dot[] = []
  for (let at = HEADER_BYTES; at < bodyAt; at += DOT_BYTES) {
    const dot = readDot(bytes, at)
    const previous = context.at(-1)
    if (dot.counter < 1 || dot.counter > Number.MAX_SAFE_INTEGER) return undefined
    if (previous !== undefined && previous.origin >= dot.origin) return undefined
    context.push(dot)
  }
  return { flags: bytes[0]!, origin, counter, stamp, context, body: bytes.subarray(bodyAt) }
}

/**
 * The rows of the store: one letter, then fixed-width big-endian fields, the variable-length part last.
 *
 *   m name                            -> format, identity, clock
 *   c cid                             -> a collection: generation, counts, collected stamp, name
 *   r cid key                         -> feed sequence (8), entry
 *   l cid origin counter              -> key                    log: live versions by dot
 *   d cid key-hash(8) dot(24) key     -> item hash(16), stamp(8), flags(1)      digest items, one per version
 *   b cid level(1) bucket(4)          -> sum(16), count(4)      digest buckets
 *   v cid origin                      -> counter(8), run(8)     version vector
 *   g cid origin                      -> counter(8)             collected vector G
 *   n cid origin first-counter        -> run(8)                 own runs
 *   f cid origin                      -> (empty)                own origins whose history has forked, and that is settled (R2)
 *   s seq                             -> cid, kind(1), key      change feed
 *   x seq                             -> cid, key, version      conflicts: what lww dropped, in the feed's sequence
 *   e seq                             -> generation(8), name    deleted collections, in the feed's sequence; the latest of each name
 *   y cid origin                      -> counter(8), settled(1) what was rescued from a damaged store (rescue.ts)
 *   p cid store                       -> resume cursor of what is being received from that store (R5)
 *   z cid origin counter              -> key                    tombstones by dot (R7)
 *   a cid store                       -> roster hash(8), vector what a replica has acknowledged (R7)
 *   h cid key-hash(8) dot(24) key     -> flags(1)               what a scrub found to be lost here, until it is back
 *   q seq                             -> quarantine
 *   t cid priority(1) stamp(8) dot(24) key -> bytes(4), flags(1)   what goes first, of collections with retention
 *   k cid                             -> JSON: what retention has done (retention-state.ts)
 *   o name                            -> JSON: this node's own settings of a collection
 *   w cid store                       -> expires(1), zeros(7), vector   what a full replica has said itself that it holds (R8)
 *
 * `cid` is a local number (4 bytes) that never leaves this store.
 */
import { allocateBytes, type Allocate } from '../base/scratch.ts'
import { concatBytes, prefixEnd, u64Bytes } from '../base/bytes.ts'
import type { Dot, Origin } from './dot.ts'
import type { Stamp } from './hlc.ts'
import type { RowRange } from './store.ts'
import { DOT_BYTES, originBytes, writeCounter, writeDot, writeStamp } from './version.ts'

export const FORMAT = 1

const letter = (text: string): number => text.charCodeAt(0)
const LETTER = {
  meta: letter('m'),
  collection: letter('c'),
  record: letter('r'),
  log: letter('l'),
  item: letter('d'),
  bucket: letter('b'),
  vector: letter('v'),
  collected: letter('g'),
  run: letter('n'),
  fork: letter('f'),
  rescued: letter('y'),
  feed: letter('s'),
  conflict: letter('x'),
  deletion: letter('e'),
  cursor: letter('p'),
  quarantine: letter('q'),
  lost: letter('h'),
  tombstone: letter('z'),
  acknowledgement: letter('a'),
  retention: letter('t'),
  retentionState: letter('k'),
  localSettings: letter('o'),
  kept: letter('w'),
} as const

const CID_BYTES = 4
const HEAD_BYTES = 1 + CID_BYTES
export const KEY_HASH_BYTES = 8

function head(bytes: Uint8Array, kind: number, cid: number): Uint8Array {
  bytes[0] = kind
  bytes[1] = cid >>> 24
  bytes[2] = cid >>> 16
  bytes[3] = cid >>> 8
  bytes[4] = cid
  return bytes
}

function rowOf(kind: number, cid: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(head(new Uint8Array(HEAD_BYTES), kind, cid), ...parts)
}

/** A row whose key is a text in ASCII. */
function namedRow(kind: number, name: string): Uint8Array {
  const row = new Uint8Array(1 + name.length)
  row[0] = kind
  for (let i = 0; i < name.length; i++) row[i + 1] = name.charCodeAt(i)
  return row
}

export const metaRow = (name: 'format' | 'identity' | 'clock' | 'scrub' | 'salt'): Uint8Array => namedRow(LETTER.meta, name)

export const collectionRow = (cid: number): Uint8Array => rowOf(LETTER.collection, cid)

export function recordRow(cid: number, key: Uint8Array, allocate: Allocate = allocateBytes): Uint8Array {
  const row = head(allocate(HEAD_BYTES + key.length), LETTER.record, cid)
  row.set(key, HEAD_BYTES)
  return row
}

export const keyOfRecordRow = (row: Uint8Array): Uint8Array => row.subarray(HEAD_BYTES)

export function logRow(cid: number, dot: Dot, allocate: Allocate = allocateBytes): Uint8Array {
  const row = head(allocate(HEAD_BYTES + DOT_BYTES), LETTER.log, cid)
  writeDot(row, HEAD_BYTES, dot)
  return row
}

export const dotAtOfLogRow = HEAD_BYTES

export function tombstoneRow(cid: number, dot: Dot, allocate: Allocate = allocateBytes): Uint8Array {
  const row = head(allocate(HEAD_BYTES + DOT_BYTES), LETTER.tombstone, cid)
  writeDot(row, HEAD_BYTES, dot)
  return row
}

export const dotAtOfTombstoneRow = HEAD_BYTES

/** `store`: 16 bytes. */
export const acknowledgementRow = (cid: number, store: Uint8Array): Uint8Array => rowOf(LETTER.acknowledgement, cid, store)
export const storeAtOfAcknowledgementRow = HEAD_BYTES

/** `store`: 16 bytes. */
export const keptRow = (cid: number, store: Uint8Array): Uint8Array => rowOf(LETTER.kept, cid, store)
export const storeAtOfKeptRow = HEAD_BYTES

export const retentionStateRow = (cid: number): Uint8Array => rowOf(LETTER.retentionState, cid)

/** `name`: of a collection, in ASCII. */
export const localSettingsRow = (name: string): Uint8Array => namedRow(LETTER.localSettings, name)
export const nameOfLocalSettingsRow = (row: Uint8Array): string => String.fromCharCode(...row.subarray(1))

const STAMP_AT_OF_RETENTION_ROW = HEAD_BYTES + 1
export const dotAtOfRetentionRow = STAMP_AT_OF_RETENTION_ROW + 8
export const keyAtOfRetentionRow = dotAtOfRetentionRow + DOT_BYTES

export function retentionRow(cid: number, priority: number, stamp: Stamp, dot: Dot, key: Uint8Array): Uint8Array {
  const row = head(new Uint8Array(keyAtOfRetentionRow + key.length), LETTER.retention, cid)
  row[HEAD_BYTES] = priority
  writeStamp(row, STAMP_AT_OF_RETENTION_ROW, stamp)
  writeDot(row, dotAtOfRetentionRow, dot)
  row.set(key, keyAtOfRetentionRow)
  return row
}

export function itemRow(cid: number, keyHash: Uint8Array, dot: Dot, key: Uint8Array, allocate: Allocate = allocateBytes): Uint8Array {
  return itemLikeRow(LETTER.item, cid, keyHash, dot, key, allocate)
}

/** Laid out as the row of the digest item that is lost. */
export const lostRow = (cid: number, keyHash: Uint8Array, dot: Dot, key: Uint8Array): Uint8Array =>
  itemLikeRow(LETTER.lost, cid, keyHash, dot, key, allocateBytes)

function itemLikeRow(kind: number, cid: number, keyHash: Uint8Array, dot: Dot, key: Uint8Array, allocate: Allocate): Uint8Array {
  const row = head(allocate(HEAD_BYTES + KEY_HASH_BYTES + DOT_BYTES + key.length), kind, cid)
  row.set(keyHash, HEAD_BYTES)
  writeDot(row, HEAD_BYTES + KEY_HASH_BYTES, dot)
  row.set(key, HEAD_BYTES + KEY_HASH_BYTES + DOT_BYTES)
  return row
}

export const keyHashAtOfItemRow = HEAD_BYTES
export const dotAtOfItemRow = HEAD_BYTES + KEY_HASH_BYTES
export const keyAtOfItemRow = HEAD_BYTES + KEY_HASH_BYTES + DOT_BYTES

export const bucketRow = (cid: number, level: number, bucket: number): Uint8Array =>
  rowOf(LETTER.bucket, cid, Uint8Array.of(level, bucket >>> 24, bucket >>> 16, bucket >>> 8, bucket))
export const bucketAtOfRow = HEAD_BYTES + 1

export const vectorRow = (cid: number, origin: Origin): Uint8Array => rowOf(LETTER.vector, cid, originBytes(origin))
export const collectedRow = (cid: number, origin: Origin): Uint8Array => rowOf(LETTER.collected, cid, originBytes(origin))
export const originAtOfVectorRow = HEAD_BYTES

export const runRow = (cid: number, first: Dot): Uint8Array => rowOf(LETTER.run, cid, originBytes(first.origin), u64Bytes(first.counter))

function sequenceRow(kind: number, sequence: number, allocate: Allocate): Uint8Array {
  const row = allocate(9)
  row[0] = kind
  writeCounter(row, 1, sequence)
  return row
}

export const feedRow = (sequence: number, allocate: Allocate = allocateBytes): Uint8Array => sequenceRow(LETTER.feed, sequence, allocate)
export const conflictRow = (sequence: number): Uint8Array => sequenceRow(LETTER.conflict, sequence, allocateBytes)
export const deletionRow = (sequence: number): Uint8Array => sequenceRow(LETTER.deletion, sequence, allocateBytes)

/** The value of a feed row. `kind`: FEED_PUT or FEED_DELETE. */
export function feedValue(cid: number, kind: number, key: Uint8Array, allocate: Allocate = allocateBytes): Uint8Array {
  const value = allocate(CID_BYTES + 1 + key.length)
  value[0] = cid >>> 24
  value[1] = cid >>> 16
  value[2] = cid >>> 8
  value[3] = cid
  value[4] = kind
  value.set(key, CID_BYTES + 1)
  return value
}

/** `store`: 16 bytes, the id of the sender's store. */
export const cursorRow = (cid: number, store: Uint8Array): Uint8Array => rowOf(LETTER.cursor, cid, store)

export const quarantineRow = (sequence: number): Uint8Array => sequenceRow(LETTER.quarantine, sequence, allocateBytes)

function rangeOf(prefix: Uint8Array): RowRange & { readonly gte: Uint8Array; readonly lt: Uint8Array } {
  // Every prefix begins with a letter: there is always something greater.
  return { gte: prefix, lt: prefixEnd(prefix)! }
}

export const allCollections = rangeOf(Uint8Array.of(LETTER.collection))
export const allConflicts = rangeOf(Uint8Array.of(LETTER.conflict))
export const allDeletions = rangeOf(Uint8Array.of(LETTER.deletion))
/** Rows of the feed, conflicts and deletions, with sequences in (after, upTo]. */
export const feedAfter = (after: number, upTo: number): RowRange => ({ gt: feedRow(after), lt: feedRow(upTo + 1) })
export const allFeed = rangeOf(Uint8Array.of(LETTER.feed))
/** Where the key begins in the value of a feed row; the collection's number stands in front. */
export const keyAtOfFeedValue = CID_BYTES + 1
export const conflictsAfter = (after: number, upTo: number): RowRange => ({ gt: conflictRow(after), lt: conflictRow(upTo + 1) })
export const deletionsAfter = (after: number, upTo: number): RowRange => ({ gt: deletionRow(after), lt: deletionRow(upTo + 1) })
export const allQuarantined = rangeOf(Uint8Array.of(LETTER.quarantine))
export const allLost = rangeOf(Uint8Array.of(LETTER.lost))
export const logOf = (cid: number): RowRange & { readonly gte: Uint8Array; readonly lt: Uint8Array } => rangeOf(rowOf(LETTER.log, cid))
export const recordsOf = (cid: number): { readonly gte: Uint8Array; readonly lt: Uint8Array } => rangeOf(rowOf(LETTER.record, cid))
export const bucketsOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.bucket, cid))
export const vectorOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.vector, cid))
export const collectedOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.collected, cid))
export const allOwnRuns = rangeOf(Uint8Array.of(LETTER.run))
export const ownRunsOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.run, cid))
export const rescuedRow = (cid: number, origin: Origin): Uint8Array => rowOf(LETTER.rescued, cid, originBytes(origin))
export const rescuedOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.rescued, cid))
export const forkRow = (cid: number, origin: Origin): Uint8Array => rowOf(LETTER.fork, cid, originBytes(origin))

/** Log rows of one origin with counters in (after, upTo]. */
export function logRange(cid: number, origin: Origin, after: number, upTo: number): RowRange {
  return { gt: logRow(cid, { origin, counter: after }), lt: logRow(cid, { origin, counter: upTo + 1 }) }
}

/** Tombstones of one origin with counters up to `upTo`. */
export function tombstonesUpTo(cid: number, origin: Origin, upTo: number): RowRange {
  return { gte: tombstoneRow(cid, { origin, counter: 0 }), lt: tombstoneRow(cid, { origin, counter: upTo + 1 }) }
}

export const tombstonesOf = (cid: number): RowRange & { readonly gte: Uint8Array; readonly lt: Uint8Array } =>
  rangeOf(rowOf(LETTER.tombstone, cid))
export const keptOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.kept, cid))
export const allLocalSettings = rangeOf(Uint8Array.of(LETTER.localSettings))
export const retentionOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.retention, cid))
/** Versions of one priority with stamps below `ms`. */
export function retentionBelow(cid: number, priority: number, ms: number): RowRange {
  const to = rowOf(LETTER.retention, cid, Uint8Array.of(priority), new Uint8Array(8))
  writeStamp(to, STAMP_AT_OF_RETENTION_ROW, { ms, tick: 0 })
  return { gte: rowOf(LETTER.retention, cid, Uint8Array.of(priority)), lt: to }
}
export const acknowledgementsOf = (cid: number): RowRange => rangeOf(rowOf(LETTER.acknowledgement, cid))

/** Digest items whose key hash begins with the `level` hexadecimal digits of `index` (level 0: all). */
export function itemsUnder(cid: number, level: number, index: number): RowRange {
  const from = new Uint8Array(KEY_HASH_BYTES)
  const first = index * 16 ** (8 - level)
  for (let i = 0; i < 4; i++) from[i] = Math.floor(first / 2 ** (24 - 8 * i)) % 256
  const end = (index + 1) * 16 ** (8 - level)
  if (end >= 2 ** 32) return { gte: rowOf(LETTER.item, cid, from), lt: prefixEnd(rowOf(LETTER.item, cid))! }
  const to = new Uint8Array(KEY_HASH_BYTES)
  for (let i = 0; i < 4; i++) to[i] = Math.floor(end / 2 ** (24 - 8 * i)) % 256
  return { gte: rowOf(LETTER.item, cid, from), lt: rowOf(LETTER.item, cid, to) }
}

/** Digest items of the keys with this hash: of one key, as good as always. */
export const itemsOfKey = (cid: number, keyHash: Uint8Array): RowRange => rangeOf(rowOf(LETTER.item, cid, keyHash))

/** Every range of rows that belongs to one collection, its own row excepted. */
export function rowsOfCollection(cid: number): RowRange[] {
  const { record, log, item, bucket, vector, collected, run, fork, rescued, cursor, tombstone, acknowledgement } = LETTER
  const { retention, retentionState, kept, lost } = LETTER
  return [
    record,
    log,
    item,
    bucket,
    vector,
    collected,
    run,
    fork,
    rescued,
    cursor,
    tombstone,
    acknowledgement,
    retention,
    retentionState,
    kept,
    lost,
  ].map(kind => rangeOf(rowOf(kind, cid)))
}

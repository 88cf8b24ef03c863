/**
 * The scrub of one key: what its record says, held against what is kept beside it.
 *
 * Digest item, log row, tombstone row and feed row follow from the record, and are made again from it. But when content does not match its item's
 * hash, record and item contradict one another, and a third has to say which is right: the sum of their bucket. A damaged version is never
 * digested as it is - by the total order it might win over the good one everywhere. It goes to quarantine, its rows go, and so the
 * root differs and a peer that has it sends it again.
 */
import { compareBytes, equalBytes } from '../base/bytes.ts'
import {
  addItem,
  BUCKET_LEVEL,
  createDigestSum,
  decodeSum,
  type DigestSum,
  isEqualSum,
  ITEM_HASH_BYTES,
  type ItemHasher,
  nodeIndex,
  removeItem,
} from './digest.ts'
import { loadBuckets, rowPagesOf, rowsOf } from './collection-state.ts'
import type { Dot } from './dot.ts'
import { type Entry, shownVersion } from './entry.ts'
import { compareStamps, type Stamp } from './hlc.ts'
import {
  bucketRow,
  dotAtOfItemRow,
  feedRow,
  feedValue,
  itemRow,
  itemsOfKey,
  itemsUnder,
  keyAtOfItemRow,
  keyHashAtOfItemRow,
  keyOfRecordRow,
  logRow,
  recordRow,
  recordsOf,
  tombstoneRow,
} from './rows.ts'
import type { StoreReader } from './store.ts'
import { isTombstone, readDot, readStamp, type Version, writeStamp } from './version.ts'
import { decodeStoredEntry, FEED_DELETE, FEED_PUT, type StoredEntry } from './write-batch.ts'

export type VersionVerdict =
  /** Item and log row are as they should be. */
  | 'good'
  /** The record is right; what is kept beside it is to be made again. */
  | 'rows'
  /** The content is not what was written. */
  | 'damaged'

/** A digest item without its version. */
export interface Orphan {
  readonly dot: Dot
  readonly stamp: Stamp
  readonly hash: Uint8Array
  readonly flags: number
  /** False: the bucket's sum knows nothing of it; it was never a version's. */
  readonly isLost: boolean
}

export interface KeyFindings {
  readonly keyHash: Uint8Array
  /** The record's row as it was read; undefined: there is none. */
  readonly value: Uint8Array | undefined
  /** Undefined: there is no record, or it cannot be decoded. */
  readonly stored: StoredEntry | undefined
  readonly verdicts: ReadonlyMap<Version, VersionVerdict>
  /** Hashes of present item rows whose version's verdict is `damaged` or `rows`, and which are wrong or to go. */
  readonly wrongHashes: ReadonlyMap<Version, Uint8Array>
  readonly orphans: readonly Orphan[]
  readonly isFeedMissing: boolean
}

const STAMP_BYTES = 8

export function itemValue(hasher: ItemHasher, key: Uint8Array, version: Version): Uint8Array {
  const value = new Uint8Array(ITEM_HASH_BYTES + STAMP_BYTES + 1)
  hasher.itemHash(key, version, value)
  writeStamp(value, ITEM_HASH_BYTES, version.stamp)
  value[ITEM_HASH_BYTES + STAMP_BYTES] = version.flags
  return value
}

const isRow = (reader: StoreReader, row: Uint8Array, value: Uint8Array): boolean => {
  const found = reader.get(row)
  return found !== undefined && equalBytes(found, value)
}

export const feedValueOf = (cid: number, key: Uint8Array, entry: Entry): Uint8Array =>
  feedValue(cid, shownVersion(entry) === undefined ? FEED_DELETE : FEED_PUT, key)

/** Whether the log names the version. Where histories forked, two keys may share a dot and its row (R2): then it is left as it is. */
function isLogged(reader: StoreReader, cid: number, version: Version, key: Uint8Array): boolean {
  const logged = reader.get(logRow(cid, version))
  if (logged === undefined || equalBytes(logged, key)) return logged !== undefined
  const other = reader.get(recordRow(cid, logged))
  const entry = other && decodeStoredEntry(other)?.entry
  return entry?.some(({ origin, counter }) => origin === version.origin && counter === version.counter) === true
}

/** Whether everything beside a record is as the record has it: the quick look, by single reads. */
export function isKeyWhole(reader: StoreReader, hasher: ItemHasher, cid: number, key: Uint8Array, value: Uint8Array): boolean {
  const stored = decodeStoredEntry(value)
  if (stored === undefined || !isRow(reader, feedRow(stored.sequence), feedValueOf(cid, key, stored.entry))) return false
  const keyHash = hasher.keyHash(key)
  return stored.entry.every(
    version =>
      isRow(reader, itemRow(cid, keyHash, version, key), itemValue(hasher, key, version)) &&
      isLogged(reader, cid, version, key) &&
      (!isTombstone(version) || isRow(reader, tombstoneRow(cid, version), key)),
  )
}

/** Looks at one key in a snapshot, and weighs what contradicts itself. */
export async function examineKey(
  snapshot: StoreReader,
  hasher: ItemHasher,
  cid: number,
  key: Uint8Array,
  prove: () => Promise<BucketProof>,
): Promise<KeyFindings> {
  const keyHash = hasher.keyHash(key)
  const value = snapshot.get(recordRow(cid, key))
  const stored = value && decodeStoredEntry(value)
  const verdicts = new Map<Version, VersionVerdict>()
  const wrongHashes = new Map<Version, Uint8Array>()
  const bare: Omit<Orphan, 'isLost'>[] = []
  for await (const [row, item] of rowsOf(snapshot, itemsOfKey(cid, keyHash))) {
    if (compareBytes(row.subarray(keyAtOfItemRow), key) !== 0) continue
    const dot = readDot(row, dotAtOfItemRow)
    const version = stored?.entry.find(({ origin, counter }) => origin === dot.origin && counter === dot.counter)
    const hash = item.slice(0, ITEM_HASH_BYTES)
    if (version === undefined)
      bare.push({ dot, stamp: readStamp(item, ITEM_HASH_BYTES), hash, flags: item[ITEM_HASH_BYTES + STAMP_BYTES] ?? 0 })
    else if (equalBytes(item, itemValue(hasher, key, version))) verdicts.set(version, 'good')
    else wrongHashes.set(version, hash)
  }
  const weigh = createScale(snapshot, hasher, cid, nodeIndex(keyHash, BUCKET_LEVEL), prove)
  for (const version of stored?.entry ?? []) {
    const wrong = wrongHashes.get(version)
    if (wrong !== undefined) verdicts.set(version, (await weigh.isContentRight(hasher.itemHash(key, version), wrong)) ? 'rows' : 'damaged')
    else if (verdicts.has(version)) continue
    else verdicts.set(version, (await weigh.isMissing(hasher.itemHash(key, version), bare.length)) ? 'rows' : 'damaged')
  }
  for (const [version, verdict] of verdicts) {
    const isListed = !isTombstone(version) || isRow(snapshot, tombstoneRow(cid, version), key)
    if (verdict === 'good' && !(isListed && isLogged(snapshot, cid, version, key))) verdicts.set(version, 'rows')
  }
  const orphans: Orphan[] = []
  for (const item of bare) orphans.push({ ...item, isLost: await weigh.isCounted(item.hash) })
  const isFeedMissing = stored !== undefined && !isRow(snapshot, feedRow(stored.sequence), feedValueOf(cid, key, stored.entry))
  return { keyHash, value, stored, verdicts, wrongHashes, orphans, isFeedMissing }
}

/** What the kept sums of a collection's buckets prove, each as a whole: where several things are wrong, single ones cannot be weighed. */
export interface BucketProof {
  /** All items that are there are right, and so are the contents of the versions that have none. */
  readonly rows: ReadonlySet<number>
  /** All contents are right, whatever the items say. */
  readonly contents: ReadonlySet<number>
}

export async function proveBuckets(snapshot: StoreReader, hasher: ItemHasher, cid: number): Promise<BucketProof> {
  const byRows = new Map<number, DigestSum>()
  const byContents = new Map<number, DigestSum>()
  const add = (sums: Map<number, DigestSum>, bucket: number, hash: Uint8Array): void => {
    let sum = sums.get(bucket)
    if (sum === undefined) sums.set(bucket, (sum = createDigestSum()))
    addItem(sum, hash)
  }
  for await (const page of rowPagesOf(snapshot, itemsUnder(cid, 0, 0)))
    for (const [row, value] of page)
      add(byRows, nodeIndex(row.subarray(keyHashAtOfItemRow), BUCKET_LEVEL), value.subarray(0, ITEM_HASH_BYTES))
  for await (const page of rowPagesOf(snapshot, recordsOf(cid)))
    for (const [row, value] of page) {
      const key = keyOfRecordRow(row)
      const keyHash = hasher.keyHash(key)
      const bucket = nodeIndex(keyHash, BUCKET_LEVEL)
      for (const version of decodeStoredEntry(value)?.entry ?? []) {
        const hash = hasher.itemHash(key, version)
        add(byContents, bucket, hash)
        if (snapshot.get(itemRow(cid, keyHash, version, key)) === undefined) add(byRows, bucket, hash)
      }
    }
  const kept = await loadBuckets(snapshot, cid)
  const provenBy = (sums: ReadonlyMap<number, DigestSum>): Set<number> =>
    new Set([...kept].filter(([bucket, sum]) => isEqualSum(sum, sums.get(bucket) ?? createDigestSum())).map(([bucket]) => bucket))
  return { rows: provenBy(byRows), contents: provenBy(byContents) }
}

/** What a bucket's kept sum says of its items. Reads the bucket when it is first asked. */
function createScale(snapshot: StoreReader, hasher: ItemHasher, cid: number, bucket: number, prove: () => Promise<BucketProof>) {
  let read: Promise<{ kept: DigestSum; ofRows: DigestSum; ofContent: DigestSum }> | undefined
  const sums = async () => {
    const value = snapshot.get(bucketRow(cid, BUCKET_LEVEL, bucket))
    const kept = value === undefined ? createDigestSum() : decodeSum(value)
    const ofRows = createDigestSum()
    const ofContent = createDigestSum()
    for await (const [row, item] of rowsOf(snapshot, itemsUnder(cid, BUCKET_LEVEL, bucket))) {
      const key = row.subarray(keyAtOfItemRow)
      const dot = readDot(row, dotAtOfItemRow)
      const record = snapshot.get(recordRow(cid, key))
      const entry = record === undefined ? undefined : decodeStoredEntry(record)?.entry
      const version = entry?.find(({ origin, counter }) => origin === dot.origin && counter === dot.counter)
      const hash = item.subarray(0, ITEM_HASH_BYTES)
      addItem(ofRows, hash)
      addItem(ofContent, version === undefined ? hash : hasher.itemHash(key, version))
    }
    return { kept, ofRows, ofContent }
  }
  return {
    /** Of an item whose row has another hash than its content. */
    async isContentRight(content: Uint8Array, row: Uint8Array): Promise<boolean> {
      const { kept, ofRows, ofContent } = await (read ??= sums())
      if (isEqualSum(kept, ofRows)) return false
      const mended = { lanes: ofRows.lanes.slice(), count: ofRows.count }
      removeItem(mended, row)
      addItem(mended, content)
      return isEqualSum(kept, mended) || isEqualSum(kept, ofContent) || (await prove()).contents.has(bucket)
    },
    /**
     * Of a version without an item: whether the bucket's sum counts it as it is. Where there is no sum either, nothing contradicts it, unless another
     * version of its key is gone.
     */
    async isMissing(content: Uint8Array, bare: number): Promise<boolean> {
      const { kept, ofRows } = await (read ??= sums())
      if (kept.count === 0) return bare === 0
      const mended = { lanes: ofRows.lanes.slice(), count: ofRows.count }
      addItem(mended, content)
      if (isEqualSum(kept, mended)) return true
      const proof = await prove()
      return proof.rows.has(bucket) || proof.contents.has(bucket)
    },
    /** Of an item without a version. When the bucket has other faults as well, it is taken for one that was written. */
    async isCounted(hash: Uint8Array): Promise<boolean> {
      const { kept, ofRows } = await (read ??= sums())
      const without = { lanes: ofRows.lanes.slice(), count: ofRows.count }
      removeItem(without, hash)
      return !isEqualSum(kept, without)
    },
  }
}

/** Whether the key's versions account for one that is not there: it is there, or was superseded. */
export function isAccountedFor(entry: Entry | undefined, lost: { readonly dot: Dot; readonly stamp?: Stamp }, isLww: boolean): boolean {
  return (
    entry?.some(
      version =>
        (version.origin === lost.dot.origin && version.counter >= lost.dot.counter && (isLww || version.counter === lost.dot.counter)) ||
        version.context.some(seen => seen.origin === lost.dot.origin && seen.counter >= lost.dot.counter) ||
        (isLww && lost.stamp !== undefined && compareStamps(version.stamp, lost.stamp) > 0),
    ) === true
  )
}

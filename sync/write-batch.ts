/**
 * One write group being built: the rows of everything in it, to be written as one atomic batch (S2).
 *
 * Invariant B1: whatever changes an entry changes, in the same batch, its log rows, digest items, bucket sums, counts and feed row.
 * So digest and data cannot drift apart (P14).
 * Invariant B2: no key of a collection, in the store or in a group, is greater than its `keyMax`. So a greater key is new, and that is
 * known without reading: logs, whose keys grow with time, are written without a read a record.
 *
 * Groups are built ahead: while one is being written, the next one collects. Entries that are not in the store yet are read from
 * the groups' overlays.
 */
import { allocateBytes, createScratch, type Allocate } from '../base/scratch.ts'
import { compareBytes, EMPTY, u64Bytes } from '../base/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../base/utf8.ts'
import type { VectorEntry, CollectionState, RunId } from './collection-state.ts'
import { encodeCollectionRow, encodeVectorEntry } from './collection-state.ts'
import {
  addItem,
  addSum,
  BUCKET_LEVEL,
  createDigestSum,
  decodeSum,
  encodeSum,
  ITEM_HASH_BYTES,
  nodeIndex,
  removeItem,
  removeSum,
  type DigestSum,
  type ItemHasher,
} from './digest.ts'
import type { Origin } from './dot.ts'
import { encodeJournalWrite, type EncodedWrite } from './journal.ts'
import { KEY_BYTES_MAX } from './key.ts'
import { decodeEntry, encodeEntry, shownVersion, type Entry } from './entry.ts'
import {
  bucketRow,
  collectedRow,
  collectionRow,
  feedRow,
  feedValue,
  itemRow,
  KEY_HASH_BYTES,
  logRow,
  recordRow,
  retentionStateRow,
  tombstoneRow,
  vectorRow,
} from './rows.ts'
import type { Store, StoreBatch } from './store.ts'
import { indexVersion, unindexVersion } from './retention-index.ts'
import { encodeRetentionState } from './retention-state.ts'
import { FLAG_VECTOR, isTombstone, writeCounter, writeStamp, type Version } from './version.ts'

/** Length of the feed sequence in front of a record row's entry. */
export const SEQUENCE_BYTES = 8

export const FEED_PUT = 1
export const FEED_DELETE = 2

export interface StoredEntry {
  /** Where the entry's last change stands in the feed. */
  readonly sequence: number
  readonly entry: Entry
}

/** Entries by collection and key that a group has changed; null: the key is gone. */
export type Overlay = ReadonlyMap<number, ReadonlyMap<string, StoredEntry | null>>

export interface WriteBatch extends StoreBatch {
  readonly overlay: Overlay
  /** Sum of the lengths of all rows in it, in bytes. */
  readonly bytes: number
  readonly touched: ReadonlySet<CollectionState>
  /** The writes made here, for the journal; none where there is no journal. */
  readonly journaled: readonly EncodedWrite[]
  /** Notes a write made here for the journal. */
  journal(collection: CollectionState, run: RunId, key: string, version: Version): void
  /** Reads an entry as it will be once this group is written. */
  entry(collection: CollectionState, key: string): StoredEntry | undefined
  /** Puts `after` in the place of `before` (what `entry` gave); undefined: the key goes without a trace. */
  replace(collection: CollectionState, key: string, before: StoredEntry | undefined, after: Entry | undefined): void
  setVector(collection: CollectionState, origin: Origin, entry: VectorEntry): void
  /** Of an own origin whose history has forked: its vector ends where the other history parts from it; undefined: nothing is shared (R2). */
  lowerVector(collection: CollectionState, origin: Origin, entry: VectorEntry | undefined): void
  /** Raises G, the vector of collected tombstones. */
  setCollected(collection: CollectionState, origin: Origin, counter: number): void
  /** Whether a group that is not in the store yet changes the key, or any key of the collection. */
  isPending(collection: CollectionState, key?: string): boolean
  /** Scrub: puts the record's row as it is to be, and nothing of what is kept beside it; undefined: the row goes. */
  mendEntry(collection: CollectionState, key: string, stored: StoredEntry | undefined): void
  /** Scrub: adds what is missing to a bucket's sum and to the total, and takes away what is too much. */
  mendSum(collection: CollectionState, bucket: number, missing: DigestSum, surplus: DigestSum): void
  /** A bucket's sum with this group. Not to be changed. */
  bucketSum(collection: CollectionState, bucket: number): DigestSum
  /** Marks a collection as changed, so that its row is written. */
  touch(collection: CollectionState): void
  /** Adds the rows that are written once per group. Nothing may be added afterwards. */
  seal(): void
}

export interface WriteBatchContext {
  readonly store: Pick<Store, 'get' | 'batch'>
  readonly hasher: ItemHasher
  /** The group that is being written at the moment, if any. */
  readonly inFlight: () => Overlay | undefined
  /** The next sequence of the feed. */
  readonly nextSequence: () => number
  /** Whether writes made here also go into a journal. */
  readonly hasJournal?: boolean
}

/** The entry of a record row; undefined when the row does not hold one. */
export function decodeStoredEntry(value: Uint8Array): StoredEntry | undefined {
  const entry = value.length < SEQUENCE_BYTES ? undefined : decodeEntry(value, SEQUENCE_BYTES)
  return entry === undefined ? undefined : { sequence: readSequence(value), entry }
}

export function readSequence(value: Uint8Array): number {
  let sequence = 0
  for (let i = 0; i < SEQUENCE_BYTES; i++) sequence = sequence * 256 + value[i]!
  return sequence
}

export function keyBytes(key: string, allocate: Allocate = allocateBytes): Uint8Array {
  const bytes = encodeUtf8(key, allocate)
  if (bytes === undefined) throw new Error('broken invariant: keys are checked before they are written')
  return bytes
}

/** Keys in rows were checked when they were written. */
export function keyText(bytes: Uint8Array): string {
  return decodeUtf8(bytes) ?? ''
}

/** Where rows are put together. The store copies them, so nothing here outlives one `put`, whichever group it is for. */
const scratch = {
  key: createScratch(KEY_BYTES_MAX),
  recordRow: createScratch(64 + KEY_BYTES_MAX),
  recordValue: createScratch(4096),
  itemRow: createScratch(64 + KEY_BYTES_MAX),
  itemValue: createScratch(64),
  logRow: createScratch(64),
  tombstoneRow: createScratch(64),
  feedRow: createScratch(64),
  feedValue: createScratch(64 + KEY_BYTES_MAX),
}

let lastKey: string | undefined
let lastKeyBytes: Uint8Array = EMPTY

/** What is read is mostly what is replaced next. The next key takes the memory of this one. */
function scratchKeyBytes(key: string): Uint8Array {
  if (key !== lastKey) {
    lastKeyBytes = keyBytes(key, scratch.key)
    lastKey = key
  }
  return lastKeyBytes
}

export function createWriteBatch(context: WriteBatchContext): WriteBatch {
  const { store, hasher } = context
  const rows = store.batch()
  let bytes = 0
  const put = (key: Uint8Array, value: Uint8Array): void => {
    rows.put(key, value)
    bytes += key.length + value.length
  }
  const del = (key: Uint8Array): void => {
    rows.del(key)
    bytes += key.length
  }
  const overlay = new Map<number, Map<string, StoredEntry | null>>()
  const journaled: EncodedWrite[] = []
  const touched = new Set<CollectionState>()
  const touchedBuckets = new Map<CollectionState, Set<number>>()
  const touchedOrigins = new Map<CollectionState, Set<Origin>>()

  const loadBucket = (collection: CollectionState, index: number): DigestSum => {
    let sum = collection.bucketByIndex.get(index)
    if (sum === undefined) {
      const row = store.get(bucketRow(collection.cid, BUCKET_LEVEL, index))
      sum = row === undefined ? createDigestSum() : decodeSum(row)
      collection.bucketByIndex.set(index, sum)
    }
    return sum
  }
  const touchBucket = (collection: CollectionState, index: number): DigestSum => {
    let buckets = touchedBuckets.get(collection)
    if (buckets === undefined) touchedBuckets.set(collection, (buckets = new Set()))
    buckets.add(index)
    return loadBucket(collection, index)
  }
  const bucketOf = (collection: CollectionState, keyHash: Uint8Array): DigestSum =>
    touchBucket(collection, nodeIndex(keyHash, BUCKET_LEVEL))
  const setOverlay = (collection: CollectionState, key: string, stored: StoredEntry | null): void => {
    let entries = overlay.get(collection.cid)
    if (entries === undefined) overlay.set(collection.cid, (entries = new Map()))
    entries.set(key, stored)
    touched.add(collection)
  }

  /** Of the key that is being replaced. */
  const keyHash = new Uint8Array(KEY_HASH_BYTES)
  const removedHash = new Uint8Array(ITEM_HASH_BYTES)

  const addVersion = (collection: CollectionState, key: Uint8Array, version: Version): void => {
    const item = scratch.itemValue(ITEM_HASH_BYTES + 9)
    hasher.itemHash(key, version, item)
    addItem(bucketOf(collection, keyHash), item)
    addItem(collection.total, item)
    writeStamp(item, ITEM_HASH_BYTES, version.stamp)
    item[ITEM_HASH_BYTES + 8] = version.flags
    put(itemRow(collection.cid, keyHash, version, key, scratch.itemRow), item)
    put(logRow(collection.cid, version, scratch.logRow), key)
    indexVersion(collection, key, version, put)
    // Tombstones are found by their dots, to be collected one day (R7).
    if (isTombstone(version)) put(tombstoneRow(collection.cid, version, scratch.tombstoneRow), key)
  }

  const removeVersion = (collection: CollectionState, key: Uint8Array, version: Version): void => {
    hasher.itemHash(key, version, removedHash)
    removeItem(bucketOf(collection, keyHash), removedHash)
    removeItem(collection.total, removedHash)
    del(itemRow(collection.cid, keyHash, version, key, scratch.itemRow))
    del(logRow(collection.cid, version, scratch.logRow))
    unindexVersion(collection, key, version, del)
    if (isTombstone(version)) del(tombstoneRow(collection.cid, version, scratch.tombstoneRow))
  }

  const count = (collection: CollectionState, entry: Entry | undefined, by: 1 | -1): void => {
    const shown = entry === undefined ? undefined : shownVersion(entry)
    if (shown === undefined) return
    collection.recordCount += by
    if (shown.flags & FLAG_VECTOR) collection.vectorCount += by
  }

  return {
    overlay,
    touched,
    journaled,
    journal({ name, generation }, run, key, version) {
      if (context.hasJournal !== true) return
      const bytes = encodeJournalWrite({ collection: name, generation, run, key, version })
      journaled.push({ collection: name, generation, origin: version.origin, counter: version.counter, bytes })
    },
    get bytes() {
      return bytes
    },
    entry(collection, key) {
      const rowKey = scratchKeyBytes(key)
      if (compareBytes(rowKey, collection.keyMax) > 0) return undefined
      let pending = overlay.get(collection.cid)?.get(key)
      if (pending === undefined) pending = context.inFlight()?.get(collection.cid)?.get(key)
      if (pending !== undefined) return pending ?? undefined
      const value = store.get(recordRow(collection.cid, rowKey, scratch.recordRow))
      return value === undefined ? undefined : decodeStoredEntry(value)
    },
    replace(collection, key, before, after) {
      const rowKey = scratchKeyBytes(key)
      hasher.keyHash(rowKey, keyHash)
      const old = before?.entry ?? []
      for (const version of old) if (after?.includes(version) !== true) removeVersion(collection, rowKey, version)
      for (const version of after ?? []) if (!old.includes(version)) addVersion(collection, rowKey, version)
      count(collection, before?.entry, -1)
      count(collection, after, 1)

      if (before !== undefined) del(feedRow(before.sequence, scratch.feedRow))
      let stored: StoredEntry | null = null
      if (after === undefined) {
        del(recordRow(collection.cid, rowKey, scratch.recordRow))
      } else {
        const sequence = context.nextSequence()
        const value = encodeEntry(after, SEQUENCE_BYTES, scratch.recordValue)
        writeCounter(value, 0, sequence)
        put(recordRow(collection.cid, rowKey, scratch.recordRow), value)
        const kind = shownVersion(after) === undefined ? FEED_DELETE : FEED_PUT
        put(feedRow(sequence, scratch.feedRow), feedValue(collection.cid, kind, rowKey, scratch.feedValue))
        stored = { sequence, entry: after }
        if (compareBytes(rowKey, collection.keyMax) > 0) collection.keyMax = rowKey.slice()
      }
      setOverlay(collection, key, stored)
    },
    isPending({ cid }, key) {
      const changes = [overlay.get(cid), context.inFlight()?.get(cid)]
      return changes.some(entries => (key === undefined ? (entries?.size ?? 0) > 0 : entries?.has(key) === true))
    },
    mendEntry(collection, key, stored) {
      const row = recordRow(collection.cid, keyBytes(key))
      if (stored === undefined) del(row)
      else {
        const value = encodeEntry(stored.entry, SEQUENCE_BYTES)
        writeCounter(value, 0, stored.sequence)
        put(row, value)
      }
      setOverlay(collection, key, stored ?? null)
    },
    bucketSum: loadBucket,
    mendSum(collection, index, missing, surplus) {
      for (const sum of [touchBucket(collection, index), collection.total]) {
        addSum(sum, missing)
        removeSum(sum, surplus)
      }
      touched.add(collection)
    },
    setVector(collection, origin, entry) {
      collection.vector.set(origin, entry)
      let origins = touchedOrigins.get(collection)
      if (origins === undefined) touchedOrigins.set(collection, (origins = new Set()))
      origins.add(origin)
      touched.add(collection)
    },
    lowerVector(collection, origin, entry) {
      if (entry !== undefined) return this.setVector(collection, origin, entry)
      this.setVector(collection, origin, { counter: 0, run: '' })
      collection.vector.delete(origin)
    },
    setCollected(collection, origin, counter) {
      collection.collected.set(origin, counter)
      put(collectedRow(collection.cid, origin), u64Bytes(counter))
      touched.add(collection)
    },
    touch: collection => void touched.add(collection),
    put,
    del,
    write: options => rows.write(options),
    discard: () => rows.discard(),
    seal() {
      for (const collection of touched) {
        put(collectionRow(collection.cid), encodeCollectionRow(collection))
        const { retention } = collection
        if (!retention.isDirty) continue
        retention.isDirty = false
        put(retentionStateRow(collection.cid), encodeRetentionState(retention))
      }
      for (const [collection, origins] of touchedOrigins) {
        for (const origin of origins) {
          const entry = collection.vector.get(origin)
          if (entry !== undefined) put(vectorRow(collection.cid, origin), encodeVectorEntry(entry))
          else del(vectorRow(collection.cid, origin))
        }
      }
      for (const [collection, buckets] of touchedBuckets) {
        for (const index of buckets) {
          const sum = collection.bucketByIndex.get(index)
          const row = bucketRow(collection.cid, BUCKET_LEVEL, index)
          if (sum === undefined || sum.count === 0) del(row)
          else put(row, encodeSum(sum))
        }
      }
    },
  }
}

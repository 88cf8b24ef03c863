/**
 * Whether a store's rows belong together: everything that is kept beside the records is computed again from them (P14). For a store that
 * was damaged: what a repair of the database leaves are rows, and perhaps of different moments.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { loadBuckets, loadCollections, rowPagesOf, rowsOf, type CollectionState } from './collection-state.ts'
import {
  addItem,
  addSum,
  BUCKET_LEVEL,
  createDigestSum,
  createItemHasher,
  encodeSum,
  ITEM_HASH_BYTES,
  nodeIndex,
  type DigestSum,
  type ItemHasher,
} from './digest.ts'
import { shownVersion, type Entry } from './entry.ts'
import { readClock } from './replica-state.ts'
import { allCollections, FORMAT, itemRow, keyOfRecordRow, logRow, metaRow, recordsOf, rowsOfCollection } from './rows.ts'
import type { StoreReader } from './store.ts'
import { FLAG_VECTOR, type Version } from './version.ts'
import { decodeStoredEntry } from './write-batch.ts'

/** Length of the identity row: store id and origin. */
const IDENTITY_BYTES = 32

/**
 * What a look at the rows that are read at every start tells: undefined when nothing is wrong. A store of another format is for others to judge,
 * and an empty one is fine.
 */
export async function findStartFault(reader: StoreReader): Promise<string | undefined> {
  const format = reader.get(metaRow('format'))
  if (format === undefined) return (await isEmpty(reader)) ? undefined : 'its format row is missing'
  if (format[0] !== FORMAT) return undefined
  if (reader.get(metaRow('identity'))?.length !== IDENTITY_BYTES) return 'its identity row is missing'
  const hasCollections = !(await isEmpty(reader, allCollections))
  if (hasCollections && reader.get(metaRow('clock')) === undefined) return 'its clock row is missing'
  readClock(reader)
  for (const collection of await loadCollections(reader)) {
    if (collection.dropped) continue
    const folded = createDigestSum()
    for (const sum of (await loadBuckets(reader, collection.cid)).values()) addSum(folded, sum)
    if (!isSameSum(folded, collection.total)) return `the buckets of "${collection.name}" do not add up to its digest`
  }
  return undefined
}

/** The first thing that is wrong with the rows as a whole; reads all of them. Undefined: they belong together. */
export async function findAuditFault(reader: StoreReader, hash: Hash, salt: Uint8Array): Promise<string | undefined> {
  if (reader.get(metaRow('format')) === undefined) return 'nothing is left of it'
  const start = await findStartFault(reader)
  if (start !== undefined) return start
  const hasher = createItemHasher(hash, salt)
  for (const collection of await loadCollections(reader)) {
    if (collection.dropped) continue
    const fault = await findCollectionFault(reader, collection, hasher)
    if (fault !== undefined) return `"${collection.name}": ${fault}`
  }
  return undefined
}

async function findCollectionFault(reader: StoreReader, collection: CollectionState, hasher: ItemHasher): Promise<string | undefined> {
  const { cid, total } = collection
  const sum = createDigestSum()
  const sums = new Map<number, DigestSum>()
  let records = 0
  let vectors = 0
  let versions = 0
  for await (const { key, entry } of entriesOf(reader, cid)) {
    if (entry === undefined) return 'a record cannot be read'
    const shown = shownVersion(entry)
    if (shown !== undefined) records += 1
    if (shown !== undefined && (shown.flags & FLAG_VECTOR) !== 0) vectors += 1
    const index = nodeIndex(hasher.keyHash(key), BUCKET_LEVEL)
    let bucket = sums.get(index)
    if (bucket === undefined) sums.set(index, (bucket = createDigestSum()))
    for (const version of entry) {
      if (!isIntact(reader, cid, key, version, hasher)) return 'a record does not match its digest item'
      const logged = reader.get(logRow(cid, version))
      if (logged === undefined || !equalBytes(logged, key)) return 'a version has no log row'
      const item = hasher.itemHash(key, version)
      addItem(sum, item)
      addItem(bucket, item)
      versions += 1
    }
  }
  if (!isSameSum(sum, total)) return 'its records do not add up to its digest'
  if (records !== collection.recordCount || vectors !== collection.vectorCount) return 'its records are not as many as it says'
  const kept = await loadBuckets(reader, cid)
  for (const [index, bucket] of kept)
    if (!isSameSum(bucket, sums.get(index) ?? createDigestSum())) return `bucket ${index} is not the sum of its items`
  const [, log, items] = rowsOfCollection(cid)
  for (const range of [log, items]) {
    if (range === undefined) continue
    let rows = 0
    for await (const page of rowPagesOf(reader, range)) rows += page.length
    if (rows !== versions) return 'it has rows of versions that are not there'
  }
  return undefined
}

/** The records of a collection whose versions are as they were written, by their digest items; for what is left of a damaged store. */
export async function* intactEntriesOf(
  reader: StoreReader,
  cid: number,
  hasher: ItemHasher,
): AsyncGenerator<{ key: Uint8Array; entry: Entry; damaged: number }> {
  for await (const { key, entry } of entriesOf(reader, cid)) {
    const intact = (entry ?? []).filter(version => isIntact(reader, cid, key, version, hasher))
    yield { key, entry: intact, damaged: Math.max(1, entry?.length ?? 1) - intact.length }
  }
}

async function* entriesOf(
  reader: StoreReader,
  cid: number,
): AsyncGenerator<{ readonly key: Uint8Array; readonly entry: Entry | undefined }> {
  for await (const [row, value] of rowsOf(reader, recordsOf(cid)))
    yield { key: keyOfRecordRow(row), entry: decodeStoredEntry(value)?.entry }
}

function isIntact(reader: StoreReader, cid: number, key: Uint8Array, version: Version, hasher: ItemHasher): boolean {
  const item = reader.get(itemRow(cid, hasher.keyHash(key), version, key))
  return item !== undefined && item.length > ITEM_HASH_BYTES && equalBytes(item.subarray(0, ITEM_HASH_BYTES), hasher.itemHash(key, version))
}

const isSameSum = (a: DigestSum, b: DigestSum): boolean => equalBytes(encodeSum(a), encodeSum(b))

async function isEmpty(reader: StoreReader, range = {}): Promise<boolean> {
  const cursor = reader.scan(range)
  const rows = await cursor.next(1)
  await cursor.close()
  return rows.length === 0
}

/** Checks one store against itself: everything that is kept beside the records is computed again from the records. */
import { toHex } from '../../base/bytes.ts'
import type { Hash } from '../../base/ports.ts'
import { loadBuckets, loadCollections, rowsOf, type CollectionState } from '../../sync/collection-state.ts'
import { addItem, addSum, createDigestSum, createItemHasher, nodeIndex, rootDigest, BUCKET_LEVEL } from '../../sync/digest.ts'
import { coversDot } from '../../sync/dot.ts'
import type { Entry } from '../../sync/entry.ts'
import { viewRecord } from '../../sync/record-view.ts'
import { countersOf } from '../../sync/replica-snapshot.ts'
import { keyOfRecordRow, recordsOf, rowsOfCollection, tombstonesOf } from '../../sync/rows.ts'
import type { StoreReader } from '../../sync/store.ts'
import { decodeVersion, isTombstone, readCounter, type Version } from '../../sync/version.ts'
import { decodeStoredEntry, keyBytes, keyText } from '../../sync/write-batch.ts'

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const kindRange = (kind: string) => ({ gte: Buffer.from(kind), lt: Buffer.from(String.fromCharCode(kind.charCodeAt(0) + 1)) })

export async function entriesOf(store: StoreReader, cid: number): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>()
  for await (const [row, value] of rowsOf(store, recordsOf(cid))) {
    const stored = decodeStoredEntry(value)
    if (stored !== undefined) entries.set(keyText(keyOfRecordRow(row)), stored.entry)
  }
  return entries
}

export interface Quarantined {
  readonly generation: number
  readonly name: string
  readonly key: string
  readonly version: Version
}

export async function quarantineOf(store: StoreReader): Promise<Quarantined[]> {
  const found: Quarantined[] = []
  for await (const [, value] of rowsOf(store, kindRange('q'))) {
    const nameAt = 10
    const keyLengthAt = nameAt + (value[9] ?? 0)
    const keyAt = keyLengthAt + 2
    const keyEnd = keyAt + (value[keyLengthAt] ?? 0) * 256 + (value[keyLengthAt + 1] ?? 0)
    const version = decodeVersion(value.subarray(keyEnd))
    if (version === undefined) throw new Error('a quarantine row that holds no version')
    const name = keyText(value.subarray(nameAt, keyLengthAt))
    found.push({ generation: readCounter(value, 1), name, key: keyText(value.subarray(keyAt, keyEnd)), version })
  }
  return found
}

export interface AuditOptions {
  /** A frame whose mark died with its sender stays above all vectors. */
  readonly mayStayAbove?: boolean
  /**
   * A restored copy may have written twice under one dot, and two versions that were pulled from both histories share its log row: repair
   * carries what the log does not.
   */
  readonly mayForkDots?: boolean
}

/** What is wrong with the store, one sentence each. */
export async function auditStore(store: StoreReader, hash: Hash, salt: Uint8Array, options: AuditOptions = {}): Promise<string[]> {
  const faults: string[] = []
  const collections = await loadCollections(store)
  for (const collection of collections) {
    if (collection.dropped) faults.push(`${collection.name} (cid ${collection.cid}) is dropped and not purged`)
    else faults.push(...(await auditCollection(store, collection, hash, salt, options)))
  }
  const cids = new Set(collections.map(({ cid }) => cid))
  for (const kind of 'rldbvgnpzaf') {
    const orphans = new Map<number, number>()
    for await (const [row] of rowsOf(store, kindRange(kind))) {
      const cid = new DataView(row.buffer, row.byteOffset).getUint32(1)
      if (!cids.has(cid)) orphans.set(cid, (orphans.get(cid) ?? 0) + 1)
    }
    for (const [cid, count] of orphans) faults.push(`${count} rows "${kind}" of cid ${cid}, which no collection has`)
  }
  const feed = new Set<string>()
  for await (const [row] of rowsOf(store, kindRange('s'))) feed.add(textOf(row.subarray(1)))
  for (const { cid, name } of collections) {
    for await (const [row, value] of rowsOf(store, recordsOf(cid))) {
      if (!feed.delete(textOf(value.subarray(0, 8)))) faults.push(`${name}/${keyText(keyOfRecordRow(row))} has no row in the feed`)
    }
  }
  if (feed.size > 0) faults.push(`${feed.size} feed rows that no record points to`)
  return faults
}

async function auditCollection(
  store: StoreReader,
  collection: CollectionState,
  hash: Hash,
  salt: Uint8Array,
  { mayStayAbove, mayForkDots }: AuditOptions,
): Promise<string[]> {
  const { cid, name, total, vector } = collection
  const faults: string[] = []
  const hasher = createItemHasher(hash, salt)
  const sum = createDigestSum()
  const bucketSums = new Map<number, ReturnType<typeof createDigestSum>>()
  const logged = new Set<string>()
  const items = new Set<string>()
  let records = 0
  let vectors = 0
  for (const [key, entry] of await entriesOf(store, cid)) {
    const shown = viewRecord(key, entry, hash)
    if (shown !== undefined) records += 1
    if (shown?.vector !== undefined) vectors += 1
    const bytes = keyBytes(key)
    const keyHash = hasher.keyHash(bytes)
    for (const version of entry) {
      const itemHash = hasher.itemHash(bytes, version)
      addItem(sum, itemHash)
      const bucket = nodeIndex(keyHash, BUCKET_LEVEL)
      if (!bucketSums.has(bucket)) bucketSums.set(bucket, createDigestSum())
      addItem(bucketSums.get(bucket)!, itemHash)
      logged.add(`${version.origin}:${version.counter}>${key}`)
      items.add(`${toHex(keyHash)}${version.origin}:${version.counter}>${key}=${toHex(itemHash)}`)
      if (mayStayAbove !== true && !coversDot(countersOf(vector), version))
        faults.push(`${name}/${key}: ${version.origin}:${version.counter} is above the vector at rest`)
    }
  }
  const root = (digest: typeof sum): string => toHex(rootDigest(hash, digest))
  if (root(sum) !== root(total)) faults.push(`${name}: the root is not that of the entries (${total.count} items kept, ${sum.count} there)`)
  if (records !== collection.recordCount) faults.push(`${name}: recordCount ${collection.recordCount}, live ${records}`)
  if (vectors !== collection.vectorCount) faults.push(`${name}: vectorCount ${collection.vectorCount}, live ${vectors}`)
  const kept = await loadBuckets(store, cid)
  const folded = createDigestSum()
  for (const [bucket, value] of kept) {
    addSum(folded, value)
    const own = bucketSums.get(bucket)
    if (own === undefined || root(own) !== root(value)) faults.push(`${name}: bucket ${bucket} is not the sum of its items`)
  }
  if (root(folded) !== root(sum)) faults.push(`${name}: buckets do not fold to the root`)
  const dotAt = (row: Uint8Array, at: number): string => `${toHex(row.subarray(at, at + 16))}:${readCounter(row, at + 16)}`
  const [, log, item] = rowsOfCollection(cid)
  const sharable = new Set<string>()
  for await (const [row, value] of rowsOf(store, log!)) {
    const dot = dotAt(row, 5)
    if (!logged.delete(`${dot}>${keyText(value)}`)) faults.push(`${name}: log row ${dot} of no live version`)
    if (mayForkDots === true) sharable.add(dot)
  }
  const unlogged = [...logged].filter(dotAndKey => !sharable.has(dotAndKey.slice(0, dotAndKey.indexOf('>'))))
  if (unlogged.length > 0) faults.push(`${name}: ${unlogged.length} live versions without a log row`)
  for await (const [row, value] of rowsOf(store, item!)) {
    const text = `${toHex(row.subarray(5, 13))}${dotAt(row, 13)}>${keyText(row.subarray(37))}=${toHex(value.subarray(0, 16))}`
    if (!items.delete(text)) faults.push(`${name}: digest item ${text} of no live version`)
  }
  const tombstones = new Set<string>()
  for (const [key, entry] of await entriesOf(store, cid)) {
    for (const dot of entry.filter(isTombstone)) {
      tombstones.add(`${dot.origin}:${dot.counter}>${key}`)
      if (coversDot(collection.collected, dot)) faults.push(`${name}/${key}: ${dot.origin}:${dot.counter} was collected and is there`)
    }
  }
  for await (const [row, value] of rowsOf(store, tombstonesOf(cid))) {
    if (!tombstones.delete(`${dotAt(row, 5)}>${keyText(value)}`)) faults.push(`${name}: tombstone row ${dotAt(row, 5)} of no tombstone`)
  }
  if (tombstones.size > 0) faults.push(`${name}: ${tombstones.size} tombstones without a row`)
  if (items.size > 0) faults.push(`${name}: ${items.size} live versions without a digest item`)
  return faults
}

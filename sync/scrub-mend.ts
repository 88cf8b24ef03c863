/** What a scrub mends: jobs in write groups that look again, and change what is still as it was found. The walks are in scrub.ts. */
import { equalBytes, readU32 } from '../base/bytes.ts'
import { rowPagesOf, rowsOf, type CollectionState, loadBuckets, loadCollection } from './collection-state.ts'
import {
  addItem,
  addSum,
  BUCKET_LEVEL,
  createDigestSum,
  decodeSum,
  type DigestSum,
  isEqualSum,
  ITEM_HASH_BYTES,
  type ItemHasher,
  nodeIndex,
  removeSum,
} from './digest.ts'
import type { Dot } from './dot.ts'
import { shownVersion } from './entry.ts'
import { encodeQuarantined, putQuarantined, QUARANTINE_ROWS_MAX } from './quarantine.ts'
import type { ReplicaState } from './replica-state.ts'
import {
  allLost,
  bucketRow,
  collectionRow,
  dotAtOfItemRow,
  feedRow,
  feedValue,
  itemRow,
  itemsUnder,
  keyHashAtOfItemRow,
  keyAtOfItemRow,
  logRow,
  lostRow,
  recordRow,
  recordsOf,
  tombstoneRow,
} from './rows.ts'
import { unindexVersion } from './retention-index.ts'
import { examineKey, proveBuckets, type BucketProof, feedValueOf, isAccountedFor, itemValue, type KeyFindings } from './scrub-key.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { Store } from './store.ts'
import { encodeVersion, FLAG_TOMBSTONE, FLAG_VECTOR, isTombstone, readDot, type Version } from './version.ts'
import { decodeStoredEntry, FEED_DELETE, FEED_PUT, keyText, readSequence, SEQUENCE_BYTES, type WriteBatch } from './write-batch.ts'
/** Lost versions that are listed; what is beyond is counted only. */
export const LOST_ROWS_MAX = 10_000

/** What scrubs have found since the store was opened. */
export interface ScrubCounters {
  /** Rows looked at. */
  rows: number
  /** Keys of which something beside the record was missing or wrong, and was made again. */
  mended: number
  /** Log rows and tombstone rows of nothing, removed. */
  strays: number
  /** Sums of buckets and counts that were wrong, and were computed again. */
  sums: number
  /** Versions that were not what was written, now in quarantine. */
  damaged: number
  /** Versions found to be gone, those that were damaged among them. */
  lost: number
  /** Lost versions that are back. */
  recovered: number
  /** Passes over everything that have ended. */
  passes: number
}

export interface LostVersion {
  readonly collection: string
  readonly key: string
  readonly dot: Dot
}

export interface MenderParts {
  readonly store: Store
  readonly hasher: ItemHasher
  /** The state as it is now: another one after each recovery from a failed write. */
  readonly state: () => ReplicaState
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
}

export interface Mender {
  /** A collection is looked at from its beginning: what was known of it is forgotten. */
  begin(): void
  /** Whether the key has a version with this dot. */
  holds(cid: number, key: Uint8Array, dot: Dot): boolean
  /** Examines one key in one moment, and mends it in a job when it is still the same then. */
  mendKey(cid: number, key: Uint8Array): Promise<void>
  /** Removes a log row or tombstone row of a version that is not there, nor its digest item, which would tell of it by itself. */
  dropStray(cid: number, row: Uint8Array, key: Uint8Array, dot: Dot, isLog: boolean): Promise<void>
  /** Removes a row of the feed to which no record points. */
  dropFeedRow(row: Uint8Array, cid: number, key: Uint8Array): Promise<void>
  /** Makes the sums of the buckets under a node of the tree those of their items. */
  mendSums(cid: number, level: number, index: number): Promise<void>
  /** Makes the total that of the buckets and, with `isCounted`, the counts those of the records, as one snapshot has them. */
  mendCounts(cid: number, isCounted: boolean): Promise<void>
  /** Versions that are gone and not back, as many as are listed; those that are back are struck off first. */
  findLost(): Promise<readonly LostVersion[]>
}

export function createMender({ store, hasher, state, submit }: MenderParts, counters: ScrubCounters): Mender {
  let listed: number | undefined

  const collectionOf = (cid: number): CollectionState | undefined =>
    [...state().collectionByName.values()].find(collection => collection.cid === cid)
  const isLww = ({ name, generation }: CollectionState): boolean =>
    name !== SYSTEM_COLLECTION && state().model.settings(name, generation).conflict === 'lww'
  const onCollection = <T>(cid: number, job: (batch: WriteBatch, collection: CollectionState) => T): Promise<T | undefined> =>
    submit(batch => {
      const collection = collectionOf(cid)
      return collection === undefined ? undefined : job(batch, collection)
    })
  const withSnapshot = async <T>(use: (snapshot: ReturnType<Store['snapshot']>) => Promise<T>): Promise<T> => {
    const snapshot = store.snapshot()
    try {
      return await use(snapshot)
    } finally {
      await snapshot.close()
    }
  }
  const countListed = async (): Promise<number> => {
    if (listed !== undefined) return listed
    let count = 0
    for await (const page of rowPagesOf(store, allLost)) count += page.length
    return (listed ??= count)
  }

  /** Of the collection that is being scrubbed. */
  let proof: { readonly cid: number; readonly found: Promise<BucketProof> } | undefined

  const prove = (cid: number): Promise<BucketProof> => {
    if (proof?.cid !== cid) proof = { cid, found: withSnapshot(snapshot => proveBuckets(snapshot, hasher, cid)) }
    return proof.found
  }

  const mendKey = async (cid: number, key: Uint8Array): Promise<void> => {
    await countListed()
    const found = await withSnapshot(snapshot => examineKey(snapshot, hasher, cid, key, () => prove(cid)))
    await onCollection(cid, (batch, collection) => {
      const value = store.get(recordRow(cid, key))
      const isSame = value === undefined ? found.value === undefined : found.value !== undefined && equalBytes(value, found.value)
      // Being written: the next pass looks again.
      if (!isSame || batch.isPending(collection, keyText(key))) return
      applyFindings(batch, collection, key, found)
    })
  }

  const applyFindings = (batch: WriteBatch, collection: CollectionState, key: Uint8Array, found: KeyFindings): void => {
    const { cid } = collection
    const { keyHash, value, stored, verdicts, wrongHashes, orphans } = found
    const bucket = nodeIndex(keyHash, BUCKET_LEVEL)
    const damaged = [...verdicts].filter(([, verdict]) => verdict === 'damaged').map(([version]) => version)
    const isUnreadable = value !== undefined && stored === undefined
    // Nothing is thrown away for want of room to keep it aside.
    if ((damaged.length > 0 || isUnreadable) && state().quarantined + damaged.length >= QUARANTINE_ROWS_MAX) return

    const left = stored?.entry.filter(version => !damaged.includes(version)) ?? []
    const surplus = createDigestSum()
    const forget = (dot: Dot, hash: Uint8Array | undefined): void => {
      batch.del(itemRow(cid, keyHash, dot, key))
      const logged = store.get(logRow(cid, dot))
      if (logged !== undefined && equalBytes(logged, key)) batch.del(logRow(cid, dot))
      batch.del(tombstoneRow(cid, dot))
      if (hash !== undefined) addItem(surplus, hash)
    }
    for (const version of damaged) {
      unindexVersion(collection, key, version, row => batch.del(row))
      putQuarantined(state(), batch, encodeQuarantined('damaged', collection, key, encodeVersion(version)))
      forget(version, wrongHashes.get(version))
      // A flipped byte in the dot: nobody ever had such a version, and the one that was there is an orphan.
      if (wrongHashes.has(version) || orphans.length === 0) noteLost(batch, collection, key, keyHash, version)
    }
    if (isUnreadable) putQuarantined(state(), batch, encodeQuarantined('damaged', collection, key, value))
    counters.damaged += damaged.length + (isUnreadable ? 1 : 0)
    for (const orphan of orphans) {
      forget(orphan.dot, orphan.isLost ? orphan.hash : undefined)
      if (orphan.isLost && !isAccountedFor(left, orphan, isLww(collection)))
        noteLost(batch, collection, key, keyHash, orphan.dot, orphan.flags)
      else counters.strays += 1
    }
    if (surplus.count > 0) batch.mendSum(collection, bucket, createDigestSum(), surplus)

    let isMended = false
    for (const version of left) {
      if (verdicts.get(version) !== 'rows') continue
      isMended = true
      batch.put(itemRow(cid, keyHash, version, key), itemValue(hasher, key, version))
      batch.put(logRow(cid, version), key)
      if (isTombstone(version)) batch.put(tombstoneRow(cid, version), key)
    }
    if (left.length > 0 && stored !== undefined) {
      if (found.isFeedMissing || damaged.length > 0) batch.put(feedRow(stored.sequence), feedValueOf(cid, key, left))
      if (damaged.length > 0) batch.mendEntry(collection, keyText(key), { sequence: stored.sequence, entry: left })
    } else if (value !== undefined) {
      // What cannot be read may still name its place in the feed.
      const told = value.length < SEQUENCE_BYTES ? undefined : feedRow(readSequence(value))
      const feed = told && store.get(told)
      if (told !== undefined && feed !== undefined && isFeedOf(feed, cid, key)) batch.del(told)
      batch.mendEntry(collection, keyText(key), undefined)
    }
    if (isMended || found.isFeedMissing) counters.mended += 1
    batch.touch(collection)
  }

  /** `flags`: of the version, as far as they are known. */
  const noteLost = (batch: WriteBatch, { cid }: CollectionState, key: Uint8Array, keyHash: Uint8Array, dot: Dot, flags = 0): void => {
    counters.lost += 1
    const row = lostRow(cid, keyHash, dot, key)
    if ((listed ?? 0) >= LOST_ROWS_MAX || store.get(row) !== undefined) return
    listed = (listed ?? 0) + 1
    batch.put(row, Uint8Array.of(flags))
  }

  const entryOf = (cid: number, key: Uint8Array) => {
    const value = store.get(recordRow(cid, key))
    return value === undefined ? undefined : decodeStoredEntry(value)?.entry
  }
  const holds = (cid: number, key: Uint8Array, { origin, counter }: Dot): boolean =>
    entryOf(cid, key)?.some(version => version.origin === origin && version.counter === counter) === true

  const dropStray = async (cid: number, row: Uint8Array, key: Uint8Array, dot: Dot, isLog: boolean): Promise<void> => {
    await countListed()
    const keyHash = hasher.keyHash(key)
    await onCollection(cid, (batch, collection) => {
      if (batch.isPending(collection, keyText(key)) || holds(cid, key, dot) || store.get(row) === undefined) return
      if (store.get(itemRow(cid, keyHash, dot, key)) !== undefined) return
      batch.del(row)
      counters.strays += 1
      if (isLog && !isAccountedFor(entryOf(cid, key), { dot }, isLww(collection))) noteLost(batch, collection, key, keyHash, dot)
      batch.touch(collection)
    })
  }

  const dropFeedRow = async (row: Uint8Array, cid: number, key: Uint8Array): Promise<void> => {
    const sequence = readSequence(row.subarray(1))
    await onCollection(cid, (batch, collection) => {
      if (batch.isPending(collection, keyText(key)) || store.get(row) === undefined) return
      const value = store.get(recordRow(cid, key))
      if (value !== undefined && value.length >= SEQUENCE_BYTES && readSequence(value) === sequence) return
      batch.del(row)
      counters.strays += 1
    })
  }

  const mendSums = async (cid: number, level: number, index: number): Promise<void> => {
    const sums = new Map<number, DigestSum>()
    const keptSums = await withSnapshot(async snapshot => {
      for await (const page of rowPagesOf(snapshot, itemsUnder(cid, level, index)))
        for (const [row, value] of page) {
          const bucket = nodeIndex(row.subarray(keyHashAtOfItemRow), BUCKET_LEVEL)
          let sum = sums.get(bucket)
          if (sum === undefined) sums.set(bucket, (sum = createDigestSum()))
          addItem(sum, value.subarray(0, ITEM_HASH_BYTES))
        }
      if (level === 0) return loadBuckets(snapshot, cid)
      return new Map([[index, sumOf(snapshot.get(bucketRow(cid, BUCKET_LEVEL, index)))]])
    })
    for (const bucket of new Set([...sums.keys(), ...keptSums.keys()])) {
      await mendSum(cid, bucket, sums.get(bucket) ?? createDigestSum(), keptSums.get(bucket) ?? createDigestSum())
    }
  }

  /** `sum` is what the items of a bucket came to, `kept` what its row said, at one moment. */
  const mendSum = async (cid: number, bucket: number, sum: DigestSum, kept: DigestSum): Promise<void> => {
    const memory = collectionOf(cid)?.bucketByIndex.get(bucket)
    if (isEqualSum(sum, kept) && (memory === undefined || isEqualSum(memory, kept))) return
    await onCollection(cid, (batch, collection) => {
      const now = sumOf(store.get(bucketRow(cid, BUCKET_LEVEL, bucket)))
      // Writes change items and sum alike: what the sum lacked it lacks still. With nothing on its way, memory must be what the items are.
      const isQuiet = !batch.isPending(collection) && isEqualSum(now, kept)
      const from = isQuiet ? copyOf(batch.bucketSum(collection, bucket)) : kept
      if (isEqualSum(from, sum) && (!isQuiet || isEqualSum(now, sum))) return
      counters.sums += isEqualSum(kept, sum) ? 0 : 1
      batch.mendSum(collection, bucket, sum, from)
    })
  }

  const mendCounts = async (cid: number, isCounted: boolean): Promise<void> => {
    let records = 0
    let vectors = 0
    let rowThen: Uint8Array | undefined
    const total = createDigestSum()
    const kept = await withSnapshot(async snapshot => {
      for (const sum of (await loadBuckets(snapshot, cid)).values()) addSum(total, sum)
      if (isCounted)
        for await (const page of rowPagesOf(snapshot, recordsOf(cid)))
          for (const [, value] of page) {
            const shown = shownOf(value)
            if (shown === undefined) continue
            records += 1
            if (shown.flags & FLAG_VECTOR) vectors += 1
          }
      rowThen = snapshot.get(collectionRow(cid))
      return loadCollection(snapshot, cid)
    })
    if (kept === undefined) return
    await onCollection(cid, (batch, collection) => {
      const isRight = (counted: Pick<CollectionState, 'total' | 'recordCount' | 'vectorCount'>): boolean =>
        isEqualSum(counted.total, total) && (!isCounted || (counted.recordCount === records && counted.vectorCount === vectors))
      // As with buckets: what the row lacks memory lacks as well, unless nothing has changed since and memory is right.
      const now = store.get(collectionRow(cid))
      const isQuiet = !batch.isPending(collection) && now !== undefined && rowThen !== undefined && equalBytes(now, rowThen)
      const from = isQuiet ? collection : kept
      if (isRight(from) && isRight(kept)) return
      counters.sums += 1
      const surplus = copyOf(from.total)
      addSum(collection.total, total)
      removeSum(collection.total, surplus)
      if (isCounted) {
        const { recordCount, vectorCount } = from
        collection.recordCount += records - recordCount
        collection.vectorCount += vectors - vectorCount
      }
      batch.touch(collection)
    })
  }

  return {
    begin: () => void (proof = undefined),
    holds,
    mendKey,
    dropStray,
    dropFeedRow,
    mendSums,
    mendCounts,
    async findLost() {
      const lost: LostVersion[] = []
      const back: Uint8Array[] = []
      for await (const [row, value] of rowsOf(store, allLost)) {
        const cid = readU32(row, 1)
        const collection = collectionOf(cid)
        const key = row.subarray(keyAtOfItemRow)
        const dot = readDot(row, dotAtOfItemRow)
        const isBack = collection === undefined || isAccountedFor(entryOf(cid, key), { dot }, isLww(collection))
        // A tombstone that has been collected since: nobody misses it.
        const isCollected = ((value[0] ?? 0) & FLAG_TOMBSTONE) !== 0 && (collection?.collected.get(dot.origin) ?? 0) >= dot.counter
        if (isBack || isCollected) back.push(Uint8Array.from(row))
        else lost.push({ collection: collection.name, key: keyText(key), dot })
      }
      if (back.length > 0) {
        await submit(batch => {
          for (const row of back) batch.del(row)
        })
        counters.recovered += back.length
      }
      listed = lost.length
      return lost
    },
  }
}

const isFeedOf = (feed: Uint8Array, cid: number, key: Uint8Array): boolean =>
  [FEED_PUT, FEED_DELETE].some(kind => equalBytes(feed, feedValue(cid, kind, key)))
const shownOf = (value: Uint8Array): Version | undefined => {
  const entry = decodeStoredEntry(value)?.entry
  return entry && shownVersion(entry)
}
const sumOf = (value: Uint8Array | undefined): DigestSum => (value === undefined ? createDigestSum() : decodeSum(value))
const copyOf = ({ lanes, count }: DigestSum): DigestSum => ({ lanes: lanes.slice(), count })

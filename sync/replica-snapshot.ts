/**
 * A replica at one durable moment, as a sync session reads it: vectors, roots, log tails and tree nodes, all from one snapshot (R6).
 */
import { concatBytes, EMPTY, u64Bytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import { loadAcknowledgements, type Acknowledgement } from './acknowledgement.ts'
import { loadBuckets, loadCollection, rowPagesOf, rowsOf, type VectorEntry } from './collection-state.ts'
import { addItem, addSum, BUCKET_LEVEL, createDigestSum, FANOUT, ITEM_HASH_BYTES, nodeIndex, rootDigest, type DigestSum } from './digest.ts'
import { sortedEntries, type Dot, type Origin, type VersionVector } from './dot.ts'
import { findVersionBytes, type Entry } from './entry.ts'
import type { Stamp } from './hlc.ts'
import { FULL_TERMS, type OwnWrites, type Terms } from './partial.ts'
import { readClock } from './replica-state.ts'
import { loadOwnRuns, runAt, unforkedOrigins } from './own-runs.ts'
import { termsOf, type NodeTerms, type RetentionState } from './retention-state.ts'
import {
  dotAtOfItemRow,
  dotAtOfLogRow,
  itemsOfKey,
  itemsUnder,
  keyAtOfItemRow,
  keyHashAtOfItemRow,
  logRange,
  metaRow,
  recordRow,
  tombstonesOf,
} from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { Reading, Readings } from './shared-readings.ts'
import type { Row, StoreSnapshot } from './store.ts'
import { DOT_BYTES, readCounter, readDot, ORIGIN_BYTES, vectorBytes, writeDot } from './version.ts'
import { decodeStoredEntry, keyText, SEQUENCE_BYTES } from './write-batch.ts'

/** One version as it lies in the store: nothing is decoded on the way to the wire. */
export interface EncodedItem {
  readonly key: Uint8Array
  readonly version: Uint8Array
  readonly dot: Dot
}

/** What a digest item row says: which version of which key, and its hash. */
export interface ItemSummary {
  readonly key: string
  readonly dot: Dot
  readonly hash: Uint8Array
}

/** Where a log tail stands: everything up to this dot, in ascending order of origin and counter, has been sent. */
export type TailPosition = Dot

export interface CollectionSnapshot {
  readonly name: string
  readonly generation: number
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  /** The vector without runs. */
  readonly counters: VersionVector
  /** G (R6). */
  readonly collected: VersionVector
  /** The greatest stamp ever collected as a tombstone (R1). */
  readonly collectedStampMax: Stamp
  /** 16 bytes. */
  readonly root: Uint8Array
  /** Hash of everything that must be equal before roots are compared (R4), 16 bytes. */
  readonly knowledge: Uint8Array
  /**
   * False while a tail comes in: frames are held above the vector, so the root is another one than that of whoever knows the same, and that
   * means nothing (R4).
   */
  readonly isSettled: boolean
  /** What this replica is to others for it (R8). */
  readonly terms: Terms
  /** What it has written itself, as its mark tells it when it is partial. */
  ownWrites(): Promise<Omit<OwnWrites, 'kept' | 'keptForGood'>>
  /** Versions held, tombstones included. */
  readonly itemCount: number
  /** Keys whose entry is live. */
  readonly recordCount: number
  /**
   * Live versions that this vector covers and `after` does not, ascending by origin and counter, from behind `resume` where it applies: in
   * pages whose versions are read one by one.
   */
  logTail(after: VersionVector, resume?: ResumePoint): AsyncGenerator<Iterable<EncodedItem>>
  /** The 16 children of a node of the digest tree. */
  children(level: number, index: number): Promise<readonly DigestSum[]>
  /** All nodes of the level that is kept in rows. */
  buckets(): Promise<ReadonlyMap<number, DigestSum>>
  items(level: number, index: number): AsyncGenerator<ItemSummary>
  /** The digest items under a node as rows, in ascending order of key hashes, page by page. */
  itemRows(level: number, index: number): AsyncGenerator<readonly Row[]>
  /** The items of the keys with this hash. */
  itemsOfKey(keyHash: Uint8Array): AsyncGenerator<ItemSummary>
  /** Whether it holds tombstones, which wait for others to acknowledge them (R7). */
  hasTombstones(): Promise<boolean>
  /** What others have acknowledged, for passing on; empty while there is no tombstone that waits for it. */
  acknowledgements(): Promise<readonly Acknowledgement[]>
  /** The version with this dot. */
  item(key: Uint8Array, dot: Dot): EncodedItem | undefined
  /** All versions of a key. */
  entry(key: Uint8Array): Entry | undefined
}

/** How far an earlier, interrupted tail came (R5): `position` in a tail towards `target`. */
export interface ResumePoint {
  readonly target: VersionVector
  readonly position: TailPosition
}

export interface ReplicaSnapshot {
  /** Lamport clock, as it lies beside the data. */
  readonly logicalClock: number
  /** Names of the collections, the system collection first, then in ascending order. */
  names(): readonly string[]
  collection(name: string): Promise<CollectionSnapshot | undefined>
  close(): Promise<void>
}

const KNOWLEDGE_LABEL = encodeUtf8('hs knowledge 1\0') ?? EMPTY

const HORIZON_LABEL = encodeUtf8('hs horizon 1\0') ?? EMPTY

export interface Horizon {
  /** 0: nothing has expired. */
  readonly ms: number
  /** What is behind it is not all gone yet: then this is like nobody else's, by whatever names the store. */
  readonly sweeper: Uint8Array | undefined
}

const NO_HORIZON: Horizon = { ms: 0, sweeper: undefined }

export const horizonOf = ({ horizonMs, isSweeping }: RetentionState, sweeper: Uint8Array | undefined): Horizon => ({
  ms: horizonMs,
  sweeper: isSweeping ? (sweeper ?? EMPTY) : undefined,
})

/** Generation, vector, collected vector, horizon and salt: replicas for which this is equal must have equal roots (R4). */
export function knowledgeHash(
  hash: Hash,
  saltId: Uint8Array,
  generation: number,
  vector: VersionVector,
  collected: VersionVector,
  horizon: Horizon = NO_HORIZON,
): Uint8Array {
  const parts = [KNOWLEDGE_LABEL, saltId, u64Bytes(generation)]
  for (const entries of [vector, collected]) parts.push(u64Bytes(entries.size), vectorBytes(entries))
  // Where nothing has ever expired the hash is what it was before there were horizons.
  if (horizon.ms > 0) parts.push(HORIZON_LABEL, u64Bytes(horizon.ms), horizon.sweeper ?? EMPTY)
  return hash.sha256(concatBytes(...parts)).subarray(0, 16)
}

export function countersOf(vector: ReadonlyMap<Origin, VectorEntry>): Map<Origin, number> {
  return new Map([...vector].map(([origin, { counter }]) => [origin, counter]))
}

export interface SnapshotContext {
  readonly cidByName: ReadonlyMap<string, number>
  /** Names of collections of which a tail comes in. */
  readonly receiving: ReadonlySet<string>
  readonly nodeTerms: NodeTerms
  /** Of this moment, shared with other snapshots of it. */
  readonly readings: Readings
}

/** Takes over the store's snapshot: closing this closes that. Collections are read from it when they are asked for. */
export function openReplicaSnapshot(
  snapshot: StoreSnapshot,
  { cidByName, receiving, nodeTerms, readings }: SnapshotContext,
  hash: Hash,
  saltId: Uint8Array,
): ReplicaSnapshot {
  const names = [...cidByName.keys()].sort()
  return {
    // "_" sorts before every letter and after every digit: the system collection is put first by name.
    logicalClock: readClock(snapshot).lamport,
    names: () => [...names.filter(name => name === SYSTEM_COLLECTION), ...names.filter(name => name !== SYSTEM_COLLECTION)],
    async collection(name) {
      const cid = cidByName.get(name)
      if (cid === undefined) return undefined
      const readOwn = (): Promise<Reading | undefined> => readCollection(snapshot, cid, hash, saltId)
      let reading = readings.get(cid)
      if (reading === undefined) readings.set(cid, (reading = readOwn()))
      // Whoever was first may have closed the snapshot that it read.
      const read = await reading.catch(readOwn)
      return read && createCollectionSnapshot(snapshot, read, { isSettled: !receiving.has(name), nodeTerms })
    },
    close: () => snapshot.close(),
  }
}

async function readCollection(snapshot: StoreSnapshot, cid: number, hash: Hash, saltId: Uint8Array): Promise<Reading | undefined> {
  const state = await loadCollection(snapshot, cid)
  if (state === undefined) return undefined
  const { generation, collected, total, retention } = state
  const counters = countersOf(state.vector)
  const horizon = horizonOf(retention, snapshot.get(metaRow('identity')))
  const knowledge = knowledgeHash(hash, saltId, generation, counters, collected, horizon)
  return { state, counters, root: rootDigest(hash, total), knowledge }
}

function createCollectionSnapshot(
  snapshot: StoreSnapshot,
  { state, counters, root, knowledge }: Reading,
  { isSettled, nodeTerms }: { readonly isSettled: boolean; readonly nodeTerms: NodeTerms },
): CollectionSnapshot {
  const { cid, name, generation, vector, collected, total, recordCount, local, retention } = state
  const dotBytes = new Uint8Array(DOT_BYTES)

  const readItem = (key: Uint8Array, dot: Dot): EncodedItem | undefined => {
    const value = snapshot.get(recordRow(cid, key))
    if (value === undefined) return undefined
    writeDot(dotBytes, 0, dot)
    const version = findVersionBytes(value, SEQUENCE_BYTES, dotBytes)
    return version && { key, version, dot }
  }

  /** The versions of log rows, as they are asked for: a page of large ones is never in memory as a whole. */
  function* readItems(logRows: readonly Row[], origin: Origin): Generator<EncodedItem> {
    for (const [row, key] of logRows) {
      const item = readItem(key, { origin, counter: readCounter(row, dotAtOfLogRow + ORIGIN_BYTES) })
      if (item !== undefined) yield item
    }
  }

  const hasTombstones = async (): Promise<boolean> => {
    const tombstones = snapshot.scan(tombstonesOf(cid))
    const [first] = await tombstones.next(1)
    await tombstones.close()
    return first !== undefined
  }

  return {
    name,
    generation,
    vector,
    counters,
    collected,
    collectedStampMax: state.collectedStampMax,
    root,
    knowledge,
    isSettled,
    terms: name === SYSTEM_COLLECTION ? FULL_TERMS : termsOf(local, retention, nodeTerms),
    async ownWrites() {
      const runs = await loadOwnRuns(snapshot, cid)
      return {
        origins: unforkedOrigins(snapshot, cid, new Set(runs.map(({ origin }) => origin))),
        givenUp: retention.givenUp,
        expired: retention.expired,
        runOf: (origin, counter) => runAt(runs, origin, counter),
      }
    },
    itemCount: total.count,
    recordCount,
    async *logTail(after, resume) {
      for (const [origin, counter] of sortedEntries(counters)) {
        const from = tailStart(origin, after, resume)
        if (from >= counter) continue
        for await (const page of rowPagesOf(snapshot, logRange(cid, origin, from, counter))) {
          yield readItems(page, origin)
        }
      }
    },
    async children(level, index) {
      const sums = Array.from({ length: FANOUT }, createDigestSum)
      if (level < BUCKET_LEVEL) {
        const width = FANOUT ** (BUCKET_LEVEL - level - 1)
        const buckets = await loadBuckets(snapshot, cid)
        for (const [bucket, sum] of buckets) {
          const child = Math.floor(bucket / width)
          const target = Math.floor(child / FANOUT) === index ? sums[child % FANOUT] : undefined
          if (target !== undefined) addSum(target, sum)
        }
        return sums
      }
      for await (const [row, value] of rowsOf(snapshot, itemsUnder(cid, level, index))) {
        const keyHash = row.subarray(keyHashAtOfItemRow, keyHashAtOfItemRow + 8)
        const target = sums[nodeIndex(keyHash, level + 1) % FANOUT]
        if (target !== undefined) addItem(target, value.subarray(0, ITEM_HASH_BYTES))
      }
      return sums
    },
    buckets: () => loadBuckets(snapshot, cid),
    async *items(level, index) {
      for await (const row of rowsOf(snapshot, itemsUnder(cid, level, index))) yield summaryOf(row)
    },
    itemRows: (level, index) => rowPagesOf(snapshot, itemsUnder(cid, level, index)),
    async *itemsOfKey(keyHash) {
      for await (const row of rowsOf(snapshot, itemsOfKey(cid, keyHash))) yield summaryOf(row)
    },
    hasTombstones,
    acknowledgements: async () => ((await hasTombstones()) ? loadAcknowledgements(snapshot, cid) : []),
    item: readItem,
    entry(key) {
      const value = snapshot.get(recordRow(cid, key))
      return value && decodeStoredEntry(value)?.entry
    },
  }
}

const summaryOf = ([row, value]: Row): ItemSummary => ({
  key: keyText(row.subarray(keyAtOfItemRow)),
  dot: readDot(row, dotAtOfItemRow),
  hash: value.subarray(0, ITEM_HASH_BYTES),
})

/** Log rows of `origin` up to here need not be sent: the receiver's vector covers them, or an interrupted tail has sent them. */
export function tailStart(origin: Origin, after: VersionVector, resume: ResumePoint | undefined): number {
  const covered = after.get(origin) ?? 0
  if (resume === undefined) return covered
  const { target, position } = resume
  if (origin < position.origin) return Math.max(covered, target.get(origin) ?? 0)
  if (origin === position.origin) return Math.max(covered, position.counter)
  return covered
}

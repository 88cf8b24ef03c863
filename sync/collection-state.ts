/**
 * What is known of one collection while the store is open: counts, version vector, collected vector, digest. Loaded from its rows,
 * changed only by a write batch, and written back by it.
 */
import { createByteReader, createByteWriter, EMPTY, readU32, toHex, u64Bytes, fromHex, concatBytes } from '../base/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../base/utf8.ts'
import { createDigestSum, decodeSum, encodeSum, type DigestSum } from './digest.ts'
import type { Origin, VersionVector } from './dot.ts'
import { STAMP_ZERO, type Stamp } from './hlc.ts'
import {
  allCollections,
  bucketAtOfRow,
  bucketsOf,
  collectedOf,
  collectionRow,
  keyOfRecordRow,
  localSettingsRow,
  originAtOfVectorRow,
  ownRunsOf,
  recordsOf,
  retentionStateRow,
  vectorOf,
} from './rows.ts'
import {
  createRetentionState,
  decodeLocalSettings,
  decodeRetentionState,
  NO_LOCAL_SETTINGS,
  type LocalSettings,
  type RetentionState,
} from './retention-state.ts'
import type { Row, RowRange, StoreReader } from './store.ts'
import { readCounter, readOrigin, readStamp, writeStamp } from './version.ts'

/** 8 random bytes in lower-case hexadecimal, drawn at each opening of the store (R2). */
export type RunId = string

export interface VectorEntry {
  readonly counter: number
  /** The run in which the origin wrote that counter. */
  readonly run: RunId
}

export interface CollectionState {
  readonly cid: number
  readonly name: string
  readonly generation: number
  /** Deleted: its rows are being purged, nobody sees it. */
  dropped: boolean
  /** Keys whose entry is live. */
  recordCount: number
  /** Live keys whose winner has a vector. */
  vectorCount: number
  /** Greatest stamp ever collected as a tombstone (R1). */
  collectedStampMax: Stamp
  readonly vector: Map<Origin, VectorEntry>
  /** G: tombstones collected up to here (R6). */
  readonly collected: Map<Origin, number>
  /** Sum over all buckets. */
  readonly total: DigestSum
  /** No key here is greater, in the order of bytes (B2). A bound: the greatest key may be gone since. */
  keyMax: Uint8Array
  /** Buckets touched since the store was opened. */
  readonly bucketByIndex: Map<number, DigestSum>
  /** This node's own settings, and what retention has done by them. */
  local: LocalSettings
  retention: RetentionState
  /** Every origin that this replica has written under here. */
  readonly ownOrigins: Set<Origin>
  /** What full replicas have said themselves that they hold, by store id (R8). */
  readonly kept: Map<string, KeptVector>
}

export interface KeptVector {
  readonly vector: VersionVector
  /** With that replica, too, things expire. */
  readonly expires: boolean
}

export function createCollectionState(cid: number, name: string, generation: number): CollectionState {
  return {
    cid,
    name,
    generation,
    dropped: false,
    recordCount: 0,
    vectorCount: 0,
    collectedStampMax: STAMP_ZERO,
    vector: new Map(),
    collected: new Map(),
    total: createDigestSum(),
    keyMax: EMPTY,
    bucketByIndex: new Map(),
    local: NO_LOCAL_SETTINGS,
    retention: createRetentionState(),
    ownOrigins: new Set(),
    kept: new Map(),
  }
}

/** generation(8) dropped(1) records(8) vectors(8) collected stamp(8) sum(16) count(4) name. */
export function encodeCollectionRow(state: CollectionState): Uint8Array {
  const stamp = new Uint8Array(8)
  writeStamp(stamp, 0, state.collectedStampMax)
  return createByteWriter(96)
    .u64(state.generation)
    .u8(state.dropped ? 1 : 0)
    .u64(state.recordCount)
    .u64(state.vectorCount)
    .raw(stamp)
    .raw(encodeSum(state.total))
    .raw(encodeUtf8(state.name) ?? EMPTY)
    .finish()
}

export function decodeCollectionRow(cid: number, value: Uint8Array): CollectionState {
  const reader = createByteReader(value)
  const generation = reader.u64()
  const dropped = reader.u8() === 1
  const recordCount = reader.u64()
  const vectorCount = reader.u64()
  const collectedStampMax = readStamp(reader.raw(8), 0)
  const total = decodeSum(reader.raw(20))
  const state = createCollectionState(cid, decodeUtf8(reader.rest()) ?? '', generation)
  return Object.assign(state, { dropped, recordCount, vectorCount, collectedStampMax, total })
}

export function encodeVectorEntry(entry: VectorEntry): Uint8Array {
  return concatBytes(u64Bytes(entry.counter), fromHex(entry.run) ?? new Uint8Array(8))
}

/** Every collection of the store, the dropped ones included. Reads a few rows a collection: of its records, one. */
export async function loadCollections(reader: StoreReader): Promise<CollectionState[]> {
  const states: CollectionState[] = []
  await eachRow(reader, allCollections, ([row, value]) => states.push(decodeCollectionRow(readU32(row, 1), value)))
  for (const state of states) {
    await loadKnowledge(reader, state)
    await loadForWriting(reader, state)
  }
  return states
}

/** What there is to know of a collection for whoever writes nothing to it. */
export type CollectionReading = Omit<CollectionState, 'keyMax' | 'ownOrigins' | 'bucketByIndex' | 'kept'>

/** One collection; undefined when it has no row yet or is dropped. */
export async function loadCollection(reader: StoreReader, cid: number): Promise<CollectionReading | undefined> {
  const value = reader.get(collectionRow(cid))
  const state = value && decodeCollectionRow(cid, value)
  if (state === undefined || state.dropped) return undefined
  await loadKnowledge(reader, state)
  return state
}

async function loadKnowledge(reader: StoreReader, state: CollectionState): Promise<void> {
  await eachRow(reader, vectorOf(state.cid), ([row, entry]) => {
    state.vector.set(readOrigin(row, originAtOfVectorRow), { counter: readCounter(entry, 0), run: toHex(entry.subarray(8, 16)) })
  })
  await eachRow(reader, collectedOf(state.cid), ([row, counter]) => {
    state.collected.set(readOrigin(row, originAtOfVectorRow), readCounter(counter, 0))
  })
  const local = reader.get(localSettingsRow(state.name))
  if (local !== undefined) state.local = decodeLocalSettings(local)
  const retention = reader.get(retentionStateRow(state.cid))
  if (retention !== undefined) state.retention = decodeRetentionState(retention)
}

/** What the next write has to know besides. */
async function loadForWriting(reader: StoreReader, state: CollectionState): Promise<void> {
  await eachRow(reader, ownRunsOf(state.cid), ([row]) => state.ownOrigins.add(readOrigin(row, originAtOfVectorRow)))
  const records = reader.scan({ ...recordsOf(state.cid), reverse: true })
  const [last] = await records.next(1)
  await records.close()
  if (last !== undefined) state.keyMax = Uint8Array.from(keyOfRecordRow(last[0]))
}

/** The kept level of the digest tree, by bucket; a bucket without items has no row. */
export async function loadBuckets(reader: StoreReader, cid: number): Promise<Map<number, DigestSum>> {
  const sums = new Map<number, DigestSum>()
  await eachRow(reader, bucketsOf(cid), ([row, value]) => sums.set(readU32(row, bucketAtOfRow), decodeSum(value)))
  return sums
}

const ROWS_PER_PAGE = 256

/** Hands over the rows of a range one by one: for short ranges that are read often, where a generator costs more than the rows. */
export async function eachRow(reader: StoreReader, range: RowRange, visit: (row: Row) => void): Promise<void> {
  const cursor = reader.scan(range)
  try {
    for (let page = await cursor.next(ROWS_PER_PAGE); page.length > 0; page = await cursor.next(ROWS_PER_PAGE)) page.forEach(visit)
  } finally {
    await cursor.close()
  }
}

/** The rows of a range one by one, read in small pages. */
export async function* rowsOf(reader: StoreReader, range: RowRange): AsyncGenerator<Row> {
  for await (const page of rowPagesOf(reader, range)) yield* page
}

/** The rows of a range in small pages: for long ranges, where waiting for every row would cost more than reading it. */
export async function* rowPagesOf(reader: StoreReader, range: RowRange): AsyncGenerator<readonly Row[]> {
  const cursor = reader.scan(range)
  try {
    for (;;) {
      const page = await cursor.next(ROWS_PER_PAGE)
      if (page.length === 0) return
      yield page
    }
  } finally {
    await cursor.close()
  }
}

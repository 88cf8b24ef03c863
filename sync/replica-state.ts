/** The state of an open replica: its identity, clocks and collections, as loaded from the store's rows. */
import { createByteReader, createByteWriter, fromHex, toHex } from '../base/bytes.ts'
import type { Hash, Random } from '../base/ports.ts'
import { loadCollections, createCollectionState, rowsOf, type CollectionState, type RunId } from './collection-state.ts'
import type { Origin } from './dot.ts'
import type { Entry } from './entry.ts'
import { loadKept } from './kept-elsewhere.ts'
import { createHlc, STAMP_ZERO, type Hlc } from './hlc.ts'
import { nameOfDeletion } from './feed.ts'
import { createRoster, type Roster } from './roster.ts'
import { decodeLocalSettings, type LocalSettings } from './retention-state.ts'
import {
  allConflicts,
  allDeletions,
  allLocalSettings,
  allOwnRuns,
  allQuarantined,
  FORMAT,
  keyOfRecordRow,
  metaRow,
  nameOfLocalSettingsRow,
  recordsOf,
} from './rows.ts'
import { createSettingsModel, SYSTEM_COLLECTION, SYSTEM_GENERATION, type SettingsModel } from './settings.ts'
import type { Store, StoreReader } from './store.ts'
import { ORIGIN_BYTES, readStamp, writeStamp } from './version.ts'
import { decodeStoredEntry, keyText, readSequence, type WriteBatch } from './write-batch.ts'

const STORE_ID_BYTES = 16
const RUN_BYTES = 8
export const SYSTEM_CID = 1

export interface ReplicaState {
  storeId: string
  origin: Origin
  readonly run: RunId
  readonly hlc: Hlc
  lamport: number
  /** Last sequence of the feed. */
  sequence: number
  nextCid: number
  /** Rows in quarantine, and the sequence of the next. */
  quarantined: number
  quarantineSequence: number
  /** Sequences of the conflicts kept, oldest first. */
  readonly conflictSequences: number[]
  /** Where the feed tells that a collection was deleted, by name. */
  readonly deletionSequenceByName: Map<string, number>
  readonly model: SettingsModel
  readonly roster: Roster
  readonly collectionByName: Map<string, CollectionState>
  /** This node's own settings of collections, whether they exist at the moment or not. */
  readonly localByName: Map<string, LocalSettings>
  /** Deleted collections whose rows are not all gone yet. */
  readonly dropped: Set<CollectionState>
  /** Collections in which this origin has written in this run: their run row exists. */
  readonly runStarted: Set<CollectionState>
}

/** Why a store cannot be opened as a replica. */
export class StoreFormatError extends Error {
  override readonly name = 'StoreFormatError'
}

interface Identity {
  readonly storeId: Uint8Array
  readonly origin: Uint8Array
}

/** Loads the state, and makes the identity of a new store. `run` is drawn by the caller once per opening (R2). */
export async function loadReplicaState(store: Store, hash: Hash, random: Random, run: RunId, driftMaxMs: number): Promise<ReplicaState> {
  const identity = await loadIdentity(store, random)
  const clock = readClock(store)
  const model = createSettingsModel()
  const roster = createRoster(hash)
  const collectionByName = new Map<string, CollectionState>()
  const dropped = new Set<CollectionState>()
  let { nextCid } = clock
  for (const collection of await loadCollections(store)) {
    nextCid = Math.max(nextCid, collection.cid + 1)
    await loadKept(store, collection)
    if (collection.dropped) dropped.add(collection)
    else collectionByName.set(collection.name, collection)
  }
  if (!collectionByName.has(SYSTEM_COLLECTION)) {
    collectionByName.set(SYSTEM_COLLECTION, createCollectionState(SYSTEM_CID, SYSTEM_COLLECTION, SYSTEM_GENERATION))
  }
  for await (const [row, value] of rowsOf(store, recordsOf(SYSTEM_CID))) {
    const stored = decodeStoredEntry(value)
    if (stored !== undefined) applySystemEntry({ model, roster }, keyText(keyOfRecordRow(row)), stored.entry)
  }
  let quarantined = 0
  let quarantineSequence = 0
  for await (const [row] of rowsOf(store, allQuarantined)) {
    quarantined += 1
    quarantineSequence = readSequence(row.subarray(1))
  }
  const conflictSequences: number[] = []
  for await (const [row] of rowsOf(store, allConflicts)) conflictSequences.push(readSequence(row.subarray(1)))
  const deletionSequenceByName = new Map<string, number>()
  for await (const [row, value] of rowsOf(store, allDeletions)) {
    deletionSequenceByName.set(nameOfDeletion(value), readSequence(row.subarray(1)))
  }
  const localByName = new Map<string, LocalSettings>()
  for await (const [row, value] of rowsOf(store, allLocalSettings)) localByName.set(nameOfLocalSettingsRow(row), decodeLocalSettings(value))
  return {
    storeId: toHex(identity.storeId),
    origin: toHex(identity.origin),
    run,
    hlc: createHlc(clock.stamp, driftMaxMs),
    lamport: clock.lamport,
    sequence: clock.sequence,
    nextCid,
    quarantined,
    quarantineSequence,
    conflictSequences,
    deletionSequenceByName,
    model,
    roster,
    collectionByName,
    localByName,
    dropped,
    runStarted: new Set(),
  }
}

async function loadIdentity(store: Store, random: Random): Promise<Identity> {
  const format = store.get(metaRow('format'))
  if (format === undefined) {
    const identity = { storeId: random.bytes(STORE_ID_BYTES), origin: random.bytes(ORIGIN_BYTES) }
    const batch = store.batch()
    batch.put(metaRow('format'), Uint8Array.of(FORMAT))
    batch.put(metaRow('identity'), encodeIdentity(identity))
    await batch.write({ sync: true })
    return identity
  }
  if (format[0] !== FORMAT) {
    throw new StoreFormatError(
      `the store has format ${format[0] ?? 'none'}, this version reads format ${FORMAT}: start the version that wrote it, or a newer one`,
    )
  }
  const value = store.get(metaRow('identity'))
  if (value?.length !== STORE_ID_BYTES + ORIGIN_BYTES) throw new StoreFormatError("the store's identity row is missing or damaged")
  return { storeId: value.slice(0, STORE_ID_BYTES), origin: value.slice(STORE_ID_BYTES) }
}

/**
 * Gives a store that was copied, and is not open as a replica, a store id and an origin of its own: the next write names its dots
 * by it, and the store that it was copied from goes on with the old ones (R2).
 */
export async function renewIdentity(store: Store, random: Random): Promise<void> {
  if (store.get(metaRow('identity')) === undefined) return
  const value = encodeIdentity({ storeId: random.bytes(STORE_ID_BYTES), origin: random.bytes(ORIGIN_BYTES) })
  const batch = store.batch()
  batch.put(metaRow('identity'), value)
  // What was written under the old origin is somebody else's history from now on: it is no fork of this one's.
  for await (const [row] of rowsOf(store, allOwnRuns)) batch.del(row)
  await batch.write({ sync: true })
}

function encodeIdentity(identity: Identity): Uint8Array {
  return createByteWriter(STORE_ID_BYTES + ORIGIN_BYTES)
    .raw(identity.storeId)
    .raw(identity.origin)
    .finish()
}

/** What an entry of the system collection says; an empty one says that the key is gone. */
export function applySystemEntry({ model, roster }: Pick<ReplicaState, 'model' | 'roster'>, key: string, entry: Entry): void {
  model.apply(key, entry)
  roster.apply(key, entry)
}

/** Takes a new store id and a new origin: whoever was evicted is somebody else from now on. */
export function takeNewStoreId(state: ReplicaState, batch: WriteBatch, random: Random): void {
  state.storeId = toHex(random.bytes(STORE_ID_BYTES))
  takeNewOrigin(state, batch, random)
}

/** Takes a new origin: from the next write on, dots are named by it (R2). */
export function takeNewOrigin(state: ReplicaState, batch: WriteBatch, random: Random): void {
  const origin = random.bytes(ORIGIN_BYTES)
  state.origin = toHex(origin)
  state.runStarted.clear()
  batch.put(metaRow('identity'), encodeIdentity({ storeId: fromHex(state.storeId) ?? new Uint8Array(STORE_ID_BYTES), origin }))
}

/** hlc(8) lamport(8) feed sequence(8) next cid(8): the number of a purged collection is not used again. */
export function encodeClock(state: ReplicaState): Uint8Array {
  const stamp = new Uint8Array(8)
  writeStamp(stamp, 0, state.hlc.last())
  return createByteWriter(32).raw(stamp).u64(state.lamport).u64(state.sequence).u64(state.nextCid).finish()
}

export function readClock(reader: StoreReader) {
  const value = reader.get(metaRow('clock'))
  if (value === undefined) return { stamp: STAMP_ZERO, lamport: 0, sequence: 0, nextCid: SYSTEM_CID + 1 }
  const fields = createByteReader(value)
  return { stamp: readStamp(fields.raw(8), 0), lamport: fields.u64(), sequence: fields.u64(), nextCid: fields.u64() }
}

export function drawRun(random: Random): RunId {
  return toHex(random.bytes(RUN_BYTES))
}

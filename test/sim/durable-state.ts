/** What a robot's disk holds for certain, read from its rows: what the checkers judge, whether the robot is on or off. */
import { systemHash } from '../../agent/ports.ts'
import { toHex } from '../../base/bytes.ts'
import { loadCollections, type CollectionState } from '../../sync/collection-state.ts'
import { addItem, createDigestSum, createItemHasher, rootDigest, type DigestSum } from '../../sync/digest.ts'
import { sortedEntries, type VersionVector } from '../../sync/dot.ts'
import { shownVersion, type Entry } from '../../sync/entry.ts'
import { countersOf } from '../../sync/replica-snapshot.ts'
import type { SyncDirection } from '../../sync/partial.ts'
import { NO_RETENTION, type Retention } from '../../sync/retention.ts'
import { createRoster } from '../../sync/roster.ts'
import { keyOfRecordRow, metaRow, recordsOf } from '../../sync/rows.ts'
import { createSettingsModel, SYSTEM_COLLECTION } from '../../sync/settings.ts'
import type { Row, RowRange, StoreReader } from '../../sync/store.ts'
import { decodeStoredEntry, keyText } from '../../sync/write-batch.ts'

export interface DurableCollection {
  readonly name: string
  /** Name and generation: what belongs to one generation says nothing of another. */
  readonly id: string
  readonly generation: number
  readonly vector: VersionVector
  /** G. */
  readonly collected: VersionVector
  /** Generation, vector and G as text: where it is equal, the same must be held (R4). */
  readonly knowledge: string
  readonly entries: ReadonlyMap<string, Entry>
  /** Root and number of live records as they are kept. */
  readonly root: string
  readonly recordCount: number
  /** The same, counted from the entries. */
  readonly countedRoot: string
  readonly countedRecords: number
  /** What the node keeps to itself; undefined where it keeps everything and exchanges both ways. */
  readonly keeping?: Keeping
}

/** Retention and direction of one robot's collection (R8, R9). */
export interface Keeping {
  readonly isPartial: boolean
  readonly retention: Retention
  readonly sync: SyncDirection
  readonly horizonMs: number
  readonly isSweeping: boolean
  readonly voided: number
  readonly ownOrigins: ReadonlySet<string>
}

export interface DurableState {
  /** Undefined before the store has been opened. */
  readonly storeId: string | undefined
  /** The replicas that this one waits for with collecting tombstones (R7). */
  readonly enrolled: readonly string[]
  /** Names of collections that were ever made. */
  readonly names: number
  /** By name, the system collection among them. */
  readonly collections: ReadonlyMap<string, DurableCollection>
  /** The greatest generation of a collection that is known to be deleted. */
  deletedGeneration(name: string): number
  /** Number of rows by their first letter. */
  readonly rows: ReadonlyMap<string, number>
  /** Deleted collections whose rows are not all gone. */
  readonly dropped: number
}

const hasher = createItemHasher(systemHash, new Uint8Array(16))

interface DecodedRow {
  readonly key: string
  readonly entry: Entry
  readonly hashes: readonly Uint8Array[]
  readonly isShown: boolean
}

/** The memory store keeps a row's value as one object until it changes, so each is decoded and hashed once. */
const decodedByValue = new WeakMap<Uint8Array, DecodedRow>()

function decodeRow(row: Uint8Array, value: Uint8Array): DecodedRow {
  let decoded = decodedByValue.get(value)
  if (decoded === undefined) {
    const entry = decodeStoredEntry(value)?.entry ?? []
    const key = keyOfRecordRow(row)
    const hashes = entry.map(version => hasher.itemHash(key, version))
    decoded = { key: keyText(key), entry, hashes, isShown: shownVersion(entry) !== undefined }
    decodedByValue.set(value, decoded)
  }
  return decoded
}

export async function readDurableState(store: StoreReader): Promise<DurableState> {
  const collections = new Map<string, DurableCollection>()
  let droppedCount = 0
  for (const collection of await loadCollections(store)) {
    const { cid, name, generation, dropped, vector, collected, total, recordCount } = collection
    if (dropped) {
      droppedCount += 1
      continue
    }
    const entries = new Map<string, Entry>()
    const sum = createDigestSum()
    let countedRecords = 0
    for (const [row, value] of await readRows(store, recordsOf(cid))) {
      const { key, entry, hashes, isShown } = decodeRow(row, value)
      entries.set(key, entry)
      for (const hash of hashes) addItem(sum, hash)
      if (isShown) countedRecords += 1
    }
    const counters = countersOf(vector)
    collections.set(name, {
      name,
      id: collectionId(name, generation),
      generation,
      vector: counters,
      collected,
      knowledge: JSON.stringify([generation, sortedEntries(counters), sortedEntries(collected), collection.retention.horizonMs]),
      ...keepingOf(collection),
      entries,
      root: rootText(total),
      recordCount,
      countedRoot: rootText(sum),
      countedRecords,
    })
  }
  const rows = new Map<string, number>()
  for (const [row] of await readRows(store, {})) {
    const letter = String.fromCharCode(row[0] ?? 0)
    rows.set(letter, (rows.get(letter) ?? 0) + 1)
  }
  const model = createSettingsModel()
  const roster = createRoster(systemHash)
  for (const [key, entry] of collections.get(SYSTEM_COLLECTION)?.entries ?? []) {
    model.apply(key, entry)
    roster.apply(key, entry)
  }
  const identity = store.get(metaRow('identity'))
  return {
    storeId: identity && toHex(identity.subarray(0, 16)),
    enrolled: roster.enrolled(),
    names: [...model.names()].length,
    collections,
    deletedGeneration: name => model.deletedGeneration(name),
    rows,
    dropped: droppedCount,
  }
}

function keepingOf({ name, local, retention, ownOrigins }: CollectionState): { readonly keeping?: Keeping } {
  if (name === SYSTEM_COLLECTION || (local.retention === undefined && local.sync === undefined && !retention.hasGivenUp)) return {}
  const { hasGivenUp, horizonMs, isSweeping, voided } = retention
  const sync = local.sync ?? 'both'
  const isPartial = hasGivenUp || sync !== 'both'
  return { keeping: { isPartial, retention: local.retention ?? NO_RETENTION, sync, horizonMs, isSweeping, voided, ownOrigins } }
}

export const collectionId = (name: string, generation: number): string => `${name}#${generation}`

/** All rows of a range at once: simulated stores are small. */
const readRows = (store: StoreReader, range: RowRange): Promise<Row[]> => store.scan(range).next(Number.POSITIVE_INFINITY)

const rootText = (sum: DigestSum): string => toHex(rootDigest(systemHash, sum))

/** What a robot's disk holds for certain, read from its rows: what the checkers judge, whether the robot is on or off. */
import { systemHash } from '../../agent/ports.ts'
import { compareBytes, readU32, toHex } from '../../base/bytes.ts'
import { eachRow, loadCollection, type CollectionReading } from '../../sync/collection-state.ts'
import { addItem, createDigestSum, createItemHasher, rootDigest, type DigestSum } from '../../sync/digest.ts'
import { sortedEntries, type VersionVector } from '../../sync/dot.ts'
import { shownVersion, type Entry } from '../../sync/entry.ts'
import { countersOf } from '../../sync/replica-snapshot.ts'
import type { SyncDirection } from '../../sync/partial.ts'
import { NO_RETENTION, type Retention } from '../../sync/retention.ts'
import { createRoster } from '../../sync/roster.ts'
import { allLocalSettings, collectionRow, keyOfRecordRow, metaRow, originAtOfVectorRow, ownRunsOf, recordsOf } from '../../sync/rows.ts'
import { createSettingsModel, SYSTEM_COLLECTION, type SettingsModel } from '../../sync/settings.ts'
import type { Row, RowRange, StoreReader } from '../../sync/store.ts'
import { readOrigin } from '../../sync/version.ts'
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

/** Reads one disk again and again; what has not changed since the last time is the same object as then. */
export interface DurableReader {
  read(store: StoreReader): Promise<DurableState>
}

export const readDurableState = (store: StoreReader): Promise<DurableState> => createDurableReader().read(store)

export function createDurableReader(): DurableReader {
  let rows: readonly Row[] = []
  let localSettings: readonly Row[] = []
  let countByLetter: ReadonlyMap<string, number> = new Map()
  let settings: Settings | undefined
  const collectionByCid = new Map<number, DurableCollection>()
  return {
    async read(store) {
      const now = await readRows(store, {})
      const changed = changedCollections(rows, now)
      const locals = await readRows(store, allLocalSettings)
      // They go by name, and seldom change.
      if (locals.length !== localSettings.length || locals.some((row, i) => row !== localSettings[i])) collectionByCid.clear()
      localSettings = locals
      if (changed !== undefined) countByLetter = countRows(now)
      rows = now
      const collections = new Map<string, DurableCollection>()
      let dropped = 0
      for (const [row] of now) {
        if (row[0] !== COLLECTION_LETTER) continue
        const cid = readU32(row, 1)
        let collection = changed?.has(cid) === true ? undefined : collectionByCid.get(cid)
        if (collection === undefined) {
          const state = await loadCollection(store, cid)
          if (state === undefined) {
            collectionByCid.delete(cid)
            dropped += 1
            continue
          }
          collection = await readCollection(store, state)
          collectionByCid.set(cid, collection)
        }
        collections.set(collection.name, collection)
      }
      const system = collections.get(SYSTEM_COLLECTION)
      if (settings === undefined || settings.system !== system) settings = readSettings(system)
      const { model, enrolled, names } = settings
      const identity = store.get(metaRow('identity'))
      return {
        storeId: identity && toHex(identity.subarray(0, 16)),
        enrolled,
        names,
        collections,
        deletedGeneration: name => model.deletedGeneration(name),
        rows: countByLetter,
        dropped,
      }
    },
  }
}

const COLLECTION_LETTER = collectionRow(0)[0]

/**
 * Undefined: nothing has changed at all. Otherwise the local numbers of collections of which a row has come, gone or changed: the memory store keeps a row as one object until then. Rows that
 * belong to no collection have something else in the number's place, which is no matter: what is not known is read.
 */
function changedCollections(before: readonly Row[], after: readonly Row[]): ReadonlySet<number> | undefined {
  let changed: Set<number> | undefined
  let i = 0
  let k = 0
  while (i < before.length || k < after.length) {
    const old = before[i]
    const row = after[k]
    if (old === row) {
      i += 1
      k += 1
      continue
    }
    const order = old === undefined ? 1 : row === undefined ? -1 : compareBytes(old[0], row[0])
    changed ??= new Set()
    const key = order <= 0 ? old?.[0] : row?.[0]
    if (key !== undefined && key.length > 4) changed.add(readU32(key, 1))
    if (order <= 0) i += 1
    if (order >= 0) k += 1
  }
  return changed
}

async function readCollection(store: StoreReader, state: CollectionReading): Promise<DurableCollection> {
  const { cid, name, generation, vector, collected, total, recordCount } = state
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
  return {
    name,
    id: collectionId(name, generation),
    generation,
    vector: counters,
    collected,
    knowledge: JSON.stringify([generation, sortedEntries(counters), sortedEntries(collected), state.retention.horizonMs]),
    ...(await keepingOf(store, state)),
    entries,
    root: rootText(total),
    recordCount,
    countedRoot: rootText(sum),
    countedRecords,
  }
}

/** What the system collection says. */
interface Settings {
  readonly system: DurableCollection | undefined
  readonly model: SettingsModel
  readonly enrolled: readonly string[]
  readonly names: number
}

function readSettings(system: DurableCollection | undefined): Settings {
  const model = createSettingsModel()
  const roster = createRoster(systemHash)
  for (const [key, entry] of system?.entries ?? []) {
    model.apply(key, entry)
    roster.apply(key, entry)
  }
  return { system, model, enrolled: roster.enrolled(), names: [...model.names()].length }
}

function countRows(rows: readonly Row[]): ReadonlyMap<string, number> {
  const countByLetter = new Map<string, number>()
  // Sorted: rows with one letter follow each other.
  for (let from = 0, to = 0; from < rows.length; from = to) {
    const letter = rows[from]![0][0]!
    while (to < rows.length && rows[to]![0][0] === letter) to += 1
    countByLetter.set(String.fromCharCode(letter), to - from)
  }
  return countByLetter
}

async function keepingOf(store: StoreReader, state: CollectionReading): Promise<{ readonly keeping?: Keeping }> {
  const { cid, name, local, retention } = state
  if (name === SYSTEM_COLLECTION || (local.retention === undefined && local.sync === undefined && !retention.hasGivenUp)) return {}
  const { hasGivenUp, horizonMs, isSweeping, voided } = retention
  const sync = local.sync ?? 'both'
  const isPartial = hasGivenUp || sync !== 'both'
  const ownOrigins = new Set<string>()
  await eachRow(store, ownRunsOf(cid), ([row]) => ownOrigins.add(readOrigin(row, originAtOfVectorRow)))
  return { keeping: { isPartial, retention: local.retention ?? NO_RETENTION, sync, horizonMs, isSweeping, voided, ownOrigins } }
}

export const collectionId = (name: string, generation: number): string => `${name}#${generation}`

/** All rows of a range at once: simulated stores are small. */
const readRows = (store: StoreReader, range: RowRange): Promise<Row[]> => store.scan(range).next(Number.POSITIVE_INFINITY)

const rootText = (sum: DigestSum): string => toHex(rootDigest(systemHash, sum))

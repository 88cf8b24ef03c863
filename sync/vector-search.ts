/**
 * Exact nearest-neighbour search over the records of a collection, in slices between which the event loop turns.
 *
 * A collection that is searched gets a table of its vectors in memory (vector-table.ts), built from a snapshot by the first search and
 * brought up to date by the change feed at the beginning of each further one: writes pay nothing for it. Why a table, and in slices:
 * docs/decisions/0004-vector-tables.md.
 *
 * Invariants (test/contract/vector-search.test.ts):
 *   V1 a search answers from one moment: what was acknowledged before it began is found, what was deleted is not;
 *   V2 between two turns of the event loop at most one slice runs, whatever the number of searches;
 *   V3 all tables together stay within their bytes; a collection that does not fit is read from the store instead, with the same answer;
 *   V4 a table lacks nothing: whatever gives a key another vector has a feed row behind those that the table has seen. It may have too
 *      much, since collected versions go without a feed row (R6): a found key without a record betrays it, and the table is built again.
 */
import { createByteReader } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import type { CollectionState } from './collection-state.ts'
import { decodeContent } from './content.ts'
import { shownVersion } from './entry.ts'
import { encodeFloatVector } from './float-vector.ts'
import { createDistance, createNearest, squaredNorm, type Distance, type Nearest } from './nearest.ts'
import { recordRows } from './record-scan.ts'
import { viewRecord } from './record-view.ts'
import { refuse, type Refusal } from './refusal.ts'
import type { CollectionSettings, FoundRecord, SearchAnswer, VectorQuery } from './replica.ts'
import { feedAfter, keyOfRecordRow, recordRow } from './rows.ts'
import type { Row, RowRange, Store, StoreReader } from './store.ts'
import { createVectorTable, readFloats, tableBytesMin, type VectorTable } from './vector-table.ts'
import { decodeStoredEntry, keyBytes, keyText, readSequence } from './write-batch.ts'

/** Memory of all tables together, in bytes: 200,000 vectors of 128 numbers. At the bound those least recently used go. */
export const TABLES_BYTES_MAX = 128 * 1024 * 1024

/** Rows of a page that the store reads on its own thread. */
const ROWS_PER_PAGE = 256
/** Rows that are read one by one, on this thread, in one slice. */
const READS_PER_SLICE = 32
/** So many changes are always taken from the feed; beyond, and beyond the table's size, building it again costs less. */
const CHANGES_MIN = 10_000
/** Before the greatest integer, since a range needs the one behind it. */
const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER - 1

export interface VectorSearchOptions {
  readonly store: Store
  readonly hash: Hash
  /** The open collection of a name. */
  readonly collection: (name: string) => CollectionState | undefined
  readonly settings: (collection: CollectionState) => CollectionSettings
  readonly tablesBytesMax?: number
}

/** Resolves after the event loop has turned; what it throws ends the search. */
export type NextTurn = () => Promise<void>

export interface VectorSearch {
  search(name: string, query: VectorQuery, nextTurn: NextTurn): Promise<SearchAnswer | Refusal>
  /** Gives the memory of all tables back that no search is using. */
  forget(): void
}

interface HeldTable {
  readonly collection: CollectionState
  readonly table: VectorTable
  /** The table has seen the feed up to here. */
  sequence: number
  isBusy: boolean
}

/** One search, as its steps see it. */
interface Search {
  readonly collection: CollectionState
  readonly snapshot: StoreReader
  readonly dimension: number
  readonly distance: Distance
  readonly query: VectorQuery
  readonly turn: NextTurn
}

export function createVectorSearch(options: VectorSearchOptions): VectorSearch {
  const { store, hash, tablesBytesMax = TABLES_BYTES_MAX } = options
  /** The one least recently used first. */
  const heldByName = new Map<string, HeldTable>()
  const inTurns = createTurns()
  const inOrder = createOrder()

  /** Lets tables go until all fit; false when those in use do not. */
  const makeRoom = (): boolean => {
    let bytes = 0
    for (const { table } of heldByName.values()) bytes += table.bytes
    for (const [name, { table, isBusy }] of heldByName) {
      if (bytes <= tablesBytesMax) break
      if (isBusy) continue
      heldByName.delete(name)
      bytes -= table.bytes
    }
    return bytes <= tablesBytesMax
  }

  /** Takes from the feed what changed since the table was used; false when it is better built again. */
  const catchUp = async (held: HeldTable, { collection, snapshot, turn }: Search): Promise<boolean> => {
    const { table } = held
    const changesMax = Math.max(CHANGES_MIN, table.size)
    let changes = 0
    for await (const page of pagesOf(snapshot, feedAfter(held.sequence, SEQUENCE_MAX), READS_PER_SLICE)) {
      changes += page.length
      if (changes > changesMax) return false
      await turn()
      for (const [row, value] of page) {
        const change = createByteReader(value)
        held.sequence = readSequence(row.subarray(1))
        if (change.u32() !== collection.cid) continue
        change.u8()
        const key = change.rest()
        const vector = vectorOf(snapshot.get(recordRow(collection.cid, key)), table.dimension)
        if (vector === undefined) table.delete(keyText(key))
        else table.set(keyText(key), vector)
      }
      if (!makeRoom()) return false
    }
    return true
  }

  /** False when the table does not fit. */
  const fill = async (held: HeldTable, { collection, snapshot, turn }: Search): Promise<boolean> => {
    const { table } = held
    for await (const page of pagesOf(snapshot, recordRows(collection.cid, {}), ROWS_PER_PAGE)) {
      await turn()
      for (const [row, value] of page) {
        const vector = vectorOf(value, table.dimension)
        if (vector !== undefined) table.set(keyText(keyOfRecordRow(row)), vector)
      }
      if (!makeRoom()) return false
    }
    return true
  }

  /** The collection's table as of the snapshot, in use; undefined when there is no room for one. */
  const holdTable = async (search: Search): Promise<HeldTable | undefined> => {
    const { collection, dimension, snapshot } = search
    const { name } = collection
    const old = heldByName.get(name)
    heldByName.delete(name)
    if (old?.collection === collection && old.table.dimension === dimension) {
      old.isBusy = true
      heldByName.set(name, old)
      // What retention gave up has no feed row: when that is the greater part of the table, it is better built again.
      if ((await catchUp(old, search)) && old.table.size <= 2 * collection.vectorCount + CHANGES_MIN) return old
      heldByName.delete(name)
    }
    if (tableBytesMin(collection.vectorCount, dimension) > tablesBytesMax) return undefined
    const held = { collection, table: createVectorTable(dimension), sequence: await lastSequence(snapshot), isBusy: true }
    heldByName.set(name, held)
    let isFull = false
    try {
      isFull = await fill(held, search)
      return isFull ? held : undefined
    } finally {
      if (!isFull) heldByName.delete(name)
    }
  }

  const findInTable = async (table: VectorTable, { distance, query, turn }: Search): Promise<Nearest> => {
    const nearest = createNearest(query.k)
    for (let block = 0; block < table.blockCount; block++) {
      await turn()
      table.offerBlock(block, distance, query.prefix ?? '', nearest)
    }
    return nearest
  }

  /** The records that were found; undefined when one of them is not there (V4). */
  const readFound = async (
    nearest: Nearest,
    { collection, snapshot, query, turn }: Search,
  ): Promise<SearchAnswer | Refusal | undefined> => {
    const results: FoundRecord[] = []
    let bytes = 0
    for (const { key, distance } of nearest.sorted()) {
      if (results.length % READS_PER_SLICE === 0) await turn()
      const value = snapshot.get(recordRow(collection.cid, keyBytes(key)))
      const stored = value && decodeStoredEntry(value)
      const record = stored && viewRecord(key, stored.entry, hash)
      if (record === undefined) return undefined
      bytes += record.payload?.length ?? record.data?.length ?? 0
      if (bytes > query.bytesMax) {
        return refuse(
          'HS_TOO_LARGE',
          `the payloads found may have ${query.bytesMax} bytes together, and those of the nearest ${results.length + 1} have more: ask for a smaller k`,
        )
      }
      results.push({ record, distance })
    }
    return { ok: true, results }
  }

  const run = async (search: Search): Promise<SearchAnswer | Refusal> => {
    await search.turn()
    const { name } = search.collection
    for (const _attempt of ['with the table as it is', 'with a new one']) {
      const held = await holdTable(search)
      const nearest = held === undefined ? await findInRows(search) : await findInTable(held.table, search)
      const answer = await readFound(nearest, search)
      if (answer !== undefined) return answer
      heldByName.delete(name)
    }
    throw new Error('broken invariant: what was read from a snapshot is in it')
  }

  return {
    search: (name, query, nextTurn) =>
      inOrder(name, async () => {
        const collection = options.collection(name)
        if (collection === undefined) return refuse('HS_NOT_FOUND', `there is no collection ${name}`)
        const { metric, dimension } = options.settings(collection)
        const vector = encodeFloatVector(query.vector, metric, dimension)
        if (!vector.ok) return refuse('HS_INVALID_VECTOR', vector.fault)
        if (dimension === undefined) return { ok: true, results: [] }
        const numbers = new Float32Array(dimension)
        readFloats(vector.bytes, numbers, 0)
        const distance = createDistance(metric, numbers)
        const snapshot = store.snapshot()
        try {
          return await run({ collection, snapshot, dimension, distance, query, turn: () => inTurns(nextTurn) })
        } finally {
          const held = heldByName.get(name)
          if (held !== undefined) held.isBusy = false
          await snapshot.close()
        }
      }),
    forget() {
      for (const [name, { isBusy }] of heldByName) if (!isBusy) heldByName.delete(name)
    },
  }
}

/** Without a table: every row is read and measured, in constant memory. */
async function findInRows({ collection, snapshot, dimension, distance, query, turn }: Search): Promise<Nearest> {
  const nearest = createNearest(query.k)
  const rows = recordRows(collection.cid, query.prefix === undefined ? {} : { prefix: query.prefix })
  if (rows === undefined) return nearest
  const numbers = new Float32Array(dimension)
  for await (const page of pagesOf(snapshot, rows, ROWS_PER_PAGE)) {
    await turn()
    for (const [row, value] of page) {
      const vector = vectorOf(value, dimension)
      if (vector === undefined) continue
      readFloats(vector, numbers, 0)
      const far = distance(numbers, 0, squaredNorm(numbers, 0, dimension))
      if (far <= nearest.limit) nearest.offer(far, keyText(keyOfRecordRow(row)))
    }
  }
  return nearest
}

/** The vector that a record row shows, as a view into it, if it has this dimension. */
function vectorOf(value: Uint8Array | undefined, dimension: number): Uint8Array | undefined {
  const stored = value && decodeStoredEntry(value)
  const shown = stored && shownVersion(stored.entry)
  const vector = shown && decodeContent(shown)?.vector
  return vector?.length === dimension * 4 ? vector : undefined
}

async function lastSequence(reader: StoreReader): Promise<number> {
  for await (const [last] of pagesOf(reader, { ...feedAfter(0, SEQUENCE_MAX), reverse: true }, 1)) {
    if (last !== undefined) return readSequence(last[0].subarray(1))
  }
  return 0
}

async function* pagesOf(reader: StoreReader, range: RowRange | undefined, rowsMax: number): AsyncGenerator<readonly Row[]> {
  if (range === undefined) return
  const cursor = reader.scan(range)
  try {
    for (;;) {
      const page = await cursor.next(rowsMax)
      if (page.length === 0) return
      yield page
    }
  } finally {
    await cursor.close()
  }
}

/** Hands out turns of the event loop one after the other: each is asked for when the one before has come (V2). */
function createTurns(): (nextTurn: NextTurn) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return nextTurn => {
    const turn = last.then(nextTurn)
    last = turn.catch(() => {})
    return turn
  }
}

/** Runs the jobs of one name one after the other: tables change between searches, never under one. */
function createOrder(): <T>(name: string, job: () => Promise<T>) => Promise<T> {
  const lastByName = new Map<string, Promise<unknown>>()
  return async (name, job) => {
    const done = (lastByName.get(name) ?? Promise.resolve()).then(job)
    const settled = done.catch(() => {})
    lastByName.set(name, settled)
    try {
      return await done
    } finally {
      if (lastByName.get(name) === settled) lastByName.delete(name)
    }
  }
}

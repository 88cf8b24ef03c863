/** The store port on LevelDB. */
import { open, readdir, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { Row, RowRange, Store, StoreBatch, StoreReader } from '../sync/store.ts'
import { AgentError } from './errors.ts'
import { markDamagedRecords } from './log-mending.ts'
import { findStrayTables, readTableEnds } from './manifest.ts'
import { isDamage, reasonOf } from './store-damage.ts'

type Database = ClassicLevel<Uint8Array, Uint8Array>

/**
 * Bytes that LevelDB collects in memory before it writes a table; there are at most two such memories, and opening reads one back from the
 * log. Twice LevelDB's own choice: rows of digests come in no order, and larger tables of them are merged less often (P9).
 */
const WRITE_BUFFER_BYTES = 8 * 1024 * 1024

/** Rows of records begin with it (sync/rows.ts). */
const RECORD_KIND = 'r'.charCodeAt(0)

/** Tables of 2 MiB that are merged in one go, with what they overlap: so much is written before anything is removed, and a stop waits for it. */
const TABLES_PER_MERGE = 8

/** After a failed write the database is opened again when this much is free: opening writes, too. */
const REOPEN_FREE_BYTES_MIN = 16 * 1024 * 1024

export interface LevelStore extends Store {
  /**
   * Merges all tables, a few at a time and as long as `goesOn` says so between them: then what was deleted takes no room any more. Not while somebody
   * reads: whoever does keeps the tables that were merged. True when all were.
   */
  compact(goesOn: () => Promise<boolean>): Promise<boolean>
  /**
   * Calls back when a write fails, or the opening behind it, because LevelDB has met damage: where it merges it will meet it again however often it
   * is opened. More than once, as often as that happens.
   */
  onDamaged(listener: (reason: string) => void): void
  /** Records that were removed since the store was opened, tombstones included. */
  removedRecords(): number
}

/** Opens the database in `folder`, or makes it. Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED. */
export async function openLevelStore(folder: string, { createIfMissing = true } = {}): Promise<LevelStore> {
  let database = await openDatabase(folder, createIfMissing)

  // After a failed write LevelDB refuses all others until it is opened again (P3). What is in the log of a failed write may or may not be there
  // afterwards, so whoever opens it again reads the state anew (group-commit.ts).
  let isBroken = false
  let onDamaged: (reason: string) => void = () => {}
  const noteDamage = (error: unknown): void => {
    const reason = reasonOf(error)
    if (isDamage(reason)) onDamaged(reason)
  }
  const reopen = async (): Promise<void> => {
    if (!isBroken) return
    const { bavail, bsize } = await statfs(folder)
    // What a merge leaves that the disk was too full for: LevelDB removes it when it has opened, which it may not be able to before.
    const strayBytes = (await findStrayTables(folder)).reduce((sum, { bytes }) => sum + bytes, 0)
    if (bavail * bsize + strayBytes < REOPEN_FREE_BYTES_MIN) throw new Error('the disk is full; writing begins again when there is room')
    await database.close()
    // Asked again: until it was closed LevelDB may have been merging.
    for (const { name } of await findStrayTables(folder)) await unlink(join(folder, name))
    try {
      database = await openDatabase(folder, false)
    } catch (error) {
      noteDamage(error)
      throw error
    }
    isBroken = false
  }

  // LevelDB syncs only its current log: rows written without `sync` may lie in an older one, which must be synced too (S3).
  // Batches written without `sync` are counted, each when it is given to LevelDB and again when it is in the log.
  let unsyncedCount = 0
  let syncedCount = 0
  let syncing: Promise<void> | undefined
  const syncLogs = async (): Promise<void> => {
    const reached = unsyncedCount
    for (const name of await readdir(folder)) if (name.endsWith('.log')) await syncFile(join(folder, name))
    syncedCount = reached
  }
  const flushTo = async (wanted: number): Promise<void> => {
    if (syncedCount >= wanted) return
    // One that is under way may have begun too early for the caller: then another follows.
    syncing ??= syncLogs().finally(() => (syncing = undefined))
    await syncing
    return flushTo(wanted)
  }
  const flush = (): Promise<void> => flushTo(unsyncedCount)

  let removedRecords = 0
  const readers = new Set<object>()
  const enterReader = (): (() => void) => {
    const token = {}
    readers.add(token)
    return () => void readers.delete(token)
  }
  const reader = createReader(() => database, {}, enterReader)
  return {
    ...reader,
    batch(): StoreBatch {
      // A batch belongs to the database that is open now. One that is to be opened again, or is closed, takes none.
      const batch = isBroken || database.status !== 'open' ? undefined : database.batch()
      return {
        put: (key, value) => void batch?.put(key, value),
        del(key) {
          if (key[0] === RECORD_KIND) removedRecords += 1
          batch?.del(key)
        },
        async write({ sync }) {
          if (isBroken) throw new Error('the database has failed, and could not be opened again yet')
          if (batch === undefined) throw new Error('the database was not open; try again')
          if (!sync) unsyncedCount += 1
          try {
            await batch.write({ sync })
          } catch (error) {
            isBroken = true
            noteDamage(error)
            throw error
          }
          if (sync) await flush()
          else unsyncedCount += 1
        },
        discard: () => void batch?.close(),
      }
    },
    snapshot() {
      const current = database
      const snapshot = current.snapshot()
      const leave = enterReader()
      return {
        ...createReader(() => current, { snapshot }, enterReader),
        close() {
          leave()
          return snapshot.close()
        },
      }
    },
    flush,
    reopen,
    async compact(goesOn) {
      const ends = (await readTableEnds(folder)).filter((_, i) => i % TABLES_PER_MERGE === TABLES_PER_MERGE - 1)
      let from: Uint8Array = FIRST_ROW
      for (const to of [...ends, LAST_ROW]) {
        if (readers.size > 0 || isBroken || !(await goesOn())) return false
        await database.compactRange(from, to)
        from = to
      }
      return true
    },
    onDamaged: listener => void (onDamaged = listener),
    removedRecords: () => removedRecords,
    close: () => database.close(),
  }
}

/**
 * Throws AgentError HS_STORE_LOCKED when another process has the database open. LevelDB locks it and finds that there is one, or none, before it
 * looks at anything else: nothing is read, written or compacted.
 */
export async function refuseLocked(folder: string): Promise<void> {
  const database = new ClassicLevel(folder, { createIfMissing: false, errorIfExists: true })
  const failure = await database.open().then(
    () => undefined,
    (error: unknown) => openFailure(folder, error),
  )
  await database.close()
  if (failure?.code === 'HS_STORE_LOCKED') throw failure
}

async function openDatabase(folder: string, createIfMissing: boolean): Promise<Database> {
  const database: Database = new ClassicLevel<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    writeBufferSize: WRITE_BUFFER_BYTES,
    createIfMissing,
  })
  try {
    await database.open()
    return database
  } catch (error) {
    throw openFailure(folder, error)
  }
}

/** No row is in front of the one or behind the other: rows begin with a letter. */
const FIRST_ROW = Uint8Array.of(0)
const LAST_ROW = Uint8Array.of(0xff)

/**
 * Resurrects what can be read of a damaged database that nobody has open: every table and log that has rows. The newest rows may be lost, older
 * ones may come back, and rows of one batch may be of different moments. What it sets aside it keeps in `lost`. Throws an Error. A damaged table
 * must not be there: LevelDB, with its assertions on and no look at checksums, ends the process where keys are not in order.
 */
export async function repairDatabase(folder: string): Promise<void> {
  await markDamagedRecords(folder)
  await ClassicLevel.repair(folder)
  // A repair leaves all tables side by side, where reads of single rows may find older ones first; merging them puts that right.
  const database = await openDatabase(folder, false)
  try {
    await database.compactRange(FIRST_ROW, LAST_ROW)
  } finally {
    await database.close()
  }
}

function createReader(
  database: () => Database,
  options: { snapshot?: ReturnType<Database['snapshot']> },
  enter: () => () => void,
): StoreReader {
  return {
    get: key => database().getSync(key, options),
    scan(range: RowRange) {
      const iterator = database().iterator({ ...range, ...options })
      const leave = enter()
      return {
        next: (rowsMax): Promise<Row[]> => iterator.nextv(rowsMax),
        close() {
          leave()
          return iterator.close()
        },
      }
    },
  }
}

async function syncFile(path: string): Promise<void> {
  let file
  try {
    file = await open(path, 'r')
  } catch (error) {
    // LevelDB removes a log when its rows are in a table, which it has synced.
    if (isErrnoException(error) && error.code === 'ENOENT') return
    throw error
  }
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}

function isErrnoException(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error
}

function openFailure(folder: string, error: unknown): AgentError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (isErrnoException(cause) && cause.code === 'LEVEL_LOCKED') {
    return new AgentError('HS_STORE_LOCKED', `the database in ${folder} is open in another process; one agent runs on one data directory`, {
      cause,
    })
  }
  return new AgentError('HS_STORE_OPEN_FAILED', `the database in ${folder} cannot be opened: ${reasonOf(cause)}`, { cause })
}

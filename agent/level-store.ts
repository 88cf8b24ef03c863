/** The store port on LevelDB. */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import type { Row, RowRange, Store, StoreReader } from '../sync/store.ts'
import { AgentError } from './errors.ts'

type Database = Level<Uint8Array, Uint8Array>

/**
 * Bytes that LevelDB collects in memory before it writes a table; there are at most two such memories, and opening reads one back from the
 * log. Twice LevelDB's own choice: rows of digests come in no order, and larger tables of them are merged less often (P9).
 */
const WRITE_BUFFER_BYTES = 8 * 1024 * 1024

/** Opens or makes the database in `folder`. Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED. */
export async function openLevelStore(folder: string): Promise<Store> {
  const database: Database = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    writeBufferSize: WRITE_BUFFER_BYTES,
  })
  try {
    await database.open()
  } catch (error) {
    throw openFailure(folder, error)
  }

  // LevelDB syncs only its current log: rows written without `sync` may lie in an older one, which must be synced too (S3).
  let hasUnsynced = false
  const syncOlderLogs = async (): Promise<void> => {
    for (const name of await readdir(folder)) if (name.endsWith('.log')) await syncFile(join(folder, name))
  }

  const reader = createReader(database, {})
  return {
    ...reader,
    async write(changes, { sync }) {
      const batch = database.batch()
      for (const change of changes) {
        if (change.type === 'put') batch.put(change.key, change.value)
        else batch.del(change.key)
      }
      const hadUnsynced = hasUnsynced
      if (!sync) hasUnsynced = true
      await batch.write({ sync })
      if (sync && hadUnsynced) {
        await syncOlderLogs()
        hasUnsynced = false
      }
    },
    snapshot() {
      const snapshot = database.snapshot()
      return { ...createReader(database, { snapshot }), close: () => snapshot.close() }
    },
    async flush() {
      if (!hasUnsynced) return
      hasUnsynced = false
      try {
        await syncOlderLogs()
      } catch (error) {
        hasUnsynced = true
        throw error
      }
    },
    close: () => database.close(),
  }
}

function createReader(database: Database, options: { snapshot?: ReturnType<Database['snapshot']> }): StoreReader {
  return {
    get: key => database.getSync(key, options),
    scan(range: RowRange) {
      const iterator = database.iterator({ ...range, ...options })
      return {
        next: (rowsMax): Promise<Row[]> => iterator.nextv(rowsMax),
        close: () => iterator.close(),
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
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new AgentError('HS_STORE_OPEN_FAILED', `the database in ${folder} cannot be opened: ${reason}`, { cause })
}

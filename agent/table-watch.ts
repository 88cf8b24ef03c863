/**
 * Checks the database's tables one by one while the agent runs: an opening looks at the newest ones alone. What is damaged is reported, and
 * the next start mends the database (store-opening.ts). A table is taken for damaged when it is found so twice, a round apart, at one length:
 * LevelDB may have been writing it.
 */
import type { Logger } from 'pino'
import { join } from 'node:path'
import { requestRecovery } from './recovery-marker.ts'
import { findTableFault, listTables, type TableFile } from './table-check.ts'

/** One table is read this often: 2 MiB, as a rule. */
const TABLE_MS = 10_000
/** A round takes at least this long. */
const ROUND_MS_MIN = 120_000

export interface TableWatch {
  /** What was found, in words. */
  fault(): string | undefined
  close(): Promise<void>
}

export function watchTables(dataDir: string, log: Logger, tableMs = TABLE_MS, roundMsMin = ROUND_MS_MIN): TableWatch {
  const folder = join(dataDir, 'store')
  const suspectBytesByName = new Map<string, number>()
  let left: TableFile[] = []
  let roundFromMs = -Infinity
  let fault: string | undefined
  let checking: Promise<void> | undefined

  const checkNext = async (): Promise<void> => {
    if (left.length === 0) {
      if (performance.now() - roundFromMs < roundMsMin) return
      roundFromMs = performance.now()
      left = await listTables(folder)
      for (const name of suspectBytesByName.keys()) if (!left.some(table => table.name === name)) suspectBytesByName.delete(name)
    }
    const table = left.shift()
    const found = table && (await findTableFault(folder, table))
    if (table === undefined || found === undefined) return
    if (suspectBytesByName.get(table.name) === table.bytes) {
      await requestRecovery(dataDir, found)
      fault = found
      log.error({ reason: found }, 'the database is damaged; the next start mends it')
    }
    suspectBytesByName.set(table.name, table.bytes)
  }
  const timer = setInterval(() => {
    if (fault !== undefined) return
    checking ??= checkNext()
      .catch((error: unknown) => log.warn({ err: error }, 'a table of the database could not be checked; it is tried again'))
      .finally(() => (checking = undefined))
  }, tableMs)
  return {
    fault: () => fault,
    async close() {
      clearInterval(timer)
      await checking
    },
  }
}

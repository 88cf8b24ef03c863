/** Holds a data directory that no agent has open against itself: every checksum and every digest. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCollections } from '../sync/collection-state.ts'
import { SYSTEM_COLLECTION } from '../sync/settings.ts'
import { findAuditFault } from '../sync/store-audit.ts'
import { openLevelStore, refuseLocked } from './level-store.ts'
import { readLiveTables } from './manifest.ts'
import { openOutageLog } from './outage-log.ts'
import { systemHash } from './ports.ts'
import { findOtherSalt } from './salt.ts'
import { reasonOf } from './store-damage.ts'
import { findTableFault, listTables } from './table-check.ts'

export interface Verification {
  /** In words; empty when everything matches. */
  readonly faults: readonly string[]
  readonly tables: number
  readonly collections: number
  readonly records: number
}

/** Throws AgentError HS_STORE_LOCKED when an agent runs on it. What LevelDB does when it opens, it does: its newest rows go from its log into a table. */
export async function verifyDataDirectory(dataDir: string, salt: Uint8Array): Promise<Verification> {
  const folder = join(dataDir, 'store')
  const faults: string[] = []
  let tables = 0
  let collections = 0
  let records = 0
  if ((await stat(folder).catch(() => undefined)) === undefined)
    return { faults: [`there is no database in ${dataDir}`], tables, collections, records }
  await refuseLocked(folder)
  const live = await readLiveTables(folder)
  for (const table of await listTables(folder)) {
    if (live?.has(Number.parseInt(table.name, 10)) === false) continue
    tables += 1
    const fault = await findTableFault(folder, table)
    if (fault !== undefined) faults.push(`table ${fault}`)
  }
  // LevelDB may end the process where it merges a table that is damaged.
  if (faults.length === 0) {
    try {
      const store = await openLevelStore(folder, { createIfMissing: false })
      try {
        const fault = findOtherSalt(store, salt) ?? (await findAuditFault(store, systemHash, salt))
        if (fault !== undefined) faults.push(fault)
        for (const { name, dropped, recordCount } of await loadCollections(store)) {
          if (dropped || name === SYSTEM_COLLECTION) continue
          collections += 1
          records += recordCount
        }
      } finally {
        await store.close()
      }
    } catch (error) {
      faults.push(reasonOf(error))
    }
  }
  const outageFolder = join(dataDir, 'outage')
  if ((await stat(outageFolder).catch(() => undefined)) !== undefined) {
    const log = await openOutageLog(outageFolder, Number.MAX_SAFE_INTEGER)
    // Reading it all is what finds it.
    for await (const _ of log.replay(() => false)) continue
    const { damagedBytes } = log.state()
    await log.close()
    if (damagedBytes > 0) faults.push(`${damagedBytes} bytes of the outage log cannot be read`)
  }
  return { faults, tables, collections, records }
}

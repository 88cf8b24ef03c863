/**
 * Puts a backup in the place of the database of a data directory that no agent has open. What was there is moved aside (`quarantine-<time>`),
 * never removed. The store gets a store id and an origin of its own: it is a copy, behind what others know of the one it was made from (R2).
 */
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../../base/ports.ts'
import { renewIdentity } from '../../sync/replica-state.ts'
import { AgentError } from '../errors.ts'
import { openLevelStore, refuseLocked } from '../level-store.ts'
import { chooseQuarantine, removeMarker } from '../recovery-marker.ts'
import { syncFolder } from '../durable-file.ts'
import { readBackup, type BackupCount, type BackupHeader } from './backup-file.ts'

export interface RestoreOptions {
  readonly dataDir: string
  readonly chunks: AsyncIterable<Uint8Array>
  /** Of HS_DIGEST_SALT, in hex. */
  readonly saltId: string
  readonly random: Random
  readonly wallMs: number
  /** A database that is there is moved aside; without it, it is a reason not to begin. */
  readonly isReplacing: boolean
  /** Grows as rows are written. */
  readonly count: BackupCount
}

export interface Restored {
  readonly header: BackupHeader
  /** Where the former database is, in the data directory. */
  readonly quarantine: string | undefined
}

/** Beside the database until it is whole: a power cut leaves it, and the next restore removes it. */
const UNFINISHED = 'restoring'

/** Throws AgentError HS_BACKUP_INVALID, HS_STORE_LOCKED, HS_STORE_EXISTS, HS_STORE_OPEN_FAILED; then the data directory is as it was. */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { dataDir, chunks, saltId, isReplacing, count } = options
  const [folder, unfinished] = [join(dataDir, 'store'), join(dataDir, UNFINISHED)]
  const isThere = (await stat(folder).catch(() => undefined)) !== undefined
  if (isThere) await refuseLocked(folder)
  if (isThere && !isReplacing) {
    throw new AgentError(
      'HS_STORE_EXISTS',
      `${dataDir} has a database: --replace moves it aside (quarantine-<time>) and restores in its place`,
    )
  }
  const { header, blocks } = await readBackup(chunks)
  if (header.saltId !== saltId) {
    throw new AgentError('HS_BACKUP_INVALID', 'the backup was made under another HS_DIGEST_SALT: restore it with that of its swarm')
  }
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o750 })
    await rm(unfinished, { recursive: true, force: true })
    const store = await openLevelStore(unfinished)
    try {
      for await (const rows of blocks) {
        const batch = store.batch()
        for (const [key, value] of rows) {
          batch.put(key, value)
          count.rows += 1
          count.bytes += key.length + value.length
        }
        await batch.write({ sync: false })
      }
      // Syncs everything before it, too.
      await renewIdentity(store, options.random)
      await store.flush()
    } finally {
      await store.close()
    }
    const quarantine = isThere ? await chooseQuarantine(dataDir, options.wallMs) : undefined
    if (quarantine !== undefined) await rename(folder, join(dataDir, quarantine))
    // What was to be mended is not here any more.
    await removeMarker(dataDir)
    await rename(unfinished, folder)
    await syncFolder(dataDir)
    return { header, quarantine }
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => {})
    throw error
  }
}

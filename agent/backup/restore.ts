/**
 * Puts a backup in the place of the database of a data directory that no agent has open. What was there is moved aside
 * (`quarantine-<time>`). The store gets a store id and an origin of its own: it is a copy, behind what others know of the one it was made from (R2).
 */
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../../base/ports.ts'
import { renewIdentity } from '../../sync/replica-state.ts'
import { AgentError } from '../errors.ts'
import { openLevelStore, refuseLocked } from '../level-store.ts'
import { chooseQuarantine, readMarker, removeMarker, writeMarker } from '../recovery-marker.ts'
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
    return { header, quarantine: await putInPlace(options, isThere) }
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => {})
    throw error
  }
}

/**
 * Between the two renames there is no database: a start that finds it so takes over what was moved aside, which the marker names. Sources of a
 * recovery that was not over stay to be taken over: they may hold what nobody else has.
 */
async function putInPlace({ dataDir, wallMs }: RestoreOptions, wasThere: boolean): Promise<string | undefined> {
  const [folder, unfinished] = [join(dataDir, 'store'), join(dataDir, UNFINISHED)]
  const before = await readMarker(dataDir)
  const sources = before?.sources ?? []
  if (!wasThere && (await stat(folder).catch(() => undefined)) !== undefined)
    throw new AgentError('HS_STORE_EXISTS', `${dataDir} has got a database meanwhile`)
  const quarantine = wasThere ? await chooseQuarantine(dataDir, wallMs) : undefined
  if (quarantine !== undefined) {
    // Asked again: the import took its time, and an agent may have been started.
    await refuseLocked(folder)
    await writeMarker(dataDir, { reason: 'a restore was interrupted', sources: [...sources, quarantine], attempts: [] })
    await rename(folder, join(dataDir, quarantine))
  }
  try {
    await rename(unfinished, folder)
  } catch (error) {
    if (quarantine !== undefined) await rename(join(dataDir, quarantine), folder)
    if (before === undefined) await removeMarker(dataDir)
    else await writeMarker(dataDir, before)
    throw error
  }
  await syncFolder(dataDir)
  if (sources.length > 0) await writeMarker(dataDir, { reason: before?.reason ?? '', sources, attempts: [] })
  else await removeMarker(dataDir)
  return quarantine
}

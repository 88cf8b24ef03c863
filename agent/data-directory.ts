/** The one place that is written. */
import { access, constants, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Store } from '../sync/store.ts'
import { AgentError } from './errors.ts'
import { loadIdentity, type Identity } from './identity.ts'
import { openLevelStore } from './level-store.ts'

export interface DataDirectory {
  readonly store: Store
  readonly identity: Identity
}

/** Opens the database, which locks the directory, and then the identity. Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED. */
export async function openDataDirectory(folder: string): Promise<DataDirectory> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o750 })
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new AgentError('HS_STORE_OPEN_FAILED', `the data directory ${folder} cannot be made or written: ${reason}`, { cause: error })
  }
  const store = await openLevelStore(join(folder, 'store'))
  try {
    return { store, identity: await loadIdentity(folder) }
  } catch (error) {
    await store.close()
    throw error
  }
}

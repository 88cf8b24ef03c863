/** The one place that is written. */
import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { renewIdentity } from '../sync/replica-state.ts'
import type { Store } from '../sync/store.ts'
import { AgentError } from './errors.ts'
import { loadIdentity, type Identity } from './identity.ts'
import { openLevelStore } from './level-store.ts'
import { readMachine } from './machine.ts'
import { systemRandom } from './ports.ts'
import { loadSigningKey, makeSigningKey, type SigningKey } from './signing-key.ts'

export interface DataDirectory {
  readonly store: Store
  readonly identity: Identity
  readonly signingKey: SigningKey
}

/** Opens the database, which locks the directory, and then the identity and the signing key. Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED. */
export async function openDataDirectory(folder: string): Promise<DataDirectory> {
  try {
    await makeFolders(folder)
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new AgentError('HS_STORE_OPEN_FAILED', `the data directory ${folder} cannot be used: ${describeFault(error)}`, { cause: error })
  }
  const store = await openLevelStore(join(folder, 'store'))
  try {
    const renew = async (): Promise<void> => {
      await renewIdentity(store, systemRandom)
      await makeSigningKey(folder)
    }
    const identity = await loadIdentity(folder, await readMachine(), renew)
    return { store, identity, signingKey: await loadSigningKey(folder) }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** `mkdir -p`. Node's own never ends where the parent is there and takes no folders, as in /proc. */
async function makeFolders(folder: string): Promise<void> {
  const make = (): Promise<void> => mkdir(folder, { mode: 0o750 })
  try {
    await make()
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await stat(folder)).isDirectory()) return
    if (codeOf(error) !== 'ENOENT' || dirname(folder) === folder) throw error
    await makeFolders(dirname(folder))
    await make()
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

const FAULTS: Readonly<Record<string, string>> = {
  EEXIST: 'there is a file of that name',
  ENOTDIR: 'a part of its path is a file',
  ENOENT: 'it cannot be made there',
  EROFS: 'the file system is mounted read-only',
  EACCES: 'this user is not allowed to write there',
  EPERM: 'this user is not allowed to write there',
  ENOSPC: 'the disk is full',
}

function describeFault(error: unknown): string {
  const code = codeOf(error)
  const known = code === undefined ? undefined : FAULTS[code]
  return known === undefined ? (error instanceof Error ? error.message : String(error)) : `${known} (${code})`
}

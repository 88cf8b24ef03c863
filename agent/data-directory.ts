/** The one place that is written. */
import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { renewIdentity } from '../sync/replica-state.ts'
import { readBoot } from './attempts.ts'
import { AgentError } from './errors.ts'
import { isIdentityThere, loadIdentity, type Identity } from './identity.ts'
import { refuseLocked } from './level-store.ts'
import { readMachine } from './machine.ts'
import { openOutageLog, removeOutageLog, type OutageLog } from './outage-log.ts'
import { systemHash, systemRandom } from './ports.ts'
import { rememberSalt } from './salt.ts'
import { loadSigningKey, makeSigningKey, type SigningKey } from './signing-key.ts'
import { beginStart, type Starts } from './starts.ts'
import { ALL_BYTES, CHECKED_BYTES_MAX, copyOwnRows, openStore, type OpenedStore } from './store-opening.ts'

export interface DataDirectory {
  /** The database, and what had to be done to open it; to be finished when everything is back (comeback.ts). */
  readonly opened: OpenedStore
  /** Undefined: switched off. */
  readonly outageLog: OutageLog | undefined
  readonly identity: Identity
  readonly signingKey: SigningKey
  /** To be told when this start has lasted, and when it ends in order (starts.ts). */
  readonly starts: Starts
}

export interface DataDirectoryOptions {
  /** 0: no outage log is written; what an earlier run has left is read. */
  readonly outageLogBytesMax: number
  readonly digestSalt: Uint8Array
  readonly wallMs: number
  /** Tables that are checked before the database is opened, in bytes, the newest ones; all of them where starts do not end in order. */
  readonly checkedBytesMax?: number | undefined
}

/**
 * Opens the database, which locks the directory, mending it where it must (store-opening.ts), and then the identity, the signing key and the
 * outage log. Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED.
 */
export async function openDataDirectory(folder: string, options: DataDirectoryOptions): Promise<DataDirectory> {
  try {
    await makeFolders(folder)
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new AgentError('HS_STORE_OPEN_FAILED', `the data directory ${folder} cannot be used: ${describeFault(error)}`, { cause: error })
  }
  const { digestSalt, wallMs, outageLogBytesMax, checkedBytesMax = CHECKED_BYTES_MAX } = options
  const storeFolder = join(folder, 'store')
  if (await isThere(storeFolder)) await refuseLocked(storeFolder)
  const boot = await readBoot()
  const starts = await beginStart(folder, boot)
  const opened = await openStore({
    dataDir: folder,
    hash: systemHash,
    random: systemRandom,
    digestSalt,
    wallMs,
    isKnown: await isIdentityThere(folder),
    boot,
    checkedBytesMax: starts.areFailing ? ALL_BYTES : checkedBytesMax,
  })
  if (starts.areFailing) await starts.restart()
  const outageFolder = join(folder, 'outage')
  try {
    // A disk that is full keeps nobody from starting: the next start remembers it.
    await rememberSalt(opened.store, digestSalt).catch(() => {})
    await copyOwnRows(folder, opened)
    const renew = async (): Promise<void> => {
      await renewIdentity(opened.store, systemRandom)
      await makeSigningKey(folder)
      // The robot that this was copied from brings its own writes back.
      await removeOutageLog(outageFolder)
    }
    const identity = await loadIdentity(folder, await readMachine(), renew)
    const signingKey = await loadSigningKey(folder)
    return { opened, identity, signingKey, starts, outageLog: await openLog(outageFolder, outageLogBytesMax) }
  } catch (error) {
    await opened.store.close()
    await opened.retract()
    throw error
  }
}

async function openLog(folder: string, bytesMax: number): Promise<OutageLog | undefined> {
  try {
    return bytesMax === 0 && !(await isThere(folder)) ? undefined : await openOutageLog(folder, bytesMax)
  } catch (error) {
    throw new AgentError('HS_STORE_OPEN_FAILED', `the outage log in ${folder} cannot be opened: ${describeFault(error)}`, { cause: error })
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
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

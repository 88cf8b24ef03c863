/**
 * Opening the database so that no human is needed (P2): open it; else repair it; else move it aside and begin with an empty one, which is filled
 * from what is left of the old one, the outage log and peers.
 *
 * LevelDB opens what is damaged without a word where it can: a log with a hole in the middle, a table with a bit turned over. So what was opened is
 * looked at: LevelDB's own remarks, the checksums of the newest tables, and the rows that every start reads (sync/store-audit.ts). A repaired
 * database is kept only when all of its rows belong together, and then as a new store under a new origin (R2): it may be older than it was.
 *
 * `recovery.json` stands in the data directory from before anything is altered until everything is back: whoever finds it begins again.
 */
import { readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hash, Random } from '../base/ports.ts'
import { rowsOf } from '../sync/collection-state.ts'
import { renewIdentity } from '../sync/replica-state.ts'
import { allLocalSettings, allQuarantined } from '../sync/rows.ts'
import { findAuditFault, findStartFault } from '../sync/store-audit.ts'
import type { Store } from '../sync/store.ts'
import { readSmallFile, writeDurably } from './durable-file.ts'
import { AgentError } from './errors.ts'
import { openLevelStore, repairDatabase } from './level-store.ts'
import { findNewTableFault } from './table-check.ts'

/** Tables that are checked at a start, the newest ones; what is older is checked while the agent runs (table-watch.ts). */
const CHECKED_BYTES_MAX = 32 * 1024 * 1024
/** Of a repaired database everything is checked. */
const ALL_BYTES = Infinity
/** Databases that were moved aside and are kept for a person to look at. */
export const QUARANTINES_MAX = 3
/** With less than this free, in parts of the disk, none is kept that is not needed. */
const FREE_PARTS_MIN = 20
const QUARANTINE = /^quarantine-\d{8}T\d{6}Z(-\d+)?$/
const MARKER = 'recovery.json'
const MARKER_BYTES_MAX = 64 * 1024
const DATA_FILE = /^\d+\.(ldb|sst|log)$/

export type RecoveryKind =
  /** The database was repaired and is whole. */
  | 'repaired'
  /** It could not be; another one is in its place. */
  | 'rebuilt'
  /** It was not there, although this node has had one. */
  | 'missing'

export interface StoreRecovery {
  readonly kind: RecoveryKind
  /** What was wrong, in words. */
  readonly reason: string
  /** Databases that were moved aside, in the data directory; what is left in them is still to be taken over. */
  readonly sources: readonly string[]
}

export interface OpenedStore {
  readonly store: Store
  /** Undefined: it opened and nothing is wrong. */
  readonly recovery: StoreRecovery | undefined
  /** Everything is back: the next start begins as ever. */
  finish(): Promise<void>
}

export interface StoreOpening {
  readonly dataDir: string
  readonly hash: Hash
  readonly random: Random
  readonly digestSalt: Uint8Array
  /** Unix milliseconds: names what is moved aside. */
  readonly wallMs: number
  /** This node has run before. */
  readonly isKnown: boolean
}

/** Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED; the latter only for what the environment does not let us do. */
export async function openStore(opening: StoreOpening): Promise<OpenedStore> {
  const folder = join(opening.dataDir, 'store')
  const marker = join(opening.dataDir, MARKER)
  const interrupted = await readMarker(marker)
  const finish = (): Promise<void> => rm(marker, { force: true })
  const opened = (store: Store, recovery: StoreRecovery | undefined): OpenedStore => ({ store, recovery, finish })

  const state = await lookAt(folder)
  if (state === 'absent' && interrupted === undefined) {
    const store = await openLevelStore(folder)
    return opened(store, opening.isKnown ? { kind: 'missing', reason: 'there was no database', sources: [] } : undefined)
  }
  // A rebuild that was interrupted has an own database already, or is about to get one; its sources are still there.
  const isRebuilding = interrupted !== undefined && interrupted.sources.length > 0
  let fault: string | undefined = interrupted !== undefined && !isRebuilding ? interrupted.reason : undefined
  if (state === 'absent') return opened(await openLevelStore(folder), { ...interrupted!, kind: 'rebuilt' })
  if (state === 'headless') {
    // Nobody else has it open: LevelDB says so before it misses anything.
    await openLevelStore(folder, { createIfMissing: false }).catch(rethrowUnlessDamaged)
    fault = 'its file CURRENT is missing'
  }
  if (fault === undefined) {
    const found = await openSound(folder, opening)
    if (found.store !== undefined) return opened(found.store, isRebuilding ? interrupted : undefined)
    fault = found.fault
  }
  const before = interrupted?.sources ?? []
  const reason = isRebuilding ? `${interrupted.reason}; then ${fault}` : fault
  await writeMarker(marker, { kind: 'repaired', reason, sources: before })

  const repaired = await openRepaired(folder, opening)
  if (repaired !== undefined) {
    if (before.length === 0) await renewIdentity(repaired, opening.random)
    return opened(repaired, { kind: before.length === 0 ? 'repaired' : 'rebuilt', reason, sources: before })
  }
  const source = await chooseName(opening.dataDir, opening.wallMs)
  const recovery: StoreRecovery = { kind: 'rebuilt', reason, sources: [...before, source] }
  await writeMarker(marker, recovery)
  await rename(folder, join(opening.dataDir, source)).catch((error: unknown) => {
    throw cannot(folder, 'be moved aside', error)
  })
  await limitQuarantines(opening.dataDir, recovery.sources)
  return opened(await openLevelStore(folder), recovery)
}

/**
 * What is this node's own and nobody's history: its settings of collections, and versions in quarantine. Copied before the database is opened as
 * a replica; the newest source counts.
 */
export async function copyOwnRows(dataDir: string, { store, recovery }: OpenedStore): Promise<void> {
  for (const source of recovery?.sources ?? []) {
    let former: Store | undefined
    try {
      former = await openLevelStore(join(dataDir, source), { createIfMissing: false })
      const batch = store.batch()
      for (const range of [allLocalSettings, allQuarantined]) for await (const [row, value] of rowsOf(former, range)) batch.put(row, value)
      await batch.write({ sync: true })
    } catch (error) {
      // What cannot be read is not there.
      rethrowUnlessDamaged(error)
    } finally {
      await former?.close()
    }
  }
}

/** Opens a database that LevelDB takes for sound, and finds out whether it is. */
async function openSound(
  folder: string,
  { hash, digestSalt }: StoreOpening,
): Promise<{ readonly store: Store; readonly fault?: never } | { readonly store?: never; readonly fault: string }> {
  let store: Store
  try {
    store = await openLevelStore(folder, { createIfMissing: false })
  } catch (error) {
    rethrowUnlessDamaged(error)
    return { fault: reasonOf(error) }
  }
  try {
    let fault = (await findNewTableFault(folder, CHECKED_BYTES_MAX)) ?? (await findStartFault(store))
    // LevelDB has left something out. Behind the last synced batch that is what a power cut leaves; in front of it, it is a loss.
    if (fault === undefined && (await hasDropped(folder))) fault = await findAuditFault(store, hash, digestSalt)
    if (fault === undefined) return { store }
    await store.close()
    return { fault }
  } catch (error) {
    await store.close()
    return { fault: reasonOf(error) }
  }
}

/** Repairs the database; undefined when that does not make it whole. */
async function openRepaired(folder: string, { hash, digestSalt }: StoreOpening): Promise<Store | undefined> {
  // What a repair copies from a damaged table looks sound afterwards.
  const damage = await findNewTableFault(folder, ALL_BYTES)
  try {
    await repairDatabase(folder)
    if (damage !== undefined) return undefined
    const store = await openLevelStore(folder, { createIfMissing: false })
    try {
      if ((await findAuditFault(store, hash, digestSalt)) === undefined) return store
    } catch {
      // Rows that cannot be read, either.
    }
    await store.close()
  } catch (error) {
    rethrowUnlessDamaged(error)
  }
  return undefined
}

/** What is there under the name of the database. Throws where that is no folder. */
async function lookAt(folder: string): Promise<'absent' | 'headless' | 'present'> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'absent'
    throw cannot(folder, 'be read', error)
  }
  if (names.includes('CURRENT')) return 'present'
  return names.some(name => DATA_FILE.test(name)) ? 'headless' : 'absent'
}

/** Whether LevelDB has said, at this opening, that it has left out a part of a log. */
async function hasDropped(folder: string): Promise<boolean> {
  return /dropping \d+ bytes/.test(await readFile(join(folder, 'LOG'), 'latin1').catch(() => ''))
}

/** What no repair helps against: to go on would make it worse. */
const ENVIRONMENT =
  /No space left|Permission denied|Operation not permitted|Read-only file system|Too many open files|Cannot allocate memory|Disk quota/i

function rethrowUnlessDamaged(error: unknown): void {
  if (error instanceof AgentError && error.code === 'HS_STORE_LOCKED') throw error
  const reason = reasonOf(error)
  if (ENVIRONMENT.test(reason)) {
    throw error instanceof AgentError
      ? error
      : new AgentError('HS_STORE_OPEN_FAILED', `the database cannot be opened: ${reason}`, { cause: error })
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

const cannot = (path: string, what: string, error: unknown): AgentError =>
  new AgentError('HS_STORE_OPEN_FAILED', `the database in ${path} cannot ${what}: ${reasonOf(error)}`, { cause: error })

async function readMarker(path: string): Promise<StoreRecovery | undefined> {
  const text = await readSmallFile(path, MARKER_BYTES_MAX).catch((error: unknown) => {
    throw cannot(path, 'be read', error)
  })
  if (text === undefined) return undefined
  let fields: Record<string, unknown> = {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) fields = { ...value }
  } catch {
    // Somebody has altered it: then what it says is not known, and the database is repaired.
  }
  const list: unknown[] = Array.isArray(fields['sources']) ? fields['sources'] : []
  const sources = list.filter((name): name is string => typeof name === 'string' && QUARANTINE.test(name))
  const reason = typeof fields['reason'] === 'string' ? fields['reason'] : 'an earlier recovery was interrupted'
  return { kind: sources.length > 0 ? 'rebuilt' : 'repaired', reason, sources }
}

async function writeMarker(path: string, recovery: StoreRecovery): Promise<void> {
  try {
    await writeDurably(path, `${JSON.stringify(recovery, undefined, 2)}\n`)
  } catch (error) {
    throw cannot(path, 'be written', error)
  }
}

/** The next opening takes the database for damaged. */
export async function requestRecovery(dataDir: string, reason: string): Promise<void> {
  await writeMarker(join(dataDir, MARKER), { kind: 'repaired', reason, sources: [] })
}

async function chooseName(dataDir: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  for (let i = 1; ; i++) {
    const name = `quarantine-${time}${i === 1 ? '' : `-${i}`}`
    if ((await stat(join(dataDir, name)).catch(() => undefined)) === undefined) return name
  }
}

export async function listQuarantines(dataDir: string): Promise<string[]> {
  return (await readdir(dataDir)).filter(name => QUARANTINE.test(name)).sort()
}

/** Removes the oldest of those that nothing is to be taken from any more, where there are too many or the disk is short of room. */
async function limitQuarantines(dataDir: string, sources: readonly string[]): Promise<void> {
  const names = await listQuarantines(dataDir)
  const removable = names.filter(name => !sources.includes(name))
  for (let count = names.length; removable.length > 0; count--) {
    const { bavail, blocks } = await statfs(dataDir)
    if (count <= QUARANTINES_MAX && bavail * FREE_PARTS_MIN >= blocks) return
    await rm(join(dataDir, removable.shift() ?? ''), { recursive: true, force: true })
  }
}

/**
 * Opening the database so that no human is needed (P2): open it; else repair it; else move it aside and begin with an empty one, which is filled
 * from what is left of the old one, the outage log and peers.
 *
 * LevelDB opens what is damaged without a word where it can: a log with a hole in the middle, a table with a bit turned over. So what was opened is
 * looked at: LevelDB's own remarks, the checksums of the newest tables, and the rows that every start reads (sync/store-audit.ts). A repaired
 * database is kept only when all of its rows belong together, and then as a new store under a new origin (R2): it may be older than it was.
 *
 * LevelDB may compact from the moment that it is open, and a compaction or a repair ends the process where it meets a damaged key: no exception,
 * no exit. So tables are checked beforehand, a table that is known to be damaged is never given to either, and what may end the process
 * is noted in `recovery.json` before it begins: what did not end twice is not begun again.
 *
 * `recovery.json` stands in the data directory from before anything is altered until everything is back: whoever finds it begins again.
 */
import { readdir, readFile, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hash, Random } from '../base/ports.ts'
import { rowsOf } from '../sync/collection-state.ts'
import { renewIdentity } from '../sync/replica-state.ts'
import { allLocalSettings, allQuarantined } from '../sync/rows.ts'
import { findAuditFault, findStartFault } from '../sync/store-audit.ts'
import { areTooMany, withAttempt } from './attempts.ts'
import { removeDurably } from './durable-file.ts'
import { AgentError } from './errors.ts'
import { openLevelStore, repairDatabase, type LevelStore } from './level-store.ts'
import { readLiveTables } from './manifest.ts'
import { chooseQuarantine, QUARANTINE, readMarker, removeMarker, writeMarker, type RecoveryMarker } from './recovery-marker.ts'
import { findOtherSalt } from './salt.ts'
import { isEnvironmental, reasonOf } from './store-damage.ts'
import { findNewTableFault } from './table-check.ts'
import { mendTables } from './table-mending.ts'

/** Tables that are checked at a start, the newest ones; what is older is checked while the agent runs (table-watch.ts). */
export const CHECKED_BYTES_MAX = 32 * 1024 * 1024
/** Of a repaired database everything is checked, and of one with which starts do not end in order (starts.ts). */
export const ALL_BYTES = Infinity
/** Databases that were moved aside and are kept for a person to look at. */
export const QUARANTINES_MAX = 3
/** With less than this free, in parts of the disk, none is kept that is not needed. */
const FREE_PARTS_MIN = 20
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
  /** Databases that were moved aside, in the data directory. */
  readonly sources: readonly string[]
  /** Of these, those that can be opened: what is left in them is still to be taken over. */
  readonly readable: readonly string[]
}

export interface OpenedStore {
  readonly store: LevelStore
  /** Undefined: it opened and nothing is wrong. */
  readonly recovery: StoreRecovery | undefined
  /** Everything is back: the next start begins as ever. */
  finish(): Promise<void>
  /** This start ends in order, for a reason that it tells: its attempt at a recovery does not count. Never throws. */
  retract(): Promise<void>
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
  /** This boot of the machine (attempts.ts). */
  readonly boot: string
  /** Tables that are checked before the database is opened, in bytes, the newest ones. */
  readonly checkedBytesMax: number
}

/**
 * Opens the database, which nobody else has open (level-store.ts, refuseLocked). Throws AgentError HS_STORE_LOCKED or HS_STORE_OPEN_FAILED; the
 * latter only for what the environment does not let us do.
 */
export async function openStore(opening: StoreOpening): Promise<OpenedStore> {
  const attempt = createAttempt(opening)
  try {
    const { store, recovery } = await openOrMend(opening, attempt)
    return { store, recovery, finish: () => removeMarker(opening.dataDir), retract: () => attempt.retract() }
  } catch (error) {
    await attempt.retract()
    throw error
  }
}

interface Attempt {
  /** Notes that a step is begun, durably. */
  begin(marker: RecoveryMarker): Promise<void>
  retract(): Promise<void>
}

function createAttempt({ dataDir, boot }: StoreOpening): Attempt {
  let begun: RecoveryMarker | undefined
  return {
    begin(marker) {
      begun = marker
      return writeMarker(dataDir, { ...marker, attempts: withAttempt(marker.attempts, boot) })
    },
    async retract() {
      if (begun !== undefined) await writeMarker(dataDir, begun).catch(() => {})
    },
  }
}

type Opened = Pick<OpenedStore, 'store' | 'recovery'>

async function openOrMend(opening: StoreOpening, attempt: Attempt): Promise<Opened> {
  const { dataDir, boot } = opening
  const folder = join(dataDir, 'store')
  const marker = await readMarker(dataDir)
  const state = await lookAt(folder)
  if (state === 'absent' && marker === undefined) {
    const missing: StoreRecovery = { kind: 'missing', reason: 'there was no database', sources: [], readable: [] }
    return { store: await openLevelStore(folder), recovery: opening.isKnown ? missing : undefined }
  }
  // A rebuild that was interrupted has an own database already, or is about to get one; its sources are still there.
  const isRebuilding = marker !== undefined && marker.sources.length > 0
  const rebuild = async (rebuilding: RecoveryMarker): Promise<Opened> => {
    const recovery = await prepareSources(opening, rebuilding, attempt)
    return { store: await openLevelStore(folder), recovery }
  }
  /** The same with a database that is open already. */
  const rebuildIn = async (store: LevelStore, rebuilding: RecoveryMarker): Promise<Opened> => {
    try {
      return { store, recovery: await prepareSources(opening, rebuilding, attempt) }
    } catch (error) {
      await store.close()
      throw error
    }
  }
  if (state === 'absent') return rebuild(marker!)
  let fault = marker !== undefined && !isRebuilding ? marker.reason : undefined
  if (fault === undefined && state === 'headless') fault = 'its file CURRENT is missing'
  if (fault === undefined) {
    const { store, fault: found } = await openSound(folder, opening)
    if (store !== undefined) return isRebuilding ? rebuildIn(store, marker) : { store, recovery: undefined }
    fault = found
  }
  const sources = marker?.sources ?? []
  const attempts = marker?.attempts ?? []
  const reason = isRebuilding ? `${marker.reason}; then ${fault}` : fault
  const repairing: RecoveryMarker = { reason, sources, attempts }
  const isHopeless = areTooMany(attempts, boot)
  await attempt.begin(repairing)
  const repaired = await openRepaired(folder, opening, isHopeless)
  if (repaired !== undefined) {
    if (isRebuilding) return rebuildIn(repaired, repairing)
    await renewIdentity(repaired, opening.random)
    return { store: repaired, recovery: { kind: 'repaired', reason, sources: [], readable: [] } }
  }
  const source = await chooseQuarantine(dataDir, opening.wallMs)
  // What does not end here would not end there.
  const rebuilding: RecoveryMarker = { reason, sources: [...sources, source], attempts: isRebuilding || isHopeless ? attempts : [] }
  await attempt.begin(rebuilding)
  await rename(folder, join(dataDir, source)).catch((error: unknown) => {
    throw cannot(folder, 'be moved aside', error)
  })
  await limitQuarantines(dataDir, rebuilding.sources)
  return rebuild(rebuilding)
}

/**
 * Makes the databases that were moved aside such that they can be opened, and notes the attempt, which is that at taking over what is left in
 * them, too: after too many they are left to a person.
 */
async function prepareSources({ dataDir, boot }: StoreOpening, marker: RecoveryMarker, attempt: Attempt): Promise<StoreRecovery> {
  const { reason, sources, attempts } = marker
  if (areTooMany(attempts, boot)) {
    const given = `mending it was begun ${attempts.length} times and did not end, so what is left of it is for a person to look at`
    return { kind: 'rebuilt', reason: `${reason}; ${given}`, sources, readable: [] }
  }
  await attempt.begin(marker)
  const readable: string[] = []
  for (const source of sources) if (await makeReadable(join(dataDir, source))) readable.push(source)
  return { kind: 'rebuilt', reason, sources, readable }
}

/** One that has its file CURRENT was repaired before it was moved aside, or is by now. */
async function makeReadable(folder: string): Promise<boolean> {
  try {
    if ((await lookAt(folder)) === 'headless') {
      await mendTables(folder)
      await repairDatabase(folder)
    }
    return (await lookAt(folder)) === 'present'
  } catch (error) {
    rethrowUnlessDamaged(error)
    return false
  }
}

/**
 * What is this node's own and nobody's history: its settings of collections, and versions in quarantine. Copied before the database is opened as
 * a replica; the newest source counts.
 */
export async function copyOwnRows(dataDir: string, { store, recovery }: OpenedStore): Promise<void> {
  for (const source of recovery?.readable ?? []) {
    let former: LevelStore | undefined
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
  { hash, digestSalt, checkedBytesMax }: StoreOpening,
): Promise<{ readonly store: LevelStore; readonly fault?: never } | { readonly store?: never; readonly fault: string }> {
  const damage = await findNewTableFault(folder, checkedBytesMax, await readLiveTables(folder))
  if (damage !== undefined) return { fault: damage }
  let store: LevelStore
  try {
    store = await openLevelStore(folder, { createIfMissing: false })
  } catch (error) {
    rethrowUnlessDamaged(error)
    return { fault: reasonOf(error) }
  }
  try {
    const otherSalt = findOtherSalt(store, digestSalt)
    if (otherSalt !== undefined) throw new AgentError('HS_CONFIG_INVALID', otherSalt)
    let fault = await findStartFault(store)
    // LevelDB has left something out. Behind the last synced batch that is what a power cut leaves; in front of it, it is a loss.
    if (fault === undefined && (await hasDropped(folder))) fault = await findAuditFault(store, hash, digestSalt)
    if (fault === undefined) return { store }
    await store.close()
    return { fault }
  } catch (error) {
    await store.close()
    if (error instanceof AgentError) throw error
    return { fault: reasonOf(error) }
  }
}

/** Repairs the database; undefined when that does not make it whole, or is hopeless. */
async function openRepaired(folder: string, { hash, digestSalt }: StoreOpening, isHopeless: boolean): Promise<LevelStore | undefined> {
  const isDamaged = !isHopeless && (await findNewTableFault(folder, ALL_BYTES, await readLiveTables(folder))) !== undefined
  // A repair makes another: without it, it is known that none has ended, wherever the database is by then.
  await removeDurably(join(folder, 'CURRENT'))
  if (isHopeless || isDamaged) return undefined
  try {
    // A repair takes what a compaction had not written to its end, too.
    await mendTables(folder)
    await repairDatabase(folder)
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

function rethrowUnlessDamaged(error: unknown): void {
  if (error instanceof AgentError && error.code === 'HS_STORE_LOCKED') throw error
  const reason = reasonOf(error)
  if (isEnvironmental(reason)) {
    throw error instanceof AgentError
      ? error
      : new AgentError('HS_STORE_OPEN_FAILED', `the database cannot be opened: ${reason}`, { cause: error })
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

const cannot = (path: string, what: string, error: unknown): AgentError =>
  new AgentError('HS_STORE_OPEN_FAILED', `the database in ${path} cannot ${what}: ${reasonOf(error)}`, { cause: error })

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

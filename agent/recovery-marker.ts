/** `recovery.json`: stands in the data directory from before anything of the database is altered until everything is back. */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { attemptsFrom } from './attempts.ts'
import { readSmallFile, writeDurably } from './durable-file.ts'
import { AgentError } from './errors.ts'

export const QUARANTINE = /^quarantine-\d{8}T\d{6}Z(-\d+)?$/
const MARKER = 'recovery.json'
const MARKER_BYTES_MAX = 64 * 1024

/** A recovery that is not over. */
export interface RecoveryMarker {
  /** What was wrong, in words. */
  readonly reason: string
  /** Databases that were moved aside, in the data directory. None: the one in place is to be repaired. */
  readonly sources: readonly string[]
  /** The boots in which the present step was begun: the repair, or taking over what is left in the sources. */
  readonly attempts: readonly string[]
}

/** Undefined when there is none. Throws AgentError HS_STORE_OPEN_FAILED. */
export async function readMarker(dataDir: string): Promise<RecoveryMarker | undefined> {
  const path = join(dataDir, MARKER)
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
  return { reason, sources, attempts: attemptsFrom(fields['attempts']) }
}

/** Durable when it resolves. Throws AgentError HS_STORE_OPEN_FAILED. */
export async function writeMarker(dataDir: string, marker: RecoveryMarker): Promise<void> {
  const path = join(dataDir, MARKER)
  try {
    await writeDurably(path, `${JSON.stringify(marker, undefined, 2)}\n`)
  } catch (error) {
    throw cannot(path, 'be written', error)
  }
}

export const removeMarker = (dataDir: string): Promise<void> => rm(join(dataDir, MARKER), { force: true })

/** A name that is free in the data directory, for a database that is moved aside. */
export async function chooseQuarantine(dataDir: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  for (let i = 1; ; i++) {
    const name = `quarantine-${time}${i === 1 ? '' : `-${i}`}`
    if ((await stat(join(dataDir, name)).catch(() => undefined)) === undefined) return name
  }
}

/** The next opening takes the database for damaged; a recovery that is not over goes on instead, with what it has moved aside. */
export async function requestRecovery(dataDir: string, reason: string): Promise<void> {
  if (((await readMarker(dataDir))?.sources ?? []).length === 0) await writeMarker(dataDir, { reason, sources: [], attempts: [] })
}

function cannot(path: string, what: string, error: unknown): AgentError {
  const reason = error instanceof Error ? error.message : String(error)
  return new AgentError('HS_STORE_OPEN_FAILED', `the database in ${path} cannot ${what}: ${reason}`, { cause: error })
}

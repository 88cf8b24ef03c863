/**
 * A key that is damaged in an old table, which no start looks at: LevelDB ends the process when it compacts. The agent, started again and
 * again as systemd does it, comes up by itself, with everything that was acknowledged.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemHash } from '../../agent/ports.ts'
import { listTables } from '../../agent/table-check.ts'
import type { Random } from '../../base/ports.ts'
import { findAuditFault } from '../../sync/store-audit.ts'
import { ask, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { NO_SALT, openOwnReplica } from '../../agent/offline-replica.ts'
import { contentOf, put } from '../replica-pair.ts'
import { reportFault } from '../fault-report.ts'
import { createSeededRandom } from '../seeded-random.ts'

const programOf = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))
const UNCHECKED_AGENT = [process.execPath, programOf('unchecked-agent.ts')]
const COMPACTING = programOf('compacting-process.ts')
/** Two that do not last, and one that looks at everything. */
const STARTS_MAX = 3
const DEADLINE_MS = 60_000
const DAMAGES = 4
/** Of ten random bits one or two end a compaction. */
const TRIES_MAX = 300

let whole = ''
let table = ''
let expected: Record<string, string> = {}

/** A database with one old table, and so many new ones that the next opening merges them with it. */
beforeEach(async () => {
  whole = await makeFolder('hs-whole-')
  expected = {}
  for (let opening = 0; opening < 12; opening++) {
    const own = await openOwnReplica(whole)
    const keys = Array.from({ length: opening === 0 ? 400 : 10 }, (_, i) => `key ${Math.round(Math.sin(opening * 1_000 + i) * 1e9)}`)
    await own.replica.write(keys.map(key => put('c', key, `${opening} of ${key}`)))
    for (const key of keys) expected[key] = JSON.stringify(`${opening} of ${key}`)
    await own.close()
  }
  const tables = await listTables(join(whole, 'store'))
  if (tables.length !== 4) throw new Error(`the next opening would not merge ${tables.length} tables`)
  table = tables.at(-1)!.name
})
afterEach(stopEverything)

async function endOf(program: string, argument: string): Promise<string | null> {
  const child = spawn(process.execPath, [program, argument], { stdio: 'ignore' })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal
}

/** A copy of the data directory with a bit of the old table turned over that ends a compaction; what it is, in words. */
async function damageCopy(random: Random): Promise<{ readonly folder: string; readonly what: string }> {
  const bytes = await readFile(join(whole, 'store', table))
  const trial = await makeFolder('hs-trial-')
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const at = Math.floor(random.fraction() * bytes.length)
    const bit = 1 << Math.floor(random.fraction() * 8)
    const damaged = Buffer.from(bytes)
    damaged[at]! ^= bit
    await rm(join(trial, 'store'), { recursive: true, force: true })
    await cp(join(whole, 'store'), join(trial, 'store'), { recursive: true })
    await writeFile(join(trial, 'store', table), damaged)
    if ((await endOf(COMPACTING, join(trial, 'store'))) !== 'SIGABRT') continue
    const folder = await makeFolder('hs-aborting-')
    await cp(whole, folder, { recursive: true })
    await writeFile(join(folder, 'store', table), damaged)
    return { folder, what: `${table}: bit ${bit} at ${at} of ${bytes.length}` }
  }
  throw new Error('no bit ends a compaction')
}

/** Starts an agent until one is up and answers, as systemd does it; also how those before it ended. */
async function startUntilUp(dataDir: string): Promise<{ readonly agent: AgentProcess; readonly ends: readonly string[] }> {
  const ends: string[] = []
  for (;;) {
    try {
      const agent = await startAgentProcess({ env: { HS_DATA_DIR: dataDir }, command: UNCHECKED_AGENT })
      // One that is up before it compacts has not come up for good.
      await until('it has mended its database', DEADLINE_MS, async () => {
        const { recovery } = (await ask(agent, '/api/cluster/status')) as { readonly recovery: object | null }
        return recovery === null ? 'it has not, and goes on' : undefined
      })
      return { agent, ends }
    } catch (error) {
      ends.push(error instanceof Error ? error.message : String(error))
      if (ends.length === STARTS_MAX) throw new Error(`it does not come up:\n${ends.join('\n')}`, { cause: error })
    }
  }
}

it(`P2 P14 ${DAMAGES} random bits of an old table that end every compaction: the third start at the latest mends the database, says so, and everything acknowledged is there`, async () => {
  const seed = Date.now() % 1_000_000
  const random = createSeededRandom(seed)
  let aborts = 0
  let lost = 0
  for (let damage = 0; damage < DAMAGES; damage++) {
    const { folder, what } = await damageCopy(random)
    const where = `${seed}: ${what}`
    const { agent, ends } = await startUntilUp(folder)
    aborts += ends.filter(end => end.includes('SIGABRT')).length
    expect(await ask(agent, '/api/cluster/status'), `seed ${where}`).toMatchObject({
      // Of its reason: what every start reads may be damaged, too, and tell before LevelDB has compacted.
      recovery: { kind: 'rebuilt' },
      warnings: [expect.stringContaining('another one is in its place')],
    })
    await agent.kill()
    const own = await openOwnReplica(folder)
    try {
      expect(own.comeback, `seed ${where}`).toBeUndefined()
      const found = await contentOf(own.replica, 'c')
      lost += Object.entries(expected).filter(([key, value]) => found[key] !== value).length
      expect(found, `seed ${where}`).toEqual(expected)
      expect(await findAuditFault(own.directory.opened.store, systemHash, NO_SALT), `seed ${where}`).toBeUndefined()
    } finally {
      await own.close()
    }
  }
  const checked = DAMAGES * Object.keys(expected).length
  await reportFault({ fault: 'a bit of an old table turned over, on which LevelDB ends the process', cycles: DAMAGES, checked, lost })
  // The agent did end of it, or this would show nothing.
  expect(aborts, `seed ${seed}`).toBeGreaterThan(0)
})

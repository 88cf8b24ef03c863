/** Damage of every kind to the files of a data directory: it opens again, or says why not in one sentence, and loses nothing acknowledged. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, expect, it } from 'vitest'
import { AgentError } from '../../agent/errors.ts'
import { systemHash } from '../../agent/ports.ts'
import { listQuarantines, QUARANTINES_MAX } from '../../agent/store-opening.ts'
import type { Random } from '../../base/ports.ts'
import { findAuditFault } from '../../sync/store-audit.ts'
import { damageOne } from '../damage.ts'
import { reportFault } from '../fault-report.ts'
import { NO_SALT, openOwnReplica, type OwnReplica } from '../../agent/offline-replica.ts'
import { contentOf, put, remove } from '../replica-pair.ts'
import { createSeededRandom } from '../seeded-random.ts'

const CYCLES = 60
const CONTROL_CYCLES = 20
const KEYS = 40
const WRITES_PER_CYCLE = 24
/** Writes that share a group. */
const WRITERS = 4
const DAMAGES_MAX = 3

let folder = ''
let own: OwnReplica | undefined
afterEach(async () => {
  await own?.close()
  own = undefined
  await rm(folder, { recursive: true, force: true })
})

interface Cycle {
  readonly what: string
  readonly kind: string
  /** What is wrong, in words. */
  readonly faults: readonly string[]
  /** Writes that were acknowledged by then. */
  readonly acknowledged: number
}

/** Opens, checks, writes, closes and damages the database, again and again. */
async function* damageAgainAndAgain(random: Random, cycles: number, outageLogBytesMax: number): AsyncGenerator<Cycle> {
  folder = await mkdtemp(join(tmpdir(), 'hs-damage-'))
  const expected = new Map<string, string>()
  let writes = 0
  let what = 'nothing'
  for (let cycle = 0; cycle <= cycles; cycle++) {
    own = await openOwnReplica(folder, { outageLogBytesMax })
    const { replica, directory } = own
    const faults: string[] = []
    const found = await contentOf(replica, 'c')
    for (const key of new Set([...Object.keys(found), ...expected.keys()])) {
      if (found[key] !== expected.get(key)) faults.push(`${key} is ${found[key]?.slice(0, 20)}, not ${expected.get(key)?.slice(0, 20)}`)
      if (found[key] === undefined) expected.delete(key)
      else expected.set(key, found[key])
    }
    const audit = await findAuditFault(directory.opened.store, systemHash, NO_SALT)
    if (audit !== undefined) faults.push(audit)
    if ((await listQuarantines(folder)).length > QUARANTINES_MAX) faults.push('too many databases are kept aside')
    if ((await readdir(folder)).includes('recovery.json')) faults.push('the recovery does not end')
    yield { what, kind: own.comeback?.kind ?? 'fine', faults, acknowledged: writes }

    for (let i = 0; i < WRITES_PER_CYCLE; i += WRITERS) {
      const changes = Array.from({ length: WRITERS }, (_, writer) => {
        const key = `${writer} ${Math.floor(random.fraction() * KEYS)}`
        const value = `${(writes += 1)} ${'x'.repeat(random.fraction() * 2_000)}`
        return { key, value: random.fraction() < 0.2 ? undefined : value }
      })
      await Promise.all(
        changes.map(async ({ key, value }) => {
          const [done] = await replica.write([value === undefined ? remove('c', key) : put('c', key, value)])
          if (done?.ok !== true) throw new Error('a write was refused')
          if (value === undefined) expected.delete(key)
          else expected.set(key, JSON.stringify(value))
        }),
      )
    }
    await own.close()
    own = undefined
    const told: string[] = []
    for (let left = Math.ceil(random.fraction() * DAMAGES_MAX); left > 0; left--) told.push(await damageOne(join(folder, 'store'), random))
    what = told.join('; ')
  }
}

it(`P1 P2 P14 ${CYCLES} times files of the database are cut, altered, emptied or removed: each time it opens by itself, every acknowledged write is there, and all rows belong together`, async () => {
  const seed = Date.now() % 1_000_000
  const kinds = new Map<string, number>()
  const wrong: string[] = []
  let checked = 0
  for await (const { what, kind, faults, acknowledged } of damageAgainAndAgain(createSeededRandom(seed), CYCLES, 64 * 1024 * 1024)) {
    wrong.push(...faults.map(fault => `${what} (${kind}): ${fault}`))
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    checked = acknowledged
  }
  await reportFault({ fault: 'files of the database cut, altered, emptied or removed', cycles: CYCLES, checked, lost: wrong.length })
  expect(wrong, `seed ${seed}`).toEqual([])
  for (const kind of ['repaired', 'rebuilt', 'replayed']) expect([...kinds.keys()], `seed ${seed}`).toContain(kind)
})

it('the same without the outage log loses acknowledged writes: it is what brings them back', async () => {
  const faults: string[] = []
  let checked = 0
  for await (const cycle of damageAgainAndAgain(createSeededRandom(1), CONTROL_CYCLES, 0)) {
    faults.push(...cycle.faults)
    checked = cycle.acknowledged
  }
  const fault = 'files of the database cut, altered, emptied or removed, without the outage log'
  await reportFault({ fault, cycles: CONTROL_CYCLES, checked, lost: faults.length, isControl: true })
  expect(faults.length).toBeGreaterThan(0)
})

/** Opens, writes and closes; undefined when that worked, else what was said. */
async function refusalOf(): Promise<string | undefined> {
  try {
    own = await openOwnReplica(folder)
    await own.replica.write([put('c', 'after', 1)])
    await own.close()
    return undefined
  } catch (error) {
    return error instanceof AgentError ? `${error.code} ${error.detail}` : `another error: ${inspect(error)}`
  } finally {
    own = undefined
  }
}

it('P2 whatever is damaged in the whole directory, it opens or says why in one sentence, and that only of what says who this node is', async () => {
  const seed = Date.now() % 1_000_000
  const random = createSeededRandom(seed)
  for (let cycle = 0; cycle < 40; cycle++) {
    folder = await mkdtemp(join(tmpdir(), 'hs-damage-'))
    own = await openOwnReplica(folder)
    for (let i = 0; i < 5; i++) await own.replica.write([put('c', `key ${i}`, i)])
    await own.close()
    own = undefined
    const told: string[] = []
    for (let i = 0; i < 3; i++) told.push(await damageOne(folder, random))
    const where = `seed ${seed}, cycle ${cycle}: ${told.join('; ')}`
    const refusals = [await refusalOf(), await refusalOf()].filter(refusal => refusal !== undefined)
    for (const refusal of refusals) {
      expect(`${where} -> ${refusal}`).toMatch(/ -> HS_STORE_OPEN_FAILED [^\n]*(identity\.json|signing-key\.pem)[^\n]*$/)
    }
    await rm(folder, { recursive: true, force: true })
  }
})

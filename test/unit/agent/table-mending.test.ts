/** What is damaged is taken out before LevelDB repairs: it would end the process, and this one with it. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLevelStore, repairDatabase } from '../../../agent/level-store.ts'
import { findStrayTables, readLiveTables } from '../../../agent/manifest.ts'
import { findNewTableFault, listTables } from '../../../agent/table-check.ts'
import { mendTables } from '../../../agent/table-mending.ts'
import { rowsOf } from '../../../sync/collection-state.ts'
import type { Store } from '../../../sync/store.ts'
import { createSeededRandom } from '../../seeded-random.ts'

const ROWS = 2_000
const FLIPS = 40

let root = ''
/** A database with a table and a log of rows that are there in the table, too, with another value. */
let whole = ''
let folder = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hs-mending-'))
  whole = join(root, 'whole')
  folder = join(root, 'copy')
  await writeRows(await openLevelStore(whole), ROWS, 'old')
  // Opening turns the log into a table.
  await writeRows(await openLevelStore(whole), ROWS / 10, 'new')
})
afterEach(() => rm(root, { recursive: true }))

const rowOf = (i: number): string => `row ${String(i).padStart(6, '0')}`
const valueOf = (i: number, age: string): string => `${age} ${rowOf(i)}`.repeat(1 + (i % 5))

async function writeRows(store: Store, count: number, age: string): Promise<void> {
  for (let i = 0; i < count; i += 10) {
    const batch = store.batch()
    for (let k = i; k < i + 10; k++) batch.put(Buffer.from(rowOf(k)), Buffer.from(valueOf(k, age)))
    await batch.write({ sync: false })
  }
  await store.close()
}

/** The rows that are left after a repair, which must be as they were written. */
async function repairedRows(where: string): Promise<{ readonly old: number; readonly fresh: number }> {
  await repairDatabase(folder)
  const store = await openLevelStore(folder, { createIfMissing: false })
  let old = 0
  let fresh = 0
  try {
    for await (const [row, value] of rowsOf(store, {})) {
      const key = Buffer.from(row).toString()
      const i = Number(key.slice(4))
      expect(key, `seed ${where}`).toBe(rowOf(i))
      const text = Buffer.from(value).toString()
      expect([valueOf(i, 'old'), valueOf(i, 'new')], `seed ${where}`).toContain(text)
      if (text.startsWith('old')) old += 1
      else fresh += 1
    }
  } finally {
    await store.close()
  }
  return { old, fresh }
}

/** Turns a bit over in a copy of the database; what it was, in words. */
async function flip(name: string, at: number, bit: number): Promise<string> {
  await rm(folder, { recursive: true, force: true })
  await cp(whole, folder, { recursive: true })
  const bytes = await readFile(join(folder, name))
  bytes[at]! ^= bit
  await writeFile(join(folder, name), bytes)
  return `${name}: bit ${bit} at ${at} of ${bytes.length}`
}

describe('a damaged table', () => {
  it(`P2 P14 with any of ${FLIPS} random bits turned over is repaired without an end of this process: all rows but those of one block are there, none altered`, async () => {
    const seed = Date.now() % 1_000_000
    const random = createSeededRandom(seed)
    const { name } = (await listTables(whole))[0]!
    const { length } = await readFile(join(whole, name))
    let lost = 0
    for (let i = 0; i < FLIPS; i++) {
      const where = `${seed}: ${await flip(name, Math.floor(random.fraction() * length), 1 << Math.floor(random.fraction() * 8))}`
      await mendTables(folder)
      expect(await findNewTableFault(folder, Infinity), `seed ${where}`).toBeUndefined()
      const isLost = (await readdir(folder)).includes('lost')
      const { old, fresh } = await repairedRows(where)
      expect(fresh, `seed ${where}`).toBe(ROWS / 10)
      lost += isLost ? 1 : 0
      // 4 KiB of a block are fewer rows than this.
      expect(old, `seed ${where}`).toBeGreaterThan(isLost ? -1 : ROWS * 0.8)
    }
    // Those that hit the index, or the end.
    expect(lost, `seed ${seed}`).toBeLessThan(FLIPS / 4)
  })
})

describe('a damaged log', () => {
  it(`P2 with any of ${FLIPS} random bits turned over is repaired without an end of this process: no row is altered, and the batch around it alone is gone`, async () => {
    const seed = Date.now() % 1_000_000
    const random = createSeededRandom(seed)
    const name = (await readdir(whole)).find(each => each.endsWith('.log'))!
    const { length } = await readFile(join(whole, name))
    const left: number[] = []
    for (let i = 0; i < FLIPS; i++) {
      const where = `${seed}: ${await flip(name, Math.floor(random.fraction() * length), 1 << Math.floor(random.fraction() * 8))}`
      const { old, fresh } = await repairedRows(where)
      expect(old + fresh, `seed ${where}`).toBe(ROWS)
      left.push(fresh)
    }
    // As a rule; a length that is damaged costs what is behind it in its block.
    expect(left.filter(fresh => fresh === ROWS / 10 - 10).length, `seed ${seed}`).toBeGreaterThan(FLIPS / 2)
  })
})

describe('the tables that a database consists of', () => {
  it('P2 none is a stray where any byte of the manifest is not what LevelDB wrote', async () => {
    for (let i = 0; i < 6; i++) await writeRows(await openLevelStore(whole), 100, `age ${i}`)
    const path = join(
      whole,
      (await readdir(whole)).find(name => name.startsWith('MANIFEST'))!,
    )
    const bytes = await readFile(path)
    expect(await findStrayTables(whole)).toEqual([])
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at]! ^= 1 << (at % 8)
      await writeFile(path, damaged)
      expect(await findStrayTables(whole), `byte ${at} of ${bytes.length}`).toEqual([])
    }
  })

  it('P2 what a compaction had not written to its end when the power was cut is none of them', async () => {
    await writeFile(join(whole, '000999.ldb'), 'half of a table')
    const live = await readLiveTables(whole)
    expect([...live!].map(Number)).toEqual((await listTables(whole)).slice(1).map(({ name }) => Number.parseInt(name, 10)))
    expect(await findNewTableFault(whole, Infinity, live)).toBeUndefined()
    expect(await findNewTableFault(whole, Infinity)).toContain('000999.ldb')
    expect((await findStrayTables(whole)).map(({ name }) => name)).toEqual(['000999.ldb'])
  })

  it('are followed through compactions, and not known when the manifest is damaged', async () => {
    for (let i = 0; i < 12; i++) await writeRows(await openLevelStore(whole), 200, `age ${i}`)
    expect([...(await readLiveTables(whole))!].sort((a, b) => b - a)).toEqual(
      (await listTables(whole)).map(({ name }) => Number.parseInt(name, 10)),
    )
    const manifest = (await readdir(whole)).find(name => name.startsWith('MANIFEST'))!
    for (const [file, text] of [
      [manifest, 'nonsense'],
      ['CURRENT', '../elsewhere\n'],
    ] as const) {
      await writeFile(join(whole, file), text)
      expect(await readLiveTables(whole)).toBeUndefined()
      // Any may be one of them: none is a stray.
      expect(await findStrayTables(whole)).toEqual([])
    }
  })
})

/** LevelDB's tables are checked by their own checksums, which LevelDB does not look at. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crc32c } from '../../../agent/crc32c.ts'
import { openLevelStore } from '../../../agent/level-store.ts'
import { decompressSnappy } from '../../../agent/snappy.ts'
import { findNewTableFault, listTables } from '../../../agent/table-check.ts'
import { watchTables } from '../../../agent/table-watch.ts'
import { until } from '../../agent-process.ts'
import { createSeededRandom } from '../../seeded-random.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-table-'))
  const store = await openLevelStore(folder)
  const batch = store.batch()
  const random = createSeededRandom(7)
  for (let i = 0; i < 3_000; i++) {
    // Some compress well, some not at all.
    batch.put(Buffer.from(`row ${i}`), i % 2 === 0 ? Buffer.alloc(100, i) : Buffer.from(random.bytes(100)))
  }
  await batch.write({ sync: true })
  await store.close()
  // Opening turns the log into a table.
  await (await openLevelStore(folder)).close()
})
afterEach(() => rm(folder, { recursive: true }))

describe('crc32c', () => {
  it('is that of RFC 3720, B.4', () => {
    expect(crc32c(Buffer.from('123456789')).toString(16)).toBe('e3069283')
    expect(crc32c(Buffer.alloc(32)).toString(16)).toBe('8a9136aa')
    expect(crc32c(Buffer.alloc(32, 0xff)).toString(16)).toBe('62a8ab43')
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)).toString(16)).toBe('46dd794e')
  })
})

describe('Snappy', () => {
  it('reads literals and copies that overlap', () => {
    // "ab", then 8 bytes from 2 back, then a literal with its length in a byte of its own.
    const literal = Buffer.alloc(70, 'z')
    const bytes = Buffer.concat([Buffer.from([80, 0x04]), Buffer.from('ab'), Buffer.from([0x01 | (4 << 2), 2, 60 << 2, 69]), literal])
    expect(Buffer.from(decompressSnappy(bytes, 100) ?? []).toString()).toBe(`${'ab'.repeat(5)}${'z'.repeat(70)}`)
  })

  it('refuses what is cut off, points outside of itself, or is too long', () => {
    for (const bytes of [[], [0x80], [5, 0x00, 97], [5, 0x05, 1], [2, 0x04, 97], [200, 1, 0x00, 97], [1, 0xfc, 0xff, 0xff, 0xff, 0xff]]) {
      expect(decompressSnappy(Uint8Array.from(bytes), 100)).toBeUndefined()
    }
  })
})

describe('a table', () => {
  it('as LevelDB has written it is sound', async () => {
    expect(await listTables(folder)).not.toEqual([])
    expect(await findNewTableFault(folder, Infinity)).toBeUndefined()
  })

  it('P14 with any byte altered is not, except in the few that pad its end', async () => {
    const [table] = await listTables(folder)
    const path = join(folder, table!.name)
    const bytes = await readFile(path)
    const random = createSeededRandom(11)
    const padding = (at: number): boolean => at >= bytes.length - 48 && at < bytes.length - 8 && bytes[at] === 0
    const places = Array.from({ length: 400 }, () => Math.floor(random.fraction() * bytes.length)).filter(at => !padding(at))
    for (const at of places) {
      const altered = Buffer.from(bytes)
      altered[at]! ^= 1 << Math.floor(random.fraction() * 8)
      await writeFile(path, altered)
      expect(await findNewTableFault(folder, Infinity), `byte ${at} of ${bytes.length}`).toContain(table!.name)
    }
  })

  it('P14 that was cut off is not', async () => {
    const [table] = await listTables(folder)
    const path = join(folder, table!.name)
    const bytes = await readFile(path)
    for (const length of [0, 1, 47, 48, Math.floor(bytes.length / 2), bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, length))
      expect(await findNewTableFault(folder, Infinity)).toContain(table!.name)
    }
  })
})

describe('while the agent runs', () => {
  it('P14 a damaged table is reported when it is found so twice, and the next opening takes the database for damaged', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'hs-watch-'))
    await cp(folder, join(dataDir, 'store'), { recursive: true })
    const [table] = await listTables(join(dataDir, 'store'))
    const path = join(dataDir, 'store', table!.name)
    const bytes = await readFile(path)
    bytes[10]! ^= 1
    await writeFile(path, bytes)
    const watch = watchTables(dataDir, pino({ level: 'silent' }), 1, 1)
    await until('the damage is reported', 60_000, () => Promise.resolve(watch.fault() === undefined ? 'not yet' : undefined))
    await watch.close()
    expect(watch.fault()).toContain(table!.name)
    expect(JSON.parse(await readFile(join(dataDir, 'recovery.json'), 'utf8'))).toMatchObject({ sources: [], reason: watch.fault() })
    await rm(dataDir, { recursive: true })
  })
})

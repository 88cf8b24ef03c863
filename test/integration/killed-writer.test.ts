/** kill -9 at any moment, with the full way from a write to the disk and no sockets: many times, each checked record by record. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { createSeededRandom } from '../seeded-random.ts'
import { createLedger, settle, startWriter, type RunningWriter } from '../writer-ledger.ts'

const CYCLES = 200
const KILL_AFTER_MS_MAX = 120

let folder = ''
let writer: RunningWriter | undefined
afterEach(async () => {
  writer?.child.kill('SIGKILL')
  await writer?.ended
  await rm(folder, { recursive: true, force: true })
})

it(`P2 P14 killed with -9 at ${CYCLES} random moments of writing, deleting and syncing, it opens by itself, all that was acknowledged is there, and digests, counts and logs are what the records say`, async () => {
  const seed = Date.now() % 1_000_000
  const random = createSeededRandom(seed)
  folder = await mkdtemp(join(tmpdir(), 'hs-killed-'))
  const data = join(folder, 'data')
  const ledger = createLedger()
  const kinds = new Set<string>()
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    writer = startWriter(ledger, { folder: data, seed: seed + cycle, durability: 'fsync', cacheFolder: join(folder, 'cache') })
    await writer.ready
    const moment = Promise.withResolvers<void>()
    setTimeout(() => moment.resolve(), random.fraction() * KILL_AFTER_MS_MAX)
    await moment.promise
    writer.child.kill('SIGKILL')
    await writer.ended
    const { lost, faults, kind } = await settle(data, ledger)
    expect({ lost, faults }, `seed ${seed}, cycle ${cycle}`).toEqual({ lost: [], faults: [] })
    kinds.add(kind)
  }
  // The page cache survives: nothing had to come back, but for a group that the outage log had and the database had not yet.
  expect([...kinds].filter(kind => kind !== 'fine' && kind !== 'replayed')).toEqual([])
  expect(ledger.acknowledged).toBeGreaterThan(CYCLES)
}, 900_000)

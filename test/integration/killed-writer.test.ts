/** kill -9 at any moment, with the full way from a write to the disk and no sockets: many times, each checked record by record. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { reportFault } from '../fault-report.ts'
import { endAgainAndAgain, killAndWait } from '../writer-cycles.ts'
import type { RunningWriter } from '../writer-ledger.ts'

const CYCLES = 200
const KILL_AFTER_MS = { min: 0, max: 120 }

let folder = ''
let writer: RunningWriter | undefined
afterEach(async () => {
  if (writer !== undefined) await killAndWait(writer)
  await rm(folder, { recursive: true, force: true })
})

it(`P2 P14 killed with -9 at ${CYCLES} random moments of writing, deleting and syncing, it opens by itself, all that was acknowledged is there, and digests, counts and logs are what the records say`, async () => {
  const seed = Date.now() % 1_000_000
  folder = await mkdtemp(join(tmpdir(), 'hs-killed-'))
  const { acknowledged, lost, faults, kinds } = await endAgainAndAgain({
    cycles: CYCLES,
    seed,
    folder: join(folder, 'data'),
    cacheFolder: join(folder, 'cache'),
    durability: 'fsync',
    endAfter: KILL_AFTER_MS,
    onWriter: running => (writer = running),
    end: killAndWait,
  })
  await reportFault({ fault: 'kill -9 while writing, deleting and syncing', cycles: CYCLES, checked: acknowledged, lost: lost.length })
  expect({ lost, faults }, `seed ${seed}`).toEqual({ lost: [], faults: [] })
  // The page cache survives: nothing had to come back, but for a group that the outage log had and the database had not yet.
  expect([...kinds].filter(kind => kind !== 'fine' && kind !== 'replayed')).toEqual([])
  expect(acknowledged).toBeGreaterThan(CYCLES)
}, 900_000)

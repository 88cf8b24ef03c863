/**
 * Power cuts on a disk that has written some sectors of what was not synced, and not others (P1): torn blocks, in logs, in tables and in the file
 * system's own journal, under concurrent writes, deletes and sync.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { reportFault } from '../fault-report.ts'
import { endAgainAndAgain, killAndWait, type Tally } from '../writer-cycles.ts'
import type { RunningWriter } from '../writer-ledger.ts'
import { obtainAll } from './packages.ts'
import { makeTornDisk, type TornDisk } from './torn-disk.ts'

const CYCLES = 12
const CONTROL_CYCLES = 4
const CUT_AFTER_MS = { min: 50, max: 600 }
const DISK_BYTES = '96M'
const DEADLINE_MS = 600_000

let disk: TornDisk | undefined
let writer: RunningWriter | undefined
afterEach(async () => {
  if (writer !== undefined) await killAndWait(writer)
  await disk?.remove()
  writer = undefined
  disk = undefined
})

/** Why it cannot be done here; undefined when it can. */
async function findObstacle(): Promise<string | undefined> {
  const missing = await obtainAll({ 'mkfs.ext4': 'e2fsprogs', losetup: 'mount', python3: 'python3' })
  if (missing !== undefined) return missing
  const trial = await makeTornDisk(DISK_BYTES).catch((error: unknown) => `no such disk can be made: ${String(error)}`)
  if (typeof trial === 'string') return trial
  await trial.remove()
  return undefined
}

interface TornTally extends Tally {
  /** Sectors that were not synced when the power went, and stayed, or went. */
  readonly kept: number
  readonly dropped: number
}

async function cutAgainAndAgain(cycles: number, seed: number, durability: 'fsync' | 'async'): Promise<TornTally> {
  const made = (disk = await makeTornDisk(DISK_BYTES))
  let [kept, dropped] = [0, 0]
  const tally = await endAgainAndAgain({
    cycles,
    seed,
    folder: `${made.folder}/data`,
    cacheFolder: made.cacheFolder,
    durability,
    endAfter: CUT_AFTER_MS,
    onWriter: running => (writer = running),
    async end(running, cycle) {
      // It runs on into the dead disk, as on a robot: whatever it acknowledges from then on was on the disk before.
      const sectors = await made.cut(seed + cycle, () => killAndWait(running))
      kept += sectors.kept
      dropped += sectors.lost
    },
  })
  return { ...tally, kept, dropped }
}

const obstacle = await findObstacle()

it('blocks can be torn where continuous integration runs', () => {
  expect(process.env['CI'] === 'true' ? obstacle : undefined).toBeUndefined()
})

describe.skipIf(obstacle !== undefined)(`torn blocks${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`, () => {
  it(
    `P1 ${CYCLES} power cuts that keep some sectors and lose others lose no acknowledged write, and need nobody`,
    async () => {
      const seed = Date.now() % 1_000_000
      const { acknowledged, kept, dropped, lost, faults } = await cutAgainAndAgain(CYCLES, seed, 'fsync')
      await reportFault({ fault: 'power cut with torn blocks', cycles: CYCLES, checked: acknowledged, lost: lost.length })
      expect({ lost, faults }, `seed ${seed}`).toEqual({ lost: [], faults: [] })
      // There was something to tear.
      expect(Math.min(kept, dropped), `seed ${seed}`).toBeGreaterThan(0)
      expect(acknowledged).toBeGreaterThan(CYCLES)
    },
    DEADLINE_MS,
  )

  it(
    'control: without any sync acknowledged writes are lost',
    async () => {
      const { acknowledged, lost } = await cutAgainAndAgain(CONTROL_CYCLES, 1, 'async')
      const fault = 'power cut with torn blocks, without any sync'
      await reportFault({ fault, cycles: CONTROL_CYCLES, checked: acknowledged, lost: lost.length, isControl: true })
      expect(lost.length).toBeGreaterThan(0)
    },
    DEADLINE_MS,
  )
})

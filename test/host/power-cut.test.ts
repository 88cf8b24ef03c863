/**
 * Power cuts for real (P1): a file system whose page cache and open journal are dropped at a random moment (EXT4_IOC_SHUTDOWN), under
 * concurrent writes, deletes and sync. kill -9 proves nothing about this: the page cache survives it. Two controls show that the test can
 * fail: no sync at all, and a sync that lies.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { reportFault } from '../fault-report.ts'
import { endAgainAndAgain, killAndWait, type Tally } from '../writer-cycles.ts'
import type { RunningWriter } from '../writer-ledger.ts'
import { obtain, obtainAll } from './packages.ts'

const CYCLES = 50
/** A control that had lost nothing by then would have shown that nothing is cut. */
const CONTROL_CYCLES = 5
const CUT_AFTER_MS = { min: 10, max: 250 }
const DISK_BYTES = '96M'
const DEADLINE_MS = 900_000

const run = promisify(execFile)

/** EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), with EXT4_GOING_FLAGS_NOLOGFLUSH: the journal is not written out before. perl is part of every Debian. */
const CUT = 'open(my $f, "<", $ARGV[0]) or die $!; my $flag = pack("L", 2); ioctl($f, 0x8004587D, $flag) or die $!'

interface Disk {
  readonly folder: string
  /** Beside it, on a disk that keeps its power. */
  readonly cacheFolder: string
  /** Cuts its power and puts it on again. */
  cut(beforeUnmount: () => Promise<void>): Promise<void>
  remove(): Promise<void>
}

async function makeDisk(): Promise<Disk> {
  const base = await mkdtemp(join(tmpdir(), 'hs-power-'))
  const [image, folder] = [join(base, 'disk'), join(base, 'mounted')]
  await run('truncate', ['-s', DISK_BYTES, image])
  await run('mkfs.ext4', ['-q', '-F', image])
  await run('mkdir', [folder])
  const device = (await run('losetup', ['--find', '--show', image])).stdout.trim()
  // Shared: whoever makes a namespace meanwhile (ip netns exec) copies all mounts, and would keep the dead file system alive behind our back.
  await run('mount', ['--bind', base, base])
  await run('mount', ['--make-shared', base])
  await run('mount', ['-t', 'ext4', device, folder])
  return {
    folder,
    cacheFolder: join(base, 'cache'),
    async cut(beforeUnmount) {
      await run('perl', ['-e', CUT, folder])
      await beforeUnmount()
      await run('umount', [folder])
      await run('mount', ['-t', 'ext4', device, folder])
    },
    async remove() {
      for (const mounted of [folder, base]) await run('umount', [mounted]).catch(() => {})
      await run('losetup', ['--detach', device]).catch(() => {})
      await rm(base, { recursive: true, force: true })
    },
  }
}

let disk: Disk | undefined
let writer: RunningWriter | undefined
afterEach(async () => {
  if (writer !== undefined) await killAndWait(writer)
  await disk?.remove()
  writer = undefined
  disk = undefined
})

/** Why a power cut cannot be made here; undefined when it can. */
async function findObstacle(): Promise<string | undefined> {
  const missing = await obtainAll({ 'mkfs.ext4': 'e2fsprogs', losetup: 'mount', perl: 'perl' })
  if (missing !== undefined) return missing
  const trial = await makeDisk().catch((error: unknown) => String(error).split('\n').at(-2) ?? 'no disk')
  if (typeof trial === 'string') return `a disk image cannot be mounted: ${trial}`
  try {
    await trial.cut(() => Promise.resolve())
    return undefined
  } catch (error) {
    return `the power of a file system cannot be cut: ${String(error)}`
  } finally {
    await trial.remove()
  }
}

/** Stops every thread of a process, so that none runs on into the dead file system. */
async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  for (;;) {
    const tasks = await readdir(`/proc/${pid}/task`)
    const states = await Promise.all(tasks.map(task => readFile(`/proc/${pid}/task/${task}/stat`, 'latin1').catch(() => ') T')))
    if (states.every(stat => stat.slice(stat.lastIndexOf(')') + 2).startsWith('T'))) return
  }
}

async function cutAgainAndAgain(
  cycles: number,
  seed: number,
  durability: 'fsync' | 'async',
  wrapper: readonly string[] = [],
): Promise<Tally> {
  const made = (disk = await makeDisk())
  return endAgainAndAgain({
    cycles,
    seed,
    folder: join(made.folder, 'data'),
    cacheFolder: made.cacheFolder,
    durability,
    wrapper,
    endAfter: CUT_AFTER_MS,
    onWriter: running => (writer = running),
    async end(running) {
      await freeze(running.pid)
      await made.cut(() => killAndWait(running))
    },
  })
}

const reportControl = (how: string, checked: number, lost: readonly string[]): Promise<void> =>
  reportFault({ fault: `power cut, ${how}`, cycles: CONTROL_CYCLES, checked, lost: lost.length, isControl: true })

const obstacle = await findObstacle()
const lie = obstacle === undefined ? await obtain('eatmydata') : undefined

it('power can be cut where continuous integration runs', () => {
  const isRequired = process.env['CI'] === 'true'
  expect(isRequired ? [obstacle, lie] : [undefined, undefined]).toEqual([undefined, undefined])
})

describe.skipIf(obstacle !== undefined)(`a power cut${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`, () => {
  it(
    `P1 at ${CYCLES} random moments loses no acknowledged write, and needs nobody`,
    async () => {
      const seed = Date.now() % 1_000_000
      const { acknowledged, lost, faults, kinds } = await cutAgainAndAgain(CYCLES, seed, 'fsync')
      await reportFault({ fault: 'power cut, with all of the page cache', cycles: CYCLES, checked: acknowledged, lost: lost.length })
      expect({ lost, faults }, `seed ${seed}`).toEqual({ lost: [], faults: [] })
      // A cut is no damage: at most a group is redone that one of the two files had and the other had not.
      expect(
        [...kinds].filter(kind => kind !== 'fine' && kind !== 'replayed'),
        `seed ${seed}`,
      ).toEqual([])
      expect(acknowledged).toBeGreaterThan(CYCLES)
    },
    DEADLINE_MS,
  )

  it(
    'control: without any sync acknowledged writes are lost',
    async () => {
      const { acknowledged, lost } = await cutAgainAndAgain(CONTROL_CYCLES, 1, 'async')
      await reportControl('without any sync', acknowledged, lost)
      expect(lost.length).toBeGreaterThan(0)
    },
    DEADLINE_MS,
  )

  it.skipIf(lie !== undefined)(
    `control: with a sync that lies acknowledged writes are lost${lie === undefined ? '' : ` (cannot run here: ${lie})`}`,
    async () => {
      const { acknowledged, lost } = await cutAgainAndAgain(CONTROL_CYCLES, 2, 'fsync', ['eatmydata'])
      await reportControl('with a sync that lies', acknowledged, lost)
      expect(lost.length).toBeGreaterThan(0)
    },
    DEADLINE_MS,
  )
})

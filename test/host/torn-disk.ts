/** A disk with a volatile cache of which a power cut keeps some sectors and loses others (torn-disk.py), with ext4 on it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SCRIPT = fileURLToPath(new URL('torn-disk.py', import.meta.url))

export interface TornDisk {
  readonly folder: string
  /** Beside it, on a disk that keeps its power. */
  readonly cacheFolder: string
  /** Cuts its power - `end` is to end whoever writes there - and puts it on again: how many sectors that were not synced got there, and how many did not. */
  cut(seed: number, end: () => Promise<void>): Promise<{ readonly kept: number; readonly lost: number }>
  remove(): Promise<void>
}

interface Mounted {
  readonly daemon: ChildProcess
  readonly device: string
  nextLine(): Promise<string>
}

export async function makeTornDisk(bytes: string): Promise<TornDisk> {
  const base = await mkdtemp(join(tmpdir(), 'hs-torn-'))
  const [image, fuse, folder] = [join(base, 'image'), join(base, 'fuse'), join(base, 'mounted')]
  await run('truncate', ['-s', bytes, image])
  await run('mkfs.ext4', ['-q', '-F', image])
  for (const each of [fuse, folder]) await mkdir(each)
  // Whoever makes a mount namespace meanwhile copies all mounts, and would keep the dead file system alive behind our back.
  await run('mount', ['--bind', base, base])
  await run('mount', ['--make-shared', base])
  let mounted: Mounted | undefined

  const start = async (): Promise<Mounted> => {
    const daemon = spawn('python3', [SCRIPT, image, fuse], { stdio: ['pipe', 'pipe', 'inherit'] })
    const waiting: ((line: string) => void)[] = []
    createInterface({ input: daemon.stdout }).on('line', line => waiting.shift()?.(line))
    const nextLine = (): Promise<string> => new Promise(resolve => void waiting.push(resolve))
    const ended = new Promise<never>((_, reject) => daemon.once('exit', code => reject(new Error(`the disk ended with ${code}`))))
    ended.catch(() => {})
    await Promise.race([nextLine(), ended])
    const device = (await run('losetup', ['--find', '--show', join(fuse, 'disk')])).stdout.trim()
    await run('mount', ['-t', 'ext4', device, folder])
    return { daemon, device, nextLine }
  }
  const stop = async ({ daemon, device }: Mounted): Promise<void> => {
    const exited = new Promise(resolve => daemon.once('exit', resolve))
    await run('umount', [folder]).catch(() => run('umount', ['--lazy', folder]))
    await run('losetup', ['--detach', device])
    await run('umount', ['--lazy', fuse])
    daemon.stdin?.end()
    await exited
  }
  mounted = await start()

  return {
    folder,
    cacheFolder: join(base, 'cache'),
    async cut(seed, end) {
      if (mounted === undefined) throw new Error('the disk is off')
      const line = mounted.nextLine()
      mounted.daemon.stdin?.write(`cut ${seed}\n`)
      const [, kept = 0, lost = 0] = (await line).split(' ').map(Number)
      await end()
      await stop(mounted)
      mounted = undefined
      mounted = await start()
      return { kept, lost }
    },
    async remove() {
      if (mounted !== undefined) await stop(mounted).catch(() => {})
      for (const each of [folder, fuse, base]) await run('umount', ['--lazy', each]).catch(() => {})
      await rm(base, { recursive: true, force: true })
    },
  }
}

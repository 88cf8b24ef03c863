/**
 * Wear (P9): what this process has made the system write to disk. Linux counts it in `/proc/self/io` (proc_pid_io(5)): `write_bytes`, when a page is
 * dirtied first, whoever writes it out later; `cancelled_write_bytes` are those of files that were removed before that.
 */
import { readFileSync } from 'node:fs'

/** A rate over less is chance: what a start writes would count as if it went on all day. */
const RATE_MS_MIN = 10 * 60_000
const DAY_MS = 86_400_000

export interface DiskWrites {
  /** Since the agent began; undefined where the system does not count. */
  bytes(): number | undefined
  /** At the pace since the agent started; undefined in its first ten minutes. */
  bytesPerDay(): number | undefined
}

export function countDiskWrites(uptimeMs: () => number, readIo: () => string = () => readFileSync('/proc/self/io', 'utf8')): DiskWrites {
  const read = (): number | undefined => {
    let text: string
    try {
      text = readIo()
    } catch {
      return undefined
    }
    const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1])
    const written = field('write_bytes') - field('cancelled_write_bytes')
    return Number.isSafeInteger(written) ? written : undefined
  }
  // What ran under this process's id before, or was started by it and has ended, counts too: the launcher may have installed packages.
  const before = read()
  const bytes = (): number | undefined => {
    const written = read()
    return written === undefined || before === undefined ? undefined : Math.max(0, written - before)
  }
  return {
    bytes,
    bytesPerDay() {
      const [written, sinceMs] = [bytes(), uptimeMs()]
      return written === undefined || sinceMs < RATE_MS_MIN ? undefined : Math.round((written / sinceMs) * DAY_MS)
    },
  }
}

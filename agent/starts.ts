/**
 * Counts the starts that did not end with a stop. LevelDB ends the whole process where a compaction meets a key that is damaged, and the next
 * start would compact again, for ever (P2); so a start behind such starts looks at everything before anything is compacted
 * (store-opening.ts). How long they ran does not matter in one boot of the machine: a compaction may take its time to come. One that ended with
 * its boot, as where a robot is switched off, counts until a later one has lasted.
 *
 * `starts.json` stands in the data directory from the beginning of a start until it is stopped. It costs one small write a start, and one
 * when that has lasted behind others. Missing, damaged or not to be written it counts nothing, and is no reason not to start.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { areTooMany, attemptsFrom, withAttempt } from './attempts.ts'
import { readSmallFile, writeDurably } from './durable-file.ts'

const FILE = 'starts.json'
const FILE_BYTES_MAX = 4096
/** A start that ran for this long has lasted. Of the monotonic clock. */
const LASTED_MS = 600_000

export interface Starts {
  /** Too many before this one did not end with a stop. */
  readonly areFailing: boolean
  /** Everything was looked at: the counting begins anew, with this start. */
  restart(): Promise<void>
  /** This start has lasted: those of earlier boots are forgotten. */
  last(): Promise<void>
  /** This start ends in order: all are forgotten. */
  settle(): Promise<void>
}

/** Counts this start, durably; `boot` is that of the machine (attempts.ts). Never throws. */
export async function beginStart(dataDir: string, boot: string): Promise<Starts> {
  const path = join(dataDir, FILE)
  const write = (starts: readonly string[]): Promise<void> => writeDurably(path, `${JSON.stringify({ starts })}\n`).catch(() => {})
  const before = await readStarts(path)
  let starts = withAttempt(before, boot)
  await write(starts)
  return {
    areFailing: areTooMany(before, boot),
    restart: () => write((starts = [boot])),
    async last() {
      const ofThisBoot = starts.filter(start => start === boot)
      if (ofThisBoot.length < starts.length) await write((starts = ofThisBoot))
    },
    // Not synced: should it be there again, one start more is counted.
    settle: () => rm(path, { force: true }).catch(() => {}),
  }
}

/** Says when the agent has run for `lastedMs`, and when it is closed. */
export function watchStart(starts: Starts, lastedMs = LASTED_MS): () => Promise<void> {
  const timer = setTimeout(() => void starts.last(), lastedMs)
  timer.unref()
  return () => {
    clearTimeout(timer)
    return starts.settle()
  }
}

async function readStarts(path: string): Promise<string[]> {
  try {
    const value: unknown = JSON.parse((await readSmallFile(path, FILE_BYTES_MAX)) ?? '{}')
    return typeof value === 'object' && value !== null && 'starts' in value ? attemptsFrom(value.starts) : []
  } catch {
    return []
  }
}

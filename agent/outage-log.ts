/**
 * The outage log: an own, checksummed, append-only copy of what was written here and no other replica has acknowledged yet, beside the
 * database and independent of it (P1, P2). When the database is damaged or gone, these writes come back from it.
 *
 * Segments `outage/<number>.log` in the data directory, of frames (outage-frame.ts). A segment goes when everything in it is confirmed; at
 * `bytesMax` the oldest one goes all the same: then the oldest writes are in the database alone, which is counted and shown. Writes are never
 * refused for it.
 */
import { mkdir, open, readdir, readFile, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { EncodedWrite, Journal, JournalWrite, WriteName } from '../sync/journal.ts'
import { encodeFrame, scanFrames } from './outage-frame.ts'

/** A segment is closed when it holds this much. One group more may fit in. */
export const SEGMENT_BYTES = 1024 * 1024
/** No segment is longer: a group holds 4 MiB of rows. */
const SEGMENT_BYTES_MAX = 32 * 1024 * 1024
/** Writes that a replay hands over at once. */
const WRITES_PER_PAGE = 256
const FILE = /^(\d{10})\.log$/

export interface OutageLogState {
  readonly bytes: number
  readonly bytesMax: number
  readonly segments: number
  /** Writes that had to go at the bound, since the start. */
  readonly droppedWrites: number
  /** Bytes that were found to be no frame of it, since the start. */
  readonly damagedBytes: number
}

export interface OutageLog extends Journal {
  /**
   * What it holds, oldest first, from the first segment on that has something unknown: a store that knows all of one segment knows what was
   * before it. Of two writes of one dot the later one counts (J2).
   */
  replay(isKnown: (write: WriteName) => boolean): AsyncGenerator<readonly JournalWrite[]>
  /** Removes the segments in which everything is confirmed. */
  prune(isConfirmed: (write: WriteName) => Promise<boolean>): Promise<void>
  state(): OutageLogState
  close(): Promise<void>
}

interface Segment {
  readonly number: number
  readonly path: string
  bytes: number
  /** The greatest counter by collection and origin, and how many writes there are; undefined: not read yet. */
  summary: Summary | undefined
}

interface Summary {
  writes: number
  readonly lastByName: Map<string, WriteName>
}

const nameOf = ({ collection, generation, origin }: WriteName): string => `${collection} ${generation} ${origin}`
const writeName = ({ collection, generation, version: { origin, counter } }: JournalWrite): WriteName => ({
  collection,
  generation,
  origin,
  counter,
})

function addToSummary(summary: Summary, write: WriteName): void {
  summary.writes += 1
  const { collection, generation, origin, counter } = write
  const name = nameOf(write)
  if ((summary.lastByName.get(name)?.counter ?? 0) < counter) summary.lastByName.set(name, { collection, generation, origin, counter })
}

/** Removes the log: what it holds is to be written by nobody any more. */
export async function removeOutageLog(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
}

/** Opens or makes the log in `folder`. */
export async function openOutageLog(folder: string, bytesMax: number): Promise<OutageLog> {
  await mkdir(folder, { recursive: true, mode: 0o750 })
  const segments: Segment[] = []
  for (const name of (await readdir(folder)).sort()) {
    const number = FILE.exec(name)?.[1]
    if (number === undefined) continue
    const path = join(folder, name)
    segments.push({ number: Number(number), path, bytes: (await stat(path)).size, summary: undefined })
  }
  let current: { readonly segment: Segment; readonly file: FileHandle } | undefined
  let isDirty = false
  let droppedWrites = 0
  let damagedBytes = 0
  const damaged = new Set<string>()

  const read = async (segment: Segment): Promise<readonly JournalWrite[]> => {
    const bytes = segment.bytes > SEGMENT_BYTES_MAX ? new Uint8Array(0) : await readFile(segment.path)
    const scan = scanFrames(bytes)
    const lost = segment.bytes > SEGMENT_BYTES_MAX ? segment.bytes : scan.damagedBytes
    if (lost > 0 && !damaged.has(segment.path)) damagedBytes += lost
    if (lost > 0) damaged.add(segment.path)
    const summary: Summary = { writes: 0, lastByName: new Map() }
    for (const write of scan.writes) addToSummary(summary, writeName(write))
    segment.summary = summary
    return scan.writes
  }

  // One thing after the other: a group is appended while nothing else touches the files.
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const turn = queue.then(action, action)
    queue = turn.catch(() => {})
    return turn
  }

  const syncFolder = async (): Promise<void> => {
    const directory = await open(folder, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  /** What was appended before a segment is closed is durable behind it. */
  const closeCurrent = async (): Promise<void> => {
    const closing = current
    current = undefined
    if (closing === undefined) return
    try {
      if (isDirty) await closing.file.datasync()
      isDirty = false
    } finally {
      await closing.file.close()
    }
  }

  const openSegment = async (): Promise<{ readonly segment: Segment; readonly file: FileHandle }> => {
    const last = segments.at(-1)
    // The one of the run before goes on, so that many short runs do not make many files; unless its end was cut off.
    if (last !== undefined && last.bytes < SEGMENT_BYTES && !damaged.has(last.path)) {
      await read(last)
      if (!damaged.has(last.path)) return { segment: last, file: await open(last.path, 'a') }
    }
    const number = (last?.number ?? 0) + 1
    const path = join(folder, `${String(number).padStart(10, '0')}.log`)
    const file = await open(path, 'ax', 0o640)
    const segment: Segment = { number, path, bytes: 0, summary: { writes: 0, lastByName: new Map() } }
    segments.push(segment)
    await syncFolder()
    return { segment, file }
  }

  const remove = async (segment: Segment): Promise<void> => {
    await rm(segment.path, { force: true })
    segments.splice(segments.indexOf(segment), 1)
  }

  const dropAtBound = async (): Promise<void> => {
    let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    while (bytes > bytesMax && segments.length > 1) {
      const [oldest] = segments
      if (oldest === undefined) return
      if (oldest.summary === undefined) await read(oldest)
      droppedWrites += oldest.summary?.writes ?? 0
      bytes -= oldest.bytes
      await remove(oldest)
    }
  }

  const sync = async (): Promise<void> => {
    if (!isDirty || current === undefined) return
    await current.file.datasync()
    isDirty = false
  }

  const appendFrame = async (writes: readonly EncodedWrite[], isSynced: boolean): Promise<void> => {
    try {
      if (writes.length > 0) {
        if (current !== undefined && current.segment.bytes >= SEGMENT_BYTES) await closeCurrent()
        current ??= await openSegment()
        const { segment, file } = current
        const frame = encodeFrame(writes.map(({ bytes }) => bytes))
        isDirty = true
        await file.writeFile(frame)
        segment.bytes += frame.length
        if (segment.summary !== undefined) for (const write of writes) addToSummary(segment.summary, write)
      }
      if (isSynced) await sync()
    } catch (error) {
      // What of it is on the disk is not known. The next group begins a segment of its own, behind which this one does not count.
      const broken = current
      current = undefined
      isDirty = false
      if (broken !== undefined) damaged.add(broken.segment.path)
      await broken?.file.close().catch(() => {})
      throw error
    }
    await dropAtBound()
  }

  return {
    async append(writes, options) {
      if (writes.length === 0 && !(options.sync && isDirty)) return
      await inTurn(() => appendFrame(writes, options.sync))
    },
    flush: () => inTurn(() => appendFrame([], true)),
    async *replay(isKnown) {
      // Backwards to the first one that is known as a whole, with the least counter of each origin behind each segment.
      const needed: { readonly segment: Segment; readonly behind: ReadonlyMap<string, number> }[] = []
      const behind = new Map<string, number>()
      for (const segment of segments.toReversed()) {
        const names = (await read(segment)).map(writeName)
        if (names.length > 0 && names.every(isKnown)) break
        needed.unshift({ segment, behind: new Map(behind) })
        for (const name of names) behind.set(nameOf(name), Math.min(name.counter, behind.get(nameOf(name)) ?? Infinity))
      }
      for (const { segment, behind: later } of needed) {
        const writes = withoutVoid(await read(segment), new Map(later))
        for (let at = 0; at < writes.length; at += WRITES_PER_PAGE) yield writes.slice(at, at + WRITES_PER_PAGE)
      }
    },
    prune: isConfirmed =>
      inTurn(async () => {
        for (const segment of segments.toReversed()) {
          if (segment.summary === undefined) await read(segment)
          let isNeeded = false
          for (const last of segment.summary?.lastByName.values() ?? []) {
            isNeeded = !(await isConfirmed(last))
            if (isNeeded) break
          }
          if (isNeeded || (segment === current?.segment && segment.bytes === 0)) continue
          if (segment === current?.segment) await closeCurrent()
          await remove(segment)
        }
      }),
    state: () => ({
      bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesMax,
      segments: segments.length,
      droppedWrites,
      damagedBytes,
    }),
    close: () => inTurn(closeCurrent),
  }
}

/** Leaves out the writes whose dots were given again: their groups had failed. `behind`: the least counters of what follows. */
function withoutVoid(writes: readonly JournalWrite[], behind: Map<string, number>): JournalWrite[] {
  const kept: JournalWrite[] = []
  for (const write of writes.toReversed()) {
    const name = writeName(write)
    const least = behind.get(nameOf(name)) ?? Infinity
    if (name.counter >= least) continue
    behind.set(nameOf(name), name.counter)
    kept.push(write)
  }
  return kept.reverse()
}

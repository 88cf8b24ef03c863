/** The outage log holds what was appended, whatever a power cut or a bad card does to its end or its middle. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeFrame, scanFrames } from '../../../agent/outage-frame.ts'
import { openOutageLog, SEGMENT_BYTES, type OutageLog } from '../../../agent/outage-log.ts'
import { decodeJournalWrite, encodeJournalWrite, type EncodedWrite, type JournalWrite } from '../../../sync/journal.ts'

const ORIGIN = 'ab'.repeat(16)
const RUN = '01'.repeat(8)
const BYTES_MAX = 64 * 1024 * 1024

function makeWrite(counter: number, text = 'x', collection = 'imu'): JournalWrite {
  const stamp = { ms: 1_000, tick: 7 }
  const version = { flags: 4, origin: ORIGIN, counter, stamp, context: [], body: Uint8Array.from(Buffer.from(text)) }
  return { collection, generation: 1, run: RUN, key: `key ${counter}`, version }
}

function encode(write: JournalWrite): EncodedWrite {
  const { collection, generation, version } = write
  return { collection, generation, origin: version.origin, counter: version.counter, bytes: encodeJournalWrite(write) }
}

const nothing = (): boolean => false

async function held(
  log: OutageLog,
  isKnown: (write: { counter: number; collection: string }) => boolean = nothing,
): Promise<JournalWrite[]> {
  const writes: JournalWrite[] = []
  for await (const page of log.replay(isKnown)) writes.push(...page)
  return writes
}

const countersOf = (writes: readonly JournalWrite[]): number[] => writes.map(({ version }) => version.counter)
/** Bodies are views; compared by what they hold. */
const plain = (writes: readonly JournalWrite[]): object[] =>
  writes.map(write => ({ ...write, version: { ...write.version, body: Buffer.from(write.version.body).toString('hex') } }))

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-outage-'))
})
afterEach(() => rm(folder, { recursive: true }))

const segmentsOf = async (): Promise<string[]> => (await readdir(folder)).sort().map(name => join(folder, name))

describe('frames', () => {
  const groups = [[1, 2, 3], [4], [5, 6]].map(counters => counters.map(counter => makeWrite(counter, 'payload '.repeat(counter))))
  const frames = groups.map(group => encodeFrame(group.map(write => encodeJournalWrite(write))))
  const bytes = Buffer.concat(frames)

  it('give back any write as it was', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme' }),
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (key, body, counter) => {
          const write = makeWrite(counter)
          const changed = { ...write, key, version: { ...write.version, body, context: [{ origin: ORIGIN, counter }] } }
          const read = decodeJournalWrite(encodeJournalWrite(changed))
          expect(read && plain([read])).toEqual(plain([changed]))
        },
      ),
    )
  })

  it('P1 cut at every byte: all groups in front of the cut are there, whole, and nothing else', () => {
    const ends = frames.map((_, i) => frames.slice(0, i + 1).reduce((sum, frame) => sum + frame.length, 0))
    for (let cut = 0; cut <= bytes.length; cut++) {
      const scan = scanFrames(bytes.subarray(0, cut))
      const whole = groups.filter((_, i) => ends[i]! <= cut).flat()
      expect(plain(scan.writes)).toEqual(plain(whole))
      expect(scan.isWhole).toBe(cut === 0 || ends.includes(cut))
    }
  })

  it('P1 with any byte altered: the group that it is in is passed over as a whole, every other one is there', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const mask of [1, 0x80, 0xff]) {
        const altered = Buffer.from(bytes)
        altered[at]! ^= mask
        let end = 0
        const hit = frames.findIndex(frame => at < (end += frame.length))
        expect(countersOf(scanFrames(altered).writes)).toEqual(countersOf(groups.filter((_, i) => i !== hit).flat()))
      }
    }
  })

  it('never throw, and give nothing that was not written, whatever the bytes are', () => {
    const known = new Set(plain(groups.flat()).map(write => JSON.stringify(write)))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(bytes.length), fc.nat(bytes.length), (noise, from, to) => {
        const scan = scanFrames(Buffer.concat([bytes.subarray(0, from), noise, bytes.subarray(to)]))
        for (const write of plain(scan.writes)) expect(known.has(JSON.stringify(write))).toBe(true)
      }),
    )
  })
})

describe('the log', () => {
  it('J1 holds what was appended, over restarts, in one file until that is full', async () => {
    for (let run = 0; run < 3; run++) {
      const log = await openOutageLog(folder, BYTES_MAX)
      await log.append([encode(makeWrite(run * 2 + 1)), encode(makeWrite(run * 2 + 2))], { sync: true })
      await log.close()
    }
    const log = await openOutageLog(folder, BYTES_MAX)
    expect(countersOf(await held(log))).toEqual([1, 2, 3, 4, 5, 6])
    expect(await segmentsOf()).toHaveLength(1)
    await log.close()
  })

  it('P1 an end that was cut off at any byte costs the last group at most, and what comes after it is kept', async () => {
    const first = await openOutageLog(folder, BYTES_MAX)
    await first.append([encode(makeWrite(1))], { sync: true })
    await first.append([encode(makeWrite(2))], { sync: true })
    await first.close()
    const [path] = await segmentsOf()
    const bytes = await readFile(path!)
    for (let cut = bytes.length / 2; cut < bytes.length; cut++) {
      await truncate(path!, cut)
      const log = await openOutageLog(folder, BYTES_MAX)
      await log.append([encode(makeWrite(3))], { sync: true })
      expect(countersOf(await held(log))).toEqual([1, 3])
      await log.close()
      for (const other of await segmentsOf()) await rm(other)
      await writeFile(path!, bytes)
    }
  })

  it('J2 of two writes of one dot the later one counts: the group of the first had failed', async () => {
    const log = await openOutageLog(folder, BYTES_MAX)
    await log.append(
      [1, 2, 3].map(counter => encode(makeWrite(counter, 'first'))),
      { sync: true },
    )
    await log.append([encode(makeWrite(9, 'other', 'other'))], { sync: true })
    await log.append([encode(makeWrite(2, 'second'))], { sync: true })
    const writes = await held(log)
    expect(writes.map(({ version }) => `${version.counter} ${Buffer.from(version.body).toString()}`)).toEqual([
      '1 first',
      '9 other',
      '2 second',
    ])
    await log.close()
  })

  it('replays from the first segment that has something unknown, and no more', async () => {
    const log = await openOutageLog(folder, BYTES_MAX)
    const large = 'x'.repeat(SEGMENT_BYTES)
    for (let counter = 1; counter <= 4; counter++) await log.append([encode(makeWrite(counter, large))], { sync: true })
    expect(await segmentsOf()).toHaveLength(4)
    expect(countersOf(await held(log, ({ counter }) => counter <= 2))).toEqual([3, 4])
    expect(await held(log, () => true)).toEqual([])
    await log.close()
  })

  it('lets go of the segments in which everything is confirmed, the one in use too', async () => {
    const log = await openOutageLog(folder, BYTES_MAX)
    const large = 'x'.repeat(SEGMENT_BYTES)
    for (let counter = 1; counter <= 3; counter++) await log.append([encode(makeWrite(counter, large))], { sync: true })
    await log.append([encode(makeWrite(1, 'small', 'other'))], { sync: true })
    await log.prune(({ collection, counter }) => Promise.resolve(collection === 'imu' && counter <= 2))
    expect(countersOf(await held(log))).toEqual([3, 1])
    await log.prune(() => Promise.resolve(true))
    expect(await segmentsOf()).toEqual([])
    expect(log.state()).toMatchObject({ bytes: 0, droppedWrites: 0 })
    await log.append([encode(makeWrite(4))], { sync: true })
    expect(countersOf(await held(log))).toEqual([4])
    await log.close()
  })

  it('P3 at its bound the oldest segment goes, and its writes are counted', async () => {
    const log = await openOutageLog(folder, 3 * SEGMENT_BYTES)
    const large = 'x'.repeat(SEGMENT_BYTES)
    for (let counter = 1; counter <= 5; counter++) await log.append([encode(makeWrite(counter, large))], { sync: true })
    expect(countersOf(await held(log))).toEqual([4, 5])
    expect(log.state().droppedWrites).toBe(3)
    expect(log.state().bytes).toBeLessThanOrEqual(3 * SEGMENT_BYTES)
    await log.close()
  })

  it('syncs what was appended without, when it is flushed and with the next group that is synced', async () => {
    const log = await openOutageLog(folder, BYTES_MAX)
    await log.append([encode(makeWrite(1))], { sync: false })
    await log.append([], { sync: true })
    await log.append([encode(makeWrite(2))], { sync: false })
    await log.flush()
    expect(countersOf(await held(log))).toEqual([1, 2])
    await log.close()
  })
})

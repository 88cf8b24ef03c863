/**
 * The scrub: everything that a store keeps beside its records is held against them, at the caller's pace, in steps that hold no snapshot for
 * longer than they take. What follows from records is made again. What does not - a record that is gone, or is not what was written - is
 * taken out of the digest, so that roots differ and repair (L2) fetches it from a peer; until it is back it is listed as lost (row `h`).
 *
 * A step looks at rows as they are and suspects; a job in a write group then looks again and mends, unless the key is being written. So nothing
 * waits for a scrub, and nothing is mended that a write has changed meanwhile.
 *
 * Invariants (test/unit/sync/scrub.test.ts, test/contract/damaged-store.test.ts):
 *   B3 a scrub of a store without damage changes nothing, whatever is written meanwhile;
 *   B4 behind a scrub, digest, log, feed, sums and counts are those of the records;
 *   B5 content that is not what was written is never digested: it goes to quarantine;
 *   B6 what is gone is listed until it is there again, or something that supersedes it.
 */
import { concatBytes, EMPTY, equalBytes, readU32 } from '../base/bytes.ts'
import { rowPagesOf } from './collection-state.ts'
import { BUCKET_LEVEL, FANOUT } from './digest.ts'
import {
  allFeed,
  dotAtOfItemRow,
  dotAtOfLogRow,
  dotAtOfTombstoneRow,
  itemsUnder,
  keyAtOfFeedValue,
  keyAtOfItemRow,
  keyOfRecordRow,
  logOf,
  metaRow,
  recordRow,
  recordsOf,
  tombstonesOf,
} from './rows.ts'
import { isKeyWhole } from './scrub-key.ts'
import { createMender, type LostVersion, type MenderParts, type ScrubCounters } from './scrub-mend.ts'
import type { Row, RowRange } from './store.ts'
import { readDot } from './version.ts'
import { SEQUENCE_BYTES } from './write-batch.ts'

/** Rows that are looked at between two turns. */
const ROWS_PER_STEP = 64
/** Rows between two notes of where the scrub is. */
const ROWS_PER_NOTE = 4_096
const ITEMS_AT_ONCE = 4_096
/** Of a collection: its records, log rows, tombstone rows, digest items. And at the end, of all together, the feed. */
const PHASES = 5
const FEED_PHASE = 4
const FEED_CID = 2 ** 32 - 1

export interface ScrubOptions {
  /** Waits before the next rows; false ends the scrub here. */
  readonly pace: (rows: number) => Promise<boolean>
  /** Begins where an earlier one was ended, also by a restart. Otherwise from the start, counting everything anew. */
  readonly isResumed: boolean
}

export interface Scrubber {
  readonly counters: Readonly<ScrubCounters>
  /** Looks at everything; false when it was ended before. Rejects when the store cannot be written. One at a time. */
  run(options: ScrubOptions): Promise<boolean>
  /** Versions that are gone and not back, as many as are listed; those that are back are struck off first. */
  findLost(): Promise<readonly LostVersion[]>
}

/** Where a scrub is: a collection, a phase of it, and the last row that was looked at. */
interface Place {
  readonly cid: number
  readonly phase: number
  readonly row: Uint8Array
}

/** The caller's pace said that it is enough. */
class ScrubEnded extends Error {
  override readonly name = 'ScrubEnded'
}

export function createScrubber(parts: MenderParts): Scrubber {
  const { store, hasher, state, submit } = parts
  const counters: ScrubCounters = { rows: 0, mended: 0, strays: 0, sums: 0, damaged: 0, lost: 0, recovered: 0, passes: 0 }
  const mender = createMender(parts, counters)

  const pageOf = async (range: RowRange, rowsMax: number): Promise<Row[]> => {
    const cursor = store.scan(range)
    const page = await cursor.next(rowsMax)
    await cursor.close()
    return page
  }

  /** Rows of a range from behind `place` on, a step at a time. */
  async function* steps(cid: number, phase: number, place: Place | undefined, options: ScrubOptions): AsyncGenerator<readonly Row[]> {
    const range = phase === FEED_PHASE ? allFeed : [recordsOf(cid), logOf(cid), tombstonesOf(cid)][phase]
    if (range === undefined) return
    // What is written behind the last row of now waits for the next pass: a scrub must not run after those who write.
    const [end] = await pageOf({ ...range, reverse: true }, 1)
    if (end === undefined) return
    const lt = concatBytes(end[0], Uint8Array.of(0))
    let { gte: after } = range
    if (place?.cid === cid && place.phase === phase && place.row.length > 0) after = place.row
    let sinceNote = 0
    for (;;) {
      const page = await pageOf({ gt: after, lt }, ROWS_PER_STEP)
      const last = page.at(-1)
      if (last === undefined) return
      yield page
      after = Uint8Array.from(last[0])
      sinceNote += page.length
      if (options.isResumed && sinceNote >= ROWS_PER_NOTE) {
        sinceNote = 0
        await note({ cid, phase, row: after })
      }
      await turn(page.length, options, { cid, phase, row: after })
    }
  }

  const isOpen = (cid: number): boolean => [...state().collectionByName.values()].some(collection => collection.cid === cid)

  const turn = async (rows: number, { pace, isResumed }: ScrubOptions, place: Place): Promise<void> => {
    counters.rows += rows
    if (await pace(rows)) return
    if (isResumed) await note(place)
    throw new ScrubEnded()
  }

  const note = (place: Place): Promise<void> => submit(batch => batch.put(metaRow('scrub'), encodePlace(place)))

  const scrubCollection = async (cid: number, place: Place | undefined, options: ScrubOptions): Promise<void> => {
    const from = place?.cid === cid ? place.phase : 0
    mender.begin()
    const foundBefore = counters.mended + counters.lost + counters.strays + counters.damaged
    if (from <= 0) {
      for await (const page of steps(cid, 0, place, options))
        for (const [row, value] of page) {
          const key = Uint8Array.from(keyOfRecordRow(row))
          if (!isKeyWhole(store, hasher, cid, key, value)) await mender.mendKey(cid, key)
        }
    }
    for (const [phase, dotAt] of [
      [1, dotAtOfLogRow],
      [2, dotAtOfTombstoneRow],
    ] as const) {
      if (from > phase) continue
      for await (const page of steps(cid, phase, place, options))
        for (const [row, key] of page) {
          const dot = readDot(row, dotAt)
          if (!mender.holds(cid, key, dot)) await mender.dropStray(cid, Uint8Array.from(row), Uint8Array.from(key), dot, phase === 1)
        }
    }
    // Few items are summed up at once, many bucket by bucket: each is one look at one moment.
    const items = [...state().collectionByName.values()].find(collection => collection.cid === cid)?.total.count ?? 0
    const level = items <= ITEMS_AT_ONCE ? 0 : BUCKET_LEVEL
    const first = from === 3 && place !== undefined && place.row.length === 4 ? readU32(place.row, 0) : 0
    for (let index = first; index < FANOUT ** level; index++) {
      let rows = 0
      const bare: Uint8Array[] = []
      for await (const page of rowPagesOf(store, itemsUnder(cid, level, index))) {
        rows += page.length
        for (const [row] of page) {
          const key = row.subarray(keyAtOfItemRow)
          if (!mender.holds(cid, key, readDot(row, dotAtOfItemRow))) bare.push(Uint8Array.from(key))
        }
      }
      for (const key of bare) await mender.mendKey(cid, key)
      await mender.mendSums(cid, level, index)
      await turn(rows, options, { cid, phase: 3, row: Uint8Array.of(0, 0, (index + 1) >>> 8, index + 1) })
    }
    const hasFound = counters.mended + counters.lost + counters.strays + counters.damaged !== foundBefore
    await mender.mendCounts(cid, hasFound || !options.isResumed)
    await turn(1, options, { cid: cid + 1, phase: 0, row: EMPTY })
  }

  const scrubFeed = async (place: Place | undefined, options: ScrubOptions): Promise<void> => {
    for await (const page of steps(FEED_CID, FEED_PHASE, place, options))
      for (const [row, value] of page) {
        const cid = readU32(value, 0)
        const key = Uint8Array.from(value.subarray(keyAtOfFeedValue))
        const record = store.get(recordRow(cid, key))
        if (record === undefined || !equalBytes(record.subarray(0, SEQUENCE_BYTES), row.subarray(1)))
          await mender.dropFeedRow(Uint8Array.from(row), cid, key)
      }
  }

  return {
    counters,
    async run(options) {
      const place = options.isResumed ? decodePlace(store.get(metaRow('scrub'))) : undefined
      const cids = [...state().collectionByName.values()].map(({ cid }) => cid).sort((a, b) => a - b)
      try {
        for (const cid of cids) {
          if (cid < (place?.cid ?? 0) || !isOpen(cid)) continue
          await scrubCollection(cid, place, options)
        }
        await scrubFeed(place, options)
      } catch (error) {
        if (error instanceof ScrubEnded) return false
        throw error
      }
      if (options.isResumed) await submit(batch => batch.del(metaRow('scrub')))
      counters.passes += 1
      await this.findLost()
      return true
    },
    findLost: () => mender.findLost(),
  }
}

/** cid(4) phase(1) row. */
const encodePlace = ({ cid, phase, row }: Place): Uint8Array =>
  concatBytes(Uint8Array.of(cid >>> 24, cid >>> 16, cid >>> 8, cid, phase), row)

function decodePlace(value: Uint8Array | undefined): Place | undefined {
  if (value === undefined || value.length < 5) return undefined
  const phase = value[4]!
  return phase < PHASES ? { cid: readU32(value, 0), phase, row: value.slice(5) } : undefined
}

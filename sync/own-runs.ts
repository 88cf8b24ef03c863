/** The runs of the origins that this store has written under, as rows `n` hold them (R2). */
import { toHex } from '../base/bytes.ts'
import { eachRow, type RunId } from './collection-state.ts'
import type { Origin } from './dot.ts'
import { forkRow, originAtOfVectorRow, ownRunsOf } from './rows.ts'
import type { StoreReader } from './store.ts'
import { ORIGIN_BYTES, readCounter, readOrigin } from './version.ts'

export interface OwnRun {
  readonly origin: Origin
  /** Its first counter. */
  readonly first: number
  readonly run: RunId
}

/** Ascending by origin and counter. */
export async function loadOwnRuns(reader: StoreReader, cid: number): Promise<OwnRun[]> {
  const runs: OwnRun[] = []
  await eachRow(reader, ownRunsOf(cid), ([row, value]) => {
    runs.push({
      origin: readOrigin(row, originAtOfVectorRow),
      first: readCounter(row, originAtOfVectorRow + ORIGIN_BYTES),
      run: toHex(value),
    })
  })
  return runs
}

/** The run in which a counter was written; undefined when this store did not write it. */
export const runAt = (runs: readonly OwnRun[], origin: Origin, counter: number): RunId | undefined =>
  runs.findLast(run => run.origin === origin && run.first <= counter)?.run

/** Origins whose whole history is this store's: of a forked one others have written a part. */
export const unforkedOrigins = (reader: StoreReader, cid: number, origins: Iterable<Origin>): Origin[] =>
  [...origins].filter(origin => reader.get(forkRow(cid, origin)) === undefined)

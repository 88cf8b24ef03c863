/** The rows of the bench collection's records, for baselines that read them without the replica. */
import { recordRow, recordsOf } from '../sync/rows.ts'
import type { RowRange, Store } from '../sync/store.ts'

/** The store's first user collection: the benches write no other. */
const benchCid = 2

export async function recordRowsOf(store: Store): Promise<RowRange> {
  const range = recordsOf(benchCid)
  const cursor = store.scan(range)
  const page = await cursor.next(1)
  await cursor.close()
  if (page.length === 0) throw new Error('the bench collection has no rows')
  return range
}

export const benchRecordRow = (key: string): Uint8Array => recordRow(benchCid, Buffer.from(key))

/** Ranges of records: which rows they are, and reading them in bounded pages. */
import { compareBytes, concatBytes, prefixEnd } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import type { CollectionState } from './collection-state.ts'
import { viewRecord } from './record-view.ts'
import type { RecordRange, RecordView } from './replica.ts'
import { keyOfRecordRow, recordRow, recordsOf } from './rows.ts'
import type { RowRange, StoreReader } from './store.ts'
import { decodeStoredEntry, keyBytes, keyText } from './write-batch.ts'

const ROWS_PER_PAGE = 128

/** The rows of a range; undefined when it is empty from the start. */
export function recordRows(cid: number, range: RecordRange): RowRange | undefined {
  const all = recordsOf(cid)
  let low = all.gte
  let high = all.lt
  const raise = (row: Uint8Array): void => void (compareBytes(row, low) > 0 && (low = row))
  const lower = (row: Uint8Array): void => void (compareBytes(row, high) < 0 && (high = row))
  if (range.prefix !== undefined && range.prefix !== '') {
    const prefix = recordRow(cid, keyBytes(range.prefix))
    raise(prefix)
    const end = prefixEnd(prefix)
    if (end !== undefined) lower(end)
  }
  if (range.from !== undefined) raise(recordRow(cid, keyBytes(range.from)))
  if (range.to !== undefined) lower(recordRow(cid, keyBytes(range.to)))
  if (range.after !== undefined) {
    const after = recordRow(cid, keyBytes(range.after))
    // The least key behind `after` is `after` and a zero byte.
    if (range.reverse === true) lower(after)
    else raise(concatBytes(after, Uint8Array.of(0)))
  }
  if (compareBytes(low, high) >= 0) return undefined
  return { gte: low, lt: high, reverse: range.reverse === true }
}

/** Live records of a range, from one snapshot, in pages that are bounded in rows (and by the store in bytes). */
export async function* scanRecords(
  reader: StoreReader,
  collection: CollectionState,
  range: RecordRange,
  hash: Hash,
): AsyncGenerator<readonly RecordView[]> {
  const rows = recordRows(collection.cid, range)
  if (rows === undefined) return
  const cursor = reader.scan(rows)
  try {
    for (;;) {
      const page = await cursor.next(ROWS_PER_PAGE)
      if (page.length === 0) return
      const records: RecordView[] = []
      for (const [row, value] of page) {
        const stored = decodeStoredEntry(value)
        const record = stored && viewRecord(keyText(keyOfRecordRow(row)), stored.entry, hash)
        if (record !== undefined) records.push(record)
      }
      if (records.length > 0) yield records
    }
  } finally {
    await cursor.close()
  }
}

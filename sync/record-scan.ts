/** Reading records: one, ranges of them in bounded pages, and everything that is kept of a range. */
import { compareBytes, concatBytes, prefixEnd } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import type { CollectionState } from './collection-state.ts'
import { viewRecord } from './record-view.ts'
import type { Entry } from './entry.ts'
import type { RecordRange, RecordView, Replica } from './replica.ts'
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

/** What `view` makes of the keys of a range, from one snapshot, in pages that are bounded in rows (and by the store in bytes). */
async function* scanRange<T>(
  reader: StoreReader,
  collection: CollectionState,
  range: RecordRange,
  view: (key: string, entry: Entry) => T | undefined,
): AsyncGenerator<readonly T[]> {
  const rows = recordRows(collection.cid, range)
  if (rows === undefined) return
  const cursor = reader.scan(rows)
  try {
    for (;;) {
      const page = await cursor.next(ROWS_PER_PAGE)
      if (page.length === 0) return
      const views: T[] = []
      for (const [row, value] of page) {
        const stored = decodeStoredEntry(value)
        const viewed = stored && view(keyText(keyOfRecordRow(row)), stored.entry)
        if (viewed !== undefined) views.push(viewed)
      }
      if (views.length > 0) yield views
    }
  } finally {
    await cursor.close()
  }
}

export type RecordReads = Pick<Replica, 'get' | 'list' | 'scan' | 'scanEntries'>

/** `collection`: the open one of a name, as far as users may see it. */
export function createRecordReads(store: StoreReader, hash: Hash, collection: (name: string) => CollectionState | undefined): RecordReads {
  const viewed = (key: string, entry: Entry): RecordView | undefined => viewRecord(key, entry, hash)
  const scan = async function* (name: string, range: RecordRange): AsyncGenerator<readonly RecordView[]> {
    const found = collection(name)
    if (found !== undefined) yield* scanRange(store, found, range, viewed)
  }
  return {
    get(name, key) {
      const found = collection(name)
      if (found === undefined || !key.isWellFormed()) return undefined
      const value = store.get(recordRow(found.cid, keyBytes(key)))
      const stored = value && decodeStoredEntry(value)
      return stored && viewed(key, stored.entry)
    },
    scan,
    async list(name, range, limit) {
      const records: RecordView[] = []
      for await (const page of scan(name, range)) {
        records.push(...page)
        if (records.length > limit) break
      }
      return { records: records.slice(0, limit), more: records.length > limit }
    },
    async *scanEntries(name, range) {
      const found = collection(name)
      if (found !== undefined) yield* scanRange(store, found, range, (key, entry) => ({ key, entry }))
    },
  }
}

/**
 * The change feed: what changed here, in the order in which it became durable, whoever wrote it. A key's change replaces its earlier
 * one (overwritten versions coalesce); conflicts, where `lww` dropped a concurrent version, are kept apart and bounded.
 */
import { concatBytes, createByteReader } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import type { CollectionState } from './collection-state.ts'
import { viewRecord } from './record-view.ts'
import type { Change } from './replica.ts'
import { conflictsAfter, feedAfter, recordRow } from './rows.ts'
import type { Row, StoreReader } from './store.ts'
import { decodeVersion, encodeVersion, type Version } from './version.ts'
import { decodeStoredEntry, FEED_DELETE, keyText, readSequence } from './write-batch.ts'

/** Conflicts kept; the oldest goes when another comes. */
export const CONFLICTS_MAX = 1_000

/** cid(4) key length(2) key version: the version that `lww` dropped. */
export function encodeConflict(cid: number, key: Uint8Array, loser: Version): Uint8Array {
  return concatBytes(Uint8Array.of(cid >>> 24, cid >>> 16, cid >>> 8, cid, key.length >>> 8, key.length), key, encodeVersion(loser))
}

export interface FeedReader {
  readonly reader: StoreReader
  readonly hash: Hash
  /** The open collection of a local number; undefined: its changes are not told. */
  readonly collection: (cid: number) => CollectionState | undefined
}

/**
 * At most `limit` changes behind `after` up to `end`, oldest first, and the sequence to go on from. Looks at a bounded number of rows:
 * fewer changes than `limit` do not mean that there are no more, `next === end` does.
 */
export async function readChanges(
  feed: FeedReader,
  after: number,
  end: number,
  limit: number,
): Promise<{ readonly changes: readonly Change[]; readonly next: number }> {
  if (after >= end) return { changes: [], next: end }
  const [records, conflicts] = await Promise.all([
    page(feed.reader, feedAfter(after, end), limit),
    page(feed.reader, conflictsAfter(after, end), limit),
  ])
  const isWhole = records.length < limit && conflicts.length < limit
  const merged = [...records.map(row => ({ row, isConflict: false })), ...conflicts.map(row => ({ row, isConflict: true }))]
    .map(({ row: [key, value], isConflict }) => ({ sequence: readSequence(key.subarray(1)), value, isConflict }))
    .sort((a, b) => a.sequence - b.sequence)
    .slice(0, limit)
  const changes = merged.flatMap(({ sequence, value, isConflict }) =>
    isConflict ? readConflict(feed, sequence, value) : readChange(feed, sequence, value),
  )
  const last = merged.at(-1)?.sequence
  return { changes, next: isWhole && merged.length < limit ? end : (last ?? end) }
}

async function page(reader: StoreReader, range: ReturnType<typeof feedAfter>, rowsMax: number): Promise<Row[]> {
  const cursor = reader.scan(range)
  const rows: Row[] = []
  try {
    while (rows.length < rowsMax) {
      const next = await cursor.next(rowsMax - rows.length)
      if (next.length === 0) break
      rows.push(...next)
    }
    return rows
  } finally {
    await cursor.close()
  }
}

function readChange({ reader, hash, collection }: FeedReader, sequence: number, value: Uint8Array): Change[] {
  const fields = createByteReader(value)
  const cid = fields.u32()
  const kind = fields.u8()
  const keyBytes = fields.rest()
  const owner = collection(cid)
  if (owner === undefined) return []
  const key = keyText(keyBytes)
  const row = reader.get(recordRow(cid, keyBytes))
  const stored = row && decodeStoredEntry(row)
  // Changed again meanwhile: that change comes later.
  if (stored?.sequence !== sequence) return []
  if (kind === FEED_DELETE) return [{ sequence, kind: 'delete', collection: owner.name, key }]
  const record = viewRecord(key, stored.entry, hash)
  return record === undefined ? [] : [{ sequence, kind: 'put', collection: owner.name, key, record }]
}

function readConflict({ hash, collection }: FeedReader, sequence: number, value: Uint8Array): Change[] {
  const fields = createByteReader(value)
  const owner = collection(fields.u32())
  const key = keyText(fields.raw(fields.u16()))
  const loser = decodeVersion(fields.rest())
  if (owner === undefined || loser === undefined) return []
  const record = viewRecord(key, [loser], hash)
  return [{ sequence, kind: 'conflict', collection: owner.name, key, ...(record === undefined ? {} : { record }) }]
}

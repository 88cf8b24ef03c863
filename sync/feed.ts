/**
 * The change feed: what changed here, in the order in which it became durable, whoever wrote it. A key's change replaces its earlier
 * one (overwritten versions coalesce); conflicts, where `lww` dropped a concurrent version, are kept apart and bounded. So are deletions
 * of whole collections, whose rows go: the latest of each name is kept, as the system collection keeps it for good too.
 */
import { concatBytes, createByteReader, u64Bytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import type { CollectionState } from './collection-state.ts'
import { viewRecord } from './record-view.ts'
import type { Change } from './replica.ts'
import { conflictsAfter, deletionsAfter, feedAfter, recordRow } from './rows.ts'
import type { Row, RowRange, StoreReader } from './store.ts'
import { decodeVersion, encodeVersion, type Version } from './version.ts'
import { decodeStoredEntry, FEED_DELETE, keyBytes, keyText, readSequence } from './write-batch.ts'

/** Conflicts kept; the oldest goes when another comes. */
export const CONFLICTS_MAX = 1_000

/** cid(4) key length(2) key version: the version that `lww` dropped. */
export function encodeConflict(cid: number, key: Uint8Array, loser: Version): Uint8Array {
  return concatBytes(Uint8Array.of(cid >>> 24, cid >>> 16, cid >>> 8, cid, key.length >>> 8, key.length), key, encodeVersion(loser))
}

/** generation(8) name: a collection that was deleted. */
export function encodeDeletion({ generation, name }: CollectionState): Uint8Array {
  return concatBytes(u64Bytes(generation), keyBytes(name))
}

/** The name in a deletion row's value. */
export const nameOfDeletion = (value: Uint8Array): string => keyText(value.subarray(GENERATION_BYTES))

const GENERATION_BYTES = 8

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
  const pages = await Promise.all([
    page(feed.reader, feedAfter(after, end), limit, readChange),
    page(feed.reader, conflictsAfter(after, end), limit, readConflict),
    page(feed.reader, deletionsAfter(after, end), limit, readDeletion),
  ])
  const isWhole = pages.every(rows => rows.length < limit)
  const merged = pages
    .flat()
    .sort((a, b) => a.sequence - b.sequence)
    .slice(0, limit)
  const changes = merged.flatMap(({ sequence, value, read }) => read(feed, sequence, value))
  const last = merged.at(-1)?.sequence
  return { changes, next: isWhole && merged.length < limit ? end : (last ?? end) }
}

type ReadRow = (feed: FeedReader, sequence: number, value: Uint8Array) => Change[]

interface FeedRow {
  readonly sequence: number
  readonly value: Uint8Array
  readonly read: ReadRow
}

async function page(reader: StoreReader, range: RowRange, rowsMax: number, read: ReadRow): Promise<FeedRow[]> {
  const cursor = reader.scan(range)
  const rows: Row[] = []
  try {
    while (rows.length < rowsMax) {
      const next = await cursor.next(rowsMax - rows.length)
      if (next.length === 0) break
      rows.push(...next)
    }
    return rows.map(([key, value]) => ({ sequence: readSequence(key.subarray(1)), value, read }))
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

function readDeletion(_feed: FeedReader, sequence: number, value: Uint8Array): Change[] {
  const generation = createByteReader(value).u64()
  return [{ sequence, kind: 'delete', collection: nameOfDeletion(value), key: undefined, generation }]
}

/**
 * The order in which a collection's versions go when it is bounded or has a ttl: rows `t`, by priority, then stamp. Kept up by the write
 * batch with every other row of a version (B1). Only collections with such settings have them.
 *
 * An index that is being built is complete up to a key, and for keys behind all that there were when it began: a write between the two
 * is left to the builder.
 */
import { compareBytes, readU32 } from '../base/bytes.ts'
import { decodeUtf8 } from '../base/utf8.ts'
import type { CollectionState } from './collection-state.ts'
import type { Dot } from './dot.ts'
import type { Entry } from './entry.ts'
import { priorityOf } from './retention.ts'
import { dotAtOfRetentionRow, keyAtOfRetentionRow, retentionRow } from './rows.ts'
import type { Row } from './store.ts'
import { FLAG_TRUSTED_TIME, isTombstone, readDot, versionLength, type Version } from './version.ts'

const VALUE_BYTES = 5

/** What a version takes, as `max_bytes` counts it. */
export const retainedBytes = (key: Uint8Array, version: Version): number => key.length + versionLength(version)

const covers = ({ retention: { index, indexedTo, indexEnd } }: CollectionState, key: Uint8Array): boolean =>
  index !== 'none' && (indexedTo === undefined || compareBytes(key, indexedTo) <= 0 || compareBytes(key, indexEnd) > 0)

const rowOf = (collection: CollectionState, key: Uint8Array, version: Version): Uint8Array =>
  retentionRow(collection.cid, collection.retention.index === 'priority' ? priorityOf(version) : 0, version.stamp, version, key)

export function indexVersion(
  collection: CollectionState,
  key: Uint8Array,
  version: Version,
  put: (row: Uint8Array, value: Uint8Array) => void,
): void {
  const { retention } = collection
  if (retention.index === 'none' || isTombstone(version)) return
  if (covers(collection, key)) addToIndex(collection, key, version, put)
  else retention.indexMissed.add(decodeUtf8(key) ?? '')
}

export function unindexVersion(collection: CollectionState, key: Uint8Array, version: Version, del: (row: Uint8Array) => void): void {
  const { retention } = collection
  if (retention.index === 'none' || isTombstone(version)) return
  if (!covers(collection, key)) {
    retention.indexMissed.add(decodeUtf8(key) ?? '')
    return
  }
  retention.bytes -= retainedBytes(key, version)
  retention.isDirty = true
  if (retention.index !== 'bytes') del(rowOf(collection, key, version))
}

function addToIndex(
  collection: CollectionState,
  key: Uint8Array,
  version: Version,
  put: (row: Uint8Array, value: Uint8Array) => void,
): void {
  const { retention } = collection
  const bytes = retainedBytes(key, version)
  retention.bytes += bytes
  retention.isDirty = true
  if (retention.index === 'bytes') return
  put(rowOf(collection, key, version), Uint8Array.of(bytes >>> 24, bytes >>> 16, bytes >>> 8, bytes, version.flags & FLAG_TRUSTED_TIME))
}

/** The builder's step: one key that the index does not have yet. */
export function indexEntry(
  collection: CollectionState,
  key: Uint8Array,
  entry: Entry | undefined,
  put: (row: Uint8Array, value: Uint8Array) => void,
): void {
  for (const version of entry ?? []) if (!isTombstone(version)) addToIndex(collection, key, version, put)
}

/** A version as its index row names it. */
export interface IndexedVersion {
  readonly key: string
  readonly dot: Dot
  readonly bytes: number
  readonly isTrusted: boolean
}

export function readIndexRow([row, value]: Row): IndexedVersion | undefined {
  if (value.length !== VALUE_BYTES) return undefined
  return {
    key: decodeUtf8(row.subarray(keyAtOfRetentionRow)) ?? '',
    dot: readDot(row, dotAtOfRetentionRow),
    bytes: readU32(value, 0),
    isTrusted: value[4] !== 0,
  }
}

/** Entries as users see them. */
import { concatBytes, toHex, u64Bytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { decodeContent } from './content.ts'
import { shownVersion, type Entry } from './entry.ts'
import type { RecordView, VersionView } from './replica.ts'
import { FLAG_TRUSTED_TIME, isOpaque, isTombstone, originBytes, type Version } from './version.ts'

export function viewVersion(version: Version): VersionView {
  return {
    origin: version.origin,
    counter: version.counter,
    timeMs: version.stamp.ms,
    tick: version.stamp.tick,
    trustedTime: (version.flags & FLAG_TRUSTED_TIME) !== 0,
  }
}

/** `origin:counter`; with siblings the hash of the whole set, so that a conditional write names everything it saw. */
export function entryEtag(entry: Entry, hash: Hash): string {
  const [only] = entry
  if (entry.length === 1 && only !== undefined) return `${only.origin}:${only.counter}`
  return toHex(
    hash.sha256(concatBytes(...entry.flatMap(version => [originBytes(version.origin), u64Bytes(version.counter)]))).subarray(0, 16),
  )
}

/** The record that an entry shows; undefined when it shows none. */
export function viewRecord(key: string, entry: Entry, hash: Hash): RecordView | undefined {
  const shown = shownVersion(entry)
  const content = shown === undefined ? undefined : decodeContent(shown)
  if (shown === undefined || content === undefined) return undefined
  const record = { key, version: viewVersion(shown), etag: entryEtag(entry, hash), ...content }
  if (entry.length === 1) return record
  const conflicts = entry
    .filter(version => version !== shown && !isTombstone(version) && !isOpaque(version))
    .map(version => ({ version: viewVersion(version), ...decodeContent(version) }))
  return { ...record, conflicts }
}

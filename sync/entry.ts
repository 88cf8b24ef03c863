/**
 * An entry: the versions that one key holds, and the rule by which two replicas' entries become one.
 *
 * Invariants (test/unit/sync/entry.test.ts):
 *   E1 merge is commutative, associative and idempotent, for every policy;
 *   E2 a version whose writer had seen another always wins over it, whatever the clocks said (R1);
 *   E3 `lww` leaves one version, the greatest in the total order; the winner is never altered by what it beat;
 *   E4 `siblings` and `append` keep every version that no other one has seen.
 */
import { allocateBytes, type Allocate } from '../base/scratch.ts'
import { equalBytes, readU32 } from '../base/bytes.ts'
import { isSameDot, type Dot } from './dot.ts'
import { compareStamps, nextStamp, type Stamp } from './hlc.ts'
import type { ConflictPolicy } from './replica.ts'
import { compareVersions, decodeVersion, isOpaque, isTombstone, supersedes, type Version, versionLength, writeVersion } from './version.ts'

/** Greatest version first; never empty. */
export type Entry = readonly Version[]

/** The merge rule. Returns `mine` itself when nothing changes. */
export function mergeEntries(mine: Entry | undefined, theirs: Entry, policy: ConflictPolicy): Entry {
  if (mine === undefined) return policy === 'lww' ? [greatest(theirs)] : concurrent(theirs)
  if (policy === 'lww') {
    const winner = greatest(theirs)
    if (mine.length === 1) return compareVersions(winner, mine[0]!) > 0 ? [winner] : mine
    return [greatest([...mine, winner])]
  }
  const merged = concurrent([...mine, ...theirs])
  return sameVersions(merged, mine) ? mine : merged
}

function greatest(versions: Entry): Version {
  return versions.reduce((best, version) => (compareVersions(version, best) > 0 ? version : best))
}

/** The versions that no other one supersedes, one per dot, greatest first. */
function concurrent(versions: Entry): Entry {
  const sorted = versions.toSorted((a, b) => compareVersions(b, a))
  return sorted.filter(
    (version, i) =>
      !sorted.some((other, k) => (k < i && isSameDot(other, version)) || (!isSameDot(other, version) && supersedes(other, version))),
  )
}

export function sameVersions(a: Entry, b: Entry): boolean {
  return a.length === b.length && a.every((version, i) => compareVersions(version, b[i]!) === 0)
}

/** What a write that supersedes a whole entry has seen: the join of its versions' contexts and dots, ascending by origin. */
export function contextOver(entry: Entry | undefined): Dot[] {
  if (entry === undefined) return []
  const seen = new Map<string, number>()
  const see = (dot: Dot): void => {
    if ((seen.get(dot.origin) ?? 0) < dot.counter) seen.set(dot.origin, dot.counter)
  }
  for (const version of entry) {
    version.context.forEach(see)
    see(version)
  }
  return [...seen].map(([origin, counter]) => ({ origin, counter })).sort((a, b) => (a.origin < b.origin ? -1 : 1))
}

/**
 * The stamp of a write over `entry` (R1): the clock's, raised above everything it supersedes and, where there is no entry,
 * above the greatest stamp ever collected as a tombstone in the collection. Does not move the clock.
 */
export function stampOver(entry: Entry | undefined, clock: Stamp, collectedStampMax: Stamp): Stamp {
  let stamp = clock
  const floors = entry === undefined ? [collectedStampMax] : entry.map(version => version.stamp)
  for (const floor of floors) if (compareStamps(stamp, floor) <= 0) stamp = nextStamp(floor)
  return stamp
}

/** The version that queries show: the greatest that is neither a tombstone nor opaque. Undefined: the key has no value here. */
export function shownVersion(entry: Entry): Version | undefined {
  return entry.find(version => !isTombstone(version) && !isOpaque(version))
}

/** The bytes of the version with this dot inside an encoded entry that begins at `start`; undefined when it is not there. */
export function findVersionBytes(bytes: Uint8Array, start: number, dot: Uint8Array): Uint8Array | undefined {
  let at = start + 2
  while (at + 4 < bytes.length) {
    const end = at + 4 + readU32(bytes, at)
    // The dot follows the version's flags.
    const dotAt = at + 5
    if (end <= bytes.length && equalBytes(bytes.subarray(dotAt, dotAt + dot.length), dot)) return bytes.subarray(at + 4, end)
    at = end
  }
  return undefined
}

/** Layout: u16 count, then per version u32 length and the version. `prefixBytes` are left free in front. */
export function encodeEntry(entry: Entry, prefixBytes = 0, allocate: Allocate = allocateBytes): Uint8Array {
  let length = prefixBytes + 2
  for (const version of entry) length += 4 + versionLength(version)
  const bytes = allocate(length)
  let at = prefixBytes
  bytes[at++] = entry.length >>> 8
  bytes[at++] = entry.length
  for (const version of entry) {
    const versionBytes = versionLength(version)
    bytes[at++] = versionBytes >>> 24
    bytes[at++] = versionBytes >>> 16
    bytes[at++] = versionBytes >>> 8
    bytes[at++] = versionBytes
    at = writeVersion(bytes, at, version)
  }
  return bytes
}

/** Reads an entry from `at` on; undefined when the bytes are not one. */
export function decodeEntry(bytes: Uint8Array, start = 0): Entry | undefined {
  const count = (bytes[start] ?? 0) * 256 + (bytes[start + 1] ?? 0)
  const versions: Version[] = []
  let at = start + 2
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.length) return undefined
    const length = readU32(bytes, at)
    const end = at + 4 + length
    if (end > bytes.length) return undefined
    const version = decodeVersion(bytes.subarray(at + 4, end))
    if (version === undefined) return undefined
    versions.push(version)
    at = end
  }
  return at === bytes.length && versions.length > 0 ? versions : undefined
}

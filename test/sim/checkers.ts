/** What must hold, whatever happens. Each checker says what is wrong, or nothing. */
import { toHex } from '../../base/bytes.ts'
import { systemHash } from '../../agent/ports.ts'
import { addItem, createDigestSum, createItemHasher, rootDigest } from '../../sync/digest.ts'
import { coversDot, type Dot } from '../../sync/dot.ts'
import { shownVersion, type Entry } from '../../sync/entry.ts'
import { compareStamps, type Stamp } from '../../sync/hlc.ts'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { compareVersions, decodeVersion, supersedes, type Version } from '../../sync/version.ts'
import { keyBytes } from '../../sync/write-batch.ts'
import type { Robot } from './robot.ts'

/** A write that a user was told is safe. */
export interface AcknowledgedWrite {
  readonly robot: number
  readonly collection: string
  readonly key: string
  readonly dot: Dot
  readonly stamp: Stamp
  readonly isDelete: boolean
}

/** Every entry of a collection, straight from the rows. */
export async function readEntries(replica: OpenReplica, name: string): Promise<Map<string, Version[]>> {
  const entries = new Map<string, Version[]>()
  const snapshot = await replica.snapshot()
  const collection = await snapshot.collection(name)
  if (collection !== undefined) {
    for await (const { key, dot } of collection.items(0, 0)) {
      const item = collection.item(keyBytes(key), dot)
      const version = item && decodeVersion(item.version)
      if (version !== undefined)
        entries.set(
          key,
          [...(entries.get(key) ?? []), version].sort((a, b) => compareVersions(b, a)),
        )
    }
  }
  await snapshot.close()
  return entries
}

/**
 * No acknowledged write is lost: the key holds it, or something that saw it, or something that beats it under `lww`; or a tombstone did
 * so that has been `collected` since.
 */
export function findLostWrite(
  entries: ReadonlyMap<string, Entry>,
  acknowledged: readonly AcknowledgedWrite[],
  collected: (key: string) => readonly Version[],
): string | undefined {
  const lost = acknowledged.find(
    write => ![...(entries.get(write.key) ?? []), ...collected(write.key)].some(version => accountsFor(version, write)),
  )
  if (lost === undefined) return undefined
  return `robot ${lost.robot}'s acknowledged ${lost.isDelete ? 'delete' : 'write'} of ${lost.collection}/${lost.key} (${dotName(lost.dot)}) is lost`
}

function accountsFor(version: Version, { dot, stamp }: AcknowledgedWrite): boolean {
  if (sameDot(version, dot) || version.context.some(seen => seen.origin === dot.origin && seen.counter >= dot.counter)) return true
  // The total order, as far as two dots need it.
  return (compareStamps(version.stamp, stamp) || (version.origin > dot.origin ? 1 : -1)) > 0
}

/** No delete comes undone: nothing that a tombstone's writer had seen is shown. */
export function findResurrection(
  entries: ReadonlyMap<string, Entry>,
  tombstones: readonly { readonly key: string; readonly version: Version }[],
): string | undefined {
  for (const { key, version } of tombstones) {
    const shown = shownVersion(entries.get(key) ?? [])
    if (shown !== undefined && supersedes(version, shown)) return `${key} came back after its delete (${dotName(version)})`
  }
  return undefined
}

/** The digest and counts that are kept say what a count from scratch says (P14). */
export async function findDrift(replica: OpenReplica, name: string): Promise<string | undefined> {
  const hasher = createItemHasher(systemHash, new Uint8Array(16))
  const sum = createDigestSum()
  let live = 0
  for (const [key, entry] of await readEntries(replica, name)) {
    for (const version of entry) addItem(sum, hasher.itemHash(keyBytes(key), version))
    if (shownVersion(entry) !== undefined) live += 1
  }
  const snapshot = await replica.snapshot()
  const kept = await snapshot.collection(name)
  await snapshot.close()
  const root = toHex(rootDigest(systemHash, sum))
  if (kept !== undefined && toHex(kept.root) !== root) return `${name}: the kept digest is not the digest of what is held`
  const view = replica.collection(name)
  return view !== undefined && toHex(view.digest) === root && view.recordCount !== live
    ? `${name}: ${view.recordCount} records counted, ${live} held`
    : undefined
}

/** Tables stay within their limits. */
export function findOverflow(robots: readonly Robot[], nowMs: number): string | undefined {
  for (const { index, swarm } of robots) {
    const listed = swarm?.members(nowMs) ?? []
    if (listed.length > robots.length - 1) return `robot ${index} lists ${listed.length} peers of ${robots.length - 1}`
  }
  return undefined
}

/** The vectors never say less than what was acknowledged here. */
export async function findForgottenDot(robot: Robot, acknowledged: readonly AcknowledgedWrite[]): Promise<string | undefined> {
  if (robot.replica === undefined) return undefined
  const snapshot = await robot.replica.snapshot()
  try {
    for (const { collection, dot } of acknowledged.filter(write => write.robot === robot.index)) {
      const held = await snapshot.collection(collection)
      if (held === undefined || !coversDot(held.counters, dot))
        return `robot ${robot.index} acknowledged ${dotName(dot)} and does not know it any more`
    }
    return undefined
  } finally {
    await snapshot.close()
  }
}

const sameDot = (a: Dot, b: Dot): boolean => a.origin === b.origin && a.counter === b.counter
export const dotName = ({ origin, counter }: Dot): string => `${origin.slice(0, 8)}:${counter}`

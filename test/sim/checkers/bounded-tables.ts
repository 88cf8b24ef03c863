/** Tables stay within their limits: in memory, and on the disk, where each row has one thing that it is about. */
import { CONFLICTS_MAX } from '../../../sync/feed.ts'
import { BUCKET_LEVEL, FANOUT } from '../../../sync/digest.ts'
import { QUARANTINE_ROWS_MAX } from '../../../sync/quarantine.ts'
import { isTombstone } from '../../../sync/version.ts'
import type { DurableState } from '../durable-state.ts'

export interface TableLimits {
  /** Stores that there have been in the swarm, by their ids: each wrote under one origin. */
  readonly stores: number
  /** How often this robot has started. */
  readonly starts: number
}

export interface MemoryTables {
  readonly members: number
  readonly openSnapshots: number
}

/** A session holds one snapshot of a collection, one of a repair and one of the moment; two sessions a peer, while one gives way. */
const SNAPSHOTS_PER_PEER_MAX = 6

/** `peers`: other robots. */
export function findOverflow(robot: number, { members, openSnapshots }: MemoryTables, peers: number): string | undefined {
  if (members > peers) return `robot ${robot} lists ${members} peers of ${peers}`
  if (openSnapshots > SNAPSHOTS_PER_PEER_MAX * peers) return `robot ${robot} has ${openSnapshots} snapshots open`
  return undefined
}

/** Rows that belong to nothing any more would pile up for as long as a robot lives. */
export function findSurplusRows(
  robot: number,
  { collections, names, rows, dropped }: DurableState,
  limits: TableLimits,
): string | undefined {
  // A purge is under way: its rows go step by step.
  if (dropped > 0) return undefined
  let keys = 0
  let versions = 0
  let tombstones = 0
  for (const { entries } of collections.values()) {
    keys += entries.size
    for (const entry of entries.values()) {
      versions += entry.length
      tombstones += entry.filter(isTombstone).length
    }
  }
  const most: Readonly<Record<string, number>> = {
    m: 3,
    c: collections.size,
    r: keys,
    s: keys,
    l: versions,
    d: versions,
    b: Math.min(versions, collections.size * FANOUT ** BUCKET_LEVEL),
    v: collections.size * limits.stores,
    g: collections.size * limits.stores,
    // One for each origin that it wrote under in a run: it takes a new one when it was evicted.
    n: collections.size * (limits.starts + limits.stores),
    p: collections.size * limits.stores,
    z: tombstones,
    a: collections.size * limits.stores,
    // What a robot keeps to itself: its settings, the order in which things go, what it knows others to hold.
    o: names,
    k: collections.size,
    t: versions - tombstones,
    w: collections.size * limits.stores,
    // The feed tells of the last deletion of each name.
    e: names,
    x: CONFLICTS_MAX,
    q: QUARANTINE_ROWS_MAX,
  }
  for (const [letter, count] of rows) {
    const max = most[letter] ?? 0
    if (count > max) return `robot ${robot} keeps ${count} rows "${letter}", and there is reason for ${max}`
  }
  return undefined
}

/** Versions, marks and drops that come from a peer, put into a write group. */
import type { Clock, Random } from '../base/ports.ts'
import { createCollectionState, type CollectionState, type VectorEntry } from './collection-state.ts'
import type { Crossing, Crossings } from './crossing.ts'
import { coversVector, type Dot, type Origin, type VersionVector } from './dot.ts'
import { mergeEntries, sameVersions, type Entry } from './entry.ts'
import { CONFLICTS_MAX, encodeConflict, encodeDeletion } from './feed.ts'
import { laterStamp } from './hlc.ts'
import { COLLECTIONS_MAX } from './local-write.ts'
import type { ReplicaState } from './replica-state.ts'
import { countersOf } from './replica-snapshot.ts'
import { applySystemEntry, takeNewOrigin } from './replica-state.ts'
import { isBehindHorizon, type DropReason } from './retention.ts'
import { retainedBytes } from './retention-index.ts'
import { isFull, noteGivenUp, NO_LOCAL_SETTINGS } from './retention-state.ts'
import { conflictRow, deletionRow } from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import { withoutCollected } from './tombstones.ts'
import { compareVersions, isTombstone, supersedes, type Version } from './version.ts'
import { keyBytes, type WriteBatch } from './write-batch.ts'

export interface RemoteItem {
  readonly key: string
  readonly version: Version
}

export interface AppliedItems {
  /** Versions that changed something here. */
  readonly applied: number
  /** Stamps too far ahead of the own clock to move it (P6). */
  readonly clocksAhead: number
  /** Concurrent versions that met and of which `lww` dropped one. */
  readonly conflicts: number
  /** Versions that are behind what this node keeps (R8, R9). */
  readonly givenUp: number
}

export interface RemoteContext {
  readonly state: ReplicaState
  readonly clock: Clock
  readonly random: Random
  readonly crossings: Crossings
}

/** The collection that a peer speaks of; undefined when this replica has another generation of it, or none and no room. */
export function remoteCollection(state: ReplicaState, batch: WriteBatch, name: string, generation: number): CollectionState | undefined {
  const existing = state.collectionByName.get(name)
  if (existing !== undefined) return existing.generation === generation ? existing : undefined
  if (generation <= state.model.deletedGeneration(name) || state.collectionByName.size > COLLECTIONS_MAX) return undefined
  const collection = createCollectionState(state.nextCid++, name, generation)
  collection.local = state.localByName.get(name) ?? NO_LOCAL_SETTINGS
  state.collectionByName.set(name, collection)
  batch.touch(collection)
  return collection
}

/**
 * Merges a peer's versions. With `skipCovered` (L1) a dot that the own vector covers is ignored: it was here and has been superseded,
 * or still is. Repair (L2) passes false. `crossing` is that of the session that brings them.
 */
export function applyRemoteItems(
  context: RemoteContext,
  batch: WriteBatch,
  collection: CollectionState,
  items: readonly RemoteItem[],
  skipCovered: boolean,
  crossing?: Crossing,
): AppliedItems {
  const { state, clock, random, crossings } = context
  const isSystem = collection.name === SYSTEM_COLLECTION
  const policy = isSystem ? 'siblings' : state.model.settings(collection.name, collection.generation).conflict
  const wallMs = clock.wallMs()
  let applied = 0
  let clocksAhead = 0
  let conflicts = 0
  let givenUp = 0
  for (const { key, version } of items) {
    if (skipCovered && (collection.vector.get(version.origin)?.counter ?? 0) >= version.counter) continue
    // R2: this replica wrote it and does not know: a restored copy. The mark that would say so may never come.
    if (version.origin === state.origin && version.counter > (collection.vector.get(state.origin)?.counter ?? 0))
      takeNewOrigin(state, batch, random)
    const before = batch.entry(collection, key)
    // R8: a collection that refuses what is new when it is full does so to peers as well; whoever sent it has it.
    if (before === undefined && !isTombstone(version) && isFull(collection, retainedBytes(keyBytes(key), version))) {
      collection.retention.hasGivenUp = true
      giveUp(batch, collection, version, 'full')
      givenUp += 1
      continue
    }
    const merged = mergeEntries(before?.entry, [version], policy)
    // T1: what was collected here does not come back, whoever still holds it.
    const uncollected = withoutCollected(collection, merged)
    if (uncollected !== merged) {
      // T3: this replica may never have held it until now, and later writes stay above it.
      for (const { stamp } of merged) collection.collectedStampMax = laterStamp(collection.collectedStampMax, stamp)
      batch.touch(collection)
    }
    // R9: what comes is judged when it has taken the place of what it beats.
    const after = uncollected && withoutExpired(collection, uncollected, version)
    if (after !== uncollected) {
      giveUp(batch, collection, version, 'ttl')
      givenUp += 1
    }
    if (!state.hlc.observe(version.stamp, wallMs)) clocksAhead += 1
    const mine = before?.entry[0]
    if (mine !== undefined && policy === 'lww' && isConflict(mine, version)) {
      conflicts += 1
      recordConflict(state, batch, collection, key, merged === before?.entry ? version : mine)
    }
    if (after === before?.entry || (before !== undefined && after !== undefined && sameVersions(after, before.entry))) continue
    batch.replace(collection, key, before, after)
    applied += 1
    crossings.noteApplied(collection.name, version, crossing)
    if (isSystem) applySystemEntry(state, key, after ?? [])
  }
  return { applied, clocksAhead, conflicts, givenUp }
}

/** An entry without a version that is behind the horizon; undefined when nothing is left. */
function withoutExpired({ retention }: CollectionState, entry: Entry, version: Version): Entry | undefined {
  if (!isBehindHorizon(version, retention.horizonMs) || !entry.includes(version)) return entry
  return entry.length === 1 ? undefined : entry.filter(other => other !== version)
}

function giveUp(batch: WriteBatch, collection: CollectionState, version: Version, reason: DropReason): void {
  noteGivenUp(collection, version, reason)
  batch.touch(collection)
}

const isConflict = (mine: Version, theirs: Version): boolean =>
  compareVersions(mine, theirs) !== 0 && !supersedes(mine, theirs) && !supersedes(theirs, mine)

/** Keeps the version that lww dropped for the feed, in the place of the oldest one when there are too many. */
function recordConflict(state: ReplicaState, batch: WriteBatch, collection: CollectionState, key: string, loser: Version): void {
  const { conflictSequences } = state
  if (conflictSequences.length >= CONFLICTS_MAX) {
    const oldest = conflictSequences.shift()
    if (oldest !== undefined) batch.del(conflictRow(oldest))
  }
  state.sequence += 1
  conflictSequences.push(state.sequence)
  batch.put(conflictRow(state.sequence), encodeConflict(collection.cid, keyBytes(key), loser))
}

/** Tells the feed that a collection is gone, in the place of an earlier deletion of its name. */
function recordDeletion(state: ReplicaState, batch: WriteBatch, collection: CollectionState): void {
  const earlier = state.deletionSequenceByName.get(collection.name)
  if (earlier !== undefined) batch.del(deletionRow(earlier))
  state.sequence += 1
  state.deletionSequenceByName.set(collection.name, state.sequence)
  batch.put(deletionRow(state.sequence), encodeDeletion(collection))
}

/**
 * Advances the vector to a peer's mark (R5): everything live that the mark covers has been applied here. Returns whether the mark
 * knows more of the own origin than this replica does, which took a new origin then (R2, P15).
 */
export function applyMark(
  context: RemoteContext,
  batch: WriteBatch,
  collection: CollectionState,
  mark: ReadonlyMap<Origin, VectorEntry>,
): { readonly tookNewOrigin: boolean } {
  const { state, random } = context
  let tookNewOrigin = false
  for (const [origin, entry] of mark) {
    if ((collection.vector.get(origin)?.counter ?? 0) >= entry.counter) continue
    if (origin === state.origin) {
      takeNewOrigin(state, batch, random)
      tookNewOrigin = true
    }
    batch.setVector(collection, origin, entry)
  }
  return { tookNewOrigin }
}

/**
 * Removes versions without a trace: they were collected elsewhere after everybody had seen them superseded (R6). Whoever is not behind that floor
 * any more was brought there by somebody else, who has judged them too: what it sent and covers is not to be missing here.
 */
export function dropItems(
  batch: WriteBatch,
  collection: CollectionState,
  items: readonly { readonly key: string; readonly dot: Dot }[],
  floor?: VersionVector,
): number {
  if (floor !== undefined && coversVector(countersOf(collection.vector), floor)) return 0
  let dropped = 0
  for (const { key, dot } of items) {
    const before = batch.entry(collection, key)
    if (before === undefined) continue
    const left = before.entry.filter(version => version.origin !== dot.origin || version.counter !== dot.counter)
    if (left.length === before.entry.length) continue
    batch.replace(collection, key, before, left.length === 0 ? undefined : left)
    dropped += 1
  }
  return dropped
}

/**
 * Brings the open collections in line with the system collection: drops generations that were deleted, opens those that were created
 * elsewhere. Returns the dropped ones.
 */
export function reconcileCollections(state: ReplicaState, batch: WriteBatch): CollectionState[] {
  const dropped: CollectionState[] = []
  for (const name of state.model.names()) {
    const open = state.collectionByName.get(name)
    if (open !== undefined && open.generation <= state.model.deletedGeneration(name)) {
      open.dropped = true
      state.collectionByName.delete(name)
      state.dropped.add(open)
      batch.touch(open)
      recordDeletion(state, batch, open)
      dropped.push(open)
    }
    const live = state.model.liveGeneration(name)
    if (live !== undefined && !state.collectionByName.has(name)) remoteCollection(state, batch, name, live)
  }
  return dropped
}

/**
 * Partial replicas (R8): what two replicas of one collection may take one another for, said in one place. A replica is partial for a
 * collection when it gives up what it cannot keep (its bounds were reached), or exchanges in one direction only, or not at all.
 *
 *   P1 roots are compared, and absent keys judged (R6), only between two that are full and whose horizons fit;
 *   P2 a partial replica vouches for its own writes alone, up to the first that it gave up and the receiver does not know;
 *   P3 what it gave up and nobody full has acknowledged is void: vectors go on over it;
 *   P4 a full replica's acknowledgement, heard from itself, is what lets go of a version - not that of one that may give it up as well.
 *
 * Both sides state their terms as they open a collection, so both come to the same answer.
 */
import type { VectorEntry } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import { judgeAbsent, type Knowledge } from './floor.ts'

export type SyncDirection = 'both' | 'push' | 'pull' | 'none'
export const SYNC_DIRECTIONS: readonly SyncDirection[] = ['both', 'push', 'pull', 'none']

/** What a replica is to others for one collection. */
export interface Terms {
  /** It may lack what its vector covers. */
  readonly isPartial: boolean
  /** It has a bound, and may give up what it holds: its acknowledgement lets nobody let go of anything. */
  readonly isBounded: boolean
  /** It has no bound any more, and lacks what it gave up under one. */
  readonly isRefilling: boolean
  readonly sends: boolean
  readonly receives: boolean
  /** What is older has expired here; 0: nothing has (R9). */
  readonly horizonMs: number
  /** The latest horizon that it would take over. */
  readonly horizonMaxMs: number
}

export const FULL_TERMS: Terms = {
  isPartial: false,
  isBounded: false,
  isRefilling: false,
  sends: true,
  receives: true,
  horizonMs: 0,
  horizonMaxMs: 0,
}

/** Of the hash of what a replica knows, as gossip carries it for partial replicas. */
export const KNOWN_BYTES = 8

const FLAG_PARTIAL = 1
export const FLAG_BOUNDED = 2
const FLAG_REFILLING = 4
export const FLAG_SENDS_NOT = 8
export const FLAG_RECEIVES_NOT = 16

/** A byte of flags, 0 for a full replica: what does not fit into them are the horizons. */
export function termsFlags({ isPartial, isBounded, isRefilling, sends, receives }: Terms): number {
  return (
    (isPartial ? FLAG_PARTIAL : 0) |
    (isBounded ? FLAG_BOUNDED : 0) |
    (isRefilling ? FLAG_REFILLING : 0) |
    (sends ? 0 : FLAG_SENDS_NOT) |
    (receives ? 0 : FLAG_RECEIVES_NOT)
  )
}

export function readTerms(flags: number, horizonMs: number, horizonMaxMs: number): Terms {
  return {
    isPartial: (flags & FLAG_PARTIAL) !== 0,
    isBounded: (flags & FLAG_BOUNDED) !== 0,
    isRefilling: (flags & FLAG_REFILLING) !== 0,
    sends: (flags & FLAG_SENDS_NOT) === 0,
    receives: (flags & FLAG_RECEIVES_NOT) === 0,
    horizonMs,
    horizonMaxMs,
  }
}

/** Nothing is special about it: whatever it holds it keeps, and exchanges both ways. Two such replicas may go on live (live.ts). */
export const isPlain = (terms: Terms): boolean => termsFlags(terms) === 0 && terms.horizonMs === 0

/** Of two plain replicas. */
export const PLAIN_RELATION: Relation = relate(FULL_TERMS, FULL_TERMS)

/** What two replicas are to one another for one collection. */
export interface Relation {
  readonly isMinePartial: boolean
  readonly isTheirsPartial: boolean
  /** Versions go from here to there. */
  readonly sends: boolean
  readonly receives: boolean
  /** The horizon that both have from now on, where they fit; the own one otherwise. */
  readonly horizonMs: number
  /** Their acknowledgement lets this replica give up a version (P4). */
  readonly isTheirsKept: boolean
  /** One side is filled up again from the other, which is full. */
  readonly isRefilling: boolean
  /** The peer lets things expire as well, and its clock says that it is not time yet: what has expired here others may still hold (R9). */
  readonly isAheadOfTheirs: boolean
}

export function relate(mine: Terms, theirs: Terms): Relation {
  // R9: who is ahead of what the other would take over is partial for it.
  const isMineAhead = mine.horizonMs > theirs.horizonMaxMs
  const isTheirsAhead = theirs.horizonMs > mine.horizonMaxMs
  const fits = !isMineAhead && !isTheirsAhead
  const isMinePartial = mine.isPartial || isMineAhead
  const isTheirsPartial = theirs.isPartial || isTheirsAhead
  return {
    isMinePartial,
    isTheirsPartial,
    sends: mine.sends && theirs.receives,
    receives: theirs.sends && mine.receives,
    horizonMs: fits ? Math.max(mine.horizonMs, theirs.horizonMs) : mine.horizonMs,
    isTheirsKept: !isTheirsPartial && !theirs.isBounded,
    // Who lets nothing expire, or not now, takes over no horizon but its own.
    isAheadOfTheirs: isMineAhead && theirs.horizonMaxMs > theirs.horizonMs,
    isRefilling: fits && ((mine.isRefilling && !theirs.isPartial) || (theirs.isRefilling && !mine.isPartial)),
  }
}

/**
 * What it says that one side lacks a key in a repair: of a full replica, what R6 makes of it; of a partial one nothing; of one that is being
 * filled up, that it wants it.
 */
export type Lack = 'judged' | 'nothing' | 'wanted'

export function lackOf({ isMinePartial, isTheirsPartial, isRefilling }: Relation, side: 'mine' | 'theirs'): Lack {
  const isPartial = side === 'mine' ? isMinePartial : isTheirsPartial
  return isPartial ? (isRefilling ? 'wanted' : 'nothing') : 'judged'
}

/** What is to be done with an item that `holder` holds and whose key `other` lacks (R6, P1). */
export function judgeLacking(holder: Knowledge, other: Knowledge, dot: Dot, lack: Lack): 'drop' | 'send' | 'leave' {
  if (lack === 'judged') return judgeAbsent(holder, other, dot)
  return lack === 'wanted' ? 'send' : 'leave'
}

/** Counters that were given up, the first and the last: what lies between may still be held. */
export interface GivenUp {
  readonly first: number
  readonly last: number
}

/** What a partial replica can say of its own writes. */
export interface OwnWrites {
  /** The origins that it has written under, and the run of each of their counters (R2). */
  readonly origins: Iterable<Origin>
  runOf(origin: Origin, counter: number): string | undefined
  readonly givenUp: ReadonlyMap<Origin, GivenUp>
  /** Of those, what has expired. */
  readonly expired: ReadonlyMap<Origin, GivenUp>
  /** What full replicas have acknowledged. */
  readonly kept: VersionVector
  /** What those of them have acknowledged with whom nothing expires. */
  readonly keptForGood: VersionVector
}

/** The mark of a partial replica (P2, P3) for a receiver that knows `known`. */
export function ownMark(vector: ReadonlyMap<Origin, VectorEntry>, known: VersionVector, own: OwnWrites): Map<Origin, VectorEntry> {
  const mark = new Map<Origin, VectorEntry>()
  for (const origin of own.origins) {
    const entry = vector.get(origin)
    if (entry === undefined) continue
    const held = known.get(origin) ?? 0
    const counter = Math.min(
      entry.counter,
      endOfMark(own.givenUp.get(origin), own.kept.get(origin) ?? 0, held),
      endOfMark(own.expired.get(origin), own.keptForGood.get(origin) ?? 0, held),
    )
    const run = counter === entry.counter ? entry.run : counter > held ? own.runOf(origin, counter) : undefined
    if (run !== undefined) mark.set(origin, { counter, run })
  }
  return mark
}

/** Up to here a mark may go: to the first that is gone here and kept elsewhere, and that the receiver has not got from there yet. */
function endOfMark(gone: GivenUp | undefined, kept: number, held: number): number {
  if (gone === undefined || kept < gone.first || held >= Math.min(gone.last, kept)) return Number.POSITIVE_INFINITY
  return gone.first - 1
}

/** Counters of one origin, `from` excluded, `to` included. */
export interface VoidedRange {
  readonly origin: Origin
  readonly from: number
  readonly to: number
}

/** What was given up and no full replica has acknowledged (P3). What lies in a range may be held by others all the same. */
export function voidedRanges({ givenUp, kept }: Pick<OwnWrites, 'givenUp' | 'kept'>): VoidedRange[] {
  const ranges: VoidedRange[] = []
  for (const [origin, { first, last }] of givenUp) {
    const from = Math.max(first - 1, kept.get(origin) ?? 0)
    if (from < last) ranges.push({ origin, from, to: last })
  }
  return ranges
}

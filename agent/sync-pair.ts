/**
 * What is remembered of the pair with one peer from session to session, and whether another session is wanted.
 *
 * Digests do not tell everything. A session that breaks off between its last frame and its last word leaves equal digests, and one side that
 * never heard what the other has acknowledged: tombstones wait for that (R7), and versions that only go when somebody else has them (R8).
 * So a session that ended in a fault, or that left something undone, is owed another one, whatever digests say, until one runs to its end.
 *
 * Pure: no clock, no I/O.
 */
import type { SessionResult } from '../sync/session.ts'
import { SYNC_LIMITS } from './sync-limits.ts'

export interface SyncPair {
  /** A person asked for a session: it is run although nothing differs. */
  isForced: boolean
  /** The last session ended in a fault or left something undone, and none has run to its end since. */
  isOwed: boolean
  /** One of the two has no place for a live link: there is none until something differs. */
  isOneRound: boolean
  backoffMs: number
  /** The last session failed: further failures are not worth a line each. */
  isFailing: boolean
}

export const createSyncPair = (): SyncPair => ({ isForced: false, isOwed: false, isOneRound: false, backoffMs: 0, isFailing: false })

/** A session is to be made. `hasLivePlace`: this side could keep the link open, which is wanted also when nothing differs. */
export function isSessionWanted(pair: SyncPair, differs: boolean, hasLivePlace: boolean): boolean {
  return pair.isForced || pair.isOwed || differs || (!pair.isOneRound && hasLivePlace)
}

/** What this agent says to who dials while a session with it is under way. */
export const BUSY = 'a session with this peer is under way'

export interface SessionEnd {
  /** What is told of it; undefined when it ran to its end, gave way to another one, or its live link was closed: there will be another. */
  readonly fault: string | undefined
  readonly kind: string
}

/** Takes in how a session ended. `result`: undefined when there was no link; `gaveWay`: it was closed from here. */
export function noteSessionEnd(pair: SyncPair, result: SessionResult | undefined, gaveWay: boolean, unreachable: string): SessionEnd {
  const kind = result === undefined ? 'unreachable' : (result.fault?.kind ?? 'none')
  if (kind === 'none') pair.isOwed = result?.isComplete === false
  // Who refused or was not understood has exchanged nothing; nor has who has not said hello.
  else if (result?.peer !== undefined && kind !== 'refused' && kind !== 'incompatible') pair.isOwed = true
  // Of two sessions at once one gives way: that is no failure.
  if (gaveWay || (kind === 'refused' && result?.fault?.detail === BUSY)) return { fault: undefined, kind }
  const isLiveEnd = result?.wasLive === true && kind === 'closed'
  const fault = result === undefined ? unreachable : isLiveEnd ? undefined : result.fault?.detail
  pair.isFailing = fault !== undefined
  if (result?.wasLive === false && (fault === undefined || kind === 'refused')) pair.isOneRound = true
  return { fault, kind }
}

/** How long to wait for the next session: gossip takes a moment to tell of what was agreed on; who still differs then waits ever longer. */
export function backOff(pair: SyncPair): number {
  return (pair.backoffMs = Math.min(SYNC_LIMITS.backoffMaxMs, Math.max(SYNC_LIMITS.backoffMinMs, pair.backoffMs * 2)))
}

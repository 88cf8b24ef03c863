/**
 * What a robot with retention may lack, and nobody else (R8, R9): said once, for all checkers, from the rules and not from the code.
 *
 *   - a bounded robot gives up what a full robot has below its vector; or else it says so: what it gives up of its own is counted as void.
 *     Vectors pass over what is void. Where somebody has it all the same, repair brings it to the others;
 *   - what is behind a robot's horizon, and has a trusted stamp, expires there when somebody else has it below its vector;
 *   - no tombstone is given up.
 */
import { coversDot } from '../../../sync/dot.ts'
import { FLAG_TRUSTED_TIME, isTombstone, type Version } from '../../../sync/version.ts'
import type { DurableCollection, DurableState } from '../durable-state.ts'
import type { History } from '../history.ts'
import { accountsFor, isSameDot, type Write } from '../merge-rule.ts'

export interface Neighbour {
  readonly robot: number
  readonly state: DurableState
}

const isBehind = (version: Version, horizonMs: number): boolean =>
  (version.flags & FLAG_TRUSTED_TIME) !== 0 && version.stamp.ms < horizonMs && !isTombstone(version)

/** By robot and collection: how much of its own it has given up that nobody else had, and that somebody had without its knowing. */
export type VoidCounts = Map<string, { certain: number; unheard: number }>

/** Whether a robot may have let go of a version that it held; notes it when it may. */
export function mayGiveUp(
  { robot, held }: { readonly robot: number; readonly held: DurableCollection },
  key: string,
  version: Version,
  robots: readonly Neighbour[],
  history: History,
  voidCounts: VoidCounts,
): boolean {
  const { keeping, id, name, generation } = held
  if (keeping === undefined) return false
  // What beats it may have come and expired at once.
  const beats = (other: Version): boolean =>
    !isSameDot(other, version) && isBehind(other, keeping.horizonMs) && accountsFor(other, version, history.ruleOf(id))
  if (history.key(id, key).versions.some(beats)) {
    history.giveUp(robot, id, key, version, false)
    return true
  }
  if (isTombstone(version)) return false
  const others = robots.filter(other => other.robot !== robot).map(({ state }) => state.collections.get(name))
  const covering = others.filter(other => other?.generation === generation && coversDot(other.vector, version))
  // Who held it may have learnt that the collection was deleted: that is nothing which this robot could have heard of.
  const isDeleted = others.some(other => other === undefined || other.generation > generation)
  if (isBehind(version, keeping.horizonMs) && (isDeleted || covering.length > 0)) {
    history.giveUp(robot, id, key, version, false)
    return true
  }
  const { recordsMax, bytesMax, policy } = keeping.retention
  if ((recordsMax === undefined && bytesMax === undefined) || policy === 'reject') return false
  const isOwn = keeping.ownOrigins.has(version.origin)
  const counts = voidCounts.get(`${robot} ${id}`) ?? { certain: 0, unheard: 0 }
  voidCounts.set(`${robot} ${id}`, counts)
  if (isDeleted || covering.some(other => other !== undefined && isFull(other))) {
    // Whoever has not heard yet that another has it counts it as void all the same.
    const isVoid = isOwn && counts.certain + counts.unheard < keeping.voided
    if (isVoid) counts.unheard += 1
    history.giveUp(robot, id, key, version, isVoid)
    return true
  }
  history.giveUp(robot, id, key, version, isOwn)
  if (!isOwn) return true
  counts.certain += 1
  return counts.certain <= keeping.voided
}

/** It keeps everything: no bound, no direction, nothing given up. */
export function isFull({ keeping }: DurableCollection): boolean {
  if (keeping === undefined) return true
  const { recordsMax, bytesMax } = keeping.retention
  return !keeping.isPartial && recordsMax === undefined && bytesMax === undefined
}

export const isPartial = ({ keeping }: DurableCollection): boolean => keeping?.isPartial === true

/** The latest horizon of any robot for a collection: what is behind it may have expired before it came to others. */
export const latestHorizonMs = (robots: readonly Neighbour[], name: string): number =>
  Math.max(0, ...robots.map(({ state }) => state.collections.get(name)?.keeping?.horizonMs ?? 0))

/** Whether what accounts for a write has been given up by this robot, has expired, or is void. */
export function isGivenUp(
  robot: number,
  { id, keeping }: DurableCollection,
  { key, write, isOwn }: { readonly key: string; readonly write: Write; readonly isOwn: boolean },
  horizonMs: number,
  history: History,
): boolean {
  const rule = history.ruleOf(id)
  // Of what others wrote a partial robot promises nothing.
  if (keeping?.isPartial === true && !isOwn) return true
  const accounts = (version: Version): boolean => accountsFor(version, write, rule)
  if (history.givenUp(robot, id, key).some(accounts) || history.givenUp('void', id, key).some(accounts)) return true
  return horizonMs > 0 && history.key(id, key).versions.some(version => isBehind(version, horizonMs) && accounts(version))
}

/** Whether a key's past holds what has expired: what that had beaten elsewhere may be there still, with a stamp that nobody trusts. */
export const hasExpired = ({ id, keeping }: DurableCollection, key: string, history: History): boolean =>
  keeping !== undefined && keeping.horizonMs > 0 && history.key(id, key).versions.some(version => isBehind(version, keeping.horizonMs))

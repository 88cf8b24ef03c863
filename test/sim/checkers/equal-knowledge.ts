/**
 * Equal knowledge means equal roots (R4): where generation, vector and G are equal, the versions that the vector covers come to the same.
 *
 * What a replica holds above its vector - frames whose mark has not come yet - makes the exact statement: for each key,
 *
 *   merge(held by one, X) = merge(held by the other, X)     X: the versions of the key that the vector does not cover
 *
 * since either may already hold some of X, in the place of what they beat. X is taken from the history and not from the two alone: a mark
 * also covers what its sender held superseded by a version of X, and those are not forwarded (R5), so a third replica's version may
 * be why a covered one is missing. Where X is empty this says that the two hold the very same.
 *
 * A tombstone that G covers counts as gone: G is raised first, and what it covers goes after that (T1). Under `lww` it counts as a version of
 * X, too: who had not heard of it and was evicted may bring back a concurrent write, which is beaten where it meets the tombstone and not
 * where the tombstone has been collected. Repair brings it to the others, and in the end all hold it.
 * A key that was damaged on purpose on one of the two is passed over until that robot holds again what it lost.
 * The roots themselves are those of what is held (kept-digests.ts), so where they are equal nothing is compared.
 */
import { coversDot } from '../../../sync/dot.ts'
import type { Entry } from '../../../sync/entry.ts'
import { isTombstone } from '../../../sync/version.ts'
import type { DurableCollection, DurableState } from '../durable-state.ts'
import type { History } from '../history.ts'
import { above, remaining } from '../merge-rule.ts'
import { hasExpired, isPartial } from './retention.ts'

export interface Knower {
  readonly robot: number
  readonly state: DurableState
}

export function findUnequal(one: Knower, other: Knower, history: History): string | undefined {
  for (const [name, mine] of one.state.collections) {
    const theirs = other.state.collections.get(name)
    if (theirs === undefined || theirs.knowledge !== mine.knowledge || theirs.root === mine.root) continue
    // Who lacks what others hold is not compared (R8), nor who is about to let go of what has expired (R9).
    if ([mine, theirs].some(held => isPartial(held) || held.keeping?.isSweeping === true)) continue
    const key = findUnequalKey(one.robot, mine, other.robot, theirs, history)
    if (key !== undefined) return `robots ${one.robot} and ${other.robot} know the same of ${name} and hold different things of ${key}`
  }
  return undefined
}

function findUnequalKey(
  robot: number,
  mine: DurableCollection,
  otherRobot: number,
  theirs: DurableCollection,
  history: History,
): string | undefined {
  const { id, vector } = mine
  const rule = history.ruleOf(id)
  for (const key of new Set([...mine.entries.keys(), ...theirs.entries.keys()])) {
    if (history.hasDamage(robot, id, key) || history.hasDamage(otherRobot, id, key)) continue
    if (hasExpired(mine, key, history)) continue
    // Vectors pass over what is void, also of those who have got it in a frame whose mark never came: repair brings it to the others (R8).
    const { versions, tombstones } = history.key(id, key)
    const collected = rule === 'lww' ? tombstones.filter(tombstone => coversDot(mine.collected, tombstone)) : []
    const unknown = [...above(versions, vector), ...history.givenUp('void', id, key), ...collected]
    const [ours, others] = [mine, theirs].map(held => remaining([...withoutCollected(held, key), ...unknown], rule))
    if (ours !== others) return `${key}: ${ours || 'nothing'}, and ${others || 'nothing'}`
  }
  return undefined
}

/** What is held of a key, but for tombstones that have been collected and not been swept up yet. */
const withoutCollected = ({ entries, collected }: DurableCollection, key: string): Entry =>
  (entries.get(key) ?? []).filter(version => !isTombstone(version) || !coversDot(collected, version))

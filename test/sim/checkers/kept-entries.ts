/**
 * What is held is given up for nothing but what beats it: from one durable state of a robot to the next each version of an entry stays, or
 * a version takes its place that accounts for it, or a tombstone that does so has been collected somewhere (R6), or it was damaged on
 * purpose. And vectors, of what is known and of what was collected, never sink.
 */
import { coversVector } from '../../../sync/dot.ts'
import type { DurableState } from '../durable-state.ts'
import type { History } from '../history.ts'
import { accountsFor, dotName } from '../merge-rule.ts'
import { mayGiveUp, type Neighbour, type VoidCounts } from './retention.ts'

export function findGivenUp(
  robot: number,
  before: DurableState,
  after: DurableState,
  history: History,
  robots: readonly Neighbour[] = [],
  voidCounts: VoidCounts = new Map(),
): string | undefined {
  for (const [name, old] of before.collections) {
    const held = after.collections.get(name)
    // Not read anew, since none of its rows has changed.
    if (held === old) continue
    if (held?.generation !== old.generation) {
      if (after.deletedGeneration(name) >= old.generation) continue
      return `robot ${robot} gave up ${name}, which nobody deleted`
    }
    if (!coversVector(held.vector, old.vector)) return `robot ${robot}'s vector of ${name} sank`
    if (!coversVector(held.collected, old.collected)) return `robot ${robot}'s vector of what it collected of ${name} sank`
    const rule = history.ruleOf(held.id)
    for (const [key, entry] of old.entries) {
      const now = held.entries.get(key)
      if (now === entry) continue
      for (const version of entry) {
        if (now?.some(other => accountsFor(other, version, rule)) === true) continue
        if (history.collected(held.id, key).some(tombstone => accountsFor(tombstone, version, rule))) continue
        if (history.isDamaged(robot, held.id, key, version)) continue
        if (mayGiveUp({ robot, held }, key, version, robots, history, voidCounts)) continue
        return `robot ${robot} gave up ${name}/${key} (${dotName(version)}) for nothing that beats it`
      }
    }
  }
  return undefined
}

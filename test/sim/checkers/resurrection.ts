/**
 * No delete comes undone: whoever's vector covers a tombstone holds nothing that the tombstone's writer had seen. The exception is that
 * of acknowledged writes: a version above the vector that took the tombstone's place at the sender of a mark (R5).
 */
import { coversDot } from '../../../sync/dot.ts'
import { isTombstone } from '../../../sync/version.ts'
import type { DurableCollection } from '../durable-state.ts'
import type { History } from '../history.ts'
import { above, accountsFor, dotName, hasSeen } from '../merge-rule.ts'
import { isGivenUp } from './retention.ts'

export function findResurrection(robot: number, held: DurableCollection, history: History, isEnd = false): string | undefined {
  const { id, name, entries, vector } = held
  const rule = history.ruleOf(id)
  for (const key of history.deletedKeys(id)) {
    const entry = entries.get(key) ?? []
    const alive = entry.filter(version => !isTombstone(version))
    if (alive.length === 0 || history.hasDamage(robot, id, key)) continue
    const { versions, tombstones } = history.key(id, key)
    for (const tombstone of tombstones) {
      const undone = coversDot(vector, tombstone) ? alive.find(version => hasSeen(tombstone, version)) : undefined
      if (undone === undefined) continue
      // Where `lww` let go of the tombstone for a greater one, a replica with `siblings` gets that one alone.
      if (rule === 'lww' && entry.some(version => accountsFor(version, tombstone, rule))) continue
      // Who gave up what had beaten the delete knows of neither any more.
      if (isGivenUp(robot, held, { key, write: tombstone, isOwn: true }, held.keeping?.horizonMs ?? 0, history)) continue
      if (!isEnd && above(versions, vector).some(version => accountsFor(version, tombstone, rule))) continue
      return `${name}/${key} (${dotName(undone)}) came back on robot ${robot} after its delete (${dotName(tombstone)})`
    }
  }
  return undefined
}

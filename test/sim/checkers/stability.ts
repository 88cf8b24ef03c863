/**
 * A tombstone is collected first when every replica that its collector waits for has it below its vector (R7). Whoever collects it later
 * has learned so from a peer, and may know of replicas that have enrolled since.
 */
import { coversDot, type VersionVector } from '../../../sync/dot.ts'
import type { DurableState } from '../durable-state.ts'
import type { History } from '../history.ts'
import { dotName } from '../merge-rule.ts'

export interface Collector {
  readonly robot: number
  readonly before: DurableState
  readonly after: DurableState
  /** By collection: up to where anybody had collected when `before` was looked at. */
  readonly collectedBefore: ReadonlyMap<string, VersionVector>
}

export interface Enrolled {
  readonly robot: number
  readonly state: DurableState
}

export function findUnstable(collector: Collector, robots: readonly Enrolled[], history: History): string | undefined {
  const { robot, before, after, collectedBefore } = collector
  for (const { id, name, generation, collected } of after.collections.values()) {
    const known = collectedBefore.get(id)
    if (known === undefined || ![...collected].some(([origin, counter]) => (known.get(origin) ?? 0) < counter)) continue
    const waitedFor = robots.filter(({ robot: other, state: { storeId } }) => {
      // Who enrols at the very moment may not be known to the collector yet.
      return other !== robot && storeId !== undefined && before.enrolled.includes(storeId) && after.enrolled.includes(storeId)
    })
    for (const key of history.deletedKeys(id)) {
      for (const tombstone of history.key(id, key).tombstones) {
        if (!coversDot(collected, tombstone) || coversDot(known, tombstone)) continue
        const late = waitedFor.find(({ state }) => {
          const held = state.collections.get(name)
          return state.deletedGeneration(name) < generation && (held?.generation !== generation || !coversDot(held.vector, tombstone))
        })
        if (late !== undefined)
          return `robot ${robot} collected ${name}/${key} (${dotName(tombstone)}), which robot ${late.robot} has not acknowledged`
      }
    }
  }
  return undefined
}

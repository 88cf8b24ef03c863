/**
 * No acknowledged write is lost. Looked at whenever a robot's disk has changed or one of its users was told that a write is safe:
 *
 *   - whoever acknowledged a write has it below its vector, as long as it has the disk that it had then;
 *   - whoever's vector covers a write - that is what others rely on when they let go of theirs - accounts for it: the key holds it, or a
 *     version whose writer had seen it, or one that beats it under `lww`; or a tombstone that did so has been collected since; or the
 *     write's generation has been deleted.
 *
 * When a disk is lost by a scripted fault, its writes are owed by those whose vectors cover them; what nobody's did is forgiven.
 *
 * One exception, exactly as wide as R5 makes it: a mark covers what its sender held superseded by a version above its own vector, and
 * such versions are not forwarded. Until that version comes, the receiver has neither. So a version above the vector that was ever
 * durable somewhere accounts as well - but not at the end, when all hold the same: what one lacks then, nobody has.
 *
 * At the end the same need not be known everywhere: whose link broke between the last frame and the mark has all that its peer has, below
 * a lower vector (R5), and as digests agree nobody dials again. Neither a collected tombstone nor what it deleted was ever sent there. Since
 * all hold the same, whether a write may be missing is asked of all as one: its tombstone was collected, and is below somebody's vector.
 */
import { coversDot, joinVectors, type VersionVector } from '../../../sync/dot.ts'
import type { DurableCollection, DurableState } from '../durable-state.ts'
import type { AcknowledgedWrite, History } from '../history.ts'
import { above, accountsFor, dotName, hasSeen } from '../merge-rule.ts'
import { isGivenUp, latestHorizonMs } from './retention.ts'

export interface Holder {
  readonly robot: number
  /** How many disks it has lost. */
  readonly disk: number
  readonly state: DurableState
}

export function findLostWrite({ robot, disk, state }: Holder, history: History, robots: readonly Holder[] = []): string | undefined {
  for (const acknowledged of history.acknowledged) {
    const { collection, generation, write } = acknowledged
    const isOwn = acknowledged.robot === robot && acknowledged.disk === disk
    const held = state.collections.get(collection)
    if (held?.generation === generation && coversDot(held.vector, write)) {
      if (isAccounted(robot, held, acknowledged, history)) continue
      const gone = { ...acknowledged, isOwn: acknowledged.robot === robot }
      if (!isGivenUp(robot, held, gone, latestHorizonMs(robots, collection), history)) return describe(robot, acknowledged, 'lost')
    } else if (isOwn && state.deletedGeneration(collection) < generation) {
      return describe(robot, acknowledged, 'forgotten')
    }
  }
  return undefined
}

/**
 * `horizonMs`: what is older may have expired, by what time it really is and not by what any robot says (R9).
 *
 * At the end everybody owes every write, without exceptions - also who has all that is left of it and was never told of the write itself.
 */
export function findLostWriteAtEnd(robots: readonly Holder[], history: History, horizonMs = 0): string | undefined {
  for (const acknowledged of history.acknowledged) {
    const { collection, generation, isForgiven } = acknowledged
    if (isForgiven) continue
    const known = robots
      .map(({ state }) => state.collections.get(collection))
      .reduce<VersionVector>((all, held) => (held?.generation === generation ? joinVectors(all, held.vector) : all), new Map())
    for (const { robot, state } of robots) {
      if (state.deletedGeneration(collection) >= generation) continue
      const held = state.collections.get(collection)
      if (held?.generation === generation && isHeld(held, acknowledged, history, known)) continue
      if (held !== undefined && isExcused(robot, held, acknowledged, robots, history, horizonMs)) continue
      return describe(robot, acknowledged, 'lost')
    }
  }
  return undefined
}

/** What the writer's direction keeps from the others, what retention has let go of, and what a partial robot does not promise (R8, R9). */
function isExcused(
  robot: number,
  held: DurableCollection,
  acknowledged: AcknowledgedWrite,
  robots: readonly Holder[],
  history: History,
  horizonMs: number,
): boolean {
  const { collection, robot: writer } = acknowledged
  const writersSync = robots.find(other => other.robot === writer)?.state.collections.get(collection)?.keeping?.sync ?? 'both'
  if (writer !== robot && (writersSync === 'pull' || writersSync === 'none')) return true
  return isGivenUp(robot, held, { ...acknowledged, isOwn: writer === robot }, horizonMs, history)
}

/** What nobody else's vector covers when a disk is lost was never confirmed to anybody. */
export function forgiveUnconfirmed(history: History, others: readonly DurableState[]): void {
  for (const acknowledged of history.acknowledged) {
    const { collection, generation, write } = acknowledged
    const isConfirmed = others.some(({ collections }) => {
      const held = collections.get(collection)
      return held?.generation === generation && coversDot(held.vector, write)
    })
    if (!isConfirmed) acknowledged.isForgiven = true
  }
}

function isAccounted(robot: number, held: DurableCollection, acknowledged: AcknowledgedWrite, history: History): boolean {
  const { key, write } = acknowledged
  if (isHeld(held, acknowledged, history, held.vector) || history.hasDamage(robot, held.id, key)) return true
  const rule = history.ruleOf(held.id)
  return above(history.key(held.id, key).versions, held.vector).some(version => accountsFor(version, write, rule))
}

/** The key holds what accounts for it, or that has been collected; `known`: what is below it can have been. */
function isHeld({ id, entries }: DurableCollection, { key, write }: AcknowledgedWrite, history: History, known: VersionVector): boolean {
  const rule = history.ruleOf(id)
  const entry = entries.get(key) ?? []
  if (entry.some(version => accountsFor(version, write, rule))) return true
  // Contexts are passed on from write to write, but for what was damaged when its successor was written.
  const { versions } = history.key(id, key)
  if (versions.some(between => hasSeen(between, write) && entry.some(version => hasSeen(version, between)))) return true
  return history.collected(id, key).some(tombstone => coversDot(known, tombstone) && accountsFor(tombstone, write, rule))
}

const describe = (robot: number, { robot: writer, collection, key, write, isDelete }: AcknowledgedWrite, what: string): string =>
  `robot ${writer}'s acknowledged ${isDelete ? 'delete' : 'write'} of ${collection}/${key} (${dotName(write)}) is ${what} on robot ${robot}`

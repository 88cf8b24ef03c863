/**
 * Runs the checkers after every step. What a robot holds is judged by what its disk holds for certain, read anew only when that may have
 * changed; pairs are compared when one of the two has changed. So most steps, which are packets, cost next to nothing.
 */
import type { OpenReplica } from '../../sync/open-replica.ts'
import type { CollectionView } from '../../sync/replica.ts'
import { createMemoryStore } from '../memory-store.ts'
import { findLostWrite, findLostWriteAtEnd, forgiveUnconfirmed } from './checkers/acknowledged-writes.ts'
import { findDisagreement } from './checkers/agreement.ts'
import { findOverflow, findSurplusRows } from './checkers/bounded-tables.ts'
import { findUnequal } from './checkers/equal-knowledge.ts'
import { findGivenUp } from './checkers/kept-entries.ts'
import { findDrift, findHearsay } from './checkers/kept-digests.ts'
import { findResurrection } from './checkers/resurrection.ts'
import { findUnstable } from './checkers/stability.ts'
import type { VersionVector } from '../../sync/dot.ts'
import { createDurableReader, type DurableReader, type DurableState } from './durable-state.ts'
import type { History } from './history.ts'
import type { Disk } from './disk.ts'

/** What the checkers need of a robot. */
export interface WatchedRobot {
  readonly index: number
  readonly disk: Pick<Disk, 'durable' | 'changes' | 'openSnapshots'>
  /** Undefined while it is off. */
  readonly replica: Pick<OpenReplica, 'systemCollection' | 'collections'> | undefined
  /** How many members its swarm lists; 0 while it is off. */
  readonly members: number
  readonly starts: number
  readonly disksLost: number
}

export interface Watch {
  /** What is wrong now, if anything. */
  look(): string | undefined | Promise<string | undefined>
  /** What is wrong when all should have agreed. */
  lookAtEnd(): string | undefined
  /** Why the robots do not agree. */
  disagreement(): string | undefined
  /** As of the last look. */
  state(robot: number): DurableState
  /** To be called before a disk is lost. */
  forgive(robot: number): void
}

interface Changed {
  readonly robot: WatchedRobot
  readonly before: DurableState
  readonly isAnewDisk: boolean
  readonly collectedBefore: ReadonlyMap<string, VersionVector>
}

interface Seen {
  changes: number
  disk: number
  state: DurableState
  readonly reader: DurableReader
}

export async function createWatch(robots: readonly WatchedRobot[], history: History): Promise<Watch> {
  const empty = await createDurableReader().read(createMemoryStore())
  const seenByRobot: Seen[] = robots.map(() => ({ changes: 0, disk: 0, state: empty, reader: createDurableReader() }))
  const storeIds = new Set<string>()
  let acknowledgedSeen = 0

  const holder = ({ index }: WatchedRobot) => ({ robot: index, disk: seenByRobot[index]!.disk, state: seenByRobot[index]!.state })

  const judge = ({ robot, before, isAnewDisk, collectedBefore }: Changed): string | undefined => {
    const { index } = robot
    const { state } = seenByRobot[index]!
    const told = tellsOf(robot) ?? []
    let found = isAnewDisk ? undefined : findGivenUp(index, before, state, history)
    found ??= findUnstable({ robot: index, before, after: state, collectedBefore }, robots.map(holder), history)
    found ??= findLostWrite(holder(robot), history)
    for (const collection of state.collections.values()) found ??= findResurrection(index, collection, history)
    found ??= findDrift(index, state) ?? findHearsay(index, told, [state, before])
    return found ?? findSurplusRows(index, state, { stores: storeIds.size, starts: robot.starts })
  }

  const hasNews = (): boolean =>
    history.acknowledged.length !== acknowledgedSeen || robots.some(({ index, disk }) => seenByRobot[index]!.changes !== disk.changes)

  const lookAtDisks = async (): Promise<string | undefined> => {
    let found: string | undefined
    const changed: Changed[] = []
    for (const robot of robots) {
      const seen = seenByRobot[robot.index]!
      if (seen.changes === robot.disk.changes) continue
      const collectedBefore = new Map<string, VersionVector>()
      const before = seen.state
      changed.push({ robot, before, isAnewDisk: seen.disk !== robot.disksLost, collectedBefore })
      seen.changes = robot.disk.changes
      seen.disk = robot.disksLost
      seen.state = await seen.reader.read(robot.disk.durable())
      if (seen.state.storeId !== undefined) storeIds.add(seen.state.storeId)
      for (const collection of seen.state.collections.values()) {
        collectedBefore.set(collection.id, history.collectedVector(collection.id))
        if (collection !== before.collections.get(collection.name)) found ??= history.see(collection)
        history.judgeDamage(robot.index, collection)
      }
    }
    for (const change of changed) found ??= judge(change)
    for (const { robot } of history.acknowledged.slice(acknowledgedSeen)) found ??= findLostWrite(holder(robots[robot]!), history)
    acknowledgedSeen = history.acknowledged.length
    for (const { robot } of changed)
      for (const other of robots) if (other !== robot) found ??= findUnequal(holder(robot), holder(other), history)
    return found
  }

  return {
    look() {
      for (const { index, members, disk } of robots) {
        const overflow = findOverflow(index, { members, openSnapshots: disk.openSnapshots }, robots.length - 1)
        if (overflow !== undefined) return overflow
      }
      return hasNews() ? lookAtDisks() : undefined
    },
    lookAtEnd() {
      let found = findLostWriteAtEnd(robots.map(holder), history)
      for (const robot of robots) {
        for (const collection of seenByRobot[robot.index]!.state.collections.values())
          found ??= findResurrection(robot.index, collection, history, true)
      }
      return found
    },
    disagreement: () => findDisagreement(robots.map(robot => ({ robot: robot.index, told: tellsOf(robot), members: robot.members }))),
    state: robot => seenByRobot[robot]!.state,
    forgive(robot) {
      forgiveUnconfirmed(
        history,
        seenByRobot.filter((_, index) => index !== robot).map(({ state }) => state),
      )
    },
  }
}

function tellsOf({ replica }: WatchedRobot): readonly CollectionView[] | undefined {
  const system = replica?.systemCollection()
  return replica && [...(system === undefined ? [] : [system]), ...replica.collections()]
}

/**
 * What may wait a moment on a live link: acknowledged vectors are kept, and tombstones collected by them (R7), G is taken over, and roots are
 * compared where both sides know the same (R4).
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { coversVector } from './dot.ts'
import type { Hello } from './messages.ts'
import { isSame } from './offers.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import type { HeldContent, SharedCollection } from './shared-collection.ts'
import type { SyncReplica } from './sync-replica.ts'

/** What was heard of a collection is acted on so much later. */
export const SETTLE_MS = 1_000

export interface SettlingOptions {
  readonly replica: SyncReplica
  readonly peer: Hello
  readonly after: (delayMs: number, action: () => void) => () => void
  readonly shared: (name: string) => SharedCollection | undefined
  /** This collection is to be looked at again by the side that ships. */
  readonly tellAgain: (name: string) => void
  readonly requestRound: () => void
  /** A collection has come to rest for the moment. */
  readonly onSettled: (name: string, isInSync: boolean) => void
  readonly onFailure: (error: unknown) => void
}

export interface Settling {
  /** The peer has said something of this collection. */
  heard(name: string): void
  /**
   * The root has changed and nothing else: frames whose mark is to come, or tombstones that are being swept up; damage would stay. Answers
   * whether it stayed, so that the peer is to be told.
   */
  isRootDue(name: string): boolean
  start(): void
  /** What waits goes on waiting until the next start. */
  stop(): Promise<void>
}

export function createSettling(options: SettlingOptions): Settling {
  const { replica, peer } = options
  /** Collections of which the peer has said something that was not acted on yet. */
  const waiting = new Set<string>()
  const rootsWaiting = new Set<string>()
  const rootsDue = new Set<string>()
  /** Unequal roots at equal knowledge, seen once; and those for which there was a round. */
  const suspectedByName = new Map<string, string>()
  const repairedByName = new Map<string, string>()
  let cancel: (() => void) | undefined
  let running: Promise<void> = Promise.resolve()
  let isStopped = false
  let hasHeard = false

  const settleLater = (): void => {
    if (isStopped) return
    cancel ??= options.after(SETTLE_MS, () => {
      cancel = undefined
      running = settle().catch(options.onFailure)
    })
  }

  const settle = async (): Promise<void> => {
    for (const name of rootsWaiting) {
      rootsDue.add(name)
      options.tellAgain(name)
    }
    rootsWaiting.clear()
    const isQuiet = !hasHeard
    hasHeard = false
    const names = [...waiting]
    for (const name of names) {
      if (isStopped) return
      await settleCollection(name, isQuiet)
    }
    if (waiting.size > 0) settleLater()
  }

  const settleCollection = async (name: string, isQuiet: boolean): Promise<void> => {
    const shared = options.shared(name)
    const snapshot = await replica.snapshot()
    try {
      const mine = await snapshot.collection(name)
      if (shared === undefined || mine?.generation !== shared.generation) return void waiting.delete(name)
      // A row for each acknowledgement is dear while there is much to acknowledge, and of no use while no tombstone waits.
      if (!isQuiet && !(await mine.hasTombstones())) return
      waiting.delete(name)
      const { generation, theirs } = shared
      const direct = { storeId: peer.storeId, rosterHash: theirs.rosterHash, vector: theirs.vector }
      await replica.acknowledge(name, generation, [direct, ...shared.acknowledged.values()])
      if (!coversVector(mine.collected, theirs.collected)) await replica.adoptCollected(name, generation, theirs)
      await replica.collectStable(name, generation)
      compareRoots(name, mine, theirs)
      options.onSettled(name, isSame(mine, theirs))
    } finally {
      await snapshot.close()
    }
  }

  /** R4. Twice, since the peer's word may be a moment old: then it tells its new root. */
  const compareRoots = (name: string, mine: CollectionSnapshot, theirs: HeldContent): void => {
    const isUnequal = mine.isSettled && equalBytes(mine.knowledge, theirs.knowledge) && !equalBytes(mine.root, theirs.root)
    if (!isUnequal) return void suspectedByName.delete(name)
    const roots = `${toHex(mine.root)} ${toHex(theirs.root)}`
    if (suspectedByName.get(name) !== roots) {
      suspectedByName.set(name, roots)
      waiting.add(name)
    } else if (repairedByName.get(name) !== roots) {
      repairedByName.set(name, roots)
      options.requestRound()
    }
  }

  return {
    heard(name) {
      waiting.add(name)
      hasHeard = true
      settleLater()
    },
    isRootDue(name) {
      if (rootsDue.delete(name)) return true
      rootsWaiting.add(name)
      settleLater()
      return false
    },
    start() {
      isStopped = false
      suspectedByName.clear()
      if (waiting.size > 0) settleLater()
    },
    async stop() {
      isStopped = true
      cancel?.()
      cancel = undefined
      await running
    },
  }
}

/**
 * Pulling on live links: what a peer has from others it tells of, and who lacks it asks for it. A collection is asked for on one link at a
 * time; when the tail has come, or the link is over, whoever still lacks something asks another peer.
 */
import type { Channel } from './channel.ts'
import { coversVector, joinVectors, type VersionVector } from './dot.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import type { SharedCollection } from './shared-collection.ts'
import type { SyncReplica } from './sync-replica.ts'

/** A tail that was asked for and has not come by then may be asked for elsewhere. */
export const PULL_PATIENCE_MS = 10_000

export interface Pulls {
  /** The peer has said that it holds something that this side lacks and has not asked for on this link. */
  isLacking(mine: CollectionSnapshot, shared: SharedCollection): boolean
  /** Asks for it, unless it is coming from somewhere. */
  ask(mine: CollectionSnapshot, shared: SharedCollection): Promise<void>
  /** What was asked for has come. */
  ended(name: string): void
  endAll(): void
}

export interface PullOptions {
  readonly channel: Channel
  readonly replica: SyncReplica
  readonly after: (delayMs: number, action: () => void) => () => void
}

export function createPulls({ channel, replica, after }: PullOptions): Pulls {
  const releaseByName = new Map<string, () => void>()
  const ended = (name: string): void => {
    const release = releaseByName.get(name)
    releaseByName.delete(name)
    release?.()
  }
  /** Whether this replica knows no more than that by now; its own writes, which may never pause, left out. */
  const isAllKnown = async (name: string, counters: VersionVector): Promise<boolean> => {
    const snapshot = await replica.snapshot()
    try {
      const mine = await snapshot.collection(name)
      return (
        mine !== undefined && [...mine.counters].every(([origin, counter]) => origin === replica.origin || counters.get(origin) === counter)
      )
    } finally {
      await snapshot.close()
    }
  }

  return {
    isLacking: ({ counters }, { pulled, theirs }) => !coversVector(joinVectors(counters, pulled), theirs.vector),
    async ask({ name, generation, counters }, shared) {
      const giveBack = replica.claimTail(name)
      if (giveBack === undefined) return
      // What came in elsewhere since `mine` was read is not asked for, and the peer is told of it first: giving back lets it be looked at again.
      if (!(await isAllKnown(name, counters))) return giveBack()
      const cancel = after(PULL_PATIENCE_MS, () => ended(name))
      releaseByName.set(name, () => {
        cancel()
        giveBack()
      })
      shared.pulled = shared.theirs.vector
      await channel.send({ kind: 'pull', name, generation })
    },
    ended,
    endAll() {
      for (const name of releaseByName.keys()) ended(name)
    },
  }
}

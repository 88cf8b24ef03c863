/** Applies the frames and marks of peers, each in one write group, durable before it is acknowledged (R3, R5). */
import type { CollectionState } from './collection-state.ts'
import type { Crossing } from './crossing.ts'
import { coversVector, type VersionVector } from './dot.ts'
import { followClock } from './logical-clock.ts'
import type { Receptions } from './reception.ts'
import { applyMark, applyRemoteItems, remoteCollection, type AppliedItems, type RemoteContext } from './remote-write.ts'
import type { ReplicaCounters } from './replica-options.ts'
import { countersOf } from './replica-snapshot.ts'
import { encodeResumePoint } from './resume-point.ts'
import { cursorRow } from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { MarkOutcome, RemoteFrame, RemoteMark } from './sync-replica.ts'
import { adoptCollected } from './tombstones.ts'
import { isTombstone } from './version.ts'
import type { WriteBatch } from './write-batch.ts'

export interface RemoteFrameOptions {
  readonly context: RemoteContext
  readonly counters: Pick<ReplicaCounters, 'conflicts' | 'clocksAhead' | 'newOrigins'>
  /** Durable when it resolves. */
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  readonly recoveries: () => number
  readonly receptions: Pick<Receptions, 'endWith'>
  /** The system collection has changed. */
  readonly reconcile: (batch: WriteBatch) => void
  /** As ReplicaOptions has it. */
  readonly noRoom: () => string | undefined
}

export function createRemoteFrames(options: RemoteFrameOptions) {
  const { context, counters, submit, recoveries } = options
  const put = (batch: WriteBatch, collection: CollectionState, frame: RemoteFrame): AppliedItems => {
    const { state } = context
    const result = applyRemoteItems(context, batch, collection, frame.items, frame.skipCovered, frame.crossing)
    counters.conflicts += result.conflicts
    counters.clocksAhead += result.clocksAhead
    if (result.applied > 0) state.lamport = followClock(state.lamport, frame.logicalClock) + 1
    // A frame in front of this one may have failed: then the tail has a hole, and is to be sent again.
    if (frame.resume?.recoveries === recoveries())
      batch.put(cursorRow(collection.cid, frame.resume.senderStore), encodeResumePoint(frame.resume.point))
    if (collection.name === SYSTEM_COLLECTION) options.reconcile(batch)
    return result
  }
  return {
    /** As SyncReplica has it. Rejects when it would take room that there is not. */
    async apply(frame: RemoteFrame): Promise<AppliedItems | undefined> {
      // What makes room is taken: deletes, and the system collection, in which collections are deleted and replicas evicted.
      const takesRoom = frame.collection !== SYSTEM_COLLECTION && frame.items.some(({ version }) => !isTombstone(version))
      const reason = takesRoom ? options.noRoom() : undefined
      if (reason !== undefined) throw new Error(reason)
      return submit(batch => {
        const collection = remoteCollection(context.state, batch, frame.collection, frame.generation)
        if (collection === undefined) return undefined
        if (frame.collected !== undefined && !coversVector(frame.collected, collection.collected)) return undefined
        return put(batch, collection, frame)
      })
    },
    /** As SyncReplica has it. */
    mark({ collection: name, generation, senderStore, vector, theirs, crossing, endReception }: RemoteMark): Promise<MarkOutcome> {
      return submit(batch => {
        const collection = remoteCollection(context.state, batch, name, generation)
        if (collection === undefined) return 'gone'
        if (endReception !== undefined) options.receptions.endWith(batch, endReception)
        // Whoever is past the floor by now was brought there by somebody else, behind a repair or with the tombstones.
        if (crossing?.isDisturbed === true && theirs !== undefined && !coversVector(countersOf(collection.vector), theirs.collected))
          return 'left'
        batch.del(cursorRow(collection.cid, senderStore))
        if (applyMark(context, batch, collection, vector).tookNewOrigin) counters.newOrigins += 1
        if (theirs !== undefined) adoptCollected(batch, collection, theirs)
        return 'applied'
      })
    },
    /** As SyncReplica has it. */
    async beginCrossing(name: string, known: VersionVector, isAbsent: boolean): Promise<Crossing> {
      const crossing = context.crossings.begin(name, known)
      try {
        // Groups are written in order: behind this one, what came before can be read.
        await submit(() => {
          // What has come since it was found to be absent no repair has looked at.
          if (isAbsent && (context.state.collectionByName.get(name)?.total.count ?? 0) > 0) crossing.disturb()
        })
        return crossing
      } catch (error) {
        crossing.end()
        throw error
      }
    },
  }
}

/**
 * Causal stability of an open replica (R7): it enrols, remembers what others have acknowledged, and collects the tombstones that nobody
 * needs any more. The rules are in roster.ts, acknowledgement.ts and tombstones.ts; here they meet the store.
 */
import { equalBytes, fromHex } from '../base/bytes.ts'
import type { Random } from '../base/ports.ts'
import {
  decodeAcknowledgement,
  encodeAcknowledgement,
  isNewer,
  loadAcknowledgements,
  stableVector,
  type Acknowledgement,
} from './acknowledgement.ts'
import type { CollectionState } from './collection-state.ts'
import { coversVector, joinVectors } from './dot.ts'
import { putSystemRecord, type WriteContext } from './local-write.ts'
import { countersOf } from './replica-snapshot.ts'
import { takeNewStoreId, type ReplicaState } from './replica-state.ts'
import { replicaKey, type EnrolledReplica } from './roster.ts'
import { settledVector } from './rescue.ts'
import { acknowledgementRow } from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { Store } from './store.ts'
import type { SyncReplica } from './sync-replica.ts'
import { adoptCollected, collectableVector, raiseCollected, sweepCollected } from './tombstones.ts'
import type { WriteBatch } from './write-batch.ts'

export interface StabilityOptions {
  readonly store: Store
  /** The context of local writes; its state is another one after each recovery from a failed write. */
  readonly context: WriteContext
  readonly random: Random
  /** The node that this replica belongs to, shown in the roster. */
  readonly nodeId: string
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  /** Others have acknowledged more of a collection: who passes that on is to know. */
  readonly onAcknowledged: (collection: string) => void
}

export interface Stability extends Pick<
  SyncReplica,
  'enrol' | 'isEvicted' | 'rosterHash' | 'acknowledge' | 'adoptCollected' | 'collectStable'
> {
  replicas(): readonly ReplicaStanding[]
  evict(storeId: string): Promise<boolean>
}

/** How much of a collection's writes that this replica knows another one has not acknowledged yet. */
export interface Acknowledged {
  readonly collection: string
  readonly missing: number
}

/** A replica of the roster, and what tombstones wait for with it. */
export interface ReplicaStanding extends EnrolledReplica {
  readonly isSelf: boolean
  /** User collections by name; empty for this replica and for those evicted. */
  readonly acknowledged: readonly Acknowledged[]
}

const rowOf = (cid: number, storeId: string): Uint8Array => acknowledgementRow(cid, fromHex(storeId) ?? new Uint8Array(16))

export function createStability(options: StabilityOptions): Stability {
  const { store, context, submit } = options
  const state = (): ReplicaState => context.state

  const onCollection = <T>(
    name: string,
    generation: number,
    job: (batch: WriteBatch, collection: CollectionState) => T,
  ): Promise<T | undefined> =>
    submit(batch => {
      const collection = state().collectionByName.get(name)
      return collection?.generation === generation ? job(batch, collection) : undefined
    })

  const acknowledgedBy = (storeId: string): Acknowledged[] =>
    [...state().collectionByName.values()]
      .filter(({ name }) => name !== SYSTEM_COLLECTION)
      .map(({ name, cid, vector }) => {
        const value = store.get(rowOf(cid, storeId))
        const known = value && decodeAcknowledgement(storeId, value).vector
        let missing = 0
        for (const [origin, { counter }] of vector) missing += Math.max(0, counter - (known?.get(origin) ?? 0))
        return { collection: name, missing }
      })
      .sort((a, b) => (a.collection < b.collection ? -1 : 1))

  /** Stores that this node had before it lost them. */
  const formerStores = (): string[] => {
    if (options.nodeId === '') return []
    const isFormer = ({ storeId, nodeId, isEvicted, isRejoined }: EnrolledReplica): boolean =>
      storeId !== state().storeId && nodeId === options.nodeId && !isEvicted && !isRejoined
    return state()
      .roster.all()
      .filter(isFormer)
      .map(({ storeId }) => storeId)
  }

  const sweep = async (name: string, generation: number): Promise<number> => {
    const collection = state().collectionByName.get(name)
    if (collection?.generation !== generation || collection.collected.size === 0) return 0
    return sweepCollected(store, collection.cid, new Map(collection.collected), job => onCollection(name, generation, job))
  }

  return {
    async enrol() {
      const known = state().roster.get(state().storeId)
      if (known !== undefined && !known.isEvicted && formerStores().length === 0) return
      await submit(batch => {
        const isEvicted = state().roster.get(state().storeId)?.isEvicted === true
        if (isEvicted) takeNewStoreId(state(), batch, options.random)
        const { storeId } = state()
        const system = state().collectionByName.get(SYSTEM_COLLECTION)
        // Not by the roster, which may be too full to know it.
        if (system === undefined || batch.entry(system, replicaKey(storeId)) === undefined)
          putSystemRecord(context, batch, replicaKey(storeId), { node: options.nodeId, ...(isEvicted ? { rejoined: true } : {}) })
        for (const former of formerStores()) putSystemRecord(context, batch, replicaKey(former), { node: options.nodeId, evicted: true })
      })
    },
    isEvicted: storeId => state().roster.get(storeId)?.isEvicted === true,
    rosterHash: () => state().roster.hash(),
    replicas: () =>
      state()
        .roster.all()
        .map(replica => {
          const isSelf = replica.storeId === state().storeId
          return { ...replica, isSelf, acknowledged: isSelf || replica.isEvicted ? [] : acknowledgedBy(replica.storeId) }
        }),
    async evict(storeId) {
      return submit(batch => {
        const replica = state().roster.get(storeId)
        if (replica === undefined || replica.isEvicted) return false
        putSystemRecord(context, batch, replicaKey(storeId), { node: replica.nodeId, evicted: true })
        return true
      })
    },

    async acknowledge(name, generation, acknowledgements) {
      const isNews = (cid: number, next: Acknowledgement): boolean => {
        if (next.storeId === state().storeId || state().roster.get(next.storeId)?.isEvicted !== false) return false
        const value = store.get(rowOf(cid, next.storeId))
        return value === undefined || isNewer(next, decodeAcknowledgement(next.storeId, value))
      }
      const open = state().collectionByName.get(name)
      if (open === undefined || !acknowledgements.some(next => isNews(open.cid, next))) return
      await onCollection(name, generation, (batch, { cid }) => {
        for (const next of acknowledgements) if (isNews(cid, next)) batch.put(rowOf(cid, next.storeId), encodeAcknowledgement(next))
      })
      options.onAcknowledged(name)
    },

    async adoptCollected(name, generation, theirs) {
      const known = state().collectionByName.get(name)
      if (known !== undefined && !coversVector(known.collected, theirs.collected)) {
        await onCollection(name, generation, (batch, collection) => adoptCollected(batch, collection, theirs))
      }
      // Also what an earlier failure left of an earlier G: roots are compared next.
      await sweep(name, generation)
    },

    async collectStable(name, generation) {
      const removed = await sweep(name, generation)
      const collection = state().collectionByName.get(name)
      if (collection?.generation !== generation) return removed
      const { roster, storeId } = state()
      const rosterHash = roster.hash()
      const acknowledgements = await loadAcknowledgements(store, collection.cid)
      const vector = countersOf(collection.vector)
      const stable = stableVector({ storeId, vector }, { enrolled: roster.enrolled(), hash: rosterHash }, acknowledgements)
      if (stable === undefined) return removed
      const hasEvicted = roster.all().some(({ isEvicted }) => isEvicted)
      const collectable = await collectableVector(
        store,
        collection.cid,
        stable,
        // Of what was issued anew the old dots are in contexts for ever, and no mark of them comes.
        hasEvicted ? joinVectors(vector, await settledVector(store, collection.cid)) : undefined,
      )
      if (collectable.size === 0) return removed
      await onCollection(name, generation, (batch, current) => {
        // Somebody may have enrolled in the meantime, who has not acknowledged it.
        if (equalBytes(state().roster.hash(), rosterHash)) raiseCollected(batch, current, collectable, current.collectedStampMax)
      })
      return removed + (await sweep(name, generation))
    },
  }
}

/**
 * Retention and partial exchange of an open replica: its own settings, what it is to others, whom it may rely on, and its horizon. The
 * rules are in partial.ts, retention.ts and kept-elsewhere.ts, the work is done by retention-keeper.ts.
 */
import { fromHex } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import type { CollectionState, KeptVector } from './collection-state.ts'
import type { VersionVector } from './dot.ts'
import { isKept, isKeptNews, keptVector, noteKept } from './kept-elsewhere.ts'
import type { WriteContext } from './local-write.ts'
import {
  FLAG_BOUNDED,
  FULL_TERMS,
  KNOWN_BYTES,
  ownMark,
  relate,
  termsFlags,
  voidedRanges,
  type OwnWrites,
  type SyncDirection,
} from './partial.ts'
import { refuse, type Refusal } from './refusal.ts'
import type { CollectionView, LocalSettingsChange, NodeCollectionView } from './replica.ts'
import { countersOf, horizonOf, knowledgeHash } from './replica-snapshot.ts'
import { hasRetention, isBounded, NO_RETENTION, retentionFault } from './retention.ts'
import { createRetentionKeeper, type RetentionKeeper, type Voided } from './retention-keeper.ts'
import { encodeLocalSettings, lowerHorizon, NO_LOCAL_SETTINGS, termsOf, type LocalSettings, type NodeTerms } from './retention-state.ts'
import { localSettingsRow } from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { Store } from './store.ts'
import type { SyncReplica } from './sync-replica.ts'
import type { WriteBatch } from './write-batch.ts'

export interface RetentionOptions {
  readonly store: Store
  readonly context: WriteContext
  readonly hash: Hash
  readonly saltId: Uint8Array
  readonly syncDefault: SyncDirection
  readonly isDiskFull: () => boolean
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  readonly isStopping: () => boolean
  readonly onVoided: (voided: Voided) => void
}

type RetentionExchange = Pick<SyncReplica, 'termsOf' | 'relateTo' | 'expireTo' | 'noteSameKnowledge' | 'markFor' | 'voided' | 'becomeFull'>

export interface ReplicaRetention {
  /** What sessions ask. */
  readonly exchange: RetentionExchange
  readonly keeper: RetentionKeeper
  nodeTerms(): NodeTerms
  view(collection: CollectionState): Pick<CollectionView, 'node' | 'partial'>
  setLocalSettings(name: string, change: LocalSettingsChange): Promise<boolean | Refusal>
}

export function createReplicaRetention(options: RetentionOptions): ReplicaRetention {
  const { store, context, submit, hash, saltId, syncDefault } = options
  const find = (name: string): CollectionState | undefined => context.state.collectionByName.get(name)
  /** Grows with every change of what is known to be held elsewhere. */
  let keptCount = 0

  const nodeTerms = (): NodeTerms => ({
    syncDefault,
    wallMs: context.clock.wallMs(),
    isTrusted: context.clock.trusted(),
    isDiskFull: options.isDiskFull(),
  })

  const keeper = createRetentionKeeper({
    store,
    context,
    submit,
    isKept: (collection, dot) => isKept(collection, context.state.roster, dot),
    keptCount: () => keptCount,
    isStopping: options.isStopping,
    onVoided: options.onVoided,
  })

  const onCollection = (name: string, generation: number, job: (batch: WriteBatch, collection: CollectionState) => void): Promise<void> =>
    submit(batch => {
      const collection = find(name)
      if (collection?.generation === generation) job(batch, collection)
    })

  const noteHeld = async (name: string, generation: number, storeId: string, held: KeptVector | undefined) => {
    const collection = find(name)
    if (collection?.generation !== generation) return
    // Who keeps everything relies on nobody, and what it has noted before that does not hold any more.
    const told = hasRetention(collection.local.retention ?? NO_RETENTION) ? held : undefined
    if (!isKeptNews(collection, storeId, told)) return
    await onCollection(name, generation, (batch, current) => noteKept(batch, current, storeId, told))
    keptCount += 1
  }

  /** Where the root alone does not tell whether there is something to exchange. */
  const viewPartial = ({ name, generation, vector, collected, local, retention }: CollectionState): CollectionView['partial'] => {
    const terms = termsOf(local, retention, nodeTerms())
    const flags = termsFlags(terms)
    if (name === SYSTEM_COLLECTION || ((flags & ~FLAG_BOUNDED) === 0 && terms.horizonMs === 0)) return undefined
    const horizon = horizonOf(retention, fromHex(context.state.storeId))
    return { known: knowledgeHash(hash, saltId, generation, countersOf(vector), collected, horizon).subarray(0, KNOWN_BYTES), flags }
  }

  const expireTo = async (name: string, generation: number, horizonMs: number): Promise<void> => {
    const collection = find(name)
    if (collection?.generation === generation && horizonMs > 0) await keeper.expire(name, generation, horizonMs)
  }
  const keptBy = (name: string): Pick<OwnWrites, 'kept' | 'keptForGood'> => {
    const collection = find(name)
    const of = (isForGood: boolean): VersionVector =>
      collection === undefined ? new Map() : keptVector(collection, context.state.roster, isForGood)
    return { kept: of(false), keptForGood: of(true) }
  }

  const exchange: RetentionExchange = {
    termsOf(name) {
      const collection = find(name)
      if (name === SYSTEM_COLLECTION) return FULL_TERMS
      return collection === undefined
        ? termsOf(context.state.localByName.get(name) ?? NO_LOCAL_SETTINGS, { horizonMs: 0, hasGivenUp: false }, nodeTerms())
        : termsOf(collection.local, collection.retention, nodeTerms())
    },
    async relateTo(name, generation, mine, peer) {
      const relation = relate(mine, peer.terms)
      await noteHeld(
        name,
        generation,
        peer.storeId,
        relation.isTheirsKept ? { vector: peer.vector, expires: peer.terms.horizonMs > 0 } : undefined,
      )
      return relation
    },
    expireTo,
    async noteSameKnowledge(name, generation, peer) {
      // With equal knowledge the horizons are equal.
      const horizonMs = find(name)?.retention.horizonMs ?? 0
      await noteHeld(name, generation, peer.storeId, { vector: peer.vector, expires: horizonMs > 0 })
      await expireTo(name, generation, horizonMs)
    },
    async markFor(snapshot, known, { isAheadOfTheirs }) {
      const { kept, keptForGood } = keptBy(snapshot.name)
      const own = await snapshot.ownWrites()
      return ownMark(snapshot.vector, known, { ...own, kept, keptForGood: isAheadOfTheirs ? kept : keptForGood })
    },
    async voided(snapshot) {
      if (!snapshot.terms.isPartial) return []
      return voidedRanges({ ...(await snapshot.ownWrites()), ...keptBy(snapshot.name) })
    },
    async becomeFull(name, generation) {
      const collection = find(name)
      if (collection?.generation !== generation || !collection.retention.hasGivenUp) return
      await onCollection(name, generation, (batch, { retention, local }) => {
        const kept = local.retention ?? NO_RETENTION
        if (isBounded(kept)) return
        retention.hasGivenUp = false
        retention.givenUp.clear()
        if (kept.ttlMs === undefined) retention.expired.clear()
        retention.isDirty = true
        batch.touch(find(name)!)
      })
    },
  }

  return {
    keeper,
    exchange,
    nodeTerms,
    view(collection) {
      const { local, retention } = collection
      const partial = viewPartial(collection)
      const node: NodeCollectionView = {
        sync: local.sync ?? syncDefault,
        isSyncSet: local.sync !== undefined,
        retention: local.retention,
        isPartial: termsOf(local, retention, nodeTerms()).isPartial,
        horizonMs: retention.horizonMs,
        bytes: retention.index === 'none' || retention.indexedTo !== undefined ? undefined : retention.bytes,
        dropped: Object.fromEntries(retention.dropped),
        voided: retention.voided,
      }
      return { node, ...(partial === undefined ? {} : { partial }) }
    },

    async setLocalSettings(name, change) {
      const fault = change.retention ? retentionFault(change.retention) : undefined
      if (fault !== undefined) return refuse('HS_INVALID_SETTINGS', fault)
      const isDone = await submit(batch => {
        const { state } = context
        const collection = name === SYSTEM_COLLECTION ? undefined : find(name)
        if (collection === undefined) return false
        const former = state.localByName.get(name) ?? NO_LOCAL_SETTINGS
        const local: LocalSettings = {
          sync: change.sync === undefined ? former.sync : (change.sync ?? undefined),
          retention: change.retention === undefined ? former.retention : (change.retention ?? undefined),
        }
        state.localByName.set(name, local)
        collection.local = local
        batch.put(localSettingsRow(name), encodeLocalSettings(local))
        const { retention } = collection
        // Without a ttl there is no horizon, and what expired behind it is lacking from now on.
        if (local.retention?.ttlMs === undefined && retention.horizonMs > 0) {
          lowerHorizon(retention, 0)
        }
        batch.touch(collection)
        return true
      })
      if (isDone) await keeper.keep()
      return isDone
    },
  }
}

/**
 * Opens a replica on a store: the single place where writes, reads, snapshots for sessions and the purge of deleted collections meet.
 *
 * Durability (R3): `fsync` acknowledges a write when it is durable; `deferred` when it is written, and the driver flushes. In both,
 * what others are told - digests, counts, snapshots - is durable first.
 */
import type { CollectionState, RunId } from './collection-state.ts'
import { createCrossings } from './crossing.ts'
import { createItemHasher, rootDigest } from './digest.ts'
import { readChanges } from './feed.ts'
import { createForkSettlement } from './fork.ts'
import { createGroupCommit, type GroupCommit } from './group-commit.ts'
import { nameFault } from './key.ts'
import { createOrCompare, deleteGeneration } from './collection-writes.ts'
import { bothEnded } from './journal.ts'
import { applyLocalWrite, type WriteContext } from './local-write.ts'
import { createPurger } from './purge.ts'
import { createQuarantine } from './quarantine.ts'
import { changedNames, createPublisher, type GroupFacts } from './publisher.ts'
import { createRecordReads } from './record-scan.ts'
import { attempt, refuse } from './refusal.ts'
import { createRemoteFrames } from './remote-frames.ts'
import { dropItems, reconcileCollections, remoteCollection } from './remote-write.ts'
import type { CollectionView, LocalWrite, Replica } from './replica.ts'
import type { ReplicaCounters, ReplicaOptions } from './replica-options.ts'
import { openReplicaSnapshot } from './replica-snapshot.ts'
import { createReceptions } from './reception.ts'
import { createReplicaRetention } from './retention-replica.ts'
import type { SyncReplica } from './sync-replica.ts'
import { drawRun, encodeClock, loadReplicaState, SYSTEM_CID, type ReplicaState } from './replica-state.ts'
import { readResumePoint } from './resume-point.ts'
import { createRescue, type Rescue } from './rescue.ts'
import { metaRow } from './rows.ts'
import { createScrubber, type Scrubber } from './scrub.ts'
import { settingsFault, SYSTEM_COLLECTION } from './settings.ts'
import { createSharedReadings } from './shared-readings.ts'
import { createStability } from './stability.ts'
import { createVectorSearch } from './vector-search.ts'
import { createVersionMerge } from './version-merge.ts'
import { createWriteBatch, type WriteBatch } from './write-batch.ts'

export interface OpenReplica extends Replica, SyncReplica, Rescue {
  readonly counters: Readonly<ReplicaCounters>
  /** The system collection's view: gossiped like any other, shown to no user. */
  systemCollection(): CollectionView | undefined
  /** Holds what is kept beside the records against them. */
  readonly scrubber: Scrubber
  /** Retention: everything that time asks for. To be called every few seconds. */
  keep(): Promise<void>
  /** What `noRoom` answers is another than before: peers hear of it. */
  roomChanged(): Promise<void>
  /** Makes everything written so far durable, and tells it to listeners. */
  flush(): Promise<void>
}

export async function openReplica(options: ReplicaOptions): Promise<OpenReplica> {
  const { store, hash, random, clock, noRoom = () => undefined } = options
  const hasher = createItemHasher(hash, options.digestSalt)
  const run: RunId = drawRun(random)
  const load = (): Promise<ReplicaState> => loadReplicaState(store, hash, random, run, options.clockDriftMaxMs)
  let state = await load()
  const counters: ReplicaCounters = {
    conflicts: 0,
    clocksAhead: 0,
    newOrigins: 0,
    get quarantined() {
      return state.quarantined
    },
  }
  const context: WriteContext = {
    get state() {
      return state
    },
    clock,
    random,
    hash,
    crossings: createCrossings(),
  }

  let isClosing = false
  /** The last write group failed. */
  let isFailing = false
  /** Grows with each failed write: what was applied before may be gone. */
  let recoveries = 0

  const viewOf = (collection: CollectionState): CollectionView => ({
    name: collection.name,
    generation: collection.generation,
    ...state.model.settings(collection.name, collection.generation),
    recordCount: collection.recordCount,
    vectorCount: collection.vectorCount,
    createdAtMs: state.model.createdAtMs(collection.name, collection.generation),
    digest: rootDigest(hash, collection.total),
    ...retention.view(collection),
  })
  const retention = createReplicaRetention({
    store,
    context,
    hash,
    saltId: hasher.saltId,
    syncDefault: options.syncDefault ?? 'both',
    isDiskFull: () => noRoom() !== undefined,
    submit: job => commit.submit(job, true),
    isStopping: () => isClosing,
    onVoided: voided => options.onNotice?.({ kind: 'voided', ...voided }),
  })

  const publisher = createPublisher({
    logicalClock: state.lamport,
    sequence: state.sequence,
    viewByName: new Map([...state.collectionByName].map(([name, collection]) => [name, viewOf(collection)])),
  })

  const factsOf = (batch: WriteBatch): GroupFacts => {
    const viewByName = new Map<string, CollectionView | undefined>()
    for (const name of changedNames(batch)) {
      const collection = state.collectionByName.get(name)
      viewByName.set(name, collection && viewOf(collection))
    }
    return { logicalClock: state.lamport, sequence: state.sequence, viewByName }
  }

  const shared = createSharedReadings()
  const receptions = createReceptions(name => publisher.touch(name))

  const commit: GroupCommit = createGroupCommit<GroupFacts & { readonly ended: readonly (() => void)[] }>({
    createBatch: () =>
      createWriteBatch({
        store,
        hasher,
        inFlight: () => commit.inFlight()?.overlay,
        nextSequence: () => (state.sequence += 1),
        hasJournal: options.journal !== undefined,
      }),
    seal(batch) {
      batch.seal()
      batch.put(metaRow('clock'), encodeClock(state))
      return { ...factsOf(batch), ended: receptions.endingWith(batch) }
    },
    async write(batch, sync) {
      try {
        const written = shared.around(() => batch.write({ sync }))
        await bothEnded(written, options.journal?.append(batch.journaled, { sync }))
      } catch (error) {
        isFailing = true
        options.onNotice?.({ kind: 'write-failed', error })
        throw error
      }
      if (isFailing) options.onNotice?.({ kind: 'write-recovered' })
      isFailing = false
    },
    written(facts, sync) {
      for (const end of facts.ended) end()
      publisher.written(facts, sync)
      resumePurge()
    },
    async recover() {
      // Where it cannot be opened yet it may still be read: then memory is what is on the disk all the same.
      const failure = await store.reopen().then(
        () => undefined,
        (error: unknown) => ({ error }),
      )
      state = await load()
      recoveries += 1
      if (failure !== undefined) throw failure.error
    },
  })

  const syncLocal = options.durability === 'fsync'
  const submitLocal = <T>(job: (batch: WriteBatch) => T): Promise<T> => commit.submit(job, syncLocal)
  const submitDurable = <T>(job: (batch: WriteBatch) => T): Promise<T> => commit.submit(job, true)

  const purger = createPurger({
    store,
    state: () => state,
    isStopping: () => isClosing,
    submit: job => commit.submit(job, false),
    onPurged(collection, versions) {
      if (versions > 0) options.onNotice?.({ kind: 'quarantined', collection: collection.name, versions })
    },
  })
  /** One that a failed write or a full quarantine has ended is taken up again as soon as there is hope. */
  const resumePurge = (): void => {
    if (state.dropped.size > 0 && !isClosing) purger.start()
  }
  resumePurge()

  const flushAll = async (): Promise<void> => {
    await Promise.all([store.flush(), options.journal?.flush()])
  }

  const reconcile = (batch: WriteBatch): void => {
    if (reconcileCollections(state, batch).length > 0) purger.start()
  }

  const openCollection = (name: string): CollectionState | undefined =>
    name === SYSTEM_COLLECTION ? undefined : state.collectionByName.get(name)

  const vectors = createVectorSearch({
    store,
    hash,
    collection: openCollection,
    settings: ({ name, generation }) => state.model.settings(name, generation),
    ...(options.searchBytesMax === undefined ? {} : { tablesBytesMax: options.searchBytesMax }),
  })

  const frames = createRemoteFrames({
    context,
    counters,
    submit: submitDurable,
    recoveries: () => recoveries,
    receptions,
    reconcile,
    noRoom,
  })
  const rescue = createRescue({ store, context, submit: submitDurable, reconcile })
  const stability = createStability({
    store,
    context,
    random,
    nodeId: options.nodeId ?? '',
    submit: submitDurable,
    onAcknowledged: name => publisher.touch(name),
  })
  const { keeper } = retention
  const settingsOf = (name: string) => state.model.settings(name, state.collectionByName.get(name)?.generation ?? 0)
  const { quarantine, setAside } = createQuarantine({
    store,
    context,
    submit: submitDurable,
    onChanged: resumePurge,
  })

  return {
    ...stability,
    ...rescue,
    ...retention.exchange,
    ...createRecordReads(store, hash, openCollection),
    ...createVersionMerge({ context, store, submit: submitDurable, reconcile, noRoom, enforce: name => keeper.enforce(name) }),
    setLocalSettings: (name, change) => attempt(() => retention.setLocalSettings(name, change)),
    keep: () => keeper.keep(),
    get storeId() {
      return state.storeId
    },
    get origin() {
      return state.origin
    },
    saltId: hasher.saltId,
    keyHash: key => hasher.keyHash(key),
    counters,
    quarantine,
    setAside,
    scrubber: createScrubber({ store, hasher, state: () => state, submit: submitDurable }),
    logicalClock: () => publisher.logicalClock(),
    priority: name => settingsOf(name).priority,
    keepsSiblings: name => name === SYSTEM_COLLECTION || settingsOf(name).conflict !== 'lww',
    recoveries: () => recoveries,
    roomChanged: () => submitLocal(batch => [...state.collectionByName.values()].forEach(collection => batch.touch(collection))),
    observeLogicalClock(value) {
      state.lamport = Math.max(state.lamport, value)
      publisher.observeLogicalClock(value)
    },
    collections: () =>
      [...publisher.viewByName.values()].filter(({ name }) => name !== SYSTEM_COLLECTION).sort((a, b) => (a.name < b.name ? -1 : 1)),
    collection: name => (name === SYSTEM_COLLECTION ? undefined : publisher.viewByName.get(name)),
    systemCollection: () => publisher.viewByName.get(SYSTEM_COLLECTION),

    async createCollection(name, settings) {
      const fault = nameFault(name)
      if (fault !== undefined) return refuse('HS_INVALID_NAME', fault)
      const unfit = settingsFault(settings)
      if (unfit !== undefined) return refuse('HS_INVALID_SETTINGS', unfit)
      return attempt(() => submitLocal(batch => createOrCompare(context, batch, name, settings)))
    },

    async deleteCollection(name) {
      return attempt(() =>
        submitLocal(batch => {
          const collection = openCollection(name)
          if (collection === undefined) return false
          deleteGeneration(context, batch, collection)
          reconcile(batch)
          return true
        }),
      )
    },

    async write(writes, { isSynced } = { isSynced: syncLocal }) {
      const reason = noRoom()
      const apply = (batch: WriteBatch, write: LocalWrite) =>
        reason !== undefined && write.content !== undefined ? refuse('HS_DISK_FULL', reason) : applyLocalWrite(context, batch, write)
      const answer = await attempt(() => commit.submit(batch => writes.map(write => apply(batch, write)), isSynced))
      for (const name of new Set(writes.map(({ collection }) => collection))) await keeper.enforce(name)
      return Array.isArray(answer) ? answer : writes.map(() => answer)
    },

    search: (name, query, nextTurn) => vectors.search(name, query, nextTurn),
    forgetVectors: () => vectors.forget(),

    feedEnd: () => publisher.sequence(),

    async changes(after, limit) {
      // A deletion that is not durable yet may fail: until it is, the records are told.
      const stillShown = [...state.dropped].filter(({ name, generation }) => publisher.viewByName.get(name)?.generation === generation)
      const byCid = new Map([...state.collectionByName.values(), ...stillShown].map(collection => [collection.cid, collection]))
      byCid.delete(SYSTEM_CID)
      const page = await readChanges({ reader: store, hash, collection: cid => byCid.get(cid) }, after, publisher.sequence(), limit)
      // A newer write may have taken a row's place and not be durable yet: what was not told here must not come back behind the cursor.
      await store.flush()
      return page
    },

    onChange: listener => publisher.onChange(listener),
    watch: listener => publisher.watch(listener),
    beginReception: name => receptions.begin(name),
    claimTail: name => receptions.claim(name),

    flush: () => publisher.flush(flushAll),

    async snapshot() {
      const { snapshot, readings } = shared.take(store.snapshot())
      const receiving = new Set(receptions.names)
      // What the snapshot holds was written before: flushing now makes it durable before anybody is told (R3).
      try {
        await store.flush()
      } catch (error) {
        await snapshot.close()
        throw error
      }
      const cidByName = new Map([...state.collectionByName].map(([name, { cid }]) => [name, cid]))
      const context = { cidByName, receiving, nodeTerms: retention.nodeTerms(), readings }
      return openReplicaSnapshot(snapshot, context, hash, hasher.saltId)
    },

    resumePoint(name, generation, senderStore) {
      const collection = state.collectionByName.get(name)
      return collection?.generation === generation ? readResumePoint(store, collection.cid, senderStore) : undefined
    },

    async applyItems(frame) {
      const answer = await frames.apply(frame)
      await keeper.enforce(frame.collection)
      return answer
    },

    async applyMark(mark) {
      const answer = await frames.mark(mark)
      await rescue.settle(mark.collection, mark.generation, mark.theirs?.vector ?? new Map())
      return answer
    },
    beginCrossing: (name, known, isAbsent) => frames.beginCrossing(name, known, isAbsent),

    dropItems: (name, generation, items, floor) =>
      submitDurable(batch => {
        const collection = remoteCollection(state, batch, name, generation)
        return collection === undefined ? 0 : dropItems(batch, collection, items, floor)
      }),

    settleForks: createForkSettlement({
      store,
      context,
      submit: submitDurable,
      onNewOrigin: () => void (counters.newOrigins += 1),
    }),

    async close() {
      isClosing = true
      await purger.idle()
      await keeper.idle()
      await commit.idle()
      try {
        await flushAll()
      } finally {
        await store.close()
      }
    },
  }
}

/**
 * Retention at work: gives up what is over a bound or behind the horizon, in bounded steps, as part of write groups like everything else.
 *
 *   K1 what goes first has been acknowledged by a full replica that this one has asked itself (R8); only where there is none of that and
 *      a bound is passed goes what nobody else is known to have, oldest first, and that is told;
 *   K2 a tombstone never goes here;
 *   K3 an expired version goes when another full replica has acknowledged it (R9); the horizon is raised durably first;
 *   K4 a bound holds whenever nothing is being written: writes and frames are answered when it does.
 *
 * To make room for one write a little more goes than has to, so that the next ones need not wait.
 */
import { rowPagesOf, type CollectionState } from './collection-state.ts'
import type { Dot } from './dot.ts'
import type { WriteContext } from './local-write.ts'
import { clockHorizonMs, horizonStepMs, isBounded, NO_RETENTION, PRIORITY_MAX, type DropReason, type Retention } from './retention.ts'
import { buildIndex, clearIndex } from './retention-index-builder.ts'
import { readIndexRow, type IndexedVersion } from './retention-index.ts'
import { lowerHorizon, noteGivenUp, type IndexKind } from './retention-state.ts'
import { retentionBelow, retentionOf } from './rows.ts'
import type { Store } from './store.ts'
import { isTombstone } from './version.ts'
import type { WriteBatch } from './write-batch.ts'

/** Versions that one job gives up. */
const VICTIMS_PER_STEP = 512
/** At most this much of a bound is freed beyond what has to go. */
const SLACK_SHARE = 64
const SLACK_RECORDS_MAX = 1_000

/** Of a collection that is bounded: what nobody full was known to have when it was given up. */
export interface Voided {
  readonly collection: string
  readonly generation: number
  readonly dots: readonly Dot[]
}

export interface RetentionKeeperOptions {
  readonly store: Store
  readonly context: WriteContext
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  /** Whether a full replica has acknowledged it. */
  readonly isKept: (collection: CollectionState, dot: Dot) => boolean
  /** Grows whenever that may have become true of something. */
  readonly keptCount: (collection: CollectionState) => number
  readonly isStopping: () => boolean
  readonly onVoided: (voided: Voided) => void
}

export interface RetentionKeeper {
  /** Brings a collection within its bounds. Never rejects: a failed write is told by whoever writes next. */
  enforce(name: string): Promise<void>
  /** Raises the horizon to at least `horizonMs`, and gives up what is behind it. */
  expire(name: string, generation: number, horizonMs: number): Promise<void>
  /** Everything that time asks for: to be called every now and then. */
  keep(): Promise<void>
  idle(): Promise<void>
}

interface Victims {
  readonly versions: readonly IndexedVersion[]
  readonly reason: DropReason
}

export function createRetentionKeeper(options: RetentionKeeperOptions): RetentionKeeper {
  const { store, context, submit, isKept } = options
  const working = new Map<string, Promise<void>>()
  /** Where nothing that is kept elsewhere was found, and how much was known to be kept then: it need not be looked for again. */
  const barrenByCid = new Map<number, number>()

  const find = (name: string): CollectionState | undefined => context.state.collectionByName.get(name)
  const retentionOfCollection = ({ local }: CollectionState): Retention => local.retention ?? NO_RETENTION

  /** One after another for each collection; a caller who finds work under way waits for it and looks again. */
  const inTurn = async (name: string, work: () => Promise<void>): Promise<void> => {
    for (let running = working.get(name); running !== undefined; running = working.get(name)) await running
    const task = work()
      .catch(() => {})
      .finally(() => working.delete(name))
    working.set(name, task)
    await task
  }

  const onCollection = (
    { name, generation }: Pick<CollectionState, 'name' | 'generation'>,
    job: (batch: WriteBatch, collection: CollectionState) => void,
  ): Promise<boolean> =>
    submit(batch => {
      const collection = find(name)
      if (collection?.generation !== generation || options.isStopping()) return false
      job(batch, collection)
      return true
    })

  /** Makes the index what the settings need; false when the collection is gone. */
  const prepareIndex = async (collection: CollectionState): Promise<boolean> => {
    const wanted = indexKindOf(retentionOfCollection(collection))
    const run = (job: (batch: WriteBatch, current: CollectionState) => void): Promise<boolean> => onCollection(collection, job)
    // Also where there is none: an opening may have ended while it was cleared.
    if (collection.retention.index !== wanted && !(await clearIndex(store, collection.cid, run))) return false
    const current = find(collection.name)
    if (current === undefined || wanted === 'none') return current !== undefined
    if (current.retention.index === wanted && current.retention.indexedTo === undefined) return true
    return buildIndex(store, current, wanted, run)
  }

  const giveUp = async (collection: CollectionState, { versions, reason }: Victims): Promise<number> => {
    let gone = 0
    for (let at = 0; at < versions.length; at += VICTIMS_PER_STEP) {
      const voided: Dot[] = []
      let goneNow = 0
      const isDone = await onCollection(collection, (batch, current) => {
        for (const { key, dot } of versions.slice(at, at + VICTIMS_PER_STEP)) {
          const before = batch.entry(current, key)
          const version = before?.entry.find(({ origin, counter }) => origin === dot.origin && counter === dot.counter)
          if (before === undefined || version === undefined || isTombstone(version)) continue
          const left = before.entry.filter(other => other !== version)
          batch.replace(current, key, before, left.length === 0 ? undefined : left)
          noteGivenUp(current, version, reason)
          goneNow += 1
          if (reason === 'ttl') continue
          current.retention.hasGivenUp = true
          if (isKept(current, version) || !current.ownOrigins.has(version.origin)) continue
          current.retention.voided += 1
          voided.push({ origin: version.origin, counter: version.counter })
        }
        batch.touch(current)
      })
      if (!isDone) break
      gone += goneNow
      if (voided.length > 0) options.onVoided({ collection: collection.name, generation: collection.generation, dots: voided })
    }
    return gone
  }

  const enforceNow = async (name: string): Promise<void> => {
    for (let idleRounds = 0; idleRounds < 2;) {
      const collection = find(name)
      if (collection === undefined || options.isStopping()) return
      const retention = retentionOfCollection(collection)
      if (!(await prepareIndex(collection))) return
      const current = find(name)
      if (current === undefined || retention.policy === 'reject') return
      const over = excessOf(current, retention)
      if (over === undefined) return
      // What was found may have been changed meanwhile; by the next round the store has those changes.
      idleRounds = (await giveUp(current, await pickVictims(current, retention, over))) === 0 ? idleRounds + 1 : 0
    }
  }

  const pickVictims = async (collection: CollectionState, retention: Retention, over: Excess): Promise<Victims> => {
    const slack: Excess = {
      records: over.records > 0 ? Math.min(SLACK_RECORDS_MAX, Math.floor((retention.recordsMax ?? 0) / SLACK_SHARE)) : 0,
      bytes: over.bytes > 0 ? Math.floor((retention.bytesMax ?? 0) / SLACK_SHARE) : 0,
    }
    const reason = over.records > 0 ? 'max_records' : 'max_bytes'
    const known = options.keptCount(collection)
    if (barrenByCid.get(collection.cid) !== known) {
      const generous = { records: over.records + slack.records, bytes: over.bytes + slack.bytes }
      const kept = await collect(store, collection, generous, ({ dot }) => isKept(collection, dot))
      if (kept.length > 0) return { versions: kept, reason }
      barrenByCid.set(collection.cid, known)
    }
    // What this replica has got from others goes before what it alone may have.
    const foreign = await collect(store, collection, over, ({ dot }) => !collection.ownOrigins.has(dot.origin))
    return { versions: foreign.length > 0 ? foreign : await collect(store, collection, over, () => true), reason }
  }

  const expireNow = async (name: string, generation: number, horizonMs: number): Promise<void> => {
    const known = find(name)
    if (known?.generation !== generation || !(await prepareIndex(known))) return
    const raised = await onCollection(known, (batch, { retention }) => {
      if (retention.horizonMs >= horizonMs) return
      retention.horizonMs = horizonMs
      retention.isSweeping = true
      retention.isDirty = true
      batch.touch(find(name)!)
    })
    const collection = find(name)
    if (!raised || collection === undefined || collection.retention.horizonMs === 0) return
    const to = collection.retention.horizonMs
    const priorities = collection.retention.index === 'priority' ? PRIORITY_MAX : 0
    for (let priority = 0; priority <= priorities; priority++) {
      for await (const page of rowPagesOf(store, retentionBelow(collection.cid, priority, to))) {
        const versions = page
          .map(readIndexRow)
          .filter(version => version !== undefined)
          .filter(({ dot, isTrusted }) => isTrusted && isKept(collection, dot))
        await giveUp(collection, { versions, reason: 'ttl' })
      }
    }
    await onCollection(collection, (batch, { retention }) => {
      if (!retention.isSweeping || retention.horizonMs !== to) return
      retention.isSweeping = false
      retention.isDirty = true
      batch.touch(find(name)!)
    })
  }

  /** The clock's own horizon; and where the node is further than that, it has been wrong, and has to be filled up again (R9). */
  const followClock = async (collection: CollectionState): Promise<void> => {
    const retention = retentionOfCollection(collection)
    const { ttlMs } = retention
    const clockMs = clockHorizonMs(retention, context.clock.wallMs(), context.clock.trusted())
    if (clockMs === undefined || ttlMs === undefined) return
    if (collection.retention.horizonMs > clockMs + horizonStepMs(ttlMs)) {
      await onCollection(collection, (batch, current) => {
        lowerHorizon(current.retention, clockMs)
        batch.touch(current)
      })
    }
    await expireNow(collection.name, collection.generation, clockMs)
  }

  const needsKeeping = (collection: CollectionState): boolean =>
    collection.local.retention !== undefined || collection.retention.index !== 'none'

  return {
    enforce(name) {
      const collection = find(name)
      // The usual case costs nothing.
      if (collection === undefined || !needsEnforcing(collection)) return Promise.resolve()
      return inTurn(name, () => enforceNow(name))
    },
    expire: (name, generation, horizonMs) => inTurn(name, () => expireNow(name, generation, horizonMs)),
    async keep() {
      for (const collection of context.state.collectionByName.values()) {
        if (!needsKeeping(collection)) continue
        const { name } = collection
        await inTurn(name, async () => {
          const current = find(name)
          if (current !== undefined) await followClock(current)
          await enforceNow(name)
        })
      }
    },
    async idle() {
      await Promise.all(working.values())
    },
  }
}

/** What has to be kept beside the records for these settings. */
export function indexKindOf(retention: Retention): IndexKind {
  const { ttlMs, bytesMax, policy } = retention
  if (isBounded(retention) && policy === 'drop_lowest_priority') return 'priority'
  if (ttlMs !== undefined || (isBounded(retention) && policy !== 'reject')) return 'stamp'
  return bytesMax === undefined ? 'none' : 'bytes'
}

interface Excess {
  readonly records: number
  readonly bytes: number
}

function excessOf({ recordCount, retention: { bytes } }: CollectionState, { recordsMax, bytesMax }: Retention): Excess | undefined {
  const records = recordsMax === undefined ? 0 : Math.max(0, recordCount - recordsMax)
  const over = bytesMax === undefined ? 0 : Math.max(0, bytes - bytesMax)
  return records === 0 && over === 0 ? undefined : { records, bytes: over }
}

function needsEnforcing(collection: CollectionState): boolean {
  const retention = collection.local.retention ?? NO_RETENTION
  const { index, indexedTo } = collection.retention
  if (index !== indexKindOf(retention) || indexedTo !== undefined) return true
  return retention.policy !== 'reject' && excessOf(collection, retention) !== undefined
}

/** The first versions, in the order in which they go, that are `eligible` and enough for the excess. */
async function collect(
  store: Store,
  { cid }: CollectionState,
  over: Excess,
  eligible: (version: IndexedVersion) => boolean,
): Promise<IndexedVersion[]> {
  const found: IndexedVersion[] = []
  let bytes = 0
  for await (const page of rowPagesOf(store, retentionOf(cid))) {
    for (const row of page) {
      if (found.length >= over.records && bytes >= over.bytes) return found
      const version = readIndexRow(row)
      if (version === undefined || !eligible(version)) continue
      found.push(version)
      bytes += version.bytes
    }
  }
  return found
}

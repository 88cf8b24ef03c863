/**
 * Forked histories (R2, P15): a store that was put back to an older state writes on under counters that its peers know for something
 * else. Each opening of the store draws a run id, and vector entries carry the run of their counter; where a peer's entry about an own
 * origin names another run than ours for that counter, or a counter that we have not reached, the history has forked.
 *
 * Then this replica takes a new origin and issues anew, under it and with the old dot in their context, its live versions behind the fork:
 * peers whose vectors cover the old dots would pass over them. After that its vector ends where the histories part, so that it pulls what
 * the other one wrote there.
 *
 * Departure from the design, which pulls first: two versions of one dot would meet in one log row. What is issued anew in vain is superseded.
 */
import { EMPTY, fromHex } from '../base/bytes.ts'
import { loadAcknowledgements } from './acknowledgement.ts'
import { rowsOf, type CollectionState, type VectorEntry } from './collection-state.ts'
import type { Dot, Origin } from './dot.ts'
import { mergeEntries } from './entry.ts'
import { isLastStamp, nextStamp } from './hlc.ts'
import type { WriteContext } from './local-write.ts'
import { applySystemEntry, takeNewOrigin } from './replica-state.ts'
import { loadOwnRuns, runAt } from './own-runs.ts'
import { dotAtOfLogRow, forkRow, logRange, runRow } from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { Store, StoreReader } from './store.ts'
import type { SyncReplica } from './sync-replica.ts'
import { ORIGIN_BYTES, readCounter, type Version } from './version.ts'
import { keyText, type WriteBatch } from './write-batch.ts'

/** Versions issued anew by one job. */
const VERSIONS_PER_STEP = 256

interface Fork {
  readonly origin: Origin
  /** The last entry of that origin that both histories share, as far as is known: never more. */
  readonly shared: VectorEntry | undefined
}

export interface ForkSettlementOptions {
  readonly store: Store
  readonly context: WriteContext
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  readonly onNewOrigin: () => void
}

/** `SyncReplica.settleForks`. What a failure interrupts is found again by the next session: the vector is lowered last. */
export function createForkSettlement({ store, context, submit, onNewOrigin }: ForkSettlementOptions): SyncReplica['settleForks'] {
  return async (name, generation, known) => {
    const collection = context.state.collectionByName.get(name)
    if (collection?.generation !== generation) return false
    const onCollection = (job: (batch: WriteBatch, current: CollectionState) => void): Promise<void> =>
      submit(batch => {
        const current = context.state.collectionByName.get(name)
        if (current?.generation === generation) job(batch, current)
      })
    const forks = await findForks(store, collection, context.state.origin, known)
    for (const fork of forks) {
      await submit(batch => {
        if (context.state.origin !== fork.origin) return
        takeNewOrigin(context.state, batch, context.random)
        onNewOrigin()
      })
      for await (const page of versionsBehind(store, collection, fork)) {
        await onCollection((batch, current) => {
          for (const { key, dot } of page) reissue(context, batch, current, key, dot)
        })
      }
      await onCollection((batch, current) => {
        batch.put(forkRow(current.cid, fork.origin), EMPTY)
        batch.lowerVector(current, fork.origin, fork.shared)
      })
    }
    return forks.length > 0
  }
}

/** Own origins about which the peer knows something else, those that were found out before left out. */
async function findForks(
  reader: StoreReader,
  collection: CollectionState,
  presentOrigin: Origin,
  known: ReadonlyMap<Origin, VectorEntry>,
): Promise<Fork[]> {
  const runs = await loadOwnRuns(reader, collection.cid)
  const forks: Fork[] = []
  for (const origin of new Set([presentOrigin, ...runs.map(run => run.origin)])) {
    const theirs = known.get(origin)
    if (theirs === undefined || reader.get(forkRow(collection.cid, origin)) !== undefined) continue
    const own = runs.filter(run => run.origin === origin)
    const counter = collection.vector.get(origin)?.counter ?? 0
    if (theirs.counter <= counter && runAt(own, origin, theirs.counter) === theirs.run) continue
    const at = own.findIndex(({ run }) => run === theirs.run)
    const last = at < 0 ? await leastAcknowledged(reader, collection, origin) : (own[at + 1]?.first ?? counter + 1) - 1
    const sharedCounter = Math.min(last, counter)
    const sharedRun = runAt(own, origin, sharedCounter)
    forks.push({ origin, shared: sharedRun === undefined ? undefined : { counter: sharedCounter, run: sharedRun } })
  }
  return forks
}

/** What anybody had acknowledged of an origin when the store was last in one piece: the least that all who ever synced know. */
async function leastAcknowledged(reader: StoreReader, { cid }: CollectionState, origin: Origin): Promise<number> {
  const counters = (await loadAcknowledgements(reader, cid)).map(({ vector }) => vector.get(origin) ?? 0)
  return counters.length === 0 ? 0 : Math.min(...counters)
}

/** The dots behind a fork that are still live, page by page. */
async function* versionsBehind(
  store: Store,
  collection: CollectionState,
  { origin, shared }: Fork,
): AsyncGenerator<readonly { readonly key: string; readonly dot: Dot }[]> {
  let page: { readonly key: string; readonly dot: Dot }[] = []
  const last = collection.vector.get(origin)?.counter ?? 0
  for await (const [row, key] of rowsOf(store, logRange(collection.cid, origin, shared?.counter ?? 0, last))) {
    page.push({ key: keyText(key), dot: { origin, counter: readCounter(row, dotAtOfLogRow + ORIGIN_BYTES) } })
    if (page.length < VERSIONS_PER_STEP) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

/** Issues one version anew, in the place of the one with the old dot, when that is still there. */
export function reissue(context: WriteContext, batch: WriteBatch, collection: CollectionState, key: string, dot: Dot): void {
  const { state } = context
  const before = batch.entry(collection, key)
  const old = before?.entry.find(version => version.origin === dot.origin && version.counter === dot.counter)
  // Above the last stamp there is nothing can be written.
  if (before === undefined || old === undefined || isLastStamp(old.stamp)) return
  const counter = (collection.vector.get(state.origin)?.counter ?? 0) + 1
  const seen = new Map(old.context.map(entry => [entry.origin, entry.counter]))
  seen.set(dot.origin, Math.max(dot.counter, seen.get(dot.origin) ?? 0))
  const version: Version = {
    ...old,
    origin: state.origin,
    counter,
    // Above the one that it supersedes (R1), and no later than need be: it was written when that was.
    stamp: nextStamp(old.stamp),
    context: [...seen].map(([origin, count]) => ({ origin, counter: count })).sort((a, b) => (a.origin < b.origin ? -1 : 1)),
  }
  const others = before.entry.filter(other => other !== old)
  const isSystem = collection.name === SYSTEM_COLLECTION
  const policy = isSystem ? 'siblings' : state.model.settings(collection.name, collection.generation).conflict
  const after = mergeEntries(others.length === 0 ? undefined : others, [version], policy)
  batch.replace(collection, key, before, after)
  if (!state.runStarted.has(collection)) {
    state.runStarted.add(collection)
    collection.ownOrigins.add(state.origin)
    batch.put(runRow(collection.cid, version), fromHex(state.run) ?? new Uint8Array(8))
  }
  batch.setVector(collection, state.origin, { counter, run: state.run })
  batch.journal(collection, state.run, key, version)
  if (isSystem) applySystemEntry(state, key, after)
}

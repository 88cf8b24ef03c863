/**
 * What comes back into a store that was damaged and has lost something (P2): writes from the journal, and records from what is left of a
 * former store.
 *
 * A journal's write that follows on the own vector is **redone**: the same dot, context, stamp and run, and the vector goes on to it. That is
 * the write as it was, whoever may have got it from us meanwhile, so nobody need know.
 *
 * Everything else is **rescued**: it is merged in under its old dot, above the own vector, where the log tails of sessions do not reach it.
 * It may be new to everybody, or have been deleted by everybody in the meantime; only a peer knows. So it waits for the first peer that is
 * pulled and knows anything of the collection (R2): what neither its vector covers nor the own one is issued anew under the present origin, with
 * the old dot in its context. What the peer had collected R6 has dropped before.
 *
 * Row `y` cid origin -> greatest rescued counter (8), 1 when it is settled: then what that origin wrote up to there counts as known.
 */
import { concatBytes, fromHex, u64Bytes } from '../base/bytes.ts'
import { loadAcknowledgements } from './acknowledgement.ts'
import { rowsOf, type CollectionState, type RunId } from './collection-state.ts'
import type { Dot, Origin, VersionVector } from './dot.ts'
import { reissue } from './fork.ts'
import type { WriteName } from './journal.ts'
import type { WriteContext } from './local-write.ts'
import { applyRemoteItems, remoteCollection } from './remote-write.ts'
import { takeNewOrigin } from './replica-state.ts'
import { dotAtOfLogRow, logRange, originAtOfVectorRow, rescuedOf, rescuedRow, runRow } from './rows.ts'
import { SYSTEM_COLLECTION } from './settings.ts'
import type { StoreReader } from './store.ts'
import { ORIGIN_BYTES, readCounter, readOrigin, type Version } from './version.ts'
import { keyText, type WriteBatch } from './write-batch.ts'

/** Versions issued anew by one job. */
const VERSIONS_PER_STEP = 256

export interface RescuedWrite {
  readonly collection: string
  readonly generation: number
  /** Of a journal's write; undefined: it is from the rows of a former store, and cannot be redone. */
  readonly run: RunId | undefined
  readonly key: string
  readonly version: Version
  /** A person brings it (version-merge.ts): it may never have been here, although others of its origin have been rescued and settled. */
  readonly isImported?: true
}

export interface RescueTally {
  /** As they were. */
  redone: number
  /** To be issued anew when a peer has been met. */
  rescued: number
  /** In the store already, or superseded there. */
  known: number
  /** Of a collection that was deleted since, or that there is no room for. */
  unplaceable: number
  /** Imported, and not taken: behind what this node keeps (R8, R9). */
  refused: number
}

export const createRescueTally = (): RescueTally => ({ redone: 0, rescued: 0, known: 0, unplaceable: 0, refused: 0 })

interface Bound {
  readonly counter: number
  readonly isSettled: boolean
}

const readBound = (value: Uint8Array | undefined): Bound | undefined =>
  value && { counter: readCounter(value, 0), isSettled: value[8] === 1 }

const encodeBound = ({ counter, isSettled }: Bound): Uint8Array => concatBytes(u64Bytes(counter), Uint8Array.of(isSettled ? 1 : 0))

/** Puts writes into a group, in their order. `onSystem` is called behind each write of the system collection. */
function applyRescued(
  context: WriteContext,
  store: Pick<StoreReader, 'get'>,
  batch: WriteBatch,
  writes: readonly RescuedWrite[],
  onSystem: () => void,
): RescueTally {
  const { state } = context
  const tally = createRescueTally()
  const bounds = new Map<string, Bound>()
  for (const { collection: name, generation, run, key, version, isImported } of writes) {
    const { origin, counter } = version
    const collection = remoteCollection(state, batch, name, generation)
    if (collection === undefined) {
      tally.unplaceable += 1
      continue
    }
    const known = collection.vector.get(origin)
    const boundName = `${collection.cid} ${origin}`
    const bound = bounds.get(boundName) ?? readBound(store.get(rescuedRow(collection.cid, origin)))
    // A journal's writes come in the order of their counters: up to the bound they have been rescued before.
    const isSettled = bound?.isSettled === true && isImported !== true
    const isBehindBound = bound !== undefined && counter <= bound.counter && (isSettled || run !== undefined)
    if (counter <= (known?.counter ?? 0) || isBehindBound) {
      tally.known += 1
      continue
    }
    if (run !== undefined && counter === (known?.counter ?? 0) + 1) {
      if (known?.run !== run) batch.put(runRow(collection.cid, version), fromHex(run) ?? new Uint8Array(8))
      batch.setVector(collection, origin, { counter, run })
      state.lamport += 1
      tally.redone += 1
      applyRemoteItems(context, batch, collection, [{ key, version }], false)
    } else {
      // What is between is missing, and perhaps not elsewhere: the own counters must not go there again.
      if (origin === state.origin) takeNewOrigin(state, batch, context.random)
      const { applied, givenUp } = applyRemoteItems(context, batch, collection, [{ key, version }], false)
      if (applied === 0 && isImported === true) {
        if (givenUp > 0) tally.refused += 1
        else tally.known += 1
        continue
      }
      const next = { counter: Math.max(counter, bound?.counter ?? 0), isSettled: false }
      bounds.set(boundName, next)
      batch.put(rescuedRow(collection.cid, origin), encodeBound(next))
      tally.rescued += 1
    }
    if (name === SYSTEM_COLLECTION) onSystem()
  }
  return tally
}

export interface Rescue {
  /** Brings writes back that the store has lost, in their order; durable when it resolves. They are not journaled again. */
  rescue(writes: readonly RescuedWrite[]): Promise<RescueTally>
  /**
   * Issues anew what was rescued and neither the own vector covers nor `theirs`, that of a peer which has just been pulled; returns how many. What that
   * one knows and the own vector does not cover waits on: its mark may have been left out. A peer that knows nothing says nothing.
   */
  settle(collection: string, generation: number, theirs: VersionVector): Promise<number>
  /** Whether the store has, or had, a write made here. */
  knows(write: WriteName): boolean
  /** Whether a write made here need not be kept in the journal any more. */
  isConfirmed(write: WriteName): Promise<boolean>
}

export interface RescueOptions {
  readonly store: StoreReader
  readonly context: WriteContext
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  /** Brings the open collections in line with the system collection. */
  readonly reconcile: (batch: WriteBatch) => void
}

export function createRescue(options: RescueOptions): Rescue {
  const { store, context, submit, reconcile } = options
  return {
    rescue: writes => submit(batch => applyRescued(context, store, batch, writes, () => reconcile(batch))),
    settle: (name, generation, theirs) => settleRescued(options, name, generation, theirs),
    knows({ collection: name, generation, origin, counter }) {
      const collection = context.state.collectionByName.get(name)
      if (collection?.generation !== generation) return generation <= context.state.model.deletedGeneration(name)
      const bound = readBound(store.get(rescuedRow(collection.cid, origin)))
      return Math.max(collection.vector.get(origin)?.counter ?? 0, bound?.counter ?? 0) >= counter
    },
    isConfirmed: write => isConfirmed(context, store, write),
  }
}

async function settleRescued(
  { store, context, submit }: RescueOptions,
  name: string,
  generation: number,
  theirs: VersionVector,
): Promise<number> {
  const collection = context.state.collectionByName.get(name)
  if (collection?.generation !== generation || theirs.size === 0) return 0
  const { cid } = collection
  const waiting: { readonly origin: Origin; readonly counter: number }[] = []
  for await (const [row, value] of rowsOf(store, rescuedOf(cid))) {
    const bound = readBound(value)
    if (bound?.isSettled === false) waiting.push({ origin: readOrigin(row, originAtOfVectorRow), counter: bound.counter })
  }
  let reissued = 0
  for (const { origin, counter } of waiting) {
    const onCollection = (job: (batch: WriteBatch, current: CollectionState) => void): Promise<void> =>
      submit(batch => {
        const current = context.state.collectionByName.get(name)
        if (current?.generation === generation) job(batch, current)
      })
    let page: { readonly key: string; readonly dot: Dot }[] = []
    const issue = async (): Promise<void> => {
      const items = page
      page = []
      await onCollection((batch, current) => {
        for (const { key, dot } of items) reissue(context, batch, current, key, dot)
      })
      reissued += items.length
    }
    const ownCounter = collection.vector.get(origin)?.counter ?? 0
    const theirCounter = theirs.get(origin) ?? 0
    const known = Math.max(ownCounter, theirCounter)
    if (counter > known) {
      for await (const [row, key] of rowsOf(store, logRange(cid, origin, known, counter))) {
        page.push({ key: keyText(key), dot: { origin, counter: readCounter(row, dotAtOfLogRow + ORIGIN_BYTES) } })
        if (page.length === VERSIONS_PER_STEP) await issue()
      }
      if (page.length > 0) await issue()
    }
    const isSettled = ownCounter >= Math.min(theirCounter, counter)
    if (isSettled) await onCollection((batch, current) => batch.put(rescuedRow(current.cid, origin), encodeBound({ counter, isSettled })))
  }
  return reissued
}

/**
 * Whether a write made here need not be kept in the journal any more: another enrolled replica has acknowledged it, it was issued anew, or its
 * collection is gone.
 */
async function isConfirmed(context: WriteContext, store: StoreReader, write: WriteName): Promise<boolean> {
  const { state } = context
  const collection = state.collectionByName.get(write.collection)
  if (collection?.generation !== write.generation) return write.generation <= state.model.deletedGeneration(write.collection)
  const bound = readBound(store.get(rescuedRow(collection.cid, write.origin)))
  // The bound speaks of what the vector did not cover: what was written since, or before, was not issued anew.
  const isAboveVector = write.counter > (collection.vector.get(write.origin)?.counter ?? 0)
  if (bound?.isSettled === true && isAboveVector && write.counter <= bound.counter) return true
  const acknowledgements = await loadAcknowledgements(store, collection.cid)
  return acknowledgements.some(
    ({ storeId, vector }) =>
      storeId !== state.storeId && state.roster.get(storeId)?.isEvicted === false && (vector.get(write.origin) ?? 0) >= write.counter,
  )
}

/** Up to where the writes of origins were rescued and have been settled. */
export async function settledVector(store: StoreReader, cid: number): Promise<VersionVector> {
  const vector = new Map<Origin, number>()
  for await (const [row, value] of rowsOf(store, rescuedOf(cid))) {
    const bound = readBound(value)
    if (bound?.isSettled === true) vector.set(readOrigin(row, originAtOfVectorRow), bound.counter)
  }
  return vector
}

/** Builds and clears the index of retention-index.ts for a collection whose settings have changed: in steps, while it is written to. */
import { compareBytes, EMPTY } from '../base/bytes.ts'
import type { CollectionState } from './collection-state.ts'
import { indexEntry } from './retention-index.ts'
import type { IndexKind } from './retention-state.ts'
import { keyOfRecordRow, recordRow, recordsOf, retentionOf } from './rows.ts'
import type { Row, RowRange, Store } from './store.ts'
import { keyBytes, keyText, type WriteBatch } from './write-batch.ts'

const KEYS_PER_STEP = 256

/** Runs a job on the collection as it is when its turn comes; false when that generation is gone by then. */
export type IndexRunner = (job: (batch: WriteBatch, collection: CollectionState) => void) => Promise<boolean>

/** Takes the index away. False when the collection is gone. */
export async function clearIndex(store: Store, cid: number, run: IndexRunner): Promise<boolean> {
  const isStopped = await run((batch, collection) => {
    Object.assign(collection.retention, { index: 'none', indexedTo: undefined, bytes: 0, isDirty: true })
    batch.touch(collection)
  })
  if (!isStopped) return false
  for (;;) {
    const page = await firstRows(store, retentionOf(cid))
    if (page.length === 0) return true
    if (!(await run(batch => page.forEach(([row]) => batch.del(row))))) return false
  }
}

/** Builds the index, or goes on with what an earlier opening began. False when the collection is gone. */
export async function buildIndex(store: Store, { cid }: CollectionState, kind: IndexKind, run: IndexRunner): Promise<boolean> {
  const isBegun = await run((batch, collection) => {
    const { retention } = collection
    if (retention.index === kind) return
    Object.assign(retention, { index: kind, indexedTo: EMPTY, indexEnd: collection.keyMax, bytes: 0, isDirty: true })
    batch.touch(collection)
  })
  if (!isBegun) return false
  for (;;) {
    let from: Uint8Array | undefined
    let end: Uint8Array = EMPTY
    // Everything that was written before is in the store when this is done; what is written from now on is noted.
    const isThere = await run((_, { retention }) => {
      from = retention.indexedTo
      end = retention.indexEnd
      retention.indexMissed.clear()
    })
    if (!isThere) return false
    const after: Uint8Array | undefined = from
    if (after === undefined) return true
    const page = await firstRows(store, recordsBehind(cid, after))
    const keys = page.map(([row]) => keyOfRecordRow(row)).filter(key => compareBytes(key, end) <= 0)
    const to = page.length === keys.length ? keys.at(-1) : undefined
    const isTaken = await run((batch, collection) => {
      const { retention } = collection
      // The state was read again after a failed write: this step is done anew.
      if (retention.index !== kind || retention.indexedTo !== after) return
      const missed = [...retention.indexMissed].map(key => keyBytes(key)).filter(key => compareBytes(key, to ?? end) <= 0)
      const texts = new Set([...keys, ...missed].filter(key => compareBytes(key, after) > 0).map(keyText))
      for (const key of texts)
        indexEntry(collection, keyBytes(key), batch.entry(collection, key)?.entry, (row, value) => batch.put(row, value))
      retention.indexedTo = to && Uint8Array.from(to)
      retention.isDirty = true
      batch.touch(collection)
    })
    if (!isTaken) return false
  }
}

const recordsBehind = (cid: number, key: Uint8Array): RowRange =>
  key.length === 0 ? recordsOf(cid) : { gt: recordRow(cid, key), lt: recordsOf(cid).lt }

async function firstRows(store: Store, range: RowRange): Promise<readonly Row[]> {
  const cursor = store.scan(range)
  const page = await cursor.next(KEYS_PER_STEP)
  await cursor.close()
  return page
}

/** Whole collections that go, as the change feed tells them. */
import { describe, expect, it } from 'vitest'
import { rowsOf } from '../../../sync/collection-state.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { allDeletions } from '../../../sync/rows.ts'
import { changeRows, createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import { openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'

const told = async (replica: OpenReplica, after = 0, limit = 100): Promise<string[]> => {
  const { changes } = await replica.changes(after, limit)
  return changes.map(change => `${change.kind} ${change.collection} ${change.key ?? `generation ${change.generation}`}`)
}

async function deletionRows(store: MemoryStore): Promise<Uint8Array[]> {
  const rows: Uint8Array[] = []
  for await (const [row] of rowsOf(store, allDeletions)) rows.push(row)
  return rows
}

describe('a deleted collection in the feed', () => {
  it('is told in the place of its records, before what a new one of its name gets, and to other collections not at all', async () => {
    const replica = await openTestReplica(createMemoryStore(), 1)
    await replica.write([put('c', 'a'), put('c', 'b'), put('d', 'x')])
    const seen = replica.feedEnd()
    await replica.deleteCollection('c')
    await replica.write([put('c', 'b')])
    expect(await told(replica, seen)).toEqual(['delete c generation 1', 'put c b'])
    expect(await told(replica)).toEqual(['put d x', 'delete c generation 1', 'put c b'])
    const pages: string[] = []
    for (let after = 0; after < replica.feedEnd(); after = (await replica.changes(after, 1)).next) {
      pages.push(...(await told(replica, after, 1)))
    }
    expect(pages).toEqual(['put d x', 'delete c generation 1', 'put c b'])
  })

  it('P4 is told after the store was opened anew, to whoever comes back with a cursor from before', async () => {
    const store = createMemoryStore()
    const replica = await openTestReplica(store, 1)
    await replica.write([put('c', 'a')])
    const seen = replica.feedEnd()
    await replica.deleteCollection('c')
    const again = await openTestReplica(store.crash(), 2)
    expect(await told(again, seen)).toEqual(['delete c generation 1'])
  })

  it('is told where the deletion arrives by sync, once, and not where there was no such collection', async () => {
    const [a, b, c] = [
      await openTestReplica(createMemoryStore(), 1),
      await openTestReplica(createMemoryStore(), 2),
      await openTestReplica(createMemoryStore(), 3),
    ]
    await a.write([put('c', 'a'), put('d', 'x')])
    await syncPair(a, b)
    const seen = b.feedEnd()
    await a.deleteCollection('c')
    await a.write([put('c', 'new')])
    await syncPair(a, b)
    expect(await told(b, seen)).toEqual(['delete c generation 1', 'put c new'])
    const end = b.feedEnd()
    await syncPair(a, b)
    expect(b.feedEnd()).toBe(end)
    await syncPair(b, c)
    expect((await told(c)).sort()).toEqual(['put c new', 'put d x'])
  })

  it('a second deletion of the same generation, seen later, does not take back what a new collection has', async () => {
    const [a, b] = [await openTestReplica(createMemoryStore(), 1), await openTestReplica(createMemoryStore(), 2)]
    await a.write([put('c', 'a')])
    await syncPair(a, b)
    await a.deleteCollection('c')
    await a.write([put('c', 'new')])
    await b.deleteCollection('c')
    const seen = a.feedEnd()
    await syncPair(a, b)
    expect(await told(a, seen)).toEqual([])
  })

  it('of several deletions of one name the latest one is kept, also across openings', async () => {
    const store = createMemoryStore()
    const first = await openTestReplica(store, 1)
    for (let round = 0; round < 3; round++) {
      await first.write([put('c', 'a'), remove('c', 'a'), put('d', 'x')])
      await first.deleteCollection('c')
    }
    const again = await openTestReplica(store, 2)
    await again.write([put('c', 'a')])
    await again.deleteCollection('c')
    expect(await told(again)).toEqual(['put d x', 'delete c generation 4'])
    expect(await deletionRows(store)).toHaveLength(1)
  })

  it('a deletion that cannot be made durable is not told, and hides no record from those who read meanwhile', async () => {
    const store = createMemoryStore()
    const replica = await openTestReplica(store, 1)
    await replica.write([put('c', 'a')])
    store.failWrites(1)
    const deleting = replica.deleteCollection('c')
    expect(await told(replica)).toEqual(['put c a'])
    expect(await deleting).toMatchObject({ code: 'HS_STORE_WRITE_FAILED' })
    await replica.write([put('c', 'b')])
    expect(await told(replica)).toEqual(['put c a', 'put c b'])
  })

  it('a store from before deletions were told opens, and tells the next one', async () => {
    const store = createMemoryStore()
    const replica = await openTestReplica(store, 1)
    await replica.write([put('c', 'a'), put('d', 'x')])
    await replica.deleteCollection('c')
    const old = store.crash()
    await changeRows(old, [], await deletionRows(old))
    const again = await openTestReplica(old, 2)
    expect(await told(again)).toEqual(['put d x'])
    await again.deleteCollection('d')
    expect(await told(again)).toEqual(['delete d generation 1'])
  })
})

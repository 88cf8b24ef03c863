import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import type { Row, RowRange, Store, StoreBatch, StoreReader } from '../../sync/store.ts'
import { createMemoryStore } from '../memory-store.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
type Change = (batch: StoreBatch) => void
const put =
  (key: Uint8Array, value: Uint8Array): Change =>
  batch =>
    batch.put(key, value)
const del =
  (key: Uint8Array): Change =>
  batch =>
    batch.del(key)

function write(store: Store, changes: readonly Change[], options: { readonly sync: boolean }): Promise<void> {
  const batch = store.batch()
  for (const change of changes) change(batch)
  return batch.write(options)
}

async function read(reader: StoreReader, range: RowRange, rowsMax = 2): Promise<number[][]> {
  const cursor = reader.scan(range)
  const rows: Row[] = []
  for (;;) {
    const page = await cursor.next(rowsMax)
    if (page.length === 0) break
    rows.push(...page)
  }
  await cursor.close()
  return rows.map(([key]) => [...key])
}

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

const makers: Record<string, () => Promise<Store>> = {
  'the memory store': () => Promise.resolve(createMemoryStore()),
  LevelDB: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hs-store-'))
    folders.push(folder)
    return openLevelStore(folder)
  },
}

describe.each(Object.entries(makers))('the store contract on %s', (_name, make) => {
  it('S1 orders keys by unsigned bytes, a prefix first', async () => {
    const store = await make()
    const keys = [bytes(0xff), bytes(0x7f), bytes(0x80), bytes(0x7f, 0), bytes(0)]
    await write(
      store,
      keys.map(key => put(key, key)),
      { sync: true },
    )
    expect(await read(store, {})).toEqual([[0], [0x7f], [0x7f, 0], [0x80], [0xff]])
    await store.close()
  })

  it('reads ranges with every kind of bound, in both directions', async () => {
    const store = await make()
    await write(
      store,
      [1, 2, 3, 4, 5].map(n => put(bytes(n), bytes(n))),
      { sync: false },
    )
    expect(await read(store, { gte: bytes(2), lt: bytes(4) })).toEqual([[2], [3]])
    expect(await read(store, { gt: bytes(2), lt: bytes(9) })).toEqual([[3], [4], [5]])
    expect(await read(store, { gte: bytes(2), lt: bytes(5), reverse: true })).toEqual([[4], [3], [2]])
    expect(await read(store, { gte: bytes(4), lt: bytes(2) })).toEqual([])
    await store.close()
  })

  it('S2 applies a batch in order: the last change of a key wins', async () => {
    const store = await make()
    await write(store, [put(bytes(1), bytes(1)), del(bytes(1)), put(bytes(1), bytes(2)), put(bytes(2), bytes()), del(bytes(2))], {
      sync: true,
    })
    expect([...(store.get(bytes(1)) ?? [])]).toEqual([2])
    expect(store.get(bytes(2))).toBeUndefined()
    await store.close()
  })

  it('copies what a batch is given, and leaves no trace of one that is given up', async () => {
    const store = await make()
    const [key, value] = [bytes(1), bytes(1)]
    const batch = store.batch()
    batch.put(key, value)
    key.fill(2)
    value.fill(2)
    batch.put(key, value)
    batch.del(key)
    key.fill(3)
    const given = store.batch()
    given.put(key, value)
    given.discard()
    await batch.write({ sync: true })
    expect([...(store.get(bytes(1)) ?? [])]).toEqual([1])
    expect(await read(store, {})).toEqual([[1]])
    await store.close()
  })

  it('keeps empty values apart from missing rows', async () => {
    const store = await make()
    await write(store, [put(bytes(1), bytes())], { sync: true })
    expect(store.get(bytes(1))?.length).toBe(0)
    expect(store.get(bytes(2))).toBeUndefined()
    await store.close()
  })

  it('S4 a snapshot and an open cursor never change', async () => {
    const store = await make()
    await write(store, [put(bytes(1), bytes(1)), put(bytes(2), bytes(2))], { sync: true })
    const snapshot = store.snapshot()
    const cursor = store.scan({})
    await write(store, [put(bytes(1), bytes(9)), del(bytes(2)), put(bytes(3), bytes(3))], { sync: true })
    expect([...(snapshot.get(bytes(1)) ?? [])]).toEqual([1])
    expect(snapshot.get(bytes(3))).toBeUndefined()
    expect(await read(snapshot, {})).toEqual([[1], [2]])
    expect((await cursor.next(9)).map(([key]) => [...key])).toEqual([[1], [2]])
    await cursor.close()
    await snapshot.close()
    await store.close()
  })
})

describe('the memory store after a crash', () => {
  it('S3 keeps everything written before the last synced batch, and loses what came after it', async () => {
    const store = createMemoryStore()
    await write(store, [put(bytes(1), bytes(1))], { sync: false })
    await write(store, [put(bytes(2), bytes(2))], { sync: true })
    await write(store, [put(bytes(3), bytes(3))], { sync: false })
    expect(await read(store.crash(), {})).toEqual([[1], [2]])
    await store.flush()
    expect(await read(store.crash(), {})).toEqual([[1], [2], [3]])
  })
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLevelStore } from '../../../agent/level-store.ts'
import type { Store } from '../../../sync/store.ts'

let folder: string
let store: Store
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-level-'))
  store = await openLevelStore(join(folder, 'store'))
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

function write(name: string, sync: boolean): Promise<void> {
  const batch = store.batch()
  batch.put(Buffer.from(name), Buffer.alloc(1_000))
  return batch.write({ sync })
}

test('P1 whoever flushes while a flush is under way is told no earlier than that one: its rows are not durable before', async () => {
  await write('a', false)
  const ends: string[] = []
  const tell = (name: string) => (): void => void ends.push(name)
  const first = store.flush().then(tell('first'))
  const second = store.flush().then(tell('second'))
  const synced = write('b', true).then(tell('synced write'))
  await Promise.all([first, second, synced])
  expect(ends.indexOf('first')).toBe(0)
})

test('a flush with nothing to flush ends at once, also after a synced write', async () => {
  await store.flush()
  await write('a', false)
  await write('b', true)
  await store.flush()
  expect(store.get(Buffer.from('a'))).toHaveLength(1_000)
})

test('a database that is open already is refused by its own code', async () => {
  await expect(openLevelStore(join(folder, 'store'))).rejects.toMatchObject({ code: 'HS_STORE_LOCKED' })
})

test('a batch for a database that is closed says so when it is written, not before', async () => {
  const other = await openLevelStore(join(folder, 'other'))
  await other.close()
  const batch = other.batch()
  batch.put(Buffer.from('a'), Buffer.from('b'))
  batch.del(Buffer.from('a'))
  await expect(batch.write({ sync: true })).rejects.toThrow('not open')
  batch.discard()
})

import { expect, it } from 'vitest'
import { createMemoryStore } from '../../memory-store.ts'
import { openTestReplica, put, syncPair } from '../../replica-pair.ts'
import { startHttp } from './http-fixture.ts'

const GUEST_ID = '22222222-0000-4000-8000-000000000000'

it('the roster shows who has not acknowledged what, and an evicted node for good', async () => {
  const { url, replica } = await startHttp()
  const list = async (): Promise<unknown> => (await fetch(`${url}/api/swarm/replicas`)).json()
  expect(await list()).toEqual([])
  const guest = await openTestReplica(createMemoryStore(), 1, undefined, GUEST_ID)
  await replica.write([put('c', 'a')])
  for (let i = 0; i < 2; i++) await syncPair(replica, guest)
  await replica.write([put('c', 'b'), put('c', 'd')])
  const own = { node_id: '', store_id: replica.storeId, self: true, evicted: false, collections: [] }
  const other = { node_id: GUEST_ID, store_id: guest.storeId, self: false, evicted: false, collections: [{ name: 'c', missing: 2 }] }
  expect(await list()).toEqual([own, other].sort((a, b) => (a.store_id < b.store_id ? -1 : 1)))

  const evict = (node: string): Promise<Response> => fetch(`${url}/api/swarm/replicas/${node}`, { method: 'DELETE' })
  expect((await evict(GUEST_ID)).status).toBe(204)
  expect(await list()).toContainEqual({ ...other, evicted: true, collections: [] })
  const again = await evict(GUEST_ID)
  expect([again.status, ((await again.json()) as { code: string }).code]).toEqual([404, 'HS_NOT_FOUND'])
})

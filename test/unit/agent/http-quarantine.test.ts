import { expect, it } from 'vitest'
import { createMemoryStore } from '../../memory-store.ts'
import { openTestReplica, put, syncPair } from '../../replica-pair.ts'
import { request, send, startHttp } from './http-fixture.ts'

/** An agent that wrote these into "c" while another one deleted it. */
async function startWithUnseen(...keys: readonly string[]) {
  const started = await startHttp()
  const { replica } = started
  const guest = await openTestReplica(createMemoryStore(), 1)
  await replica.write([put('c', 'seen')])
  await syncPair(replica, guest)
  await replica.write(keys.map(key => put('c', key, { of: key })))
  await guest.deleteCollection('c')
  await syncPair(replica, guest)
  await expect.poll(() => replica.quarantine.count()).toBe(keys.length)
  const page = (await request(`${started.url}/api/quarantine`)).json as { items: { id: number }[] }
  return { ...started, ids: page.items.map(({ id }) => id) }
}

it('quarantine is listed, page by page, and each version is found by its id', async () => {
  const { url, ids } = await startWithUnseen('x', 'y', 'z')
  const page = async (query: string) => (await request(`${url}/api/quarantine?${query}`)).json
  expect(await page('limit=2')).toMatchObject({
    count: 3,
    items: [
      { id: ids[0], reason: 'deleted', collection: 'c', generation: 1, key: 'x', record: { key: 'x', payload: { of: 'x' } } },
      { id: ids[1], key: 'y' },
    ],
    cursor: ids[1],
  })
  expect(await page(`limit=2&cursor=${ids[1]}&collection=c`)).toMatchObject({ count: 3, items: [{ key: 'z' }], cursor: null })
  expect(await page('collection=other')).toEqual({ count: 3, items: [], cursor: null })
  expect((await request(`${url}/api/quarantine/${ids[2]}`)).json).toMatchObject({ key: 'z', record: { version: { counter: 4 } } })
  for (const [path, status] of [
    ['/api/quarantine?limit=0', 400],
    ['/api/quarantine?limit=1001', 400],
    ['/api/quarantine?cursor=x', 400],
    ['/api/quarantine?collection=_system', 400],
    ['/api/quarantine/4711', 404],
    ['/api/quarantine/x', 404],
  ] as const) {
    expect([path, (await request(url + path)).status]).toEqual([path, status])
  }
})

it('quarantine is imported, retried and dropped; what cannot be done says why and stays', async () => {
  const { url, ids, replica } = await startWithUnseen('x', 'y', 'z')
  const post = async (action: string, body: unknown) => (await send('POST', `${url}/api/quarantine/${action}`, body)).json
  expect(await post('import', { ids: [ids[0]] })).toMatchObject({ done: 0, failed: [{ id: ids[0], code: 'HS_NOT_FOUND' }], count: 3 })
  expect(await post('import', { ids: [ids[0], 99], create: true })).toMatchObject({ done: 1, failed: [{ id: 99 }], count: 2 })
  expect((await request(`${url}/api/collections/c/records/x`)).json).toMatchObject({ payload: { of: 'x' } })
  expect(await post('retry', { ids: [ids[1]] })).toMatchObject({ done: 0, failed: [{ code: 'HS_PRECONDITION_FAILED' }] })
  expect((await request(`${url}/api/quarantine/${ids[1]}`, { method: 'DELETE' })).status).toBe(204)
  expect((await request(`${url}/api/quarantine/${ids[1]}`, { method: 'DELETE' })).status).toBe(404)
  expect(await post('drop', { ids })).toEqual({ done: 1, failed: [], count: 0 })
  expect(replica.quarantine.count()).toBe(0)
})

it.each<[string, unknown]>([
  ['no ids', {}],
  ['an empty list', { ids: [] }],
  ['more than 1,000', { ids: Array.from({ length: 1_001 }, (_, i) => i + 1) }],
  ['what is no id', { ids: ['1'] }],
  ['an unknown word', { ids: [1], force: true }],
  ['a list alone', [1]],
  ['no JSON', '{'],
])('a selection of %s is refused', async (_name, body) => {
  const { url } = await startHttp()
  for (const action of ['import', 'retry', 'drop']) {
    const answer = await send('POST', `${url}/api/quarantine/${action}`, body)
    expect([action, answer.status]).toEqual([action, 400])
  }
})

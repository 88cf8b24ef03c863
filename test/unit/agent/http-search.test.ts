import { describe, expect, test, vi } from 'vitest'
import type { Replica } from '../../../sync/replica.ts'
import { openSocket, request, send, startHttp, type Answer } from './http-fixture.ts'

interface Found {
  readonly results: readonly { readonly key: string; readonly distance: number }[]
}

async function startPlaces(options: Parameters<typeof startHttp>[0] = {}) {
  const fixture = await startHttp(options)
  const at = `${fixture.url}/api/collections/places`
  const put = (key: string, body: object): Promise<Answer> => send('PUT', `${at}/records/${encodeURIComponent(key)}`, body)
  const search = (body: object | string): Promise<Answer> => send('POST', `${at}/search`, body)
  const keysOf = async (body: object): Promise<string[]> => ((await search(body)).json as Found).results.map(({ key }) => key)
  return { ...fixture, at, put, search, keysOf }
}

describe('a search', () => {
  test('answers with keys, distances and content, nearest first', async () => {
    const { put, search } = await startPlaces()
    await put('dock', { payload: { room: 1, text: 'ü' }, vector: [1, 0, 0] })
    await put('door', { data: 'AAE=', content_type: 'image/jpeg', vector: [0, 1, 0] })
    await put('hall', { vector: [0, 0, 1] })
    await put('plain', { payload: 1 })
    const answer = await search({ vector: [3, 4, 0], k: 9 })
    expect(answer).toMatchObject({ status: 200 })
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(answer.json).toEqual({
      results: [
        { key: 'door', distance: 1 - 0.8, data: 'AAE=', content_type: 'image/jpeg' },
        { key: 'dock', distance: 1 - 0.6, payload: { room: 1, text: 'ü' } },
        { key: 'hall', distance: 1 },
      ],
    })
  })

  test('sees what was acknowledged before, keeps to its prefix and to k, and orders ties by key', async () => {
    const { at, put, keysOf } = await startPlaces()
    for (const key of ['b/2', 'b/1', 'a/1', 'é']) await put(key, { vector: [1, 1] })
    expect(await keysOf({ vector: [1, 1], k: 3 })).toEqual(['a/1', 'b/1', 'b/2'])
    expect(await keysOf({ vector: [1, 1], k: 3, prefix: 'b/' })).toEqual(['b/1', 'b/2'])
    expect(await keysOf({ vector: [1, 1], k: 3, prefix: 'é' })).toEqual(['é'])
    await request(`${at}/records/b/1`, { method: 'DELETE' })
    await put('b/0', { vector: [1, 1] })
    expect(await keysOf({ vector: [1, 1], k: 1_000, prefix: 'b/' })).toEqual(['b/0', 'b/2'])
  })

  test('of an unknown collection is 404, of one without vectors finds nothing', async () => {
    const { url, put, search } = await startPlaces()
    expect(await search({ vector: [1], k: 1 })).toMatchObject({ status: 404, json: { code: 'HS_NOT_FOUND' } })
    await put('a', { payload: 1 })
    expect(await search({ vector: [1], k: 1 })).toMatchObject({ status: 200, json: { results: [] } })
    const system = await send('POST', `${url}/api/collections/_system/search`, { vector: [1], k: 1 })
    expect(system).toMatchObject({ status: 400, json: { code: 'HS_INVALID_NAME' } })
  })

  test.each([
    ['', 'HS_INVALID_JSON'],
    ['{"vector":[1,2],"k":1', 'HS_INVALID_JSON'],
    ['[]', 'HS_INVALID_REQUEST'],
    ['null', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2]}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":0}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":1001}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":1.5}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":"1"}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":null}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":1,"prefix":1}', 'HS_INVALID_REQUEST'],
    [String.raw`{"vector":[1,2],"k":1,"prefix":"\ud83d"}`, 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":1,"limit":1}', 'HS_INVALID_REQUEST'],
    ['{"vector":[1,2],"k":1,"__proto__":{}}', 'HS_INVALID_REQUEST'],
    ['{"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":"1,2","k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[1,"2"],"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[1,null],"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[],"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[1],"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[1,2,3],"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[0,-0],"k":1}', 'HS_INVALID_VECTOR'],
    ['{"vector":[1e39,1],"k":1}', 'HS_INVALID_VECTOR'],
  ])('refuses %s with %s', async (body, code) => {
    const { put, search } = await startPlaces()
    await put('a', { vector: [1, 2] })
    expect(await search(body)).toMatchObject({ status: 400, json: { code } })
  })

  test('whose answer would be too large says how many neighbours fit', async () => {
    const { put, search } = await startPlaces({ limits: { searchBytesMax: 100 } })
    for (const key of ['a', 'b', 'c']) await put(key, { payload: 'x'.repeat(40), vector: [1] })
    expect(await search({ vector: [1], k: 2 })).toMatchObject({ status: 200 })
    expect(await search({ vector: [1], k: 3 })).toMatchObject({
      status: 413,
      json: { code: 'HS_TOO_LARGE', detail: expect.stringContaining('nearest 3') as unknown },
    })
    expect(await search(`{"vector":[1],"k":1,"prefix":"${'x'.repeat(5_000_000)}"}`)).toMatchObject({ status: 413 })
  })
})

/** A replica whose searches wait until they are let go. */
function holdSearches(held: (() => void)[]): (replica: Replica) => Replica {
  return replica => ({
    ...replica,
    async search(...query) {
      await new Promise<void>(resolve => void held.push(resolve))
      return replica.search(...query)
    },
  })
}

describe('searches', () => {
  test('are bounded: one more than may run at once is told to try again', async () => {
    const held: (() => void)[] = []
    const { put, search } = await startPlaces({ limits: { searchesMax: 2 }, replica: holdSearches(held) })
    await put('a', { vector: [1] })
    const running = [search({ vector: [1], k: 1 }), search({ vector: [1], k: 1 })]
    await vi.waitFor(() => expect(held).toHaveLength(2))
    const refused = await search({ vector: [1], k: 1 })
    expect(refused).toMatchObject({ status: 429, json: { code: 'HS_BUSY', detail: expect.stringContaining('2 searches') as unknown } })
    expect(refused.headers.get('retry-after')).toBe('1')
    for (const release of held) release()
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200)
    const after = search({ vector: [1], k: 1 })
    await vi.waitFor(() => expect(held).toHaveLength(3))
    held[2]?.()
    expect((await after).status).toBe(200)
  })

  test('end when their client goes away', async () => {
    let turns = 0
    const ended = vi.fn<() => void>()
    const endless = (replica: Replica): Replica => ({
      ...replica,
      async search(_collection, _query, nextTurn) {
        try {
          for (;;) {
            await nextTurn()
            turns += 1
          }
        } finally {
          ended()
        }
      },
    })
    const { port } = await startPlaces({ replica: endless })
    const { socket } = await openSocket(port)
    const body = '{"vector":[1],"k":1}'
    socket.write(
      'POST /api/collections/places/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
        `content-length: ${body.length}\r\n\r\n${body}`,
    )
    await vi.waitFor(() => expect(turns).toBeGreaterThan(2))
    expect(ended).not.toHaveBeenCalled()
    socket.destroy()
    await vi.waitFor(() => expect(ended).toHaveBeenCalledTimes(1))
  })

  test('give the memory of their vectors back after a while without one', async () => {
    const forget = vi.fn<() => void>()
    const { put, search } = await startPlaces({
      limits: { searchIdleMs: 20 },
      replica: replica => ({ ...replica, forgetVectors: forget }),
    })
    await put('a', { vector: [1] })
    await search({ vector: [1], k: 1 })
    await vi.waitFor(() => expect(forget).toHaveBeenCalledTimes(1))
    await search({ vector: [1], k: 1 })
    await vi.waitFor(() => expect(forget).toHaveBeenCalledTimes(2))
  })
})

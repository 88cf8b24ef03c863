/** `GET /api/events`: what is told, where it begins and goes on, and what happens to those who do not listen. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { PeerView } from '../../../agent/http/port.ts'
import { openEvents, type EventReader } from '../../event-reader.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'
import { request, send, startHttp, type HttpFixture } from './http-fixture.ts'

async function open(fixture: Pick<HttpFixture, 'url'>, query = '', headers: Record<string, string> = {}): Promise<EventReader> {
  const reader = await openEvents(`${fixture.url}/api/events${query}`, headers)
  onTestFinished(() => reader.close())
  return reader
}

const PEER: PeerView = {
  nodeId: 'a92f0011-6c60-427f-8a09-47103c2da80e',
  nodeName: 'robot-2',
  addr: '10.0.0.2:50050',
  httpPort: 50050,
  role: 'edge',
  logicalClock: 1,
  collections: [],
  lastSeenAtMs: 0,
  lastSeenAgoMs: 0,
  status: 'alive',
  incarnation: 1,
  gossipAddr: '10.0.0.2:7946',
  rttMs: undefined,
  clockSkewMs: undefined,
}
const exchanged = (collection: string, entriesReceived = 1) =>
  ({
    kind: 'sync',
    peer: PEER.nodeId,
    collection,
    inSync: true,
    entriesSent: 0,
    entriesReceived,
    bytesSent: 0,
    bytesReceived: 9,
  }) as const

/** Resolves when the next stream that is opened stops listening. */
function nextToStop(fixture: HttpFixture): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { events } = fixture
  const subscribe = events.subscribe.bind(events)
  vi.spyOn(events, 'subscribe').mockImplementationOnce(listener => {
    const release = subscribe(listener)
    return () => {
      release()
      resolve()
    }
  })
  return promise
}

/** The server's side of the next request that comes, once it is there. */
function nextResponse({ port }: HttpFixture): () => ServerResponse | undefined {
  let response: ServerResponse | undefined
  const onStart = (message: unknown): void => {
    const started = message as { readonly response: ServerResponse; readonly socket: Socket }
    if (started.socket.localPort === port) response ??= started.response
  }
  subscribe('http.server.request.start', onStart)
  onTestFinished(() => void unsubscribe('http.server.request.start', onStart))
  return () => response
}

/** A payload of so many bytes as JSON. */
const large = (bytes: number): string => 'x'.repeat(bytes - 2)

describe('what is told', () => {
  test('an event is the change as a GET would give it, its id a cursor; payload bytes are those that were stored', async () => {
    const fixture = await startHttp()
    const events = await open(fixture)
    expect(events).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' },
    })
    const path = `${fixture.url}/api/collections/map/records/door%2F7`
    await send('PUT', path, '{"payload":{"b":1.0,"a":"é\\n"},"vector":[1,0.5]}')
    const stored = await request(path)
    const { id, data, text } = await events.nextEvent('put')
    expect(data).toEqual({
      cursor: id,
      kind: 'put',
      collection: 'map',
      ...(stored.json as object),
      etag: stored.headers.get('etag')?.replaceAll('"', ''),
    })
    expect(text).toContain('"payload":{"b":1,"a":"é\\n"}')
    await request(path, { method: 'DELETE' })
    const gone = await events.nextEvent('delete')
    expect(gone.data).toEqual({ cursor: gone.id, kind: 'delete', collection: 'map', key: 'door/7' })
  })

  test('raw data comes as base64 with its type', async () => {
    const fixture = await startHttp()
    const events = await open(fixture)
    await send('PUT', `${fixture.url}/api/collections/c/records/k`, { data: 'AP8K', content_type: 'image/x' })
    expect((await events.nextEvent('put')).data).toMatchObject({ data: 'AP8K', content_type: 'image/x' })
  })

  test('a conflict tells the version that lww dropped', async () => {
    const fixture = await startHttp()
    const other = await openTestReplica(createMemoryStore(), 1)
    await fixture.replica.write([put('map', 'door', 'mine')])
    await other.write([put('map', 'door', 'theirs')])
    const events = await open(fixture)
    await syncPair(fixture.replica, other)
    const { data } = await events.nextEvent('conflict')
    const kept = fixture.replica.get('map', 'door')
    const dropped = Buffer.from(kept?.payload ?? []).toString() === '"mine"' ? 'theirs' : 'mine'
    expect(data).toMatchObject({ kind: 'conflict', collection: 'map', key: 'door', payload: dropped })
    expect(data['version']).not.toMatchObject({ origin: kept?.version.origin })
  })

  test('peer, sync and role events carry no id', async () => {
    const fixture = await startHttp()
    const events = await open(fixture)
    await events.next()
    await events.nextEvent('role')
    fixture.events.publish({ kind: 'peer', change: 'dropped', reason: 'timeout', peer: PEER })
    fixture.events.publish(exchanged('map'))
    fixture.events.publish({ kind: 'role', role: 'leader', epoch: 2 })
    const told = [await events.next(), await events.next(), await events.next()]
    expect(told.map(block => [block?.event, block?.id])).toEqual([
      ['peer', undefined],
      ['sync', undefined],
      ['role', undefined],
    ])
    expect(told.map(block => block?.data)).toMatchObject([
      { kind: 'peer', change: 'dropped', reason: 'timeout', node_id: PEER.nodeId, node_name: 'robot-2', role: 'Edge', status: 'alive' },
      { kind: 'sync', peer: PEER.nodeId, collection: 'map', in_sync: true, entries_received: 1, bytes_received: 9 },
      { kind: 'role', role: 'Leader', epoch: 2 },
    ])
  })

  test('the role of the node comes first, and for one collection not at all', async () => {
    const fixture = await startHttp()
    await fixture.replica.write([put('map', 'door')])
    const [all, some] = [await open(fixture, '?since=0'), await open(fixture, '?since=0&collection=map')]
    await all.next()
    expect(await all.next()).toMatchObject({ event: 'role', id: undefined, data: { kind: 'role', role: 'Edge', epoch: 0 } })
    expect(await all.next()).toMatchObject({ event: 'put' })
    expect(await some.nextEvent('put', 'role')).toMatchObject({ event: 'put' })
  })

  test('a collection that goes is one delete without a key, also for those who follow that collection alone', async () => {
    const fixture = await startHttp()
    await fixture.replica.write([put('map', 'door'), put('map', 'window'), put('other', 'a')])
    const followers = [await open(fixture), await open(fixture, '?collection=map')]
    const other = await open(fixture, '?collection=other')
    for (const follower of [...followers, other]) await follower.next()
    expect((await request(`${fixture.url}/api/collections/map`, { method: 'DELETE' })).status).toBe(204)
    await fixture.replica.write([put('map', 'new'), put('other', 'b')])
    for (const follower of followers) {
      const gone = await follower.nextEvent('put', 'delete')
      expect(gone.data).toEqual({ cursor: gone.id, kind: 'delete', collection: 'map', generation: 1 })
      expect((await follower.nextEvent('put', 'delete')).data).toMatchObject({ kind: 'put', collection: 'map', key: 'new' })
    }
    expect((await other.nextEvent('put', 'delete')).data).toMatchObject({ kind: 'put', collection: 'other', key: 'b' })
  })

  test('a collection hides all that does not belong to it, and the cursor moves on with what was hidden', async () => {
    const fixture = await startHttp({ limits: { eventsKeepAliveMs: 30 } })
    const events = await open(fixture, '?collection=map')
    const begin = (await events.next())?.id
    await fixture.replica.write([put('other', 'a'), put('other', 'b')])
    let moved = begin
    while (moved === begin) moved = (await events.next())?.id ?? moved
    expect(moved).toMatch(/\.[1-9]\d*$/)
    fixture.events.publish({ kind: 'peer', change: 'joined', peer: PEER })
    fixture.events.publish(exchanged('other'))
    fixture.events.publish(exchanged('map'))
    expect((await events.nextEvent('put', 'delete', 'peer', 'sync')).data).toMatchObject({ kind: 'sync', collection: 'map' })
    await fixture.replica.write([put('other', 'c'), put('map', 'door')])
    expect((await events.nextEvent('put', 'delete', 'peer', 'sync')).data).toMatchObject({ collection: 'map', key: 'door' })
  })

  test('a silent stream is kept alive by comments', async () => {
    const fixture = await startHttp({ limits: { eventsKeepAliveMs: 20 } })
    const events = await open(fixture)
    expect(await events.next()).toMatchObject({ event: undefined, retry: '1000' })
    await events.nextEvent('role')
    expect([await events.next(), await events.next()]).toMatchObject([{ comment: 'keep-alive' }, { comment: 'keep-alive' }])
  })
})

describe('where it begins', () => {
  test('without since now, with since=0 at the beginning; overwritten versions coalesce', async () => {
    const fixture = await startHttp()
    await fixture.replica.write([put('c', 'a', 1), put('c', 'b', 1), put('c', 'a', 2)])
    await fixture.replica.write([remove('c', 'b')])
    const [all, fresh] = [await open(fixture, '?since=0'), await open(fixture)]
    await fresh.next()
    await fixture.replica.write([put('c', 'z')])
    const told = [await all.nextEvent('put', 'delete'), await all.nextEvent('put', 'delete'), await all.nextEvent('put', 'delete')]
    expect(told.map(({ data }) => [data['kind'], data['key'], data['payload']])).toEqual([
      ['put', 'a', 2],
      ['delete', 'b', undefined],
      ['put', 'z', 1],
    ])
    expect((await fresh.nextEvent('put', 'delete')).data).toMatchObject({ key: 'z' })
  })

  test('P4 an id resumes without loss, whether it is sent as since or as Last-Event-ID, which goes first', async () => {
    const fixture = await startHttp()
    await fixture.replica.write(['a', 'b', 'c', 'd'].map(key => put('c', key)))
    const first = await open(fixture, '?since=0')
    const ids = [await first.nextEvent('put'), await first.nextEvent('put'), await first.nextEvent('put')].map(({ id }) => id ?? '')
    first.close()
    await fixture.replica.write([put('c', 'e')])
    const keys = async (events: EventReader): Promise<unknown[]> =>
      [await events.nextEvent('put'), await events.nextEvent('put')].map(({ data }) => data['key'])
    expect(await keys(await open(fixture, `?since=${ids[2]}`))).toEqual(['d', 'e'])
    expect(await keys(await open(fixture, '?since=0', { 'last-event-id': ids[1] ?? '' }))).toEqual(['c', 'd'])
  })

  test('the first block gives the place, so that a client that has seen nothing yet misses nothing either', async () => {
    const fixture = await startHttp()
    await fixture.replica.write([put('c', 'before')])
    const idle = await open(fixture)
    const place = (await idle.next())?.id
    idle.close()
    await fixture.replica.write([put('c', 'meanwhile')])
    const again = await open(fixture, '', { 'last-event-id': place ?? '' })
    expect((await again.nextEvent('put', 'reset')).data).toMatchObject({ kind: 'put', key: 'meanwhile' })
  })

  test('a cursor of another store, or ahead of this one, begins anew with a reset that has an id of its own', async () => {
    const [old, fresh] = [await startHttp(), await startHttp()]
    await old.replica.write([put('c', 'a')])
    await fresh.replica.write([put('c', 'b')])
    const id = (await (await open(old, '?since=0')).nextEvent('put')).id ?? ''
    const ahead = id.replace(/\d+$/, '999')
    for (const [fixture, cursor] of [
      [fresh, id],
      [old, ahead],
    ] as const) {
      const events = await open(fixture, `?since=${cursor}`)
      const reset = await events.nextEvent('put', 'reset')
      expect(reset).toMatchObject({ event: 'reset', data: { kind: 'reset', cursor: reset.id } })
      expect(reset.id).toMatch(/^[0-9a-f]{16}\.0$/)
      expect(await events.nextEvent('put')).toMatchObject({ data: { key: fixture === fresh ? 'b' : 'a' } })
    }
  })

  test.each([
    'x',
    '1',
    '00',
    '-1',
    'e8b37fde6c60427f',
    'e8b37fde6c60427f.',
    'e8b37fde6c60427f.-1',
    '.5',
    'e8b37fde6c60427f.9999999999999999',
  ])('since=%s is refused', async since => {
    const { url } = await startHttp()
    for (const route of ['events', 'changes']) {
      expect(await request(`${url}/api/${route}?since=${since}`)).toMatchObject({ status: 400, json: { code: 'HS_INVALID_CURSOR' } })
    }
  })

  test('a bad collection or parameter is refused; a collection that does not exist yet is not', async () => {
    const { url } = await startHttp()
    expect(await request(`${url}/api/events?collection=_system`)).toMatchObject({ status: 400, json: { code: 'HS_INVALID_NAME' } })
    expect(await request(`${url}/api/events?from=1`)).toMatchObject({ status: 400, json: { code: 'HS_INVALID_REQUEST' } })
    expect(await open({ url }, '?collection=none-yet')).toMatchObject({ status: 200 })
    expect(await request(`${url}/api/events`, { method: 'HEAD' })).toMatchObject({ status: 200, text: '' })
  })
})

describe('those who do not listen', () => {
  test('P8 while the socket is full the feed is not read; nothing is lost when it is taken later', async () => {
    let read = 0
    let readsWhileFull = 0
    const fixture = await startHttp({
      replica: replica => ({
        ...replica,
        storeId: replica.storeId,
        async changes(after, limit) {
          if (response()?.writableNeedDrain === true) readsWhileFull += 1
          const page = await replica.changes(after, limit)
          read += page.changes.length
          return page
        },
      }),
    })
    const response = nextResponse(fixture)
    const events = await open(fixture, '?since=0')
    events.pause()
    const total = 60
    for (let i = 0; i < total; i++) await fixture.replica.write([put('c', String(i).padStart(3, '0'), large(500_000))])
    // The kernel's buffers of one connection take some megabytes; then reading stops.
    await expect.poll(() => response()?.writableNeedDrain, { timeout: 10_000 }).toBe(true)
    expect(read).toBeLessThan(total)
    events.resume()
    for (let i = 0; i < total; i++) expect((await events.nextEvent('put')).data).toMatchObject({ key: String(i).padStart(3, '0') })
    expect(readsWhileFull).toBe(0)
  })

  test('P8 a consumer that takes nothing is told so at the end, and goes on behind its last id', async () => {
    const fixture = await startHttp({ limits: { eventsStallMs: 1_000 } })
    const total = 60
    for (let i = 0; i < total; i++) await fixture.replica.write([put('c', String(i).padStart(3, '0'), large(500_000))])
    const stopped = nextToStop(fixture)
    const stalled = await open(fixture, '?since=0')
    stalled.pause()
    await stopped
    // It may read again for a moment, and then hears why it was given up.
    stalled.resume()
    const keys: unknown[] = []
    let last = ''
    let block = await stalled.nextEvent('put', 'end')
    for (; block.event === 'put'; block = await stalled.nextEvent('put', 'end')) {
      keys.push(block.data['key'])
      last = block.id ?? last
    }
    expect(block).toMatchObject({
      id: undefined,
      data: { kind: 'end', code: 'HS_SLOW_CONSUMER', detail: 'nothing was taken for 1 s' },
    })
    expect(await stalled.next()).toBeUndefined()
    expect(keys.length).toBeLessThan(total)
    const again = await open(fixture, '', { 'last-event-id': last })
    while (keys.length < total) keys.push((await again.nextEvent('put')).data['key'])
    expect(keys).toEqual(Array.from({ length: total }, (_, i) => String(i).padStart(3, '0')))
    const metrics = (await request(`${fixture.url}/metrics`)).text
    expect(metrics).toMatch(/^hs_events_slow_consumers_total 1$/m)
    expect(metrics).toMatch(/^hs_event_streams 1$/m)
  })

  test('a consumer whose queue of peer and sync events overflows is told so at the end', async () => {
    const fixture = await startHttp({ limits: { eventsQueuedMax: 3 } })
    for (let i = 0; i < 40; i++) await fixture.replica.write([put('c', String(i), large(500_000))])
    const stopped = nextToStop(fixture)
    const events = await open(fixture, '?since=0')
    events.pause()
    // Once the socket is full they wait, and the fourth that waits is one too many.
    const publish = setInterval(() => fixture.events.publish(exchanged('c')), 1)
    onTestFinished(() => clearInterval(publish))
    await stopped
    events.resume()
    expect((await events.nextEvent('end')).data).toMatchObject({
      code: 'HS_SLOW_CONSUMER',
      detail: expect.stringContaining('more than 3') as unknown,
    })
  })

  test('a stream that stays away for good is cut off, and leaves its place to others', async () => {
    const fixture = await startHttp({ limits: { eventsStallMs: 50, closeMs: 50, eventStreamsMax: 1 } })
    for (let i = 0; i < 40; i++) await fixture.replica.write([put('c', String(i), large(500_000))])
    const stalled = await open(fixture, '?since=0')
    stalled.pause()
    expect(await request(`${fixture.url}/api/events`)).toMatchObject({ status: 429, json: { code: 'HS_BUSY' } })
    await expect.poll(async () => (await open(fixture)).status, { timeout: 10_000 }).toBe(200)
  })

  test('a client that leaves gives its place back', async () => {
    const fixture = await startHttp({ limits: { eventStreamsMax: 1 } })
    const status = async (): Promise<number> => {
      const events = await openEvents(`${fixture.url}/api/events`)
      events.close()
      return events.status
    }
    for (let i = 0; i < 5; i++) await expect.poll(status).toBe(200)
  })

  test('50 streams at once all hear everything, and share the reading of it', async () => {
    let reads = 0
    const fixture = await startHttp({
      replica: replica => ({
        ...replica,
        storeId: replica.storeId,
        changes(after, limit) {
          reads += 1
          return replica.changes(after, limit)
        },
      }),
    })
    const streams = await Promise.all(Array.from({ length: 50 }, () => open(fixture)))
    for (const stream of streams) await stream.next()
    await fixture.replica.write([put('c', 'a')])
    for (const stream of streams) expect((await stream.nextEvent('put')).data).toMatchObject({ key: 'a' })
    expect(reads).toBeLessThan(10)
  })
})

describe('the end of the agent', () => {
  test('a stream ends at once, and says why', async () => {
    const fixture = await startHttp()
    const events = await open(fixture)
    await events.next()
    const closed = fixture.close()
    expect(await events.nextEvent('end')).toMatchObject({ data: { kind: 'end', code: 'HS_SHUTTING_DOWN' } })
    expect(await events.next()).toBeUndefined()
    await closed
  })

  test('a feed that cannot be read ends the stream with what there is to say, and the log says more', async () => {
    const fixture = await startHttp({
      replica: replica => ({ ...replica, storeId: replica.storeId, changes: () => Promise.reject(new Error('the disk is gone')) }),
    })
    await fixture.replica.write([put('c', 'a')])
    const events = await open(fixture, '?since=0')
    expect((await events.nextEvent('end')).data).toMatchObject({ code: 'HS_INTERNAL' })
    expect(fixture.logged).toContainEqual(expect.objectContaining({ msg: 'a stream of events failed' }))
  })
})

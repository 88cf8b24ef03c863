import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { PeerView } from '../../../agent/http/port.ts'
import { createMetrics } from '../../../agent/metrics.ts'
import { ERRORS } from '../../../agent/errors.ts'
import { openSocket, request, send, sendRaw, startHttp, NODE_ID } from './http-fixture.ts'

const peer: PeerView = {
  nodeId: 'a92f0000-0000-4000-8000-000000000001',
  nodeName: 'robot-2',
  addr: '192.168.1.10:50050',
  httpPort: 50050,
  role: 'leader',
  logicalClock: 4200,
  collections: [{ name: 'c', recordCount: 500, vectorCount: 3, digest: Uint8Array.from({ length: 16 }, (_, i) => 255 - i) }],
  lastSeenAtMs: 1_729_384_910_999,
  lastSeenAgoMs: 1000.4,
  status: 'alive',
  incarnation: 2,
  gossipAddr: '192.168.1.10:7946',
  rttMs: 3.5,
  clockSkewMs: undefined,
}

describe('shapes', () => {
  test('cluster status', async () => {
    const { url } = await startHttp()
    expect((await request(`${url}/api/cluster/status`)).json).toEqual({
      node_id: NODE_ID,
      node_name: 'robot-1',
      role: 'Edge',
      upstream_peer: null,
      downstream_peers: [],
      logical_clock: 0,
      epoch: 0,
      version: '0.1.0',
      uptime_secs: 12,
      secured: false,
      public_key: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      swarm_keys: [],
      duplicate_identity: null,
      scrub: {
        state: 'idle',
        rows: 0,
        passes: 0,
        last_pass_at: null,
        mended: 0,
        strays: 0,
        sums: 0,
        damaged: 0,
        lost: 0,
        recovered: 0,
        missing: 0,
        verified: 0,
      },
      warnings: [],
      recovery: null,
      disk: { size_bytes: 1000, free_bytes: 500, reserve_bytes: 50, full: false, written_bytes: 7, written_bytes_per_day: null },
      outage_log: null,
    })
  })

  test('swarm peers, with numbers that JSON holds exactly (P12)', async () => {
    const { url } = await startHttp({ peers: [peer] })
    expect((await request(`${url}/api/swarm/peers`)).json).toEqual({
      gossip_enabled: true,
      peer_count: 1,
      peers: [
        {
          node_id: peer.nodeId,
          node_name: 'robot-2',
          addr: '192.168.1.10:50050',
          http_port: 50050,
          role: 'Leader',
          logical_clock: 4200,
          collections: [
            {
              name: 'c',
              state_hash: Number(0xfffefdfcfbfaf9f8n >> 11n),
              digest: 'fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0',
              record_count: 500,
              vector_count: 3,
              in_sync: false,
            },
          ],
          last_seen_secs: 1_729_384_910,
          last_seen_ago_ms: 1000,
          healthy: true,
          status: 'alive',
          incarnation: 2,
          gossip_addr: '192.168.1.10:7946',
          rtt_ms: 3.5,
          clock_skew_ms: null,
        },
      ],
    })
  })

  test('a peer is in sync for a collection when the digests are equal, and healthy only while alive', async () => {
    const probe = await startHttp()
    await send('PUT', `${probe.url}/api/collections/c/records/k`, { payload: 1 })
    const own = probe.replica.collection('c')?.digest ?? new Uint8Array(16)
    const peers = [{ ...peer, status: 'suspect' as const, collections: [{ name: 'c', recordCount: 1, vectorCount: 0, digest: own }] }]
    const { url } = await startHttp({ peers, replica: () => probe.replica })
    expect((await request(`${url}/api/swarm/peers`)).json).toMatchObject({ peers: [{ healthy: false, collections: [{ in_sync: true }] }] })
  })

  test('with all=1 those that are gone are listed too, with when they were last heard of and dropped', async () => {
    const gone: PeerView = { ...peer, nodeId: NODE_ID, status: 'left', lastSeenAgoMs: 60_000.4, departedAgoMs: 59_000.6 }
    const { url } = await startHttp({ peers: [peer], departed: [gone] })
    for (const query of ['', '?all=0', '?all=false']) {
      expect((await request(`${url}/api/swarm/peers${query}`)).json).toMatchObject({ peer_count: 1, peers: [{ status: 'alive' }] })
    }
    for (const query of ['?all=1', '?all=true']) {
      const { json } = await request(`${url}/api/swarm/peers${query}`)
      expect(json).toMatchObject({
        peer_count: 2,
        peers: [{ status: 'alive' }, { status: 'left', healthy: false, last_seen_ago_ms: 60_000, departed_ago_ms: 59_001 }],
      })
    }
    for (const query of ['?all=yes', '?all', '?everybody=1']) expect((await request(`${url}/api/swarm/peers${query}`)).status).toBe(400)
  })

  test('P12 a peer with 64-bit numbers shows the nearest that JSON holds, and all of each as text', async () => {
    const largest = 2n ** 64n - 1n
    const compat = {
      kind: 'hyperspace' as const,
      logicalClock: 2n ** 53n + 1n,
      collections: [{ name: 'v', stateHash: 1n, vectorCount: largest, logicalClock: largest }],
    }
    const { url } = await startHttp({ peers: [{ ...peer, logicalClock: Number(compat.logicalClock), collections: [], compat }] })
    expect((await request(`${url}/api/swarm/peers`)).json).toMatchObject({
      peers: [
        {
          compat: 'hyperspace',
          logical_clock: 2 ** 53 - 1,
          logical_clock_exact: '9007199254740993',
          collections: [
            {
              name: 'v',
              state_hash: 0,
              state_hash_hex: '0000000000000001',
              vector_count: 2 ** 53 - 1,
              vector_count_exact: '18446744073709551615',
              logical_clock_exact: '18446744073709551615',
              in_sync: false,
            },
          ],
        },
      ],
    })
  })

  test('sync rows, and a sync started by hand', async () => {
    const row = { peer: 'p', collection: 'c', inSync: true, entriesSent: 1, entriesReceived: 2, bytesSent: 3, bytesReceived: 4 }
    const rate = { recordsPerSecond: 12.345, bytesPerSecond: 1000 }
    const { url } = await startHttp({
      peers: [peer],
      rows: [
        {
          ...row,
          state: 'idle',
          lastSyncAtMs: 5,
          remainingRecords: 0,
          remainingBytes: 0,
          rate: { recordsPerSecond: 0, bytesPerSecond: 0 },
        },
        { ...row, state: 'failed', lastSyncAtMs: undefined, error: 'gone', remainingRecords: undefined, remainingBytes: undefined, rate },
      ],
    })
    const json = { peer: 'p', collection: 'c', in_sync: true, entries_sent: 1, entries_received: 2, bytes_sent: 3, bytes_received: 4 }
    expect((await request(`${url}/api/sync`)).json).toEqual([
      {
        ...json,
        state: 'idle',
        last_sync_at: 5,
        remaining_records: 0,
        remaining_bytes: 0,
        rate: { records_per_sec: 0, bytes_per_sec: 0 },
      },
      {
        ...json,
        state: 'failed',
        last_sync_at: null,
        remaining_records: null,
        remaining_bytes: null,
        rate: { records_per_sec: 12.3, bytes_per_sec: 1000 },
        error: 'gone',
      },
    ])
    expect(await request(`${url}/api/sync`, { method: 'POST' })).toMatchObject({ status: 202, json: { peers: 1 } })
    expect(await send('POST', `${url}/api/sync`, '')).toMatchObject({ status: 202 })
  })

  test('health and readiness', async () => {
    const { url } = await startHttp({ reasons: ['the store is closed', 'the gossip socket is not bound'] })
    expect(await request(`${url}/healthz`)).toMatchObject({ status: 200, json: { status: 'ok' } })
    expect(await request(`${url}/readyz`)).toMatchObject({
      status: 503,
      json: { code: 'HS_NOT_READY', reasons: ['the store is closed', 'the gossip socket is not bound'] },
    })
    expect(await request(`${(await startHttp()).url}/readyz`)).toMatchObject({ status: 200, json: { status: 'ready' } })
  })

  test('the page at / is static, and its policy allows its own script only', async () => {
    const { url } = await startHttp()
    const answer = await request(`${url}/`)
    expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('/api/openapi.json') as unknown })
    expect(answer.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'sha256-/)
  })

  test('the description names every route of the API with its path parameters', async () => {
    const { url } = await startHttp()
    const { paths } = (await request(`${url}/api/openapi.json`)).json as { paths: Record<string, Record<string, { responses: object }>> }
    expect(Object.keys(paths).sort()).toEqual(
      [
        '/api/backup',
        '/api/changes',
        '/api/cluster/status',
        '/api/collections',
        '/api/collections/{name}',
        '/api/collections/{name}/checkpoint',
        '/api/collections/{name}/digest',
        '/api/collections/{name}/records',
        '/api/collections/{name}/records/{key}',
        '/api/collections/{name}/records/{key}/proof',
        '/api/collections/{name}/search',
        '/api/collections/{name}/versions',
        '/api/events',
        '/api/openapi.json',
        '/api/quarantine',
        '/api/quarantine/drop',
        '/api/quarantine/import',
        '/api/quarantine/retry',
        '/api/quarantine/{id}',
        '/api/swarm/diagnosis',
        '/api/swarm/peers',
        '/api/swarm/replicas',
        '/api/swarm/replicas/{node_id}',
        '/api/sync',
        '/healthz',
        '/metrics',
        '/readyz',
      ].sort(),
    )
    expect(Object.keys(paths['/api/collections/{name}/records/{key}'] ?? {}).sort()).toEqual(['delete', 'get', 'put'])
  })
})

describe('collections', () => {
  const url = async (): Promise<string> => `${(await startHttp()).url}/api/collections`

  test('are created once, then are there, then are gone', async () => {
    const at = await url()
    const settings = { name: 'vision', dimension: 4, metric: 'l2', conflict: 'siblings' }
    const created = await send('POST', at, settings)
    expect(created).toMatchObject({
      status: 201,
      json: { ...settings, record_count: 0, vector_count: 0, digest: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown },
    })
    expect(await send('POST', at, settings)).toMatchObject({ status: 200, json: created.json })
    expect(await send('POST', at, { ...settings, metric: 'dot' })).toMatchObject({ status: 409, json: { code: 'HS_COLLECTION_EXISTS' } })
    expect((await request(at)).json).toEqual([created.json])
    expect((await request(`${at}/vision`)).json).toEqual(created.json)
    expect(await request(`${at}/vision`, { method: 'DELETE' })).toMatchObject({ status: 204, text: '' })
    for (const answer of [
      await request(`${at}/vision`),
      await request(`${at}/vision/digest`),
      await request(`${at}/vision`, { method: 'DELETE' }),
    ]) {
      expect(answer).toMatchObject({ status: 404, json: { code: 'HS_NOT_FOUND' } })
    }
  })

  test('their digest is the same for the same content, and state_hash are its leading 53 bits', async () => {
    const at = await url()
    await send('PUT', `${at}/c/records/k`, { payload: 1, vector: [1] })
    const answer = (await request(`${at}/c/digest`)).json as { digest: string; state_hash: number }
    expect(answer).toEqual({
      collection_name: 'c',
      logical_clock: expect.any(Number) as unknown,
      vector_count: 1,
      record_count: 1,
      digest: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown,
      state_hash: Number(BigInt(`0x${answer.digest.slice(0, 16)}`) >> 11n),
    })
  })

  test.each([
    ['{}', 'HS_INVALID_NAME'],
    ['{"name":5}', 'HS_INVALID_NAME'],
    ['{"name":"_system"}', 'HS_INVALID_NAME'],
    ['{"name":"A"}', 'HS_INVALID_NAME'],
    ['{"name":"a","dimension":0}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","dimension":1.5}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","dimension":65537}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","dimension":"3"}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","dimension":null}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","metric":"manhattan"}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","conflict":"none"}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","retention":{}}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","sync":"never"}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","sync":null}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","retention":{"days":1}}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","retention":{"ttl":"7"}}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","retention":{"ttl":"7d","ttl_ms":5000}}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","retention":{"max_records":0}}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","retention":{"max_records":5,"policy":"lose"}}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","colour":1}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a","__proto__":1}', 'HS_INVALID_SETTINGS'],
    ['{"name":"a"', 'HS_INVALID_JSON'],
    ['[]', 'HS_INVALID_REQUEST'],
    ['null', 'HS_INVALID_REQUEST'],
  ])('%s is refused with %s', async (body, code) => {
    const at = await url()
    expect(await send('POST', at, body)).toMatchObject({ status: 400, json: { code } })
    expect((await request(at)).json).toEqual([])
  })

  test('what this node keeps of a collection is set, changed and taken back; what others share is not touched by that', async () => {
    const at = await url()
    const created = await send('POST', at, { name: 'a', sync: 'push', retention: { ttl: '7d', max_records: 5 } })
    const retention = { ttl_ms: 604_800_000, max_records: 5, policy: 'drop_oldest' }
    expect(created).toMatchObject({ status: 201, json: { sync: 'push', retention, partial: true, dropped: {}, voided: 0 } })
    expect(await send('POST', at, { name: 'a', sync: 'push', retention })).toMatchObject({ status: 200, json: { retention } })
    expect(await send('POST', at, { name: 'a', sync: 'pull' })).toMatchObject({ status: 409, json: { code: 'HS_COLLECTION_EXISTS' } })
    expect(await send('POST', at, { name: 'a', retention: { max_records: 6 } })).toMatchObject({ status: 409 })
    expect(await send('PATCH', `${at}/a`, { retention: { max_records: 6, policy: 'reject' } })).toMatchObject({
      status: 200,
      json: { sync: 'push', retention: { max_records: 6, policy: 'reject' } },
    })
    expect(await send('PATCH', `${at}/a`, { sync: null, retention: null })).toMatchObject({
      status: 200,
      json: { sync: 'both', retention: null, partial: false, expired_before: null, bytes: null },
    })
    expect(await send('PATCH', `${at}/a`, { metric: 'dot' })).toMatchObject({ status: 400, json: { code: 'HS_INVALID_SETTINGS' } })
    expect(await send('PATCH', `${at}/b`, { sync: 'push' })).toMatchObject({ status: 404, json: { code: 'HS_NOT_FOUND' } })
  })

  test('a collection that is full says so, with 507, and counts what it drops', async () => {
    const at = await url()
    await send('POST', at, { name: 'a', retention: { max_records: 1, policy: 'reject' } })
    expect(await send('PUT', `${at}/a/records/k`, { payload: 1 })).toMatchObject({ status: 201 })
    expect(await send('PUT', `${at}/a/records/l`, { payload: 1 })).toMatchObject({ status: 507, json: { code: 'HS_COLLECTION_FULL' } })
    expect(await send('PUT', `${at}/a/records/k`, { payload: 2 })).toMatchObject({ status: 200 })
    await send('PATCH', `${at}/a`, { retention: { max_records: 1 } })
    expect(await send('PUT', `${at}/a/records/l`, { payload: 1 })).toMatchObject({ status: 201 })
    expect((await request(`${at}/a`)).json).toMatchObject({ record_count: 1, partial: true, dropped: { max_records: 1 }, voided: 1 })
    const metrics = await (await fetch(at.replace('/api/collections', '/metrics'))).text()
    expect(metrics).toContain('hs_dropped_records_total{collection="a",reason="max_records"} 1')
    expect(metrics).toContain('hs_voided_records_total{collection="a"} 1')
  })

  test('a body beyond its bound is 413, another content type 415', async () => {
    const at = await url()
    expect(await send('POST', at, `{"name":"a"${' '.repeat(70_000)}}`)).toMatchObject({ status: 413, json: { code: 'HS_TOO_LARGE' } })
    expect(await send('POST', at, '{"name":"a"}', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
    expect(await request(at, { method: 'POST' })).toMatchObject({ status: 400, json: { code: 'HS_INVALID_JSON' } })
  })
})

describe('errors', () => {
  test('unknown paths are 404 and unknown methods 405 with Allow, as problems', async () => {
    const { url } = await startHttp()
    const missing = await request(`${url}/api/nothing?x=1`)
    expect(missing).toMatchObject({
      status: 404,
      json: { code: 'HS_NOT_FOUND', instance: '/api/nothing', title: ERRORS.HS_NOT_FOUND.title },
    })
    expect(missing.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
    const cases: [string, string, string][] = [
      ['POST', '/api/cluster/status', 'GET, HEAD'],
      ['DELETE', '/api/collections', 'GET, HEAD, POST'],
      ['PUT', '/api/collections/c', 'DELETE, GET, HEAD, PATCH'],
      ['PATCH', '/api/collections/c/records/k/l', 'DELETE, GET, HEAD, PUT'],
      ['OPTIONS', '/', 'GET, HEAD'],
    ]
    for (const [method, path, allow] of cases) {
      const answer = await request(url + path, { method, headers: { 'content-type': 'text/strange' } })
      expect(answer).toMatchObject({ status: 405, json: { code: 'HS_METHOD_NOT_ALLOWED' } })
      expect(answer.headers.get('allow')).toBe(allow)
    }
  })

  test('a failure of the agent says nothing of its inside, and is logged once', async () => {
    const { url, logged } = await startHttp({
      replica: replica => ({
        ...replica,
        get() {
          throw new Error('secret path /var/lib')
        },
      }),
    })
    const answer = await request(`${url}/api/collections/c/records/k`)
    expect(answer).toMatchObject({ status: 500, json: { code: 'HS_INTERNAL' } })
    expect(answer.text).not.toContain('secret')
    expect(logged).toMatchObject([{ level: 50, err: { message: 'secret path /var/lib' }, route: '/api/collections/:name/records/*' }])
  })

  test('no cache keeps an answer of the API', async () => {
    const { url } = await startHttp()
    for (const path of ['/api/collections', '/api/nothing', '/metrics']) {
      expect((await request(url + path)).headers.get('cache-control')).toBe('no-store')
    }
  })
})

describe('connections', () => {
  test.each([
    '\x16\x03\x01\x02\x00',
    'garbage\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'PUT / HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n',
    '\0'.repeat(100),
  ])('bytes that are not HTTP (%j) are answered 400, and the agent serves on', async bytes => {
    const { port, url } = await startHttp()
    expect(await sendRaw(port, bytes)).toMatch(
      /^HTTP\/1.1 400 Bad Request\r\n[^]*application\/problem\+json[^]*"code":"HS_INVALID_REQUEST"/,
    )
    expect((await request(`${url}/healthz`)).status).toBe(200)
  })

  test('headers that are too long are 413', async () => {
    const { port } = await startHttp()
    expect(await sendRaw(port, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 413 [^]*HS_TOO_LARGE/,
    )
  })

  test('headers that do not come are 408', async () => {
    const { port } = await startHttp({ limits: { headersMs: 50 } })
    expect(await sendRaw(port, 'GET / HTTP/1.1\r\nhost: loc')).toMatch(/^HTTP\/1.1 408 [^]*HS_TIMEOUT/)
  })

  test('a body that falls silent is 408, one that ends early 400', async () => {
    const { port, replica } = await startHttp({ limits: { bodyIdleMs: 50, lingerMs: 10 } })
    const head =
      'PUT /api/collections/c/records/k HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"payl'
    expect(await sendRaw(port, head)).toMatch(/^HTTP\/1.1 408 [^]*HS_TIMEOUT/)
    const { socket, received, ended } = await openSocket(port)
    socket.end(head)
    await ended
    expect(received()).toMatch(/^HTTP\/1.1 400 [^]*HS_INVALID_REQUEST/)
    expect(replica.collections()).toEqual([])
  })

  test('a refused upload of any length gets its answer before the connection closes', async () => {
    const { port } = await startHttp({ limits: { lingerMs: 200 } })
    const { socket, received, ended } = await openSocket(port)
    socket.write(
      'PUT /api/collections/c/records/k HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`
    const pump = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    }
    socket.on('drain', pump)
    pump()
    await ended
    expect(received()).toMatch(/^HTTP\/1.1 413 [^]*HS_TOO_LARGE/)
  })

  test('bodies together take bounded memory', async () => {
    const { url, port } = await startHttp({ limits: { bodiesBytesMax: 100_000 } })
    const { socket } = await openSocket(port)
    socket.write(
      'PUT /api/collections/c/records/k HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 90001\r\n\r\n',
    )
    socket.write(' '.repeat(90_000))
    const put = (): ReturnType<typeof send> => send('PUT', `${url}/api/collections/c/records/l`, { payload: 'x'.repeat(20_000) })
    await vi.waitFor(async () => expect(await put()).toMatchObject({ status: 429, json: { code: 'HS_BUSY' } }))
    socket.destroy()
    await vi.waitFor(async () => expect([200, 201]).toContain((await put()).status))
  })

  test('connections are bounded', async () => {
    const { port, url } = await startHttp({ limits: { connectionsMax: 1 } })
    const { socket } = await openSocket(port)
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
    const second = await openSocket(port)
    await second.ended
    socket.destroy()
    await vi.waitFor(async () => expect((await request(`${url}/healthz`)).status).toBe(200))
  })
})

describe('starting and closing', () => {
  test('a taken port is one clear sentence', async () => {
    const { port } = await startHttp()
    await expect(startHttp({ port, limits: { bindRetryMs: 0 } })).rejects.toMatchObject({
      code: 'HS_BIND_FAILED',
      detail: `HTTP cannot listen on 127.0.0.1 port ${port}: the port is taken (EADDRINUSE)`,
    })
  })

  test('a port that becomes free in time is taken', async () => {
    const first = await startHttp()
    const second = startHttp({ port: first.port })
    await first.close()
    expect((await second).port).toBe(first.port)
  })

  test('open requests finish, new ones are not taken', async () => {
    let finish = (): void => {}
    const started = vi.fn<() => void>()
    const { url, port, close } = await startHttp({
      replica: replica => ({
        ...replica,
        async write(writes) {
          started()
          await new Promise<void>(resolve => (finish = resolve))
          return replica.write(writes)
        },
      }),
    })
    const { socket, received } = await openSocket(port)
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await vi.waitFor(() => expect(received()).toContain('200 OK'))
    const open = send('PUT', `${url}/api/collections/c/records/k`, { payload: 1 })
    await vi.waitFor(() => expect(started).toHaveBeenCalled())
    const closed = close()
    await expect(sendRaw(port, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')).rejects.toThrow('ECONNREFUSED')
    finish()
    expect((await open).status).toBe(201)
    await closed
  })

  test('a request that does not end is cut when its time is over', async () => {
    const { port, close } = await startHttp({ limits: { closeMs: 50 } })
    const { socket, ended } = await openSocket(port)
    socket.write(
      'PUT /api/collections/c/records/k HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{',
    )
    await vi.waitFor(async () => expect(socket.bytesWritten).toBeGreaterThan(0))
    await close()
    await ended
  })
})

describe('metrics', () => {
  test('show what is measured: requests, records, clocks, peers, syncing, and what others add', async () => {
    const metrics = createMetrics()
    let rejected = 2
    metrics.addCollector(() => [
      { name: 'gossip_rejects_total', help: 'Rejects.', type: 'counter', value: rejected++, labels: { reason: 'tag' } },
    ])
    const row = {
      peer: 'p',
      collection: 'c',
      state: 'idle',
      inSync: true,
      entriesSent: 5,
      entriesReceived: 6,
      bytesSent: 7,
      bytesReceived: 8,
      lastSyncAtMs: 1,
      remainingRecords: 9,
      remainingBytes: 900,
      rate: { recordsPerSecond: 0, bytesPerSecond: 0 },
    } as const
    const { url } = await startHttp({ metrics, peers: [peer], rows: [row, row] })
    await send('PUT', `${url}/api/collections/c/records/k`, { payload: 1 })
    await request(`${url}/nothing`)
    await request(`${url}/metrics`)
    const answer = await request(`${url}/metrics`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0.0.4/)
    for (const line of [
      'hs_records{collection="c"} 1',
      'hs_collections 1',
      'hs_peers{status="alive"} 1',
      'hs_peers{status="dead"} 0',
      'hs_sync_entries_total{direction="sent"} 10',
      'hs_sync_bytes_total{direction="received"} 16',
      'hs_gossip_rejects_total{reason="tag"} 3',
      'hs_http_request_duration_seconds_count{method="PUT",route="/api/collections/:name/records/*",status="201"} 1',
      'hs_http_request_duration_seconds_count{method="GET",route="none",status="404"} 1',
    ]) {
      expect(answer.text).toContain(`${line}\n`)
    }
    expect(answer.text).toMatch(/\nhs_logical_clock [1-9]/)
    expect(answer.text).toMatch(/\nhs_process_resident_memory_bytes [1-9]/)
  })
})

describe('fuzz', () => {
  test('random paths, headers and bodies are answered, never with 500, and the agent serves on', async () => {
    const { url, port, logged } = await startHttp({ limits: { bodyIdleMs: 50, headersMs: 50, lingerMs: 10 } })
    const piece = fc.oneof(
      fc.constantFrom(
        'api',
        'collections',
        'records',
        'c',
        '_system',
        'sync',
        'digest',
        '%2F',
        '%zz',
        '..',
        '.',
        '%00',
        '//',
        '?',
        'limit=1',
        '&',
        'cursor=',
      ),
      fc.string({ maxLength: 5 }).map(encodeURIComponent),
      fc.string({ unit: 'binary-ascii', maxLength: 5 }),
    )
    const path = fc.array(piece, { maxLength: 7 }).map(pieces => `/${pieces.join('/')}`.replace(/[\r\n ]/g, ''))
    const known = fc.constantFrom(
      '/api/collections',
      '/api/collections/c/records',
      '/api/collections/c/records/k',
      '/api/sync',
      '/metrics',
      '/',
      '*',
      'http://x/',
    )
    const header = fc.tuple(
      fc.constantFrom(
        'content-type',
        'accept',
        'if-match',
        'if-none-match',
        'expect',
        'upgrade',
        'accept-version',
        'content-encoding',
        'range',
        'origin',
        'x',
      ),
      fc.oneof(
        fc.constantFrom(
          'application/json',
          'application/x-ndjson',
          '*',
          '"a"',
          'http://localhost',
          'gzip',
          '100-continue',
          'application/json;charset=x',
        ),
        fc.string({ maxLength: 20 }).map(text => text.replace(/[^\x20-\x7e]/g, '')),
      ),
    )
    const body = fc.oneof(
      fc.json(),
      fc.array(fc.json()).map(lines => lines.join('\n')),
      fc.json().map(text => `{"key":"k","payload":${text}}`),
      fc.json().map(text => `{"name":"c","dimension":${text}}`),
      fc.string({ unit: 'binary' }),
    )
    const method = fc.constantFrom(
      'GET',
      'HEAD',
      'PUT',
      'POST',
      'DELETE',
      'PATCH',
      'OPTIONS',
      'TRACE',
      'QUERY',
      'PROPFIND',
      'CONNECT',
      'NOPE',
    )
    await fc.assert(
      fc.asyncProperty(
        method,
        fc.oneof(path, known),
        fc.array(header, { maxLength: 4 }),
        body,
        fc.integer({ min: -2, max: 2 }),
        async (method, path, headers, text, extra) => {
          const bytes = Buffer.from(text)
          const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
          const length = Math.max(0, bytes.length + (extra > 0 ? extra : 0))
          const head = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${length}\r\n${lines}\r\n`
          const answer = await sendRaw(port, Buffer.concat([Buffer.from(head, 'latin1'), bytes]))
          // A CONNECT is hung up on, or was too slow for the short time that is set here.
          expect(answer).toMatch(method === 'CONNECT' ? /^$|^HTTP\/1\.1 40[08] / : /^HTTP\/1\.1 [1-4]\d\d /)
        },
      ),
      { numRuns: 300 },
    )
    expect(logged.filter(({ level }) => Number(level) >= 50)).toEqual([])
    expect((await request(`${url}/healthz`)).status).toBe(200)
  })
})

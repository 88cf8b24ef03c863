/** The HTTP API of a real agent on LevelDB: bad input at its edges, and that the agent serves on. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }
const JSON_BODY = { 'content-type': 'application/json' }

let agent: AgentProcess
beforeAll(async () => {
  agent = await startAgentProcess({ env: {} })
})
afterAll(stopEverything)

interface Answer {
  readonly status: number
  readonly type: string | null
  readonly text: string
  readonly json: unknown
}

async function call(method: string, path: string, body?: string | Buffer, headers: Record<string, string> = JSON_BODY): Promise<Answer> {
  const answer = await fetch(agent.url + path, {
    method,
    headers: body === undefined ? {} : headers,
    ...(body === undefined ? {} : { body }),
  })
  const text = await answer.text()
  const type = answer.headers.get('content-type')
  return {
    status: answer.status,
    type,
    text,
    json: /json;|json$/.test(type ?? '') && !/ndjson/.test(type ?? '') ? JSON.parse(text) : undefined,
  }
}

const at = (collection: string, key: string): string => `/api/collections/${collection}/records/${key}`
const put = (collection: string, key: string, body: unknown): Promise<Answer> =>
  call('PUT', at(collection, key), typeof body === 'string' ? body : JSON.stringify(body))

/** Sends bytes to the HTTP port, closes its own side, and reads to the end. */
function sendBytes(bytes: Buffer | string): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ port: Number(new URL(agent.url).port), host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    socket.on('data', chunk => (text += chunk.toString('latin1')))
    socket.on('end', () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(text))
    socket.end(bytes)
  })
}

describe('bad input is refused with a problem, and the agent serves on', () => {
  const number = '9007199254740993'
  it.each<[string, () => Promise<Answer>, number, string]>([
    ['a key of 513 bytes', () => put('bad', 'x'.repeat(513), { payload: 1 }), 400, 'HS_INVALID_KEY'],
    ['the key ".." escaped', () => put('bad', '%2e%2e%00', { payload: 1 }), 400, 'HS_INVALID_KEY'],
    ['a control character in a key', () => put('bad', 'a%07', { payload: 1 }), 400, 'HS_INVALID_KEY'],
    ['a key that is not UTF-8', () => call('GET', at('bad', '%ff')), 400, 'HS_INVALID_KEY'],
    ['a broken escape', () => call('GET', at('bad', '%4')), 400, 'HS_INVALID_KEY'],
    ['a name with capitals', () => put('Bad', 'k', { payload: 1 }), 400, 'HS_INVALID_NAME'],
    ['a name of the agent', () => call('GET', at('_system', 'k')), 400, 'HS_INVALID_NAME'],
    ['a name of 65 characters', () => put('b'.repeat(65), 'k', { payload: 1 }), 400, 'HS_INVALID_NAME'],
    ['P12 a number that JSON would alter', () => put('bad', 'k', `{"payload":${number}}`), 400, 'HS_INVALID_PAYLOAD'],
    ['malformed JSON', () => put('bad', 'k', '{"payload":1'), 400, 'HS_INVALID_JSON'],
    ['NaN', () => put('bad', 'k', '{"payload":NaN}'), 400, 'HS_INVALID_JSON'],
    ['an empty body', () => put('bad', 'k', ''), 400, 'HS_INVALID_JSON'],
    ['__proto__ as a field', () => put('bad', 'k', '{"__proto__":{"payload":1}}'), 400, 'HS_INVALID_REQUEST'],
    ['a payload above 1 MiB', () => put('bad', 'k', { payload: 'x'.repeat(1_048_575) }), 413, 'HS_TOO_LARGE'],
    [
      'data above 1 MiB',
      () => put('bad', 'k', { data: Buffer.alloc(1_048_577).toString('base64'), content_type: 'a/b' }),
      413,
      'HS_TOO_LARGE',
    ],
    ['a body above its bound', () => put('bad', 'k', ' '.repeat(20_000_000)), 413, 'HS_TOO_LARGE'],
    ['a vector beyond float32', () => put('bad', 'k', '{"vector":[1e39]}'), 400, 'HS_INVALID_VECTOR'],
    ['a vector of zeros under cosine', () => put('bad', 'k', { vector: [0, -0] }), 400, 'HS_INVALID_VECTOR'],
    ['a vector of 65,537 numbers', () => put('bad', 'k', { vector: Array.from({ length: 65_537 }, () => 1) }), 400, 'HS_INVALID_VECTOR'],
    ['another content type', () => call('PUT', at('bad', 'k'), '{}', { 'content-type': 'text/plain' }), 415, 'HS_UNSUPPORTED_MEDIA_TYPE'],
    ['an unknown collection', () => call('GET', '/api/collections/unknown'), 404, 'HS_NOT_FOUND'],
    ['its digest', () => call('GET', '/api/collections/unknown/digest'), 404, 'HS_NOT_FOUND'],
    ['its records', () => call('GET', '/api/collections/unknown/records'), 404, 'HS_NOT_FOUND'],
    ['one of its records', () => call('GET', at('unknown', 'k')), 404, 'HS_NOT_FOUND'],
    ['deleting it', () => call('DELETE', '/api/collections/unknown'), 404, 'HS_NOT_FOUND'],
    ['an unknown route', () => call('GET', '/api/unknown'), 404, 'HS_NOT_FOUND'],
    ['an unknown method', () => call('PATCH', at('bad', 'k')), 405, 'HS_METHOD_NOT_ALLOWED'],
    [
      'retention that keeps everything',
      () => call('POST', '/api/collections', '{"name":"bad","retention":{}}'),
      400,
      'HS_INVALID_SETTINGS',
    ],
    ['an unknown metric', () => call('POST', '/api/collections', '{"name":"bad","metric":"l1"}'), 400, 'HS_INVALID_SETTINGS'],
    ['a sync without gossip', () => call('POST', '/api/sync'), 409, 'HS_GOSSIP_DISABLED'],
  ])('%s', async (_what, action, status, code) => {
    const answer = await action()
    expect(answer).toMatchObject({ status, type: 'application/problem+json; charset=utf-8', json: { status, code } })
    expect(answer.text).not.toMatch(/\bat .*\.ts:|node_modules/)
    expect(await call('GET', '/healthz')).toMatchObject({ status: 200 })
    expect((await call('GET', '/api/collections')).text).not.toContain('"bad"')
  })

  it('a vector of another dimension', async () => {
    expect(await call('POST', '/api/collections', '{"name":"vectors","dimension":3}')).toMatchObject({ status: 201 })
    expect(await put('vectors', 'k', { vector: [1, 2] })).toMatchObject({ status: 400, json: { code: 'HS_INVALID_VECTOR' } })
    expect(await put('vectors', 'k', { vector: [1, 2, 3] })).toMatchObject({ status: 201 })
    expect(await call('GET', '/api/collections/vectors/digest')).toMatchObject({ json: { vector_count: 1, record_count: 1 } })
  })

  it('bytes that are not HTTP, and bodies that are cut off', async () => {
    const cases = [
      '\x16\x03\x01\x00\x05hello',
      '\0'.repeat(5000),
      'GET\r\n\r\n',
      'PUT / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    ]
    cases.push(
      `PUT ${at('bad', 'k')} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"payload":1}`,
    )
    cases.push(
      'POST /api/collections/bad/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: 99\r\n\r\n{"payload":1}',
    )
    for (const bytes of cases) expect(await sendBytes(bytes)).toMatch(/^HTTP\/1.1 400 [^]*"code":"HS_INVALID_REQUEST"/)
    expect(await call('GET', '/api/collections/bad')).toMatchObject({ status: 404 })
  })

  it('P16 a page of another origin', async () => {
    const { port } = new URL(agent.url)
    for (const headers of [`host: evil.example:${port}`, `host: localhost:${port}\r\norigin: https://evil.example`]) {
      expect(await sendBytes(`GET /api/collections HTTP/1.1\r\n${headers}\r\nconnection: close\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 403 [^]*HS_FORBIDDEN_HOST/,
      )
    }
  })
})

describe('at the edge of what is allowed', () => {
  it('the longest key, the largest payload, the largest data and the longest vector come back, also after kill -9', async () => {
    const key = 'é'.repeat(256)
    const payload = `${'x'.repeat(1_048_576 - 4)}é`
    const data = Buffer.alloc(1_048_576, 7).toString('base64')
    const vector = Array.from({ length: 65_536 }, (_, i) => i + 0.5)
    expect(await put('edge', encodeURIComponent(key), { payload })).toMatchObject({ status: 201 })
    expect(await put('edge', 'a/b/c', { data, content_type: 'image/jpeg' })).toMatchObject({ status: 201 })
    expect(await put('edge', 'v', { vector })).toMatchObject({ status: 201 })
    const digest = (await call('GET', '/api/collections/edge/digest')).text
    await agent.kill('SIGKILL')
    agent = await startAgentProcess({ env: { HS_DATA_DIR: agent.dataDir } })
    expect((await call('GET', '/api/collections/edge/digest')).text).toBe(digest)
    expect((await call('GET', at('edge', encodeURIComponent(key)))).json).toMatchObject({ key, payload })
    expect((await call('GET', at('edge', 'a%2Fb%2Fc'))).json).toMatchObject({ key: 'a/b/c', data, content_type: 'image/jpeg' })
    expect((await call('GET', at('edge', 'v'))).json).toMatchObject({ vector })
  })

  it('__proto__ inside a payload, and every byte of a payload, are kept', async () => {
    const payload = '{"__proto__":{"a":[1e+21,"\\ud800","é"]},"constructor":null}'
    expect(await put('edge', 'proto', `{ "payload": ${payload} }`)).toMatchObject({ status: 201 })
    expect((await call('GET', at('edge', 'proto'))).text).toContain(`"payload":${payload},`)
  })

  it('deleting what is not there changes no digest and makes no collection', async () => {
    const before = (await call('GET', '/api/collections')).text
    expect(await call('DELETE', at('edge', 'nothing'))).toMatchObject({ status: 204 })
    expect(await call('DELETE', at('nothing', 'nothing'))).toMatchObject({ status: 204 })
    expect((await call('GET', '/api/collections')).text).toBe(before)
  })
})

describe('NDJSON', () => {
  it('good lines are kept, bad ones reported with their line, and the export gives back what was taken', async () => {
    const good = Array.from({ length: 20_000 }, (_, i) => `{"key":"k/${String(i).padStart(6, '0')}","payload":{"i":${i}}}`)
    const lines = good.with(10, 'bad').with(15_000, '{"payload":1e999}')
    const answer = await call('POST', '/api/collections/lines/records', lines.join('\n'), NDJSON)
    expect(answer.json).toEqual({
      accepted: 19_998,
      rejected_count: 2,
      rejected: [
        { line: 11, code: 'HS_INVALID_JSON', detail: expect.any(String) as unknown },
        { line: 15_001, code: 'HS_INVALID_PAYLOAD', detail: expect.any(String) as unknown },
      ],
    })
    const exported = await fetch(`${agent.url}/api/collections/lines/records`, { headers: { accept: 'application/x-ndjson' } })
    const keys = (await exported.text())
      .trimEnd()
      .split('\n')
      .map(line => (JSON.parse(line) as { key: string }).key)
    expect(keys).toHaveLength(19_998)
    expect(keys).toEqual(keys.toSorted())
  })

  it('a sender that vanishes in the middle leaves what is durable and nothing of its last line', async () => {
    const line = (i: number): string => `{"key":"${String(i).padStart(6, '0')}","payload":"${'x'.repeat(100)}"}\n`
    const body = Array.from({ length: 30_000 }, (_, i) => line(i)).join('')
    const head = `POST /api/collections/cut/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${body.length * 2}\r\n\r\n`
    const socket = connect({ port: Number(new URL(agent.url).port), host: '127.0.0.1' })
    socket.on('error', () => {})
    socket.write(head + body)
    socket.write('{"key":"last"')
    await until('some lines are durable', 30_000, async () =>
      (await call('GET', '/api/collections/cut')).status === 200 ? undefined : 'no collection yet',
    )
    socket.resetAndDestroy()
    const { record_count: count } = (await call('GET', '/api/collections/cut/digest')).json as { record_count: number }
    expect(count).toBeGreaterThan(0)
    expect(await call('GET', at('cut', 'last'))).toMatchObject({ status: 404 })
    expect(await call('GET', at('cut', '000000'))).toMatchObject({ status: 200 })
  })
})

describe('tokens', () => {
  it('P16 open the API; without one only health, readiness and the page are open', async () => {
    const guarded = await startAgentProcess({ env: { HS_API_TOKEN: 'token-one,token-two', HS_HTTP_HOST: '0.0.0.0' } })
    const url = guarded.url.replace('0.0.0.0', '127.0.0.1')
    const status = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
      (await fetch(url + path, { headers })).status
    for (const path of ['/api/cluster/status', '/api/collections', '/api/openapi.json', '/metrics']) {
      expect(await status(path)).toBe(401)
      expect(await status(path, { authorization: 'Bearer token-wrong' })).toBe(401)
      expect(await status(path, { authorization: 'Bearer token-two' })).toBe(200)
      expect(await status(path, { 'x-api-key': 'token-one' })).toBe(200)
    }
    for (const path of ['/', '/healthz', '/readyz']) expect(await status(path)).toBe(200)
    await guarded.kill()
  })
})

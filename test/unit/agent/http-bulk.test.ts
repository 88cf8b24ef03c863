import { Readable } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import type { LocalWrite } from '../../../sync/replica.ts'
import { openSocket, request, send, startHttp, type Answer } from './http-fixture.ts'

const NDJSON = 'application/x-ndjson'
const path = '/api/collections/c/records'

const postLines = (url: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> =>
  request(url + path, { method: 'POST', body, headers: { 'content-type': NDJSON, ...headers } })

const counts = (accepted: number, rejected_count: number): object => ({
  status: 200,
  json: expect.objectContaining({ accepted, rejected_count }) as unknown,
})

describe('NDJSON', () => {
  test('good lines are kept and bad ones reported with their line', async () => {
    const { url, replica } = await startHttp()
    const lines = [
      '{"key":"a","payload":1}',
      '',
      'not json',
      '{"key":"b","payload":9007199254740993}',
      '  \t',
      '{"key":"..","payload":1}',
      '{"key":1,"payload":1}',
      '[1]',
      '{"key":"c","__proto__":{}}',
      '{"key":"d","vector":[1e39]}',
      '{"key":"e","payload":{"__proto__":1}}\r',
      '{"payload":"made key"}',
    ]
    const answer = await postLines(url, lines.join('\n'))
    expect(answer.json).toEqual({
      accepted: 3,
      rejected_count: 7,
      rejected: [
        { line: 3, code: 'HS_INVALID_JSON', detail: expect.any(String) as unknown },
        { line: 4, code: 'HS_INVALID_PAYLOAD', detail: expect.stringContaining('9007199254740993') as unknown },
        { line: 6, code: 'HS_INVALID_KEY', detail: expect.any(String) as unknown },
        { line: 7, code: 'HS_INVALID_KEY', detail: expect.any(String) as unknown },
        { line: 8, code: 'HS_INVALID_REQUEST', detail: expect.any(String) as unknown },
        { line: 9, code: 'HS_INVALID_REQUEST', detail: expect.stringContaining('"__proto__"') as unknown },
        { line: 10, code: 'HS_INVALID_VECTOR', detail: expect.any(String) as unknown },
      ],
    })
    expect(replica.collection('c')?.recordCount).toBe(3)
    expect((await request(`${url}${path}/e`)).text).toContain('"payload":{"__proto__":1}')
  })

  test('at most 100 rejections are listed, all are counted', async () => {
    const { url } = await startHttp()
    const answer = await postLines(url, 'x\n'.repeat(2500) + '{"payload":1}\n')
    expect(answer).toMatchObject(counts(1, 2500))
    expect((answer.json as { rejected: unknown[] }).rejected).toHaveLength(100)
  })

  test('an empty body, blank lines and a last line without a newline are fine', async () => {
    const { url } = await startHttp()
    expect(await postLines(url, '')).toMatchObject(counts(0, 0))
    expect(await postLines(url, '\n\r\n   \n')).toMatchObject(counts(0, 0))
    expect(await postLines(url, '\n{"payload":1}')).toMatchObject(counts(1, 0))
  })

  test('lines that are not UTF-8 are rejected by themselves', async () => {
    const { url } = await startHttp()
    const bad = Buffer.concat([Buffer.from('{"payload":"é"}\n{"payload":"'), Buffer.from([0xff]), Buffer.from('"}\n{"payload":"日"}\n')])
    expect(await postLines(url, bad)).toMatchObject({ json: { accepted: 2, rejected: [{ line: 2, code: 'HS_INVALID_JSON' }] } })
  })

  test('an over-long line is rejected with its number and the stream goes on', async () => {
    const { url } = await startHttp({ limits: { recordBytesMax: 1000 } })
    const line = (bytes: number): string => `{"payload":"${'x'.repeat(bytes - 14)}"}`
    const answer = await postLines(url, [line(1000), line(1001), line(300_000), line(20), line(200_000)].join('\n'))
    expect(answer).toMatchObject({
      json: {
        accepted: 2,
        rejected: [
          { line: 2, code: 'HS_TOO_LARGE' },
          { line: 3, code: 'HS_TOO_LARGE' },
          { line: 5, code: 'HS_TOO_LARGE' },
        ],
      },
    })
  })

  test('lines arrive in whatever pieces: every split of the body gives the same result', async () => {
    const { url, replica } = await startHttp()
    const body = Buffer.from('{"key":"é1","payload":"日本"}\n\n{"key":"2","payload":2}\nbad\n{"key":"3"}')
    for (let at = 1; at < body.length; at += 3) {
      const pieces = Readable.from([body.subarray(0, at), body.subarray(at)])
      const answer = await request(url + path, {
        method: 'POST',
        headers: { 'content-type': NDJSON },
        body: Readable.toWeb(pieces),
        duplex: 'half',
      })
      expect(answer).toMatchObject({ json: { accepted: 3, rejected: [{ line: 4 }] } })
    }
    expect(replica.collection('c')?.recordCount).toBe(3)
  })

  test('made keys are unique and in the order of the lines', async () => {
    const { url } = await startHttp()
    await postLines(url, Array.from({ length: 1200 }, (_, i) => `{"payload":${i}}\n`).join(''))
    const page = (await request(`${url}${path}?limit=1000`)).json as { records: { key: string; payload: number }[] }
    expect(new Set(page.records.map(({ key }) => key)).size).toBe(1000)
  })

  test('writes go to the store in bounded groups, at most two under way', async () => {
    let underWay = 0
    let most = 0
    const sizes: number[] = []
    const { url } = await startHttp({
      limits: { groupRecordsMax: 100 },
      replica: replica => ({
        ...replica,
        async write(writes: readonly LocalWrite[]) {
          sizes.push(writes.length)
          underWay += 1
          most = Math.max(most, underWay)
          await new Promise(resolve => setImmediate(resolve))
          underWay -= 1
          return replica.write(writes)
        },
      }),
    })
    expect(await postLines(url, '{"payload":1}\n'.repeat(5050))).toMatchObject(counts(5050, 0))
    expect(Math.max(...sizes)).toBe(100)
    expect(sizes).toHaveLength(51)
    expect(most).toBe(2)
  })

  test('a body cut off in the middle keeps what is durable and never applies the incomplete line', async () => {
    const { url, port, replica } = await startHttp({ limits: { groupRecordsMax: 2 } })
    const { socket, ended } = await openSocket(port)
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n`)
    const lines = '{"key":"1","payload":1}\n{"key":"2","payload":1}\n{"key":"3"}'
    socket.write(`${lines.length.toString(16)}\r\n${lines}\r\n`)
    await vi.waitFor(() => expect(replica.collection('c')?.recordCount).toBe(2))
    socket.resetAndDestroy()
    await ended
    expect((await request(`${url}${path}/3`)).status).toBe(404)
    expect((await request(`${url}${path}/2`)).status).toBe(200)
  })

  test('P4 a slow sender gets its acknowledgements while it sends, and loses no complete line when it is cut off', async () => {
    const { port, replica } = await startHttp()
    const { socket, received, ended } = await openSocket(port)
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${NDJSON}\r\naccept: ${NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n`,
    )
    for (const key of ['1', '2']) {
      const line = `{"key":"${key}","payload":1}\n`
      socket.write(`${line.length.toString(16)}\r\n${line}\r\n`)
      await vi.waitFor(() => expect(received()).toContain(`"key":"${key}"`))
    }
    const last = '{"key":"3","payload":1}\n{"ke'
    socket.end(`${last.length.toString(16)}\r\n${last}\r\n`)
    await ended
    await vi.waitFor(() => expect(replica.collection('c')?.recordCount).toBe(3))
  })

  test('a body that ends before its length is answered 400 and applies no incomplete line', async () => {
    const { port, replica } = await startHttp()
    const { socket, received, ended } = await openSocket(port)
    socket.end(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${NDJSON}\r\ncontent-length: 100\r\n\r\n{"key":"1"}`)
    await ended
    expect(received()).toMatch(/^HTTP\/1.1 400[^]*"code":"HS_INVALID_REQUEST"/)
    expect(replica.collections()).toEqual([])
  })

  test('a body that falls silent is answered 408, with what was accepted so far', async () => {
    const { port } = await startHttp({ limits: { bodyIdleMs: 50, lingerMs: 10, groupRecordsMax: 1 } })
    const { socket, received, ended } = await openSocket(port)
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${NDJSON}\r\ncontent-length: 100\r\n\r\n{"key":"1"}\n{"ke`)
    await ended
    expect(received()).toMatch(/^HTTP\/1.1 408[^]*"code":"HS_TIMEOUT"[^]*"accepted":1/)
  })

  test('when the store fails, the request fails, and says what was accepted before', async () => {
    const { url, store } = await startHttp({ limits: { groupRecordsMax: 2 } })
    expect(await postLines(url, '{"payload":1}\n')).toMatchObject(counts(1, 0))
    store.failWrites(10)
    const answer = await postLines(url, '{"payload":1}\n'.repeat(100))
    expect(answer).toMatchObject({ status: 503, json: { code: 'HS_STORE_WRITE_FAILED', accepted: 0 } })
    expect(answer.headers.get('retry-after')).toBe('1')
  })

  test('more streams than allowed are turned away', async () => {
    const { url, port } = await startHttp({ limits: { streamsMax: 1 } })
    const { socket } = await openSocket(port)
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${NDJSON}\r\ncontent-length: 100\r\n\r\n`)
    await vi.waitFor(async () => expect(await postLines(url, '')).toMatchObject({ status: 429, json: { code: 'HS_BUSY' } }))
    socket.destroy()
    await vi.waitFor(async () => expect(await postLines(url, '')).toMatchObject(counts(0, 0)))
  })
})

describe('streamed acknowledgements', () => {
  test('each line is acknowledged or refused, in order, and the last line sums up', async () => {
    const { url } = await startHttp()
    const answer = await postLines(url, '{"key":"a","payload":1}\nbad\n{"key":"b"}\n', { accept: NDJSON })
    expect(answer.headers.get('content-type')).toBe(NDJSON)
    expect(
      answer.text
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as unknown),
    ).toEqual([
      { line: 1, key: 'a', version: expect.objectContaining({ counter: 1 }) as unknown },
      { line: 2, code: 'HS_INVALID_JSON', detail: expect.any(String) as unknown },
      { line: 3, key: 'b', version: expect.objectContaining({ counter: 2 }) as unknown },
      { accepted: 2, rejected_count: 1 },
    ])
  })

  test('come while the body is still being sent', async () => {
    const { port } = await startHttp({ limits: { groupRecordsMax: 1 } })
    const { socket, received, ended } = await openSocket(port)
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: ${NDJSON}\r\naccept: ${NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n`,
    )
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
    socket.write(chunk('{"key":"1"}\n'))
    for (let line = 2; line <= 4; line++) {
      socket.write(chunk(`{"key":"${line}"}\n`))
      // Two groups are under way before the first is waited for.
      await vi.waitFor(() => expect(received()).toContain(`{"line":${line - 1},"key":"${line - 1}"`))
    }
    socket.write(chunk(''))
    await ended
    expect(received()).toContain('{"accepted":4,"rejected_count":0}\n')
  })

  test('the last line says why it ended early', async () => {
    const { url, store } = await startHttp({ limits: { groupRecordsMax: 1 } })
    store.failWrites(1)
    const answer = await postLines(url, '{"payload":1}\n', { accept: NDJSON })
    expect(JSON.parse(answer.text)).toMatchObject({ accepted: 0, rejected_count: 0, code: 'HS_STORE_WRITE_FAILED' })
  })
})

describe('a JSON array', () => {
  test('good elements are kept and bad ones reported with their number', async () => {
    const { url } = await startHttp()
    const answer = await send('POST', url + path, ' [ {"key":"a","payload":[1,{"x":"],["}]}, 5 ,{"payload":1e400},{}]\n')
    expect(answer).toMatchObject({
      json: {
        accepted: 2,
        rejected_count: 2,
        rejected: [
          { line: 2, code: 'HS_INVALID_REQUEST' },
          { line: 3, code: 'HS_INVALID_PAYLOAD' },
        ],
      },
    })
    expect(await send('POST', url + path, [])).toMatchObject(counts(0, 0))
  })

  test.each([
    '',
    '{}',
    '{"key":"a"}',
    '[{"key":"a"}',
    '[{"key":"a"},]',
    '[,{"key":"a"}]',
    '[{"key":"a"}]]',
    '[{"key":"a"} {"key":"b"}]',
    '[{"key":"a",}]',
    '[{"key":"a"}] x',
  ])('%j is refused as a whole', async text => {
    const { url, replica } = await startHttp()
    expect(await send('POST', url + path, text)).toMatchObject({ status: 400, json: { code: 'HS_INVALID_JSON' } })
    expect(replica.collections()).toEqual([])
  })

  test('beyond its bounds NDJSON is suggested', async () => {
    const { url } = await startHttp({ limits: { arrayBytesMax: 1000, arrayRecordsMax: 10 } })
    for (const body of [JSON.stringify([{ payload: 'x'.repeat(1000) }]), `[${Array.from({ length: 11 }, () => '{}').join(',')}]`]) {
      expect(await send('POST', url + path, body)).toMatchObject({
        status: 413,
        json: { code: 'HS_TOO_LARGE', detail: expect.stringContaining(NDJSON) as unknown },
      })
    }
    expect(await send('POST', url + path, `[${Array.from({ length: 10 }, () => '{}').join(',')}]`)).toMatchObject(counts(10, 0))
  })

  test('can be acknowledged by stream too', async () => {
    const { url } = await startHttp()
    const answer = await send('POST', url + path, [{ key: 'a' }, 1], { accept: `application/json;q=0.5, ${NDJSON}` })
    expect(answer.text.trim().split('\n')).toHaveLength(3)
  })

  test('another content type is 415', async () => {
    const { url } = await startHttp()
    for (const type of ['text/plain', 'application/jsonl']) {
      expect(await send('POST', url + path, '[]', { 'content-type': type })).toMatchObject({
        status: 415,
        json: { code: 'HS_UNSUPPORTED_MEDIA_TYPE' },
      })
    }
  })
})

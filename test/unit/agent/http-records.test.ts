import { describe, expect, test } from 'vitest'
import { request, send, startHttp, type Answer } from './http-fixture.ts'

const problem = (status: number, code: string, detail?: string | RegExp): object => ({
  status,
  json: expect.objectContaining({
    status,
    code,
    ...(detail === undefined ? {} : { detail: expect.stringMatching(detail) as unknown }),
  }) as unknown,
})

async function openRecords(collection = 'c'): Promise<{
  put: (key: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>
  get: (key: string, headers?: Record<string, string>) => Promise<Answer>
  remove: (key: string, headers?: Record<string, string>) => Promise<Answer>
  url: string
}> {
  const { url } = await startHttp()
  const at = (key: string): string => `${url}/api/collections/${collection}/records/${key}`
  return {
    url,
    put: (key, body, headers) => send('PUT', at(key), body, headers),
    get: (key, headers = {}) => request(at(key), { headers }),
    remove: (key, headers = {}) => request(at(key), { method: 'DELETE', headers }),
  }
}

describe('put and get', () => {
  test('201 when the key was free, 200 when a record was replaced, and the version counts up', async () => {
    const { put, get } = await openRecords()
    const first = await put('k', { payload: { x: 1 } })
    expect(first).toMatchObject({
      status: 201,
      json: { key: 'k', version: { origin: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown, counter: 1, tick: 0, trusted_time: true } },
    })
    const second = await put('k', { payload: { x: 2 } })
    expect(second).toMatchObject({ status: 200, json: { version: { counter: 2 } } })
    const answer = await get('k')
    expect(answer).toMatchObject({ status: 200, json: { key: 'k', payload: { x: 2 } } })
    expect(answer.headers.get('etag')).toBe(second.headers.get('etag'))
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  test('what is not there is 404, in an unknown collection too', async () => {
    const { get, put } = await openRecords()
    expect(await get('k')).toMatchObject(problem(404, 'HS_NOT_FOUND'))
    await put('k', { payload: 1 })
    expect(await get('other')).toMatchObject(problem(404, 'HS_NOT_FOUND', /"other"/))
  })

  test('a payload may be any JSON, and comes back byte by byte as JSON.stringify made it', async () => {
    const { put, get } = await openRecords()
    const texts = [
      'null',
      'false',
      '0',
      '""',
      '[]',
      '{}',
      '"é ü 日本 \\ud83d\\ude00 \\ud800"',
      '{"b":1,"a":{"constructor":{"prototype":1}}}',
      '[1e5, 1.10, -0.0]',
    ]
    for (const text of texts) {
      expect(await put('k', `{ "payload" : ${text} }`)).toMatchObject({ status: expect.any(Number) as unknown, json: { key: 'k' } })
      expect((await get('k')).text).toContain(`{"key":"k","payload":${JSON.stringify(JSON.parse(text))},"version":`)
    }
  })

  test('__proto__ inside a payload is plain data', async () => {
    const { put, get } = await openRecords()
    const text = '{"__proto__":{"admin":true},"a":[{"__proto__":null,"constructor":{}}]}'
    expect((await put('k', `{"payload":${text}}`)).status).toBe(201)
    expect((await get('k')).text).toContain(`"payload":${text},`)
  })

  test.each(['__proto__', 'constructor', 'Payload', 'version', 'key', ''])('a top-level field "%s" is refused by name', async name => {
    const { put } = await openRecords()
    expect(await put('k', `{"payload":1,"${name}":1}`)).toMatchObject(
      problem(400, 'HS_INVALID_REQUEST', name === 'key' ? /in the path/ : `"${name}"`),
    )
  })

  test('a record without a payload is one', async () => {
    const { put, get } = await openRecords()
    expect((await put('k', {})).status).toBe(201)
    expect((await get('k')).json).toEqual({ key: 'k', version: expect.any(Object) as unknown })
  })

  test('HEAD answers like GET, without the body', async () => {
    const { put, url } = await openRecords()
    await put('k', { payload: 'x' })
    const answer = await request(`${url}/api/collections/c/records/k`, { method: 'HEAD' })
    expect(answer).toMatchObject({ status: 200, text: '' })
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(10)
    expect(answer.headers.get('etag')).toMatch(/^".*:1"$/)
  })
})

describe('bad bodies', () => {
  test.each(['', ' ', '{', '{"payload":}', '{"payload":1}}', 'NaN', '{"payload":NaN}', "{'payload':1}", '\ufeff{}', '{"payload":01}'])(
    '%j is not JSON',
    async text => {
      const { put } = await openRecords()
      expect(await put('k', text)).toMatchObject(problem(400, 'HS_INVALID_JSON'))
    },
  )

  test.each(['1', 'null', '[]', '"x"'])('%s is not a record', async text => {
    const { put } = await openRecords()
    expect(await put('k', text)).toMatchObject(problem(400, 'HS_INVALID_REQUEST', /JSON object/))
  })

  test('a body that is not UTF-8 is refused', async () => {
    const { url } = await openRecords()
    const body = Buffer.concat([Buffer.from('{"payload":"'), Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80]), Buffer.from('"}')])
    const answer = await request(`${url}/api/collections/c/records/k`, {
      method: 'PUT',
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect(answer).toMatchObject(problem(400, 'HS_INVALID_JSON', /UTF-8/))
  })

  test.each(['9007199254740993', '1e400', '-1e400', '1e-400', '123456789012345678901234567890', '0.12345678901234567890123'])(
    'P12 the number %s is refused by name, not rounded',
    async number => {
      const { put, get } = await openRecords()
      expect(await put('k', `{"payload":{"a":[${number}]}}`)).toMatchObject(problem(400, 'HS_INVALID_PAYLOAD', number.slice(0, 16)))
      expect((await get('k')).status).toBe(404)
    },
  )

  test('nesting is bounded', async () => {
    const { put } = await openRecords()
    expect((await put('k', `{"payload":${'['.repeat(100)}${']'.repeat(100)}}`)).status).toBe(201)
    expect(await put('k', `{"payload":${'['.repeat(101)}${']'.repeat(101)}}`)).toMatchObject(
      problem(400, 'HS_INVALID_PAYLOAD', /100 levels/),
    )
    expect(await put('k', `{"payload":${'['.repeat(500_000)}${']'.repeat(500_000)}}`)).toMatchObject(problem(400, 'HS_INVALID_PAYLOAD'))
  })

  test('a payload of 1 MiB is taken, one byte more is not', async () => {
    const { put, get } = await openRecords()
    const text = (bytes: number): string => 'x'.repeat(bytes - 2)
    expect((await put('k', { payload: text(1_048_576) })).status).toBe(201)
    expect((await get('k')).text.length).toBeGreaterThan(1_048_576)
    expect(await put('k', { payload: text(1_048_577) })).toMatchObject(problem(413, 'HS_TOO_LARGE', /1048576/))
  })

  test('white space does not count for the payload, and the body is bounded all the same', async () => {
    const { put } = await openRecords()
    expect((await put('k', `{"payload":${' '.repeat(3_000_000)}1}`)).status).toBe(201)
    expect(await put('k', `{"payload":${' '.repeat(5_000_000)}1}`)).toMatchObject(problem(413, 'HS_TOO_LARGE'))
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/x-ndjson',
    'application/jsonx',
    'nonsense',
    'application/json; charset=latin1',
  ])('content type %s is 415', async type => {
    const { put } = await openRecords()
    expect(await put('k', { payload: 1 }, { 'content-type': type })).toMatchObject(problem(415, 'HS_UNSUPPORTED_MEDIA_TYPE'))
  })

  test('application/json is taken with a charset of UTF-8, and not compressed', async () => {
    const { put } = await openRecords()
    expect((await put('k', { payload: 1 }, { 'content-type': 'Application/JSON; charset="UTF-8"' })).status).toBe(201)
    expect(await put('k', { payload: 1 }, { 'content-encoding': 'gzip' })).toMatchObject(problem(415, 'HS_UNSUPPORTED_MEDIA_TYPE', /gzip/))
  })
})

describe('data', () => {
  test('1 MiB of bytes comes back with its media type, and one byte more is refused', async () => {
    const { put, get } = await openRecords()
    const data = Buffer.alloc(1_048_576, 0xa5).toString('base64')
    expect((await put('k', { data, content_type: 'image/jpeg; quality="80 %"' })).status).toBe(201)
    expect((await get('k')).json).toMatchObject({ key: 'k', data, content_type: 'image/jpeg; quality="80 %"' })
    expect((await get('k')).json).not.toHaveProperty('payload')
    expect(await put('k', { data: Buffer.alloc(1_048_577).toString('base64'), content_type: 'a/b' })).toMatchObject(
      problem(413, 'HS_TOO_LARGE'),
    )
  })

  test.each(['YQ', 'YQ=', 'YR==', 'Y Q==', 'YQ==\n', '_-8=', 'YQ===', '====', 1, null, ['YQ==']])('data %j is not base64', async data => {
    const { put } = await openRecords()
    expect(await put('k', { data, content_type: 'a/b' })).toMatchObject(problem(400, 'HS_INVALID_PAYLOAD', /base64/))
  })

  test.each([undefined, '', 'jpeg', 'image/', '/jpeg', 'image/jpeg;', 'image/jpeg; q', 'ima ge/jpeg', 'a/é', `a/${'b'.repeat(254)}`, 5])(
    'content_type %j is refused',
    async type => {
      const { put } = await openRecords()
      expect(await put('k', { data: 'YQ==', content_type: type })).toMatchObject(problem(400, 'HS_INVALID_PAYLOAD', /content_type/))
    },
  )

  test('no data is data too; payload and data exclude each other; a payload has no content_type', async () => {
    const { put, get } = await openRecords()
    expect((await put('k', { data: '', content_type: `a/${'b'.repeat(253)}` })).status).toBe(201)
    expect((await get('k')).json).toMatchObject({ data: '' })
    expect(await put('k', { payload: 1, data: 'YQ==', content_type: 'a/b' })).toMatchObject(problem(400, 'HS_INVALID_PAYLOAD', /not both/))
    expect(await put('k', { payload: 1, content_type: 'a/b' })).toMatchObject(problem(400, 'HS_INVALID_PAYLOAD'))
  })
})

describe('vectors', () => {
  test('come back as float32', async () => {
    const { put, get } = await openRecords()
    expect((await put('k', { payload: 1, vector: [0.1, -0, 3] })).status).toBe(201)
    expect((await get('k')).json).toMatchObject({ vector: [Math.fround(0.1), 0, 3] })
  })

  test('65,536 numbers are taken, one more is not', async () => {
    const { put, get } = await openRecords()
    const vector = Array.from({ length: 65_536 }, (_, i) => Math.fround((i + 1) / 7))
    expect((await put('k', { vector })).status).toBe(201)
    expect((await get('k')).json).toMatchObject({ vector })
    expect(await put('k', { vector: [...vector, 1] })).toMatchObject(problem(400, 'HS_INVALID_VECTOR'))
  })

  test.each(['[]', '1', 'null', '["1"]', '[[1]]', '[1,null]', '[1e400]', '[1e39]', '{"0":1}', '[0,0]', '[1,2,3]'])(
    'vector %s is refused',
    async vector => {
      const { put } = await openRecords()
      expect((await put('first', { vector: [1, 2] })).status).toBe(201)
      expect(await put('k', `{"vector":${vector}}`)).toMatchObject(problem(400, 'HS_INVALID_VECTOR'))
    },
  )
})

describe('keys', () => {
  test.each([
    ['robot1/odometry/000001', 'robot1/odometry/000001'],
    ['robot1%2Fodometry%2f000001', 'robot1/odometry/000001'],
    ['a%20b%3Fc%23d%25e%2541', 'a b?c#d%e%41'],
    ['%E6%97%A5%C3%A9', '日é'],
    ['a//b/', 'a//b/'],
    ['a+b;c=d&e,f:g@h$', 'a+b;c=d&e,f:g@h$'],
    ['...', '...'],
    ['x'.repeat(512), 'x'.repeat(512)],
    ['%C3%A9'.repeat(256), 'é'.repeat(256)],
  ])('%s in the path is decoded once', async (path, key) => {
    const { put, get } = await openRecords()
    expect(await put(path, { payload: 1 })).toMatchObject({ status: 201, json: { key } })
    expect(await get(encodeURIComponent(key))).toMatchObject({ status: 200, json: { key } })
  })

  test.each([
    '%',
    '%zz',
    'a%2',
    '%ff',
    '%c3%28',
    '%ed%a0%80',
    '%c0%80',
    '%00',
    '%0a',
    '%7f',
    '%c2%85',
    'x'.repeat(513),
    '%C3%A9'.repeat(257),
    '',
  ])('the path %j is no key', async path => {
    const { put, get, remove } = await openRecords()
    for (const answer of [await put(path, { payload: 1 }), await get(path), await remove(path)]) {
      expect(answer).toMatchObject(problem(400, 'HS_INVALID_KEY'))
    }
  })
})

describe('names', () => {
  test.each(['_system', 'Upper', 'a%2Fb', '-a', 'a b', 'x'.repeat(65), '%E6%97%A5', '.a'])('%s is refused', async name => {
    const { put, get, remove, url } = await openRecords(name)
    const answers = [await put('k', { payload: 1 }), await get('k'), await remove('k')]
    for (const path of ['', '/digest', '/records']) answers.push(await request(`${url}/api/collections/${name}${path}`))
    answers.push(await request(`${url}/api/collections/${name}`, { method: 'DELETE' }))
    answers.push(await send('POST', `${url}/api/collections/${name}/records`, []))
    for (const answer of answers) expect(answer).toMatchObject(problem(400, 'HS_INVALID_NAME'))
  })

  test('64 characters are allowed', async () => {
    const { put } = await openRecords(`0${'a_.-'.repeat(15)}xyz`)
    expect((await put('k', { payload: 1 })).status).toBe(201)
  })
})

describe('conditions', () => {
  test('If-None-Match: * writes only what is not there', async () => {
    const { put, get } = await openRecords()
    expect((await put('k', { payload: 1 }, { 'if-none-match': '*' })).status).toBe(201)
    expect(await put('k', { payload: 2 }, { 'if-none-match': '*' })).toMatchObject(problem(412, 'HS_PRECONDITION_FAILED'))
    expect((await get('k')).json).toMatchObject({ payload: 1 })
  })

  test('If-Match writes and deletes only over the version that it names', async () => {
    const { put, get, remove } = await openRecords()
    const etag = (await put('k', { payload: 1 })).headers.get('etag') ?? ''
    for (const tag of ['"x"', `W/${etag}`, '"*"', `"a", W/${etag} , ""`]) {
      expect(await put('k', { payload: 2 }, { 'if-match': tag })).toMatchObject(problem(412, 'HS_PRECONDITION_FAILED'))
      expect(await remove('k', { 'if-match': tag })).toMatchObject(problem(412, 'HS_PRECONDITION_FAILED'))
    }
    const next = (await put('k', { payload: 2 }, { 'if-match': `"x" , ${etag}` })).headers.get('etag') ?? ''
    expect(next).not.toBe(etag)
    expect((await put('k', { payload: 3 }, { 'if-match': etag })).status).toBe(412)
    expect((await remove('k', { 'if-match': next })).status).toBe(204)
    expect((await get('k')).status).toBe(404)
  })

  test('If-Match: * holds for any record, and for none that is not there', async () => {
    const { put } = await openRecords()
    expect((await put('k', { payload: 1 }, { 'if-match': '*' })).status).toBe(412)
    await put('k', { payload: 1 })
    expect((await put('k', { payload: 2 }, { 'if-match': '*' })).status).toBe(200)
  })

  test('a header that is not understood is refused, not passed over', async () => {
    const { put } = await openRecords()
    for (const tag of ['abc', "'x'", '"a" "b"', '"a', ',', ''])
      expect(await put('k', {}, { 'if-match': tag })).toMatchObject(problem(400, 'HS_INVALID_REQUEST'))
    expect(await put('k', {}, { 'if-none-match': '"x"' })).toMatchObject(problem(400, 'HS_INVALID_REQUEST'))
  })

  test('a GET with the current tag is 304 without a body', async () => {
    const { put, get } = await openRecords()
    const etag = (await put('k', { payload: 1 })).headers.get('etag') ?? ''
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*'])
      expect(await get('k', { 'if-none-match': tag })).toMatchObject({ status: 304, text: '' })
    expect((await get('k', { 'if-none-match': '"x"' })).status).toBe(200)
  })
})

describe('delete', () => {
  test('is 204, also when there is nothing to delete, and then changes and makes nothing', async () => {
    const { put, remove, get, url } = await openRecords()
    expect((await remove('k')).status).toBe(204)
    expect((await request(`${url}/api/collections`)).json).toEqual([])
    await put('k', { payload: 1 })
    const digest = (await request(`${url}/api/collections/c/digest`)).text
    expect((await remove('other')).status).toBe(204)
    expect((await request(`${url}/api/collections/c/digest`)).text).toBe(digest)
    expect(await remove('k')).toMatchObject({ status: 204, text: '' })
    expect((await get('k')).status).toBe(404)
    expect((await put('k', { payload: 2 })).status).toBe(201)
  })
})

describe('siblings', () => {
  test('conflicting versions are shown in full, and the ETag names the whole set', async () => {
    const version = { origin: 'a'.repeat(32), counter: 1, timeMs: 5, tick: 0, trustedTime: true }
    const { url } = await startHttp({
      replica: replica => ({
        ...replica,
        get: key => ({
          key,
          version,
          etag: 'f'.repeat(32),
          payload: Buffer.from('{"é":[1]}'),
          conflicts: [
            { version: { ...version, counter: 2 }, data: Buffer.from('ab'), contentType: 'a/b', vector: new Uint8Array([0, 0, 128, 63]) },
            { version: { ...version, counter: 3, trustedTime: false } },
          ],
        }),
      }),
    })
    const answer = await request(`${url}/api/collections/c/records/k`)
    const json = (counter: number, trusted_time = true): object => ({ origin: version.origin, counter, time: 5, tick: 0, trusted_time })
    expect(answer.json).toEqual({
      key: 'c',
      payload: { é: [1] },
      version: json(1),
      conflicts: [{ data: 'YWI=', content_type: 'a/b', vector: [1], version: json(2) }, { version: json(3, false) }],
    })
    expect(answer.headers.get('etag')).toBe(`"${'f'.repeat(32)}"`)
  })
})

import { describe, expect, test, vi } from 'vitest'
import { jsonHeaders, openSocket, request, startHttp, type HttpFixture } from './http-fixture.ts'

const NDJSON = 'application/x-ndjson'

interface Page {
  readonly records: readonly { readonly key: string; readonly payload: unknown }[]
  readonly cursor: string | null
}

async function fill(fixture: HttpFixture, keys: readonly string[], payload: (i: number) => unknown = i => i): Promise<string> {
  const body = JSON.stringify(keys.map((key, i) => ({ key, payload: payload(i) })))
  await request(`${fixture.url}/api/collections/c/records`, { method: 'POST', headers: jsonHeaders, body })
  return `${fixture.url}/api/collections/c/records`
}

const page = async (url: string, query: Record<string, string> = {}): Promise<Page> =>
  (await request(`${url}?${new URLSearchParams(query).toString()}`)).json as Page
const keysOf = ({ records }: Page): string[] => records.map(({ key }) => key)

const names = (count: number, prefix = 'k'): string[] => Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(5, '0')}`)

describe('pages', () => {
  test('100 records unless told otherwise, in the order of their bytes, with a cursor to the end', async () => {
    const url = await fill(await startHttp(), names(250))
    const seen: string[] = []
    const sizes: number[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const next: Page = await page(url, cursor === '' ? {} : { cursor })
      seen.push(...keysOf(next))
      sizes.push(next.records.length)
      cursor = next.cursor
    }
    expect(seen).toEqual(names(250))
    expect(sizes).toEqual([100, 100, 50])
  })

  test('keys are ordered by their UTF-8 bytes, not as JavaScript orders strings', async () => {
    const url = await fill(await startHttp(), ['\u{1f600}', '\uffee', 'z', 'é', 'Z'])
    expect(keysOf(await page(url))).toEqual(['Z', 'z', 'é', '\uffee', '\u{1f600}'])
  })

  test('prefix, from (inclusive), to (exclusive) and reverse', async () => {
    const url = await fill(await startHttp(), ['a/1', 'a/2', 'a/3', 'b/1', 'b + 2'])
    expect(keysOf(await page(url, { prefix: 'a/' }))).toEqual(['a/1', 'a/2', 'a/3'])
    expect(keysOf(await page(url, { from: 'a/2', to: 'b/1' }))).toEqual(['a/2', 'a/3', 'b + 2'])
    expect(keysOf(await page(url, { prefix: 'a/', from: 'a/2', reverse: '1' }))).toEqual(['a/3', 'a/2'])
    expect(keysOf(await page(url, { prefix: 'b +' }))).toEqual(['b + 2'])
    expect(keysOf(await page(url, { prefix: '' }))).toHaveLength(5)
    expect(await page(url, { from: 'z' })).toEqual({ records: [], cursor: null })
  })

  test('a page that ends exactly with the range has no cursor', async () => {
    const url = await fill(await startHttp(), names(6))
    const first = await page(url, { limit: '3', reverse: 'true' })
    expect(keysOf(first)).toEqual(['k00005', 'k00004', 'k00003'])
    const second = await page(url, { limit: '3', reverse: 'true', cursor: first.cursor ?? '' })
    expect(keysOf(second)).toEqual(['k00002', 'k00001', 'k00000'])
    expect(second.cursor).toBeNull()
  })

  test('a page is bounded in bytes too, and has one record at least', async () => {
    const url = await fill(await startHttp({ limits: { pageBytesMax: 10_000 } }), names(5), () => 'x'.repeat(6000))
    const first = await page(url)
    expect(first.records).toHaveLength(2)
    expect(keysOf(await page(url, { cursor: first.cursor ?? '' }))).toEqual(['k00002', 'k00003'])
  })

  test('limits: 1,000 is allowed, 0 and 1,001 are not', async () => {
    const url = await fill(await startHttp(), names(1001))
    expect((await page(url, { limit: '1000' })).records).toHaveLength(1000)
    for (const limit of ['0', '1001', '-1', '1.5', 'x', '', 'NaN', '99999999999']) {
      expect(await request(`${url}?limit=${limit}`)).toMatchObject({
        status: 400,
        json: { code: 'HS_INVALID_REQUEST', detail: expect.stringContaining('limit') as unknown },
      })
    }
  })

  test('parameters that are unknown, given twice or badly escaped are refused by name', async () => {
    const url = await fill(await startHttp(), ['a'])
    for (const query of ['prefx=a', 'limit=1&limit=2', 'reverse=yes', '__proto__=1', 'prefix=%zz', 'prefix=%ff']) {
      expect(await request(`${url}?${query}`)).toMatchObject({ status: 400, json: { code: 'HS_INVALID_REQUEST' } })
    }
    expect((await request(`${url}?prefx=a`)).json).toMatchObject({ detail: 'unknown query parameter: prefx' })
  })

  test('a cursor is good for its own listing only', async () => {
    const fixture = await startHttp()
    const url = await fill(fixture, names(5))
    const { cursor } = await page(url, { limit: '2', prefix: 'k' })
    const bad = [
      { cursor: cursor ?? '' },
      { cursor: cursor ?? '', prefix: 'k', reverse: '1' },
      { cursor: cursor ?? '', prefix: 'k', from: 'k' },
      { cursor: `${cursor}A`, prefix: 'k' },
      { cursor: 'nonsense', prefix: 'k' },
      { cursor: '', prefix: 'k' },
      { cursor: '!!!', prefix: 'k' },
    ]
    for (const query of bad) {
      expect(await request(`${url}?${new URLSearchParams(query).toString()}`)).toMatchObject({
        status: 400,
        json: { code: 'HS_INVALID_CURSOR' },
      })
    }
    expect(keysOf(await page(url, { cursor: cursor ?? '', prefix: 'k', limit: '9' }))).toEqual(['k00002', 'k00003', 'k00004'])
  })

  test('an unknown collection is 404', async () => {
    const { url } = await startHttp()
    expect(await request(`${url}/api/collections/c/records`)).toMatchObject({ status: 404, json: { code: 'HS_NOT_FOUND' } })
  })
})

describe('export', () => {
  test('streams the whole range, one record a line, as the bytes are stored', async () => {
    const url = await fill(await startHttp(), names(3000), i => ({ i, text: 'é' }))
    const answer = await request(url, { headers: { accept: NDJSON } })
    expect(answer.headers.get('content-type')).toBe(NDJSON)
    const lines = answer.text.trim().split('\n')
    expect(lines).toHaveLength(3000)
    expect(JSON.parse(lines[2999] ?? '')).toMatchObject({ key: 'k02999', payload: { i: 2999, text: 'é' } })
    expect((await request(`${url}?prefix=k0000&limit=7&reverse=1`, { headers: { accept: NDJSON } })).text.split('\n')).toHaveLength(8)
    expect(await request(url, { method: 'HEAD', headers: { accept: NDJSON } })).toMatchObject({ status: 200, text: '' })
  })

  test('waits for a slow reader instead of filling memory, and ends when it goes away', async () => {
    let pagesRead = 0
    let isClosed = false
    const fixture = await startHttp({
      limits: { streamsMax: 1 },
      replica: replica => ({
        ...replica,
        async *scan(...range) {
          try {
            const record = replica.get('c', 'k00000')
            // As many pages of 1 MB as anybody cares to read.
            for (;;) {
              await Promise.resolve(range)
              pagesRead += 1
              yield record === undefined ? [] : [{ ...record, payload: Buffer.from(`"${'x'.repeat(1_000_000)}"`) }]
            }
          } finally {
            isClosed = true
          }
        },
      }),
    })
    await fill(fixture, names(1))
    const { socket } = await openSocket(fixture.port)
    socket.pause()
    socket.write(`GET /api/collections/c/records HTTP/1.1\r\nhost: localhost\r\naccept: ${NDJSON}\r\n\r\n`)
    let before = -1
    await vi.waitFor(
      () => {
        const isStill = pagesRead > 0 && pagesRead === before
        before = pagesRead
        expect(isStill).toBe(true)
      },
      { interval: 200, timeout: 10_000 },
    )
    expect(pagesRead).toBeLessThan(60)
    expect(isClosed).toBe(false)
    socket.destroy()
    await vi.waitFor(() => expect(isClosed).toBe(true))
    await vi.waitFor(async () =>
      expect((await request(`${fixture.url}/api/collections/c/records?limit=1`, { headers: { accept: NDJSON } })).status).toBe(200),
    )
  })

  test('that fails in the middle is cut off, so that nobody takes it for whole, and is logged', async () => {
    const fixture = await startHttp({
      replica: replica => ({
        ...replica,
        async *scan(collection, range) {
          yield* replica.scan(collection, range)
          throw new Error('the disk is gone')
        },
      }),
    })
    const url = await fill(fixture, names(10))
    await expect(request(url, { headers: { accept: NDJSON } })).rejects.toThrow(/terminated/)
    expect(fixture.logged.filter(({ level }) => level === 50)).toMatchObject([{ err: { message: 'the disk is gone' } }])
  })
})

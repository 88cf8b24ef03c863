/** `GET /api/changes`: the feed by pulling, and waiting for it. */
import { get } from 'node:http'
import { performance } from 'node:perf_hooks'
import { describe, expect, test } from 'vitest'
import { put, remove } from '../../replica-pair.ts'
import { request, startHttp, type HttpFixture } from './http-fixture.ts'

interface Changes {
  readonly changes: readonly Readonly<Record<string, unknown>>[]
  readonly next: string
  readonly more: boolean
  readonly reset: boolean
}

async function pull({ url }: Pick<HttpFixture, 'url'>, query: string): Promise<Changes> {
  const answer = await request(`${url}/api/changes?${query}`)
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 200 })
  return answer.json as Changes
}

const keys = ({ changes }: Changes): unknown[] => changes.map(change => change['key'])

describe('pulling', () => {
  test('since=0 is the beginning, nothing is now, and next goes on', async () => {
    const fixture = await startHttp()
    await fixture.replica.write([put('c', 'a', 1), put('d', 'b'), put('c', 'a', 2)])
    await fixture.replica.write([remove('d', 'b')])
    const all = await pull(fixture, 'since=0')
    expect(all).toMatchObject({
      changes: [
        { kind: 'put', collection: 'c', key: 'a', payload: 2, etag: expect.stringMatching(/^[0-9a-f]+:2$/) as unknown },
        { kind: 'delete', collection: 'd', key: 'b' },
      ],
      more: false,
      reset: false,
    })
    expect(await pull(fixture, 'limit=5')).toEqual({ changes: [], next: all.next, more: false, reset: false })
    await fixture.replica.write([put('c', 'z')])
    expect(keys(await pull(fixture, `since=${all.next}`))).toEqual(['z'])
    expect(keys(await pull(fixture, `since=${String(all.changes[0]?.['cursor'])}`))).toEqual(['b', 'z'])
  })

  test('pages follow one another without loss or repetition, whatever their length', async () => {
    const fixture = await startHttp()
    const written = Array.from({ length: 300 }, (_, i) => String(i).padStart(3, '0'))
    await fixture.replica.write(written.map(key => put('c', key)))
    for (const limit of [1, 7, 64, 300, 1000]) {
      const seen: unknown[] = []
      let page = await pull(fixture, `since=0&limit=${limit}`)
      seen.push(...keys(page))
      while (page.more) {
        expect(page.changes.length).toBe(limit)
        page = await pull(fixture, `since=${page.next}&limit=${limit}`)
        seen.push(...keys(page))
      }
      expect(seen).toEqual(written)
    }
  })

  test('a collection shows its own; next moves past all others, and no answer looks at too many of them', async () => {
    const fixture = await startHttp({ limits: { changesScannedMax: 50 } })
    await fixture.replica.write([...Array.from({ length: 200 }, (_, i) => put('busy', String(i))), put('map', 'door')])
    let page = await pull(fixture, 'since=0&collection=map')
    expect(page).toMatchObject({ changes: [], more: true })
    let answers = 1
    while (page.changes.length === 0 && page.more) {
      page = await pull(fixture, `since=${page.next}&collection=map`)
      answers += 1
    }
    expect(page).toMatchObject({ changes: [{ key: 'door' }], more: false })
    expect(answers).toBeGreaterThan(2)
  })

  test('an answer ends with the change that reaches its bytes', async () => {
    const fixture = await startHttp({ limits: { pageBytesMax: 1000 } })
    await fixture.replica.write(['a', 'b', 'c'].map(key => put('c', key, 'x'.repeat(600))))
    const page = await pull(fixture, 'since=0')
    expect({ keys: keys(page), more: page.more }).toEqual({ keys: ['a', 'b'], more: true })
    expect(keys(await pull(fixture, `since=${page.next}`))).toEqual(['c'])
  })

  test('a cursor of another store begins anew and says so', async () => {
    const [old, fresh] = [await startHttp(), await startHttp()]
    await old.replica.write([put('c', 'a')])
    await fresh.replica.write([put('c', 'b')])
    const { next } = await pull(old, 'since=0')
    const page = await pull(fresh, `since=${next}`)
    expect({ ...page, changes: keys(page) }).toMatchObject({ changes: ['b'], reset: true })
    expect(await pull(fresh, `since=${page.next}`)).toMatchObject({ changes: [], reset: false })
  })

  test.each(['limit=0', 'limit=1001', 'limit=x', 'wait_ms=60001', 'wait_ms=-1', 'wait_ms=1.5', 'since=0&x=1'])(
    '%s is refused',
    async query => {
      const { url } = await startHttp()
      expect(await request(`${url}/api/changes?${query}`)).toMatchObject({ status: 400, json: { code: 'HS_INVALID_REQUEST' } })
    },
  )
})

describe('waiting', () => {
  test('a long poll ends at once on a change that it looks for, and not on another', async () => {
    const fixture = await startHttp()
    const { next } = await pull(fixture, 'limit=1')
    const waiting = pull(fixture, `since=${next}&collection=map&wait_ms=60000`)
    await fixture.replica.write([put('other', 'a')])
    await fixture.replica.write([put('map', 'door')])
    expect(keys(await waiting)).toEqual(['door'])
  })

  test('it does not wait when there is something, and answers with nothing when the time is over', async () => {
    const fixture = await startHttp()
    await fixture.replica.write([put('c', 'a')])
    expect(keys(await pull(fixture, 'since=0&wait_ms=60000'))).toEqual(['a'])
    const before = performance.now()
    const empty = await pull(fixture, 'wait_ms=100')
    expect(empty).toMatchObject({ changes: [], more: false })
    expect(performance.now() - before).toBeGreaterThanOrEqual(90)
    await fixture.replica.write([put('c', 'b')])
    expect(keys(await pull(fixture, `since=${empty.next}&wait_ms=60000`))).toEqual(['b'])
  })

  test('it ends at once when the agent stops', async () => {
    const fixture = await startHttp()
    const waiting = pull(fixture, 'wait_ms=60000')
    await expect.poll(async () => (await request(`${fixture.url}/metrics`)).status).toBe(200)
    await fixture.close()
    expect(await waiting).toMatchObject({ changes: [] })
  })

  test('a client that leaves gives its place back, and one place too many is refused', async () => {
    const fixture = await startHttp({ limits: { eventStreamsMax: 1 } })
    const waiting = get(`${fixture.url}/api/changes?wait_ms=60000`, { agent: false })
    waiting.on('error', () => {})
    const poll = async (): Promise<number> => (await request(`${fixture.url}/api/changes?wait_ms=1`)).status
    await expect.poll(poll).toBe(429)
    waiting.destroy()
    await expect.poll(poll).toBe(200)
  })
})

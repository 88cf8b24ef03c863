/** Everything that is kept of a collection, out of one agent and into another: versions, tombstones and what their writers had seen. */
import { describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { createJsonWriter } from '../../../agent/http/record-json.ts'
import { parseVersionLine, writeVersionLine } from '../../../agent/http/version-lines.ts'
import { encodeUtf8 } from '../../../base/utf8.ts'
import { encodeVersion, type Version } from '../../../sync/version.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { contentOf, digestOf, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'
import { request, send, startHttp, type Answer, type HttpFixture } from './http-fixture.ts'

const NDJSON = 'application/x-ndjson'
const path = '/api/collections/c/versions'
const exportOf = async ({ url }: HttpFixture): Promise<string> => (await request(url + path)).text
const merge = ({ url }: HttpFixture, body: string, name = 'c'): Promise<Answer> =>
  request(`${url}/api/collections/${name}/versions`, { method: 'POST', body, headers: { 'content-type': NDJSON } })

const PLAIN: Version = {
  flags: 4,
  origin: 'ab'.repeat(16),
  counter: 7,
  stamp: { ms: 1.7e12, tick: 3 },
  context: [],
  body: encodeUtf8('1')!,
}

async function startFilled(): Promise<HttpFixture> {
  const fixture = await startHttp()
  await fixture.replica.createCollection('c', { conflict: 'siblings', dimension: 2, priority: 5 })
  await fixture.replica.write([put('c', 'a', 1), put('c', 'b', { deep: [1, 2.5, null, 'ä'] }), put('c', 'gone')])
  await fixture.replica.write([put('c', 'a', 2)])
  await fixture.replica.write([
    { collection: 'c', key: 'raw', content: { data: Buffer.from([0, 255, 10]), contentType: 'image/x-odd', vector: [0.1, -3e-12] } },
    { collection: 'c', key: 'bare', content: { vector: [1, 2] } },
  ])
  // A concurrent version, by somebody else.
  const other = await openTestReplica(createMemoryStore(), 7)
  await other.createCollection('c', { conflict: 'siblings' })
  await other.write([put('c', 'a', 'concurrent')])
  await syncPair(fixture.replica, other)
  // That one has not seen it, so the tombstone stays.
  await fixture.replica.write([remove('c', 'gone')])
  return fixture
}

describe('versions as NDJSON', () => {
  it('take everything along: another agent holds the same versions, tombstones and settings, and the same digest', async () => {
    const from = await startFilled()
    const text = await exportOf(from)
    const lines = text.trimEnd().split('\n')
    expect(JSON.parse(lines[0]!)).toEqual({
      format: 'hs-agent-versions',
      format_version: 1,
      collection: 'c',
      generation: 1,
      settings: { dimension: 2, metric: 'cosine', conflict: 'siblings', priority: 5 },
    })
    expect(JSON.parse(lines.at(-1)!)).toEqual({ versions: lines.length - 2 })
    expect(lines.filter(line => line.includes('"deleted":true'))).toHaveLength(1)
    expect(lines.filter(line => line.startsWith('{"key":"a"'))).toHaveLength(2)

    const to = await startHttp()
    expect((await merge(to, text)).json).toEqual({ taken: 6, known: 0, refused: 0, rejected: [], rejected_count: 0, complete: true })
    expect(digestOf(to.replica, 'c')).toBe(digestOf(from.replica, 'c'))
    expect(to.replica.collection('c')).toMatchObject({ conflict: 'siblings', dimension: 2, priority: 5, recordCount: 4 })
    expect(to.replica.get('c', 'raw')).toEqual(from.replica.get('c', 'raw'))
    expect(await exportOf(to)).toBe(text)

    // Once more, and back to where they are from: nothing changes.
    for (const fixture of [to, from]) expect((await merge(fixture, text)).json).toMatchObject({ taken: 0, known: 6 })
    expect(await exportOf(from)).toBe(text)
  })

  it('write over nothing that is newer, and bring nothing back', async () => {
    const from = await startFilled()
    const text = await exportOf(from)
    await from.replica.write([put('c', 'b', 'newer'), remove('c', 'raw')])
    const before = await exportOf(from)
    expect((await merge(from, text)).json).toMatchObject({ taken: 0, known: 6 })
    expect(await exportOf(from)).toBe(before)
  })

  it('R2 that nobody else has reach everybody when a peer was met, also when more of them came behind it', async () => {
    const text = await exportOf(await startFilled())
    const lines = text.trimEnd().split('\n')
    const to = await startHttp()
    const peer = await openTestReplica(createMemoryStore(), 8)
    // Cut off in the middle; what came is kept, and a peer is met before the rest comes.
    const cut = await merge(to, `${lines.slice(0, 4).join('\n')}\n`)
    expect(cut).toMatchObject({ status: 200, json: { taken: 3, complete: false } })
    await syncPair(to.replica, peer)
    expect((await merge(to, text)).status).toBe(200)
    for (let i = 0; i < 2; i++) expect((await syncPair(to.replica, peer))[0].fault).toBeUndefined()
    expect(Object.keys(await contentOf(peer, 'c'))).toEqual(['a', 'b', 'bare', 'raw'])
    expect(digestOf(peer, 'c')).toBe(digestOf(to.replica, 'c'))
    expect(peer.get('c', 'a')?.conflicts).toHaveLength(1)
  })

  it('P5 that a peer has seen deleted and forgotten stay away from the swarm', async () => {
    const from = await startFilled()
    const peer = await openTestReplica(createMemoryStore(), 8)
    const text = await exportOf(from)
    await from.replica.write([remove('c', 'b')])
    for (let i = 0; i < 3; i++) await syncPair(from.replica, peer)
    const to = await startHttp()
    await merge(to, text)
    expect(to.replica.get('c', 'b')).toBeDefined()
    for (let i = 0; i < 2; i++) await syncPair(to.replica, peer)
    expect([to.replica.get('c', 'b'), peer.get('c', 'b')]).toEqual([undefined, undefined])
  })

  it('that were changed, cut short or made up are rejected line by line', async () => {
    const from = await startFilled()
    const lines = (await exportOf(from)).trimEnd().split('\n')
    const at = lines.findIndex(line => line.includes('"deep"'))
    lines[at] = lines[at]!.replace('2.5', '2.6')
    const tombstone = lines.findIndex(line => line.includes('"deleted"'))
    lines[tombstone] = lines[tombstone]!.replace('"deleted":true,', '')
    const last = lines.length - 2
    lines[last] = lines[last]!.slice(0, 40)
    const to = await startHttp()
    const answer = await merge(to, lines.join('\n'))
    expect(answer.json).toEqual({
      taken: 3,
      known: 0,
      refused: 0,
      rejected_count: 3,
      complete: true,
      rejected: [
        { line: at + 1, code: 'HS_INVALID_REQUEST', detail: 'the version was changed since it was exported: its sum is another one' },
        {
          line: tombstone + 1,
          code: 'HS_INVALID_REQUEST',
          detail: 'the version was changed since it was exported: its sum is another one',
        },
        { line: last + 1, code: 'HS_INVALID_JSON', detail: expect.any(String) as unknown },
      ],
    })
  })

  it.each([
    ['', 'the body is empty'],
    ['{"key":"a","payload":1}\n', 'records are imported without --versions'],
    ['{"format":"hs-agent-versions","format_version":2}\n', 'use a newer one'],
    ['{"format":"hs-agent-versions","format_version":1}\n', 'does not name a collection'],
    [
      '{"format":"hs-agent-versions","format_version":1,"collection":"other","generation":1,"settings":{}}\n',
      'they can be merged into that',
    ],
    [
      '{"format":"hs-agent-versions","format_version":1,"collection":"c","generation":3,"settings":{}}\n',
      'the next one here is generation 1',
    ],
    ['{"format":"hs-agent-versions","format_version":1,"collection":"c","generation":1,"settings":{"metric":"x"}}\n', 'metric'],
    [
      '{"format":"hs-agent-versions","format_version":1,"collection":"c","generation":1,"settings":{}}\n{"versions":0}\n{}',
      'ended on the line',
    ],
  ])('%s: is refused as a whole', async (body, detail) => {
    const answer = await merge(await startHttp(), body)
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.json).toMatchObject({
      code: expect.stringMatching(/^HS_/) as unknown,
      detail: expect.stringContaining(detail) as unknown,
    })
  })

  it('of which there are fewer than the last line says are told to be not all', async () => {
    const head = '{"format":"hs-agent-versions","format_version":1,"collection":"c","generation":1,"settings":{}}'
    expect((await merge(await startHttp(), `${head}\n{"versions":4}\n`)).json).toMatchObject({ taken: 0, complete: false })
  })

  it('of another generation are refused: its dots are counted anew', async () => {
    const from = await startFilled()
    const text = await exportOf(from)
    await from.replica.deleteCollection('c')
    const gone = await merge(from, text)
    expect(gone).toMatchObject({ status: 409, json: { detail: expect.stringContaining('the next one here is generation 2') as unknown } })
    await from.replica.write([put('c', 'a')])
    expect((await merge(from, text)).json).toMatchObject({ detail: expect.stringContaining('here is generation 2') as unknown })
  })

  it('is NDJSON alone, and of a collection that is there', async () => {
    const { url } = await startHttp()
    expect((await request(url + path)).status).toBe(404)
    expect((await send('POST', url + path, {})).status).toBe(415)
  })

  it('of a newer release, which this one does not understand, are taken along as they are', () => {
    const version: Version = { ...PLAIN, flags: 0x80, body: encodeUtf8('something new')! }
    const writer = createJsonWriter()
    writeVersionLine(writer, systemHash, 'k', version)
    const parsed = parseVersionLine(writer.finish().toString(), systemHash)
    if ('code' in parsed) throw new Error(parsed.detail)
    expect(encodeVersion(parsed.version)).toEqual(encodeVersion(version))
  })

  it.each([
    ['encoded although it is understood', { body: encodeUtf8('not json')! }, true, 'only what this release does not understand'],
    ['that are nested too deep', { body: encodeUtf8('['.repeat(100_000) + ']'.repeat(100_000))! }, false, 'at most 100 levels'],
    ['of the year 10000', { stamp: { ms: 253_402_300_800_000, tick: 0 } }, false, 'behind the year 9999'],
  ])('%s are rejected', (_, change, isEncoded, detail) => {
    const version: Version = { ...PLAIN, ...change }
    const writer = createJsonWriter()
    writeVersionLine(writer, systemHash, 'k', version)
    const written = writer.finish().toString()
    const encoded = Buffer.from(encodeVersion(version)).toString('base64')
    const line = isEncoded ? `{"key":"k","encoded":"${encoded}",${/"sum":"\w+"\}/.exec(written)![0]}` : written
    expect(parseVersionLine(line, systemHash)).toMatchObject({ detail: expect.stringContaining(detail) as unknown })
  })
})

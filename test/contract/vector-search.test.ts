import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { systemHash } from '../../agent/ports.ts'
import { openReplica, type OpenReplica } from '../../sync/open-replica.ts'
import type { LocalWrite, Metric, SearchAnswer } from '../../sync/replica.ts'
import type { Store } from '../../sync/store.ts'
import { createMemoryStore } from '../memory-store.ts'
import { naiveSearch, type PlainRecord } from '../naive-search.ts'
import { createTestClock, json, syncPair } from '../replica-pair.ts'
import { createSeededRandom } from '../seeded-random.ts'

let seed = 1
function open(store: Store, searchBytesMax?: number): Promise<OpenReplica> {
  return openReplica({
    store,
    hash: systemHash,
    random: createSeededRandom(seed++),
    clock: createTestClock(),
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability: 'fsync',
    ...(searchBytesMax === undefined ? {} : { searchBytesMax }),
  })
}

const put = (key: string, vector?: readonly number[], collection = 'c'): LocalWrite => ({
  collection,
  key,
  content: { payload: json({ key }), ...(vector === undefined ? {} : { vector }) },
})
const remove = (key: string): LocalWrite => ({ collection: 'c', key, content: undefined })

interface Query {
  readonly vector: readonly number[]
  readonly k?: number
  readonly prefix?: string
  readonly collection?: string
}

async function ask(
  replica: OpenReplica,
  { vector, k = 10, prefix, collection = 'c' }: Query,
  nextTurn: () => Promise<void> = eventLoopTurn,
) {
  const query = { vector, k, bytesMax: 1_000_000, ...(prefix === undefined ? {} : { prefix }) }
  return replica.search(collection, query, nextTurn)
}

async function search(replica: OpenReplica, query: Query): Promise<SearchAnswer['results']> {
  const answer = await ask(replica, query)
  if (!answer.ok) throw new Error(`refused: ${answer.code}: ${answer.detail}`)
  return answer.results
}

const keysOf = async (replica: OpenReplica, query: Query): Promise<string[]> =>
  (await search(replica, query)).map(({ record }) => record.key)

const floats = (bytes: Uint8Array): number[] => [...new Float32Array(Uint8Array.from(bytes).buffer)]

/** Everything with a vector, as a listing shows it. */
async function recordsOf(replica: OpenReplica, collection = 'c'): Promise<PlainRecord[]> {
  const records: PlainRecord[] = []
  for await (const page of replica.scan(collection, {})) {
    for (const { key, vector } of page) if (vector !== undefined) records.push({ key, vector: floats(vector) })
  }
  return records
}

const folders: string[] = []
const replicas: OpenReplica[] = []
afterEach(async () => {
  for (const replica of replicas.splice(0)) await replica.close()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

const makers: Record<string, () => Promise<Store>> = {
  'the memory store': () => Promise.resolve(createMemoryStore()),
  LevelDB: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hs-search-'))
    folders.push(folder)
    return openLevelStore(folder)
  },
}

const DIMENSION = 3
// Quarters: every sum of their products is exact, in whatever order it is made.
const number = fc.constantFrom(-0, 0, 0.25, 1, -1, 2, 3.5, -4)
const nonZero = fc.array(number, { minLength: DIMENSION, maxLength: DIMENSION }).filter(vector => vector.some(value => value !== 0))
const key = fc.constantFrom('a', 'a/1', 'a/2', 'a/3', 'b', 'b/é', '\uffee', '\u{1f600}', '\u{1f600}/x')
const prefix = fc.constantFrom(undefined, '', 'a', 'a/', 'b/é', '\u{1f600}', 'nothing')

type Step =
  | { readonly write: readonly { readonly key: string; readonly vector?: readonly number[] }[] }
  | { readonly remove: string }
  | { readonly vector: readonly number[]; readonly k: number; readonly prefix: string | undefined }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ write: fc.array(fc.oneof(fc.record({ key, vector: nonZero }), fc.record({ key })), { minLength: 1, maxLength: 6 }) }),
  fc.record({ remove: key }),
  fc.record({ vector: nonZero, k: fc.integer({ min: 1, max: 12 }), prefix }),
)

describe.each(Object.entries(makers))('a search on %s', (name, makeStore) => {
  const make = async (searchBytesMax?: number): Promise<OpenReplica> => {
    const replica = await open(await makeStore(), searchBytesMax)
    replicas.push(replica)
    return replica
  }

  it.each([
    ['with tables', undefined],
    ['without room for tables', 0],
  ])('V1 finds what a plain scan of the records finds, after any writes and deletes, %s', async (_room, searchBytesMax) => {
    const metrics: Metric[] = ['cosine', 'l2', 'dot']
    const property = fc.asyncProperty(fc.constantFrom(...metrics), fc.array(step, { maxLength: 25 }), async (metric, steps) => {
      const replica = await open(await makeStore(), searchBytesMax)
      await replica.createCollection('c', { metric, dimension: DIMENSION })
      const found: unknown[] = []
      const expected: unknown[] = []
      for (const action of steps) {
        if ('write' in action) await replica.write(action.write.map(({ key, vector }) => put(key, vector)))
        else if ('remove' in action) await replica.write([remove(action.remove)])
        else {
          const { vector, k, prefix } = action
          const results = await search(replica, { vector, k, ...(prefix === undefined ? {} : { prefix }) })
          found.push(results.map(({ record, distance }) => ({ key: record.key, distance })))
          expected.push(naiveSearch(await recordsOf(replica), metric, vector, k, prefix))
        }
      }
      expect(found).toEqual(expected)
      await replica.close()
    })
    await fc.assert(property, { numRuns: name === 'LevelDB' ? 15 : 100 })
  })

  it('answers with the records, nearest first, payloads and data as they were written', async () => {
    const replica = await make()
    await replica.createCollection('c', { metric: 'l2' })
    const data = Uint8Array.of(0, 255)
    await replica.write([
      put('far', [9, 9]),
      { collection: 'c', key: 'near', content: { data, contentType: 'image/jpeg', vector: [1, 1] } },
      { collection: 'c', key: 'bare', content: { vector: [2, 1] } },
      put('without', undefined),
    ])
    const results = await search(replica, { vector: [1, 1] })
    expect(results.map(({ record, distance }) => [record.key, distance])).toEqual([
      ['near', 0],
      ['bare', 1],
      ['far', Math.sqrt(128)],
    ])
    expect([...(results[0]?.record.data ?? [])]).toEqual([0, 255])
    expect(results[1]?.record).not.toHaveProperty('payload')
    expect(Buffer.from(results[2]?.record.payload ?? []).toString()).toBe('{"key":"far"}')
  })

  it('refuses an unknown collection and a vector that the collection could not hold, and finds nothing where no vector is', async () => {
    const replica = await make()
    await replica.write([put('a', [1, 2]), put('a', undefined, 'plain')])
    const codeOf = async (query: Query): Promise<string> => {
      const answer = await ask(replica, query)
      return answer.ok ? `${answer.results.length} found` : answer.code
    }
    expect(await codeOf({ vector: [1, 2], collection: 'unknown' })).toBe('HS_NOT_FOUND')
    expect(await codeOf({ vector: [1, 2], collection: '_system' })).toBe('HS_NOT_FOUND')
    const unfit = [[], [1], [1, 2, 3], [0, 0], [1e39, 1], [Number.NaN, 1]]
    const codes = await Promise.all(unfit.map(vector => codeOf({ vector })))
    expect(codes).toEqual(unfit.map(() => 'HS_INVALID_VECTOR'))
    expect(await codeOf({ vector: [1, 2], collection: 'plain' })).toBe('0 found')
    expect(await codeOf({ vector: [0], collection: 'plain' })).toBe('HS_INVALID_VECTOR')
  })

  it('finds every write that was acknowledged before it began, and none whose delete was', async () => {
    const replica = await make()
    await replica.createCollection('c', { metric: 'l2' })
    for (let i = 0; i < 50; i++) {
      await replica.write([put(`${i}`, [i, 0])])
      expect(await keysOf(replica, { vector: [i, 0], k: 1 })).toEqual([`${i}`])
      if (i % 2 === 0) await replica.write([remove(`${i}`)])
      expect(await keysOf(replica, { vector: [i, 0], k: 100 })).toHaveLength(Math.ceil(i / 2))
    }
  })

  it('V1 answers from one moment: writes that come between its slices change nothing', async () => {
    const replica = await make()
    await replica.createCollection('c', { metric: 'l2' })
    await replica.write(Array.from({ length: 600 }, (_, i) => put(`${i}`, [i, 0])))
    let turns = 0
    const answer = await ask(replica, { vector: [0, 0], k: 600 }, async () => {
      turns += 1
      await replica.write([remove(`${turns}`), put(`new${turns}`, [0, 0]), put('0', [turns, 0])])
    })
    expect(turns).toBeGreaterThan(10)
    expect(answer.ok && answer.results.map(({ record }) => record.key)).toEqual(Array.from({ length: 600 }, (_, i) => `${i}`))
  })

  it('is right after a restart', async () => {
    const store = await makeStore()
    // A store that outlives its replica.
    const before = await open({ ...store, close: () => Promise.resolve() })
    await before.write([put('a', [1, 0]), put('b', [0, 1]), put('gone', [1, 1])])
    expect(await keysOf(before, { vector: [1, 0] })).toEqual(['a', 'gone', 'b'])
    await before.write([remove('gone')])
    await before.close()
    const after = await open(store)
    replicas.push(after)
    expect(await keysOf(after, { vector: [1, 0] })).toEqual(['a', 'b'])
  })

  it('is right after the collection was deleted and made again with another dimension and metric', async () => {
    const replica = await make()
    await replica.write([put('old', [1, 0]), put('same', [0, 1])])
    expect(await keysOf(replica, { vector: [1, 0] })).toEqual(['old', 'same'])
    await replica.deleteCollection('c')
    expect(await ask(replica, { vector: [1, 0] })).toMatchObject({ ok: false, code: 'HS_NOT_FOUND' })
    await replica.createCollection('c', { metric: 'dot', dimension: 3 })
    expect(await keysOf(replica, { vector: [1, 0, 0] })).toEqual([])
    await replica.write([put('new', [1, 2, 3]), put('same', [3, 0, 0])])
    const found = await search(replica, { vector: [1, 0, 0] })
    expect(found.map(({ record, distance }) => [record.key, distance])).toEqual([
      ['same', -3],
      ['new', -1],
    ])
  })

  it('finds what came from a peer; vectors of another dimension are kept and not found', async () => {
    const [a, b] = [await make(), await make()]
    await a.write([put('from-a', [1, 0]), put('both', [1, 1])])
    await b.write([put('from-b', [5, 6, 7]), put('both', [0, 0, 1])])
    expect(await keysOf(a, { vector: [1, 0] })).toEqual(['from-a', 'both'])
    expect(await keysOf(b, { vector: [0, 0, 1] })).toEqual(['both', 'from-b'])
    await syncPair(a, b)
    await syncPair(a, b)
    const { dimension, recordCount } = a.collection('c')!
    expect(b.collection('c')).toMatchObject({ dimension, recordCount })
    expect(recordCount).toBe(3)
    const vector = Array.from({ length: dimension! }, () => 1)
    const expected = naiveSearch(await recordsOf(a), 'cosine', vector, 10).map(({ key }) => key)
    expect(expected.length).toBeLessThan(3)
    expect(await keysOf(a, { vector })).toEqual(expected)
    expect(await keysOf(b, { vector })).toEqual(expected)
  })

  it('finds the version that is shown, with siblings too', async () => {
    const [a, b] = [await make(), await make()]
    await a.createCollection('c', { metric: 'l2', conflict: 'siblings', dimension: 2 })
    await syncPair(a, b)
    await a.write([put('k', [1, 0])])
    await b.write([put('k', [0, 1])])
    await syncPair(a, b)
    for (const replica of [a, b]) {
      const record = replica.get('c', 'k')
      expect(record?.conflicts).toHaveLength(1)
      expect(await search(replica, { vector: floats(record!.vector!) })).toMatchObject([{ record: { key: 'k' }, distance: 0 }])
    }
  })

  it('V4 notices records that went without a trace', async () => {
    const replica = await make()
    await replica.createCollection('c', { metric: 'l2' })
    await replica.write(Array.from({ length: 20 }, (_, i) => put(`${i}`, [i, 0])))
    expect(await keysOf(replica, { vector: [0, 0], k: 2 })).toEqual(['0', '1'])
    const { generation } = replica.collection('c')!
    const items = ['0', '1', '5'].map(key => ({ key, dot: replica.get('c', key)!.version }))
    expect(await replica.dropItems('c', generation, items)).toBe(3)
    expect(await keysOf(replica, { vector: [0, 0], k: 4 })).toEqual(['2', '3', '4', '6'])
  })

  it('builds its table again when most of it has changed, and when it was forgotten', async () => {
    const replica = await make()
    await replica.createCollection('c', { metric: 'l2' })
    await replica.write([put('x', [1, 0])])
    expect(await keysOf(replica, { vector: [0, 0] })).toEqual(['x'])
    await replica.write(Array.from({ length: 10_050 }, (_, i) => put(`${i}`, undefined, 'imu')))
    await replica.write([put('y', [0, 0])])
    expect(await keysOf(replica, { vector: [0, 0] })).toEqual(['y', 'x'])
    replica.forgetVectors()
    expect(await keysOf(replica, { vector: [0, 0] })).toEqual(['y', 'x'])
  })

  it('keeps a table for the next search, whatever else is searched meanwhile', async () => {
    const replica = await make()
    const writes = (collection: string) => Array.from({ length: 600 }, (_, i) => put(`${i}`, [1, i], collection))
    await replica.write([...writes('c'), ...writes('other')])
    const turnsOf = async (collection: string): Promise<number> => {
      let turns = 0
      await ask(replica, { vector: [1, 9], k: 1, collection }, async () => {
        turns += 1
        await eventLoopTurn()
      })
      return turns
    }
    const first = await turnsOf('c')
    await turnsOf('other')
    // One turn to begin, one for the block, one to read the record.
    expect(await turnsOf('c')).toBe(3)
    expect(first).toBeGreaterThan(3)
  })

  it('V3 answers the same when the tables of all collections do not fit together', async () => {
    // Room for about one table: a block of vectors with 3 numbers takes 80 KiB.
    const replica = await make(150_000)
    for (const collection of ['one', 'two', 'three']) {
      await replica.createCollection(collection, { metric: 'l2', dimension: 3 })
      await replica.write(Array.from({ length: 400 }, (_, i) => put(`${collection}/${i}`, [i, 0, 0], collection)))
    }
    for (let round = 0; round < 3; round++) {
      const found = await Promise.all(['one', 'two', 'three'].map(collection => keysOf(replica, { vector: [7, 0, 0], k: 1, collection })))
      expect(found).toEqual([['one/7'], ['two/7'], ['three/7']])
    }
  })

  it('V2 works in slices, one in each turn of the event loop, however many searches run', async () => {
    const replica = await make()
    const dimension = 65_536
    for (const collection of ['one', 'two']) {
      for (let i = 0; i < 7; i++) {
        const vector = Array.from({ length: dimension }, (_, at) => (at === i ? 2 : 1))
        await replica.write([put(`${i}`, vector, collection)])
      }
    }
    const vector = Array.from({ length: dimension }, (_, at) => (at === 3 ? 2 : 1))
    const turnsOf = new Map<string, number>()
    let waiting = 0
    const turnOf = (name: string) => async (): Promise<void> => {
      turnsOf.set(name, (turnsOf.get(name) ?? 0) + 1)
      waiting += 1
      expect(waiting).toBe(1)
      await eventLoopTurn()
      waiting -= 1
    }
    const answers = await Promise.all(
      ['one', 'two', 'one'].map((collection, i) => ask(replica, { vector, k: 1, collection }, turnOf(`${collection} ${i}`))),
    )
    for (const answer of answers) expect(answer.ok && answer.results[0]?.record.key).toBe('3')
    // Two of these vectors make a slice: the third search has a table, and takes 1 turn to begin, 4 to find, 1 to read.
    expect(turnsOf.get('one 2')).toBe(6)
    expect(turnsOf.get('one 0')).toBeGreaterThan(6)
  })

  it('ends when the next turn is refused, and leaves everything in order', async () => {
    const replica = await make()
    await replica.write(Array.from({ length: 300 }, (_, i) => put(`${i}`, [1, i])))
    for (const turnsMax of [0, 1, 2, 3]) {
      let turns = 0
      const ended = ask(replica, { vector: [1, 9], k: 1 }, async () => {
        if (turns++ >= turnsMax) throw new Error('the client went away')
        await eventLoopTurn()
      })
      await expect(ended).rejects.toThrow('the client went away')
    }
    expect(await keysOf(replica, { vector: [1, 9], k: 1 })).toEqual(['9'])
  })

  it('refuses to answer with more bytes than were asked for', async () => {
    const replica = await make()
    await replica.write(['a', 'b', 'c'].map(key => put(key, [1, 1])))
    const bytes = json({ key: 'a' }).length
    expect(await replica.search('c', { vector: [1, 1], k: 3, bytesMax: 3 * bytes }, eventLoopTurn)).toMatchObject({ ok: true })
    const answer = await replica.search('c', { vector: [1, 1], k: 3, bytesMax: 3 * bytes - 1 }, eventLoopTurn)
    expect(answer).toMatchObject({ ok: false, code: 'HS_TOO_LARGE', detail: expect.stringContaining('the nearest 3') as unknown })
  })
})

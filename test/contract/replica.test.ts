import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { systemHash } from '../../agent/ports.ts'
import { toHex } from '../../base/bytes.ts'
import type { Clock } from '../../base/ports.ts'
import { decodeUtf8, encodeUtf8 } from '../../base/utf8.ts'
import { openReplica, type OpenReplica } from '../../sync/open-replica.ts'
import { renewIdentity } from '../../sync/replica-state.ts'
import type { LocalWrite, RecordChange, WriteDone } from '../../sync/replica.ts'
import type { Store } from '../../sync/store.ts'
import { decodeVersion } from '../../sync/version.ts'
import { createMemoryStore } from '../memory-store.ts'
import { createSeededRandom } from '../seeded-random.ts'

const json = (value: unknown): Uint8Array => encodeUtf8(JSON.stringify(value))!
const put = (collection: string, key: string | undefined, value: unknown = 1): LocalWrite => ({
  collection,
  key,
  content: { payload: json(value) },
})
const remove = (collection: string, key: string): LocalWrite => ({ collection, key, content: undefined })

let seed = 1
function createClock(wallMs = 1.7e12): Clock & { wall: number } {
  return {
    wall: wallMs,
    monotonicMs: () => 0,
    wallMs() {
      return this.wall
    },
    trusted: () => true,
  }
}

function open(store: Store, clock: Clock = createClock()): Promise<OpenReplica> {
  const random = createSeededRandom(seed++)
  return openReplica({
    store,
    hash: systemHash,
    random,
    clock,
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability: 'fsync',
  })
}

async function writeOne(replica: OpenReplica, write: LocalWrite): Promise<WriteDone> {
  const [result] = await replica.write([write])
  if (result === undefined || !result.ok) throw new Error(`refused: ${result?.code}`)
  return result
}

async function codeOf(replica: OpenReplica, write: LocalWrite): Promise<string | undefined> {
  const [result] = await replica.write([write])
  return result === undefined || result.ok ? undefined : result.code
}

const payloadOf = (replica: OpenReplica, collection: string, key: string): unknown => {
  const payload = replica.get(collection, key)?.payload
  return payload && JSON.parse(decodeUtf8(payload)!)
}

/** Ships everything that `from` has and `to` has not, as one frame and a mark: a session without a wire. */
async function ship(from: OpenReplica, to: OpenReplica): Promise<number> {
  const snapshot = await from.snapshot()
  const theirs = await to.snapshot()
  let shipped = 0
  for (const name of snapshot.names()) {
    const collection = (await snapshot.collection(name))!
    const seen = (await theirs.collection(name))?.counters ?? new Map<string, number>()
    const items = []
    for await (const page of collection.logTail(seen)) {
      for (const { key, version } of page) items.push({ key: decodeUtf8(key)!, version: decodeVersion(version)! })
    }
    shipped += items.length
    const { generation } = collection
    await to.applyItems({ collection: name, generation, items, logicalClock: from.logicalClock(), skipCovered: true })
    await to.applyMark({ collection: name, generation, vector: collection.vector, senderStore: new Uint8Array(16) })
  }
  await snapshot.close()
  await theirs.close()
  return shipped
}

const digestOf = (replica: OpenReplica, collection: string): string => toHex(replica.collection(collection)?.digest ?? new Uint8Array(0))

const recordChanges = async (replica: OpenReplica, after: number, limit: number): Promise<RecordChange[]> =>
  (await replica.changes(after, limit)).changes.filter(change => change.key !== undefined)

const folders: string[] = []
const replicas: OpenReplica[] = []
afterEach(async () => {
  for (const replica of replicas.splice(0)) await replica.close()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hs-replica-'))
  folders.push(folder)
  return folder
}

const makers: Record<string, () => Promise<Store>> = {
  'the memory store': () => Promise.resolve(createMemoryStore()),
  LevelDB: async () => openLevelStore(await makeFolder()),
}

describe.each(Object.entries(makers))('a replica on %s', (_name, makeStore) => {
  const make = async (clock?: Clock): Promise<OpenReplica> => {
    const replica = await open(await makeStore(), clock)
    replicas.push(replica)
    return replica
  }

  it('returns what was written, byte for byte, and counts it', async () => {
    const replica = await make()
    expect((await writeOne(replica, put('imu', 'a', { x: [1, 'ü'] }))).outcome).toBe('created')
    expect((await writeOne(replica, put('imu', 'a', { x: 2 }))).outcome).toBe('replaced')
    expect(payloadOf(replica, 'imu', 'a')).toEqual({ x: 2 })
    expect(replica.collection('imu')).toMatchObject({ recordCount: 1, vectorCount: 0, metric: 'cosine', conflict: 'lww' })
    expect(replica.logicalClock()).toBeGreaterThanOrEqual(2)
  })

  it('keeps data with its type, and vectors as little-endian float32', async () => {
    const replica = await make()
    await writeOne(replica, {
      collection: 'cam',
      key: 'f',
      content: { data: Uint8Array.of(0, 255), contentType: 'image/jpeg', vector: [1, -0, 0.1] },
    })
    const record = replica.get('cam', 'f')
    expect([...(record?.data ?? [])]).toEqual([0, 255])
    expect(record?.contentType).toBe('image/jpeg')
    expect(toHex(record?.vector ?? new Uint8Array(0))).toBe('0000803f00000000cdcccc3d')
    expect(replica.collection('cam')).toMatchObject({ recordCount: 1, vectorCount: 1, dimension: 3 })
  })

  it('refuses what it could not keep unchanged, and keeps the rest of the group', async () => {
    const replica = await make()
    await writeOne(replica, { collection: 'v', key: 'a', content: { vector: [1, 2] } })
    const vector = (numbers: number[]): LocalWrite => ({ collection: 'v', key: 'b', content: { vector: numbers } })
    expect(await codeOf(replica, vector([1, 2, 3]))).toBe('HS_INVALID_VECTOR')
    expect(await codeOf(replica, vector([1, Number.NaN]))).toBe('HS_INVALID_VECTOR')
    expect(await codeOf(replica, vector([1, 1e39]))).toBe('HS_INVALID_VECTOR')
    expect(await codeOf(replica, vector([0, -0]))).toBe('HS_INVALID_VECTOR')
    expect(await codeOf(replica, put('_system', 'a'))).toBe('HS_INVALID_NAME')
    expect(await codeOf(replica, put('Upper', 'a'))).toBe('HS_INVALID_NAME')
    for (const key of ['', '.', '..', 'a\n', 'a\u007f', '\ud800', 'ü'.repeat(257)])
      expect(await codeOf(replica, put('v', key))).toBe('HS_INVALID_KEY')
    const tooLarge: LocalWrite = { collection: 'v', key: 'c', content: { payload: new Uint8Array(1024 * 1024 + 1) } }
    const results = await replica.write([put('v', 'ü'.repeat(256)), tooLarge, put('v', 'd')])
    expect(results.map(result => (result.ok ? result.outcome : result.code))).toEqual(['created', 'HS_TOO_LARGE', 'created'])
  })

  it('P5 deleting nothing changes nothing: no digest, no clock', async () => {
    const replica = await make()
    await writeOne(replica, put('c', 'a'))
    await writeOne(replica, remove('c', 'a'))
    const digest = digestOf(replica, 'c')
    const clock = replica.logicalClock()
    expect((await writeOne(replica, remove('c', 'a'))).outcome).toBe('unchanged')
    expect((await writeOne(replica, remove('c', 'never'))).outcome).toBe('unchanged')
    expect((await writeOne(replica, remove('unknown', 'a'))).outcome).toBe('unchanged')
    expect(digestOf(replica, 'c')).toBe(digest)
    expect(replica.logicalClock()).toBe(clock)
    expect(replica.collection('unknown')).toBeUndefined()
    expect(replica.get('c', 'a')).toBeUndefined()
    expect(replica.collection('c')?.recordCount).toBe(0)
  })

  it('holds conditional writes to what the record is at that moment, also inside one group', async () => {
    const replica = await make()
    const { etag } = await writeOne(replica, put('c', 'a', 1))
    expect(await codeOf(replica, { ...put('c', 'a', 2), ifMatch: ['x:1'] })).toBe('HS_PRECONDITION_FAILED')
    expect(await codeOf(replica, { ...put('c', 'a', 2), ifAbsent: true })).toBe('HS_PRECONDITION_FAILED')
    expect(await codeOf(replica, { ...put('c', 'b', 2), ifMatch: ['*'] })).toBe('HS_PRECONDITION_FAILED')
    const results = await replica.write([
      { ...put('c', 'a', 2), ifMatch: [etag!] },
      { ...put('c', 'a', 3), ifMatch: [etag!] },
    ])
    expect(results.map(result => result.ok)).toEqual([true, false])
    expect(payloadOf(replica, 'c', 'a')).toBe(2)
  })

  it('P15 makes keys that are ordered by time and never meet', async () => {
    const clock = createClock()
    const replica = await make(clock)
    const first = await writeOne(replica, put('log', undefined))
    clock.wall += 1
    const results = await replica.write(Array.from({ length: 500 }, () => put('log', undefined)))
    const keys = results.map(result => (result.ok ? result.key : ''))
    expect(new Set(keys).size).toBe(500)
    expect(keys.every(key => key > first.key && /^[0-9a-z]{26}$/.test(key))).toBe(true)
  })

  it('lists ranges by bytes in both directions, without tombstones', async () => {
    const replica = await make()
    const keys = ['a', 'a/1', 'a/2', 'b', 'z', '\uffff', '😀']
    await replica.write(keys.map(key => put('c', key)))
    await writeOne(replica, remove('c', 'b'))
    const list = async (range: object, limit = 10) => (await replica.list('c', range, limit)).records.map(({ key }) => key)
    // JavaScript would put the emoji's surrogates before U+FFFF; bytes put it behind.
    expect(await list({})).toEqual(['a', 'a/1', 'a/2', 'z', '\uffff', '😀'])
    expect(await list({ prefix: 'a/' })).toEqual(['a/1', 'a/2'])
    expect(await list({ from: 'a/2', to: '\uffff' })).toEqual(['a/2', 'z'])
    expect(await list({ reverse: true, after: 'z' })).toEqual(['a/2', 'a/1', 'a'])
    expect(await list({ after: 'a/1' }, 1)).toEqual(['a/2'])
    expect((await replica.list('c', {}, 6)).more).toBe(false)
    expect((await replica.list('c', {}, 5)).more).toBe(true)
  })

  it('shares one group among concurrent writers, each with its own result and dot', async () => {
    const replica = await make()
    const done = await Promise.all(Array.from({ length: 50 }, (_, i) => writeOne(replica, put('c', `k${i}`))))
    expect(done.map(({ version }) => version?.counter)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
    expect(replica.collection('c')?.recordCount).toBe(50)
  })

  it('agrees with another replica after exchanging what each lacks, by whatever path', async () => {
    const [a, b, c] = [await make(createClock(1.7e12)), await make(createClock(0)), await make(createClock(1.9e12))]
    for (const [i, replica] of [a, b, c].entries()) {
      await replica.write(Array.from({ length: 20 }, (_, k) => put('c', `${k % 7}`, [i, k])))
      await writeOne(replica, remove('c', `${i}`))
    }
    await ship(a, b)
    await ship(b, c)
    await ship(c, a)
    await ship(c, b)
    expect(await ship(a, b)).toBe(0)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(digestOf(a, 'c')).toBe(digestOf(c, 'c'))
    for (const key of '0123456') expect(payloadOf(a, 'c', key)).toEqual(payloadOf(c, 'c', key))
  })

  it('P6 a delete by a robot whose clock says 1970 beats the write that it saw', async () => {
    const [a, b] = [await make(createClock(1.9e12)), await make(createClock(1000))]
    await writeOne(a, put('c', 'k'))
    await ship(a, b)
    await writeOne(b, remove('c', 'k'))
    await ship(b, a)
    expect(a.get('c', 'k')).toBeUndefined()
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })

  it('P6 a peer a year ahead does not move the clock, and is counted', async () => {
    const clock = createClock(1.7e12)
    const [a, b] = [await make(createClock(1.7e12 + 3.2e10)), await make(clock)]
    await writeOne(a, put('c', 'k'))
    await ship(a, b)
    expect(b.counters.clocksAhead).toBeGreaterThan(0)
    expect((await writeOne(b, put('c', 'other'))).version?.timeMs).toBe(1.7e12)
    expect((await writeOne(b, put('c', 'k'))).version?.timeMs).toBe(1.7e12 + 3.2e10)
  })

  it('tells every change once, in order, as it is now, whoever wrote it', async () => {
    const [a, b] = [await make(), await make()]
    await replicasWrite(a, ['x', 'y'])
    await writeOne(a, put('c', 'x', 'again'))
    await writeOne(a, remove('c', 'y'))
    const told = async (replica: OpenReplica, after = 0) =>
      (await recordChanges(replica, after, 100)).map(
        ({ kind, key, record }) => `${kind} ${key} ${record?.payload === undefined ? '' : decodeUtf8(record.payload)}`,
      )
    expect(await told(a)).toEqual(['put x "again"', 'delete y '])
    await ship(a, b)
    expect(await told(b)).toEqual(['put x "again"', 'delete y '])
    const { next } = await a.changes(0, 100)
    expect(next).toBe(a.feedEnd())
    await writeOne(a, put('c', 'z', 3))
    expect(await told(a, next)).toEqual(['put z 3'])
    expect((await a.changes(next, 100)).next).toBe(a.feedEnd())
  })

  it('tells of changes in pages of any size', async () => {
    const replica = await make()
    await replica.write(Array.from({ length: 25 }, (_, i) => put('c', `k${i}`)))
    for (const limit of [1, 7, 25, 100]) {
      const keys: (string | undefined)[] = []
      for (let after = 0; after < replica.feedEnd();) {
        const page = await replica.changes(after, limit)
        keys.push(...page.changes.map(({ key }) => key))
        expect(page.next).toBeGreaterThan(after)
        after = page.next
      }
      expect(keys).toEqual(Array.from({ length: 25 }, (_, i) => `k${i}`))
    }
  })

  it('tells of a conflict with what lww dropped, on the side where both met', async () => {
    const [a, b] = [await make(createClock(1.7e12)), await make(createClock(1.7e12 + 5))]
    await writeOne(a, put('c', 'k', 'loses'))
    await writeOne(b, put('c', 'k', 'wins'))
    await ship(b, a)
    await ship(a, b)
    const conflict = (await recordChanges(a, 0, 10)).find(({ kind }) => kind === 'conflict')
    expect(conflict?.key).toBe('k')
    expect(decodeUtf8(conflict!.record!.payload!)).toBe('"loses"')
    expect(a.counters.conflicts).toBe(1)
    // What was dropped there does not travel on.
    expect((await b.changes(0, 10)).changes.map(({ kind }) => kind)).toEqual(['put'])
  })

  it('siblings keeps concurrent writes until one that saw them all', async () => {
    const [a, b] = [await make(), await make()]
    await a.createCollection('s', { conflict: 'siblings' })
    await ship(a, b)
    await writeOne(a, put('s', 'k', 'A'))
    await writeOne(b, put('s', 'k', 'B'))
    await ship(a, b)
    await ship(b, a)
    expect(a.get('s', 'k')?.conflicts).toHaveLength(1)
    expect(a.get('s', 'k')?.etag).toMatch(/^[0-9a-f]{32}$/)
    expect(a.get('s', 'k')?.etag).toBe(b.get('s', 'k')?.etag)
    await writeOne(a, { ...put('s', 'k', 'both'), ifMatch: [a.get('s', 'k')!.etag] })
    await ship(a, b)
    expect(payloadOf(b, 's', 'k')).toBe('both')
    expect(b.get('s', 'k')?.conflicts).toBeUndefined()
    expect(digestOf(a, 's')).toBe(digestOf(b, 's'))
  })

  it('append makes the keys itself', async () => {
    const replica = await make()
    await replica.createCollection('log', { conflict: 'append' })
    expect(await codeOf(replica, put('log', 'mine'))).toBe('HS_INVALID_KEY')
    expect((await writeOne(replica, put('log', undefined))).key).toHaveLength(26)
  })

  it('creates collections once, and says when the settings differ', async () => {
    const replica = await make()
    expect(await replica.createCollection('c', { dimension: 3, metric: 'l2' })).toEqual({ ok: true, created: true })
    expect(await replica.createCollection('c', { dimension: 3, metric: 'l2' })).toEqual({ ok: true, created: false })
    expect(await replica.createCollection('c', { dimension: 4 })).toMatchObject({ ok: false, code: 'HS_COLLECTION_EXISTS' })
    expect(await replica.createCollection('c', { conflict: 'siblings' })).toEqual({ ok: true, created: false })
    expect(await replica.createCollection('d', { dimension: 0 })).toMatchObject({ ok: false, code: 'HS_INVALID_SETTINGS' })
    expect(replica.collections().map(({ name }) => name)).toEqual(['c'])
  })

  it('two robots that create one name offline share one generation, and settings merge', async () => {
    const [a, b] = [await make(), await make()]
    await a.createCollection('c', { metric: 'l2' })
    await writeOne(b, { collection: 'c', key: 'k', content: { vector: [1, 2] } })
    await ship(a, b)
    await ship(b, a)
    expect(a.collection('c')).toMatchObject({ metric: 'l2', dimension: 2, generation: 1, recordCount: 1 })
    expect(b.collection('c')).toMatchObject({ metric: 'l2', dimension: 2, generation: 1, recordCount: 1 })
  })

  it('P5 a deleted collection does not come back, a new one starts clean, and unseen writes are kept in quarantine', async () => {
    const [a, b] = [await make(), await make()]
    await replicasWrite(a, ['x', 'y'])
    await ship(a, b)
    await writeOne(b, put('c', 'unseen'))
    expect(await a.deleteCollection('c')).toBe(true)
    expect(await a.deleteCollection('c')).toBe(false)
    await ship(a, b)
    await ship(b, a)
    expect(a.collections()).toEqual([])
    expect(b.collections()).toEqual([])
    await writeOne(a, put('c', 'new'))
    await ship(a, b)
    expect(b.collection('c')).toMatchObject({ generation: 2, recordCount: 1 })
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    await expect.poll(() => b.counters.quarantined).toBe(1)
    expect(a.counters.quarantined).toBe(0)
  })
})

const replicasWrite = (replica: OpenReplica, keys: readonly string[]) => replica.write(keys.map(key => put('c', key)))

describe('a replica that comes back', () => {
  it('continues counters, clocks and digests, in a new run', async () => {
    const folder = await makeFolder()
    const clock = createClock()
    let replica = await open(await openLevelStore(folder), clock)
    await replicasWrite(replica, ['a', 'b', 'c'])
    await writeOne(replica, remove('c', 'b'))
    const before = { digest: digestOf(replica, 'c'), clock: replica.logicalClock(), id: replica.storeId, last: replica.get('c', 'c')! }
    await replica.close()
    clock.wall = 5
    replica = await open(await openLevelStore(folder), clock)
    expect({ digest: digestOf(replica, 'c'), clock: replica.logicalClock(), id: replica.storeId, last: replica.get('c', 'c')! }).toEqual(
      before,
    )
    const { version } = await writeOne(replica, put('c', 'd'))
    expect(version).toMatchObject({ origin: before.last.version.origin, counter: 5 })
    expect(version!.timeMs).toBe(before.last.version.timeMs)
    expect(version!.tick).toBeGreaterThan(before.last.version.tick)
    await replica.close()
  })

  it('P1 has every acknowledged write after a power cut', async () => {
    const store = createMemoryStore()
    const replica = await open(store)
    await replicasWrite(replica, ['a', 'b'])
    const pending = replicasWrite(replica, ['c'])
    const after = await open(store.crash())
    await pending
    expect((await after.list('c', {}, 10)).records.map(({ key }) => key)).toEqual(['a', 'b'])
    expect(digestOf(after, 'c')).not.toBe(digestOf(replica, 'c'))
  })

  it('a write that fails is refused, leaves nothing behind, and the next one works', async () => {
    const store = createMemoryStore()
    const replica = await open(store)
    await writeOne(replica, put('c', 'a'))
    const digest = digestOf(replica, 'c')
    store.failWrites(1)
    const codes = await Promise.all(['x', 'y'].map(key => codeOf(replica, put('c', key))))
    expect(codes).toEqual(['HS_STORE_WRITE_FAILED', 'HS_STORE_WRITE_FAILED'])
    expect(digestOf(replica, 'c')).toBe(digest)
    expect((await writeOne(replica, put('c', 'b'))).version?.counter).toBe(2)
    expect(replica.collection('c')?.recordCount).toBe(2)
  })

  it('P2 P3 a store that cannot be opened again behind a failed write is tried at every further one, and writing goes on', async () => {
    const store = createMemoryStore()
    let isDiskFull = false
    let isShut = false
    const replica = await open({
      ...store,
      get: key => {
        if (isShut) throw new Error('the database is not open')
        return store.get(key)
      },
      reopen() {
        isShut = isDiskFull
        return isShut ? Promise.reject(new Error('no room to open it')) : Promise.resolve()
      },
    })
    await writeOne(replica, put('c', 'a'))
    store.failWrites(1)
    isDiskFull = true
    for (const key of ['x', 'y', 'z']) expect(await codeOf(replica, put('c', key))).toBe('HS_STORE_WRITE_FAILED')
    expect(isShut).toBe(true)
    isDiskFull = false
    // The one that finds it open again is refused as well: its place was in a group that did not know what is there.
    expect(await codeOf(replica, put('c', 'x'))).toBe('HS_STORE_WRITE_FAILED')
    expect((await writeOne(replica, put('c', 'b'))).version?.counter).toBe(2)
    expect(replica.collection('c')?.recordCount).toBe(2)
  })

  it('refuses a store of a newer format with a sentence', async () => {
    const store = createMemoryStore([[encodeUtf8('mformat')!, Uint8Array.of(2)]])
    await expect(open(store)).rejects.toThrow('format 2')
  })

  it('P15 takes a new origin when a peer knows more of it than it does itself', async () => {
    const store = createMemoryStore()
    const [a, b] = [await open(store), await open(createMemoryStore())]
    await replicasWrite(a, ['a'])
    const backup = store.crash()
    await replicasWrite(a, ['b', 'c'])
    await ship(a, b)
    const restored = await open(backup)
    const known = (await (await b.snapshot()).collection('c'))!.vector
    expect(await restored.settleForks('c', 1, known)).toBe(true)
    expect(await restored.settleForks('c', 1, known)).toBe(false)
    await ship(b, restored)
    await writeOne(restored, put('c', 'd'))
    await ship(restored, b)
    expect(digestOf(restored, 'c')).toBe(digestOf(b, 'c'))
    expect((await b.list('c', {}, 10)).records.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('P15 a copied store that is renewed writes on beside the first one, and the two agree', async () => {
    const store = createMemoryStore()
    const first = await open(store)
    await replicasWrite(first, ['a'])
    const copied = store.crash()
    await renewIdentity(copied, createSeededRandom(99))
    const copy = await open(copied)
    expect(copy.storeId).not.toEqual(first.storeId)
    // Both write on without having met: under one origin these would have the same counters.
    await replicasWrite(first, ['b', 'shared'])
    await replicasWrite(copy, ['c', 'shared'])
    await ship(first, copy)
    await ship(copy, first)
    expect(digestOf(copy, 'c')).toBe(digestOf(first, 'c'))
    expect((await copy.list('c', {}, 10)).records.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'shared'])
  })

  it('P15 there is nothing to renew in an empty store', async () => {
    const store = createMemoryStore()
    await renewIdentity(store, createSeededRandom(99))
    expect(store.get(encodeUtf8('midentity')!)).toBeUndefined()
    await open(store)
  })
})

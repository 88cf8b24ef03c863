/** Retention and partial exchange on both stores: what is given up, what is not, and what peers make of it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { systemHash } from '../../agent/ports.ts'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { retentionFault, type Retention } from '../../sync/retention.ts'
import type { Store } from '../../sync/store.ts'
import { createMemoryStore } from '../memory-store.ts'
import {
  contentOf,
  createTestClock,
  createTestLink,
  digestOf,
  openTestReplica,
  put,
  remove,
  syncPair,
  type TestClock,
} from '../replica-pair.ts'
import { auditStore } from '../sim/replica-audit.ts'

const HOUR = 3_600_000
const stores: Record<string, (folder: string) => Promise<Store>> = {
  'the memory store': async () => createMemoryStore(),
  LevelDB: openLevelStore,
}

describe.each(Object.entries(stores))('retention on %s', (_, openStore) => {
  let folder: string
  const replicas: OpenReplica[] = []
  const storeOf = new Map<OpenReplica, Store>()

  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'hs-retention-'))))
  afterEach(async () => {
    const faults: string[] = []
    for (const replica of replicas.splice(0)) {
      faults.push(...(await auditStore(storeOf.get(replica)!, systemHash, new Uint8Array(16), { mayStayAbove: true })))
      await replica.close()
    }
    if (faults.length > 0) throw new Error(faults.join('\n'))
    await rm(folder, { recursive: true, force: true })
  })

  async function open(clock: TestClock = createTestClock()): Promise<OpenReplica> {
    const number = replicas.length + 1
    const store = await openStore(join(folder, String(number)))
    const replica = await openTestReplica(store, number, clock)
    storeOf.set(replica, store)
    replicas.push(replica)
    return replica
  }
  async function keep(replica: OpenReplica, name: string, retention: Partial<Retention>): Promise<void> {
    await replica.createCollection(name, {})
    expect(await replica.setLocalSettings(name, { retention: { policy: 'drop_oldest', ...retention } })).toBe(true)
  }
  const writeMany = async (replica: OpenReplica, from: number, count: number, clock?: TestClock): Promise<void> => {
    for (let i = from; i < from + count; i++) {
      if (clock !== undefined) clock.wall += 1
      const [done] = await replica.write([put('c', `k${String(i).padStart(4, '0')}`, i)])
      expect(done?.ok).toBe(true)
    }
  }
  const countOf = (replica: OpenReplica): number => replica.collection('c')?.recordCount ?? 0
  const nodeOf = (replica: OpenReplica) => replica.collection('c')!.node
  /** Sessions until nothing moves; the last one exchanges nothing. */
  const settle = async (a: OpenReplica, b: OpenReplica): Promise<void> => {
    for (let round = 0; round < 4; round++) {
      const results = await syncPair(a, b)
      for (const { fault, diverged } of results) expect([fault, diverged]).toEqual([undefined, []])
    }
  }
  const messagesAtRest = async (a: OpenReplica, b: OpenReplica): Promise<number> => {
    const link = createTestLink()
    await syncPair(a, b, link)
    return link.messages
  }

  it('R8 P3 a bounded replica stays at its bound, a full one keeps all, and at rest nothing is fetched again', async () => {
    const [small, full] = [await open(), await open()]
    await keep(small, 'c', { recordsMax: 10 })
    for (let round = 0; round < 5; round++) {
      await writeMany(small, round * 8, 8)
      await settle(small, full)
      expect(countOf(small)).toBeLessThanOrEqual(10)
    }
    expect(countOf(full)).toBe(40)
    expect(nodeOf(small)).toMatchObject({ isPartial: true, voided: 0, dropped: { max_records: 40 - countOf(small) } })
    expect(nodeOf(full)).toMatchObject({ isPartial: false, dropped: {} })
    // Hello, offers and nothing else.
    expect(await messagesAtRest(small, full)).toBe(4)
    // What others write comes, and takes the place of what is older.
    await writeMany(full, 100, 15)
    await settle(small, full)
    expect(countOf(small)).toBeLessThanOrEqual(10)
    expect(await contentOf(small, 'c')).toHaveProperty('k0114')
    expect(countOf(full)).toBe(55)
  })

  it('R8 what nobody full has acknowledged goes last, is told as void, and vectors go on over it', async () => {
    const [small, full, bounded] = [await open(), await open(), await open()]
    await keep(small, 'c', { recordsMax: 10 })
    await keep(bounded, 'c', { recordsMax: 1000 })
    await writeMany(small, 0, 8)
    // A bounded peer's word lets nothing go.
    await settle(small, bounded)
    await writeMany(small, 8, 8)
    expect(nodeOf(small)).toMatchObject({ voided: 6, dropped: { max_records: 6 } })
    await settle(small, full)
    expect(Object.keys(await contentOf(full, 'c'))).toHaveLength(10)
    await writeMany(small, 100, 5)
    expect(nodeOf(small).voided).toBe(6)
    await settle(small, full)
    expect(await messagesAtRest(small, full)).toBe(4)
    // The one that had them is a full replica for the other: what was void here is not lost there.
    await settle(bounded, full)
    expect(countOf(full)).toBe(21)
  })

  it('R8 tombstones are never given up, and a delete that was seen holds', async () => {
    const [small, full] = [await open(), await open()]
    await keep(small, 'c', { recordsMax: 4 })
    await writeMany(small, 0, 4)
    await settle(small, full)
    for (let i = 0; i < 4; i++) await small.write([remove('c', `k000${i}`)])
    await writeMany(small, 10, 10)
    await settle(small, full)
    expect(Object.keys(await contentOf(full, 'c')).filter(key => key < 'k0004')).toEqual([])
  })

  it('R8 a third replica learns what the bounded one gave up from a full one, and misses nothing', async () => {
    const [small, full, late] = [await open(), await open(), await open()]
    await keep(small, 'c', { recordsMax: 5 })
    for (let round = 0; round < 4; round++) {
      await writeMany(small, round * 5, 5)
      await settle(small, full)
    }
    await settle(small, late)
    expect(countOf(late)).toBeLessThanOrEqual(5)
    await settle(late, full)
    await settle(late, small)
    expect(digestOf(late, 'c')).toBe(digestOf(full, 'c'))
    expect(countOf(late)).toBe(20)
  })

  it('drop_lowest_priority lets go of what has less priority first, then of what is older', async () => {
    const [small, full] = [await open(), await open()]
    await keep(small, 'c', { recordsMax: 3, policy: 'drop_lowest_priority' })
    for (const [key, priority] of [
      ['a', 9],
      ['b', 1],
      ['c', 5],
      ['d', 1],
      ['e', 7],
    ] as const) {
      await small.write([put('c', key, { priority })])
      await settle(small, full)
    }
    expect(Object.keys(await contentOf(small, 'c'))).toEqual(['a', 'c', 'e'])
    expect(countOf(full)).toBe(5)
  })

  it('reject refuses what is new, here and from peers, and takes what replaces or deletes', async () => {
    const [small, full] = [await open(), await open()]
    await keep(small, 'c', { recordsMax: 2, policy: 'reject' })
    await writeMany(small, 0, 2)
    const [refused] = await small.write([put('c', 'new')])
    expect(refused).toMatchObject({ ok: false, code: 'HS_COLLECTION_FULL' })
    const [replaced] = await small.write([put('c', 'k0000', 'other')])
    expect(replaced).toMatchObject({ ok: true, outcome: 'replaced' })
    await writeMany(full, 10, 3)
    await settle(small, full)
    expect([countOf(small), countOf(full)]).toEqual([2, 5])
    expect(nodeOf(small)).toMatchObject({ isPartial: true, dropped: { full: 3 } })
    expect(await messagesAtRest(small, full)).toBe(4)
    await small.write([remove('c', 'k0000')])
    const [taken] = await small.write([put('c', 'new')])
    expect(taken).toMatchObject({ ok: true, outcome: 'created' })
  })

  it('max_bytes holds, with an index that is built while the collection is written to', async () => {
    const [small, full] = [await open(), await open()]
    await writeMany(small, 0, 300)
    await settle(small, full)
    const setting = keep(small, 'c', { bytesMax: 8_192 })
    for (let i = 0; i < 20; i++) await small.write([put('c', `k${String(i * 20).padStart(4, '0')}`, 'x'.repeat(i)), put('c', `k${i}x`)])
    await setting
    await settle(small, full)
    await small.keep()
    expect(nodeOf(small).bytes).toBeLessThanOrEqual(8_192)
    let bytes = 0
    for (const [key, text] of Object.entries(await contentOf(small, 'c'))) bytes += key.length + 35 + text.length
    // Contexts take the rest.
    expect(nodeOf(small).bytes).toBeGreaterThanOrEqual(bytes)
    expect(countOf(full)).toBeGreaterThanOrEqual(300)
  })

  it('bounds hold behind a restart, and so does what was counted', async () => {
    const clock = createTestClock()
    const store = createMemoryStore()
    const small = await openTestReplica(store, 7, clock)
    await keep(small, 'c', { recordsMax: 5 })
    await writeMany(small, 0, 9)
    const { dropped, voided } = nodeOf(small)
    const again = await openTestReplica(store.crash(), 8, clock)
    expect(nodeOf(again)).toMatchObject({ dropped, voided, isPartial: true, retention: { recordsMax: 5 } })
    await writeMany(again, 20, 9)
    expect(countOf(again)).toBe(5)
    await again.deleteCollection('c')
    await writeMany(again, 40, 9)
    // A node's own settings outlive the collection.
    expect(countOf(again)).toBe(5)
  })

  it('without its bound it is filled up again, and is a full replica', async () => {
    const [small, full] = [await open(), await open()]
    await keep(small, 'c', { recordsMax: 5 })
    for (let round = 0; round < 4; round++) {
      await writeMany(small, round * 5, 5)
      await settle(small, full)
    }
    expect(await small.setLocalSettings('c', { retention: null })).toBe(true)
    await settle(small, full)
    expect(countOf(small)).toBe(20)
    expect(digestOf(small, 'c')).toBe(digestOf(full, 'c'))
    expect(nodeOf(small)).toMatchObject({ isPartial: false })
  })

  it.each([
    ['push', 3, 6],
    ['pull', 6, 3],
    ['none', 3, 3],
  ] as const)('direction %s: versions go one way or none, and come to rest', async (sync, here, there) => {
    const [one, other] = [await open(), await open()]
    await one.createCollection('c', {})
    await one.setLocalSettings('c', { sync })
    await writeMany(one, 0, 3)
    await writeMany(other, 10, 3)
    await settle(one, other)
    expect([countOf(one), countOf(other)]).toEqual([here, there])
    await one.setLocalSettings('c', { sync: null })
    await settle(one, other)
    expect([countOf(one), countOf(other)]).toEqual([6, 6])
    expect(digestOf(one, 'c')).toBe(digestOf(other, 'c'))
  })

  it('R9 P6 what is older than the ttl expires on replicas with one ttl, which end equal', async () => {
    const clock = createTestClock()
    const [a, b] = [await open(clock), await open(clock)]
    for (const replica of [a, b]) await keep(replica, 'c', { ttlMs: HOUR })
    await writeMany(a, 0, 5)
    await settle(a, b)
    clock.wall += 2 * HOUR
    await writeMany(b, 10, 5)
    await a.keep()
    expect(countOf(a)).toBe(0)
    expect(countOf(b)).toBe(10)
    // The horizon is taken over with the session.
    await settle(a, b)
    expect([countOf(a), countOf(b)]).toEqual([5, 5])
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(nodeOf(a)).toMatchObject({ isPartial: false, dropped: { ttl: 5 } })
    expect(await messagesAtRest(a, b)).toBe(4)
  })

  it('R9 P6 what nobody else has does not expire, and does when somebody has', async () => {
    const clock = createTestClock()
    const [a, b] = [await open(clock), await open(clock)]
    for (const replica of [a, b]) await keep(replica, 'c', { ttlMs: HOUR })
    await writeMany(a, 0, 5)
    clock.wall += 2 * HOUR
    await a.keep()
    expect(countOf(a)).toBe(5)
    await settle(a, b)
    expect([countOf(a), countOf(b)]).toEqual([0, 0])
  })

  it('R9 P6 no clock, however wrong, expires the data of others', async () => {
    const [clock, wrong] = [createTestClock(), createTestClock()]
    const [a, b, c] = [await open(clock), await open(clock), await open(wrong)]
    for (const replica of [a, b, c]) await keep(replica, 'c', { ttlMs: HOUR })
    await writeMany(a, 0, 5)
    await settle(a, b)
    await settle(a, c)
    wrong.wall += 365 * 24 * HOUR
    await c.keep()
    expect(countOf(c)).toBe(0)
    await settle(c, a)
    await settle(c, b)
    expect([countOf(a), countOf(b)]).toEqual([5, 5])
    await writeMany(a, 10, 1)
    await settle(a, b)
    // Put right it is filled up again.
    wrong.wall -= 365 * 24 * HOUR
    await c.keep()
    await settle(c, a)
    expect(countOf(c)).toBe(6)
    expect(digestOf(c, 'c')).toBe(digestOf(a, 'c'))
  })

  it('R9 P6 an untrusted clock expires nothing, and untrusted stamps never expire', async () => {
    const clock = createTestClock()
    const untrusted: TestClock = { ...createTestClock(), trusted: () => false }
    const [a, b] = [await open(clock), await open(untrusted)]
    for (const replica of [a, b]) await keep(replica, 'c', { ttlMs: HOUR })
    await writeMany(a, 0, 3)
    await writeMany(b, 10, 3)
    await settle(a, b)
    clock.wall += 2 * HOUR
    untrusted.wall += 2 * HOUR
    await a.keep()
    await b.keep()
    expect([countOf(a), countOf(b)]).toEqual([3, 6])
    await settle(a, b)
    expect([countOf(a), countOf(b)]).toEqual([3, 6])
  })
})

it('settings that make no sense are refused', () => {
  expect(retentionFault({ policy: 'drop_oldest', ttlMs: 5 })).toMatch(/^ttl_ms is/)
  expect(retentionFault({ policy: 'drop_oldest', recordsMax: 0 })).toMatch(/^max_records is/)
  expect(retentionFault({ policy: 'drop_oldest', bytesMax: 1.5 })).toMatch(/^max_bytes is/)
  expect(retentionFault({ policy: 'other' as 'reject' })).toMatch(/^policy is/)
})

import { beforeEach, describe, expect, it } from 'vitest'
import { stableVector } from '../../../sync/acknowledgement.ts'
import { loadCollections } from '../../../sync/collection-state.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { createRoster, replicaKey, ROSTER_MAX } from '../../../sync/roster.ts'
import { FLAG_PAYLOAD, type Version } from '../../../sync/version.ts'
import { systemHash } from '../../../agent/ports.ts'
import { createMemoryStore, watchWrites, type MemoryStore } from '../../memory-store.ts'
import { contentOf, createTestClock, createTestLink, digestOf, json, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'

/** Digest items of a collection, tombstones included. */
async function itemsOf(store: MemoryStore, name: string): Promise<number> {
  return (await loadCollections(store)).find(collection => collection.name === name && !collection.dropped)?.total.count ?? 0
}

const node = (seed: number, nodeId: string): Promise<OpenReplica> => openTestReplica(createMemoryStore(), seed, undefined, nodeId)

describe('tombstones', () => {
  let stores: MemoryStore[]
  let a: OpenReplica
  let b: OpenReplica
  let c: OpenReplica
  beforeEach(async () => {
    stores = [createMemoryStore(), createMemoryStore(), createMemoryStore()]
    ;[a, b, c] = (await Promise.all(stores.map((store, i) => openTestReplica(store, i + 1)))) as [OpenReplica, OpenReplica, OpenReplica]
  })

  const meetAll = async (): Promise<void> => {
    for (const [x, y] of [
      [a, b],
      [b, c],
      [a, c],
    ] as const)
      await syncPair(x, y)
  }

  it('R7 P5 stay while one enrolled replica has not acknowledged them, however often the others meet', async () => {
    await a.write([put('c', 'x'), put('c', 'y')])
    await meetAll()
    await a.write([remove('c', 'x')])
    for (let i = 0; i < 3; i++) await syncPair(a, b)
    expect(await itemsOf(stores[0]!, 'c')).toBe(2)
    expect(await itemsOf(stores[1]!, 'c')).toBe(2)
  })

  it('R7 go everywhere once all have acknowledged them, and the replicas agree', async () => {
    await a.write([put('c', 'x'), put('c', 'y')])
    await meetAll()
    await a.write([remove('c', 'x')])
    for (let i = 0; i < 3; i++) await meetAll()
    for (const [i, replica] of [a, b, c].entries()) {
      expect(await itemsOf(stores[i]!, 'c')).toBe(1)
      expect(Object.keys(await contentOf(replica, 'c'))).toEqual(['y'])
      expect(digestOf(replica, 'c')).toBe(digestOf(a, 'c'))
    }
  })

  it('R7 go with any session, also where the collection is the same on both sides already', async () => {
    await a.write([put('c', 'x'), put('c', 'y')])
    await meetAll()
    await a.write([remove('c', 'x')])
    await syncPair(a, b)
    await a.evict(c.storeId)
    // Nothing differs but the roster.
    for (let i = 0; i < 2; i++) await syncPair(a, b)
    for (const store of stores.slice(0, 2)) expect(await itemsOf(store, 'c')).toBe(1)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })

  it('R7 go along a chain, whose ends never meet: acknowledgements are passed on', async () => {
    await a.write([put('c', 'x')])
    const chain = async (): Promise<void> => {
      await syncPair(a, b)
      await syncPair(b, c)
    }
    for (let i = 0; i < 2; i++) await chain()
    await c.write([remove('c', 'x')])
    for (let i = 0; i < 4; i++) await chain()
    for (const store of stores) expect(await itemsOf(store, 'c')).toBe(0)
  })

  it('R1 a write of a collected key is later than its delete, also where the clock is behind', async () => {
    const late = createMemoryStore()
    const clock = createTestClock(1000)
    const d = await openTestReplica(late, 9, clock)
    await a.write([put('c', 'x')])
    await syncPair(a, d)
    await a.write([remove('c', 'x')])
    for (let i = 0; i < 3; i++) await syncPair(a, d)
    expect(await itemsOf(late, 'c')).toBe(0)
    await d.write([put('c', 'x', 'again')])
    for (let i = 0; i < 2; i++) await syncPair(a, d)
    expect(await contentOf(a, 'c')).toEqual({ x: '"again"' })
    expect(a.get('c', 'x')?.version.timeMs).toBeGreaterThanOrEqual(1.7e12)
  })

  it('R4 T2 whoever takes over the vector of a peer takes over its G in the same write', async () => {
    await a.write([put('c', 'x'), put('c', 'y')])
    await syncPair(a, b)
    await a.write([remove('c', 'x')])
    for (let i = 0; i < 3; i++) await syncPair(a, b)
    expect(await itemsOf(stores[0]!, 'c')).toBe(1)
    const disk = createMemoryStore()
    const states: { readonly vector: number; readonly collected: number }[] = []
    const store = watchWrites(disk, async done => {
      await done()
      const held = (await loadCollections(disk)).find(({ name }) => name === 'c')
      if (held !== undefined) states.push({ vector: held.vector.size, collected: held.collected.size })
    })
    await syncPair(await openTestReplica(store, 9), a)
    expect(states.filter(({ vector }) => vector > 0).length).toBeGreaterThan(0)
    for (const { vector, collected } of states) expect(collected).toBe(vector)
  })

  it('T1 whichever write fails while tombstones are collected, the next sessions end the work', async () => {
    let failures = 0
    for (let failing = 1; failing <= 12; failing++) {
      const disk = createMemoryStore()
      let writesLeft = Number.POSITIVE_INFINITY
      const store = watchWrites(disk, async done => {
        if ((writesLeft -= 1) === 0) throw new Error('the disk is full')
        await done()
      })
      const x = await openTestReplica(createMemoryStore(), 100 + failing)
      const y = await openTestReplica(store, 200 + failing)
      await x.write([put('c', 'x'), put('c', 'y')])
      await syncPair(x, y)
      await x.write([remove('c', 'x')])
      writesLeft = failing
      await syncPair(x, y)
      const hasFailed = writesLeft <= 0
      writesLeft = Number.POSITIVE_INFINITY
      for (let i = 0; i < 3; i++) expect((await syncPair(x, y)).map(({ diverged }) => diverged)).toEqual([[], []])
      expect(await itemsOf(disk, 'c'), `write ${failing} failed: ${hasFailed}`).toBe(1)
      expect(digestOf(x, 'c')).toBe(digestOf(y, 'c'))
      failures += hasFailed ? 1 : 0
    }
    expect(failures).toBeGreaterThan(4)
  })

  it('P5 an evicted replica that comes back enrols under a new id, brings what only it has and nothing that was deleted', async () => {
    await a.write([put('c', 'old'), put('c', 'kept')])
    await meetAll()
    const evicted = c.storeId
    await c.write([put('c', 'offline')])
    expect(await a.evict(evicted)).toBe(true)
    expect(await a.evict(evicted)).toBe(false)
    await a.write([remove('c', 'old')])
    for (let i = 0; i < 4; i++) await syncPair(a, b)
    expect(await itemsOf(stores[0]!, 'c')).toBe(1)
    for (let i = 0; i < 4; i++) await meetAll()
    expect(c.storeId).not.toBe(evicted)
    for (const replica of [a, b, c]) expect(Object.keys(await contentOf(replica, 'c')).sort()).toEqual(['kept', 'offline'])
    expect(a.isEvicted(evicted)).toBe(true)
  })

  it('P5 what an evicted replica had begun to send does not come back with it after its delete', async () => {
    await meetAll()
    await a.write([put('c', 'mark')])
    await meetAll()
    await c.write([put('c', 'sent'), put('c', 'also')])
    // The link breaks behind the frame and before the mark: b holds what its vector does not cover.
    for (let cutAfter = 8; b.get('c', 'sent') === undefined; cutAfter++) await syncPair(c, b, createTestLink(cutAfter))
    expect((await loadCollections(stores[1]!)).find(({ name }) => name === 'c')?.vector.size).toBe(1)
    await b.write([remove('c', 'sent')])
    await b.evict(c.storeId)
    for (let i = 0; i < 4; i++) await syncPair(a, b)
    for (let i = 0; i < 4; i++) await meetAll()
    for (const replica of [a, b, c]) expect(Object.keys(await contentOf(replica, 'c')).sort()).toEqual(['also', 'mark'])
    for (const store of stores) expect(await itemsOf(store, 'c')).toBe(2)
  })

  it('a node that lost its store evicts the former one, for which nobody can acknowledge any more', async () => {
    const lost = await node(40, 'robot-1')
    const peer = await node(41, 'robot-2')
    await peer.write([put('c', 'x'), put('c', 'y')])
    await syncPair(lost, peer)
    await peer.write([remove('c', 'x')])
    const anew = await node(42, 'robot-1')
    // The first session tells it of its former store, the second one everybody else.
    for (let i = 0; i < 3; i++) await syncPair(anew, peer)
    expect(peer.isEvicted(lost.storeId)).toBe(true)
    expect(peer.replicas().filter(({ isEvicted }) => !isEvicted)).toHaveLength(2)
    const snapshot = await peer.snapshot()
    expect(await snapshot.collection('c')).toMatchObject({ itemCount: 1 })
    await snapshot.close()

    // Should the former store come back after all, it is fenced, and its node goes on with it.
    await syncPair(lost, peer)
    for (let i = 0; i < 3; i++) await syncPair(lost, peer)
    expect(Object.keys(await contentOf(lost, 'c'))).toEqual(['y'])
    expect(peer.isEvicted(anew.storeId)).toBe(true)
  })

  it('two stores that live under one node id come to rest, both enrolled', async () => {
    const [one, other, peer] = await Promise.all([node(50, 'copied'), node(51, 'copied'), node(52, 'robot-2')])
    const pairs = [
      [one, peer],
      [other, peer],
      [one, other],
    ] as const
    for (let i = 0; i < 6; i++) for (const [x, y] of pairs) await syncPair(x, y)
    const enrolled = peer.replicas().filter(({ isEvicted }) => !isEvicted)
    expect(enrolled.map(({ storeId }) => storeId)).toEqual([one.storeId, other.storeId, peer.storeId].sort())
    expect(peer.replicas().length).toBeLessThanOrEqual(5)
    await one.write([put('c', 'x'), put('c', 'y')])
    await one.write([remove('c', 'x')])
    for (let i = 0; i < 4; i++) for (const [x, y] of pairs) await syncPair(x, y)
    for (const replica of [one, other, peer]) expect(digestOf(replica, 'c')).toBe(digestOf(one, 'c'))
  })

  it('the roster and what was acknowledged survive a restart', async () => {
    await a.write([put('c', 'x')])
    await meetAll()
    await a.write([remove('c', 'x')])
    for (let i = 0; i < 2; i++) await syncPair(a, b)
    expect(await itemsOf(stores[0]!, 'c')).toBe(1)
    stores[0] = stores[0]!.crash()
    a = await openTestReplica(stores[0], 31)
    expect(a.replicas().map(({ storeId }) => storeId)).toEqual([a.storeId, b.storeId, c.storeId].sort())
    // b does not come back: what it has acknowledged is remembered.
    for (let i = 0; i < 2; i++) await syncPair(a, c)
    expect(await itemsOf(stores[0], 'c')).toBe(0)
  })
})

it('of a roster that is too full nobody is known, so nothing is collected', () => {
  const roster = createRoster(systemHash)
  const version: Version = {
    flags: FLAG_PAYLOAD,
    origin: 'a'.repeat(32),
    counter: 1,
    stamp: { ms: 1, tick: 0 },
    context: [],
    body: json({ node: 'n' }),
  }
  for (let i = 0; i < ROSTER_MAX; i++) roster.apply(replicaKey(i.toString(16).padStart(32, '0')), [version])
  expect(roster.enrolled()).toHaveLength(ROSTER_MAX)
  roster.apply(replicaKey('f'.repeat(32)), [version])
  expect(roster.enrolled()).toEqual([])
  expect(roster.all()).toHaveLength(ROSTER_MAX)
})

describe('the stable vector', () => {
  const hash = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
  const roster = { enrolled: ['a', 'b'], hash }
  const own = { storeId: 'a', vector: new Map([['x', 5]]) }
  const acknowledged = (vector: Record<string, number>, rosterHash = hash) => [
    { storeId: 'b', rosterHash, vector: new Map(Object.entries(vector)) },
  ]

  it('is the least of what all enrolled replicas have acknowledged', () => {
    expect(stableVector(own, roster, acknowledged({ x: 3 }))).toEqual(new Map([['x', 3]]))
    expect(stableVector(own, roster, acknowledged({}))).toEqual(new Map())
  })

  it('R7 is unknown without an acknowledgement of each, under the same roster, that the own vector covers', () => {
    expect(stableVector(own, roster, [])).toBeUndefined()
    expect(stableVector(own, roster, acknowledged({ x: 3 }, new Uint8Array(8)))).toBeUndefined()
    expect(stableVector(own, roster, acknowledged({ x: 3, y: 1 }))).toBeUndefined()
    expect(stableVector({ ...own, storeId: 'z' }, roster, acknowledged({ x: 3 }))).toBeUndefined()
  })
})

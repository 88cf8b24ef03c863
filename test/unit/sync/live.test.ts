import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { encodeMessage } from '../../../sync/message-codec.ts'
import type { Message } from '../../../sync/messages.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { runSession } from '../../../sync/session.ts'
import { startLive, type LivePair } from '../../live-pair.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import { codec, contentOf, createTestLink, digestOf, helloOf, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'
import { createVirtualTime, type VirtualTime } from '../../virtual-time.ts'

let time: VirtualTime
let stores: MemoryStore[]
let a: OpenReplica
let b: OpenReplica
let c: OpenReplica
let pairs: LivePair[]
beforeEach(async () => {
  time = createVirtualTime()
  stores = [createMemoryStore(), createMemoryStore(), createMemoryStore()]
  a = await openTestReplica(stores[0]!, 1)
  b = await openTestReplica(stores[1]!, 2)
  c = await openTestReplica(stores[2]!, 3)
  pairs = []
})
afterEach(async () => {
  for (const pair of pairs) pair.close()
  await Promise.all(pairs.map(({ results }) => results))
})

async function connect(one: OpenReplica, other: OpenReplica, cutAfter?: number): Promise<LivePair> {
  const pair = startLive(time, one, other, cutAfter)
  pairs.push(pair)
  await time.settle()
  return pair
}
const kinds = (messages: readonly Message[]): string[] => messages.map(({ kind }) => kind)
const clear = ({ sent }: LivePair): void => {
  for (const messages of sent) messages.splice(0)
}
const keysShipped = (messages: readonly Message[]): string[] =>
  messages.flatMap(message => (message.kind === 'frame' ? message.items.map(({ key }) => key) : []))

describe('a live link', () => {
  it('ships what is written at once, both ways, without another session and without waiting for anything', async () => {
    await a.write([put('c', 'before')])
    const pair = await connect(a, b)
    clear(pair)
    await a.write([put('c', 'one')])
    await time.settle()
    expect(b.get('c', 'one')).toBeDefined()
    expect(time.nowMs()).toBe(0)
    expect(kinds(pair.sent[0])).toEqual(['held', 'frame', 'mark'])
    expect(kinds(pair.sent[1]).toSorted()).toEqual(['ack', 'held'])
    await b.write([put('c', 'two'), remove('c', 'one')])
    await time.settle()
    expect(await contentOf(a, 'c')).toEqual(await contentOf(b, 'c'))
    expect(Object.keys(await contentOf(a, 'c'))).toEqual(['before', 'two'])
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })

  it('says nothing while nothing changes', async () => {
    await a.write([put('c', 'k')])
    const pair = await connect(a, b)
    await time.pass(10_000)
    const before = pair.count()
    await time.pass(3_600_000)
    expect(pair.count()).toBe(before)
  })

  it('X9 echoes nothing: in a chain each version crosses each link once, in one direction', async () => {
    await a.write([put('c', 'before')])
    const [ab, bc] = [await connect(a, b), await connect(b, c)]
    await time.pass(5_000)
    clear(ab)
    clear(bc)
    for (let i = 0; i < 20; i++) {
      await a.write([put('c', `from-a-${i}`)])
      if (i % 4 === 0) await c.write([put('c', `from-c-${i}`)])
      await time.settle()
    }
    // Two hops, and no time has passed.
    expect(time.nowMs()).toBe(5_000)
    const [inA, inC] = [await contentOf(a, 'c'), await contentOf(c, 'c')]
    expect(Object.keys(inC)).toHaveLength(26)
    expect(inA).toEqual(inC)
    await time.pass(60_000)
    const [fromA, fromC] = [Array.from({ length: 20 }, (_, i) => `from-a-${i}`), [0, 4, 8, 12, 16].map(i => `from-c-${i}`)]
    expect(keysShipped(ab.sent[0]).toSorted()).toEqual(fromA.toSorted())
    expect(keysShipped(bc.sent[0]).toSorted()).toEqual(fromA.toSorted())
    expect(keysShipped(ab.sent[1]).toSorted()).toEqual(fromC.toSorted())
    expect(keysShipped(bc.sent[1]).toSorted()).toEqual(fromC.toSorted())
    for (const pair of [ab, bc]) expect([...kinds(pair.sent[0]), ...kinds(pair.sent[1])]).not.toContain('round')
  })

  it('X9 among robots that are all linked with one another each version comes to each of them once', async () => {
    const d = await openTestReplica(createMemoryStore(), 4)
    const robots = [a, b, c, d]
    await a.write([put('c', 'before')])
    const links: LivePair[] = []
    for (const [i, one] of robots.entries()) for (const other of robots.slice(i + 1)) links.push(await connect(one, other))
    await time.pass(10_000)
    for (const link of links) clear(link)
    for (let i = 0; i < 10; i++) {
      for (const [n, robot] of robots.entries()) await robot.write([put('c', `${n}-${i}`)])
      await time.pass(100)
    }
    await time.pass(5_000)
    expect(new Set(robots.map(robot => digestOf(robot, 'c'))).size).toBe(1)
    const shipped = links.flatMap(({ sent }) => sent.flatMap(keysShipped))
    expect(shipped.length).toBeGreaterThanOrEqual(40 * 3)
    // Whoever writes between two others' words ships what it has just got along with its own.
    expect(shipped.length).toBeLessThan(40 * 3 * 1.2)
  })

  it('X9 a long tail that several peers offer is fetched from one of them, and from another one when that one is gone', async () => {
    await a.write([put('c', 'k')])
    await connect(a, b)
    await connect(a, c)
    const d = await openTestReplica(createMemoryStore(), 4)
    const [bd, cd] = [await connect(b, d), await connect(c, d)]
    await time.pass(10_000)
    clear(bd)
    clear(cd)
    await a.write(Array.from({ length: 3_000 }, (_, i) => put('c', `k${i}`)))
    await time.settle()
    expect(d.collection('c')?.recordCount).toBe(3_001)
    expect([bd, cd].map(({ sent }) => keysShipped(sent[0]).length).toSorted((x, y) => x - y)).toEqual([0, 3_000])
    expect([...bd.sent[1], ...cd.sent[1]].filter(({ kind }) => kind === 'pull')).toHaveLength(1)

    const [first, second] = keysShipped(bd.sent[0]).length > 0 ? [bd, cd] : [cd, bd]
    first.close()
    await first.results
    await a.write([put('c', 'later')])
    await time.settle()
    expect(d.get('c', 'later')).toBeDefined()
    expect(keysShipped(second.sent[0])).toEqual(['later'])
  })

  it('X10 brings collections that are made, deleted and made again, by a round on the same link, through a chain', async () => {
    const [ab, bc] = [await connect(a, b), await connect(b, c)]
    await a.createCollection('new', { conflict: 'siblings' })
    await a.write([put('new', 'k')])
    await time.pass(3_000)
    expect(c.collection('new')?.conflict).toBe('siblings')
    expect(c.get('new', 'k')).toBeDefined()
    await c.deleteCollection('new')
    await time.pass(3_000)
    expect(a.collection('new')).toBeUndefined()
    await a.write([put('new', 'again')])
    await time.pass(3_000)
    expect(Object.keys(await contentOf(c, 'new'))).toEqual(['again'])
    expect(c.collection('new')?.generation).toBe(2)
    // And from then on it is live.
    await c.write([put('new', 'live')])
    await time.settle()
    expect(a.get('new', 'live')).toBeDefined()
    for (const pair of [ab, bc]) expect(kinds(pair.sent[0]).filter(kind => kind === 'hello')).toHaveLength(1)
  })

  it('X11 tombstones become stable and are collected everywhere on links that stay open, in a chain as well', async () => {
    await a.write([put('c', 'gone'), put('c', 'stays')])
    await connect(a, b)
    await connect(b, c)
    await time.pass(20_000)
    await a.write([remove('c', 'gone')])
    await time.pass(20_000)
    for (const replica of [a, b, c]) {
      const snapshot = await replica.snapshot()
      const collection = (await snapshot.collection('c'))!
      expect(await collection.hasTombstones()).toBe(false)
      expect(collection.collected.size).toBe(1)
      await snapshot.close()
    }
    expect(new Set([a, b, c].map(replica => digestOf(replica, 'c'))).size).toBe(1)
  })

  it('X12 R4 P14 finds what vanished behind the vectors, when the link is quiet, and mends it in a round', async () => {
    await a.write(Array.from({ length: 300 }, (_, i) => put('c', `k${i}`)))
    const pair = await connect(a, b)
    await time.pass(5_000)
    clear(pair)
    const snapshot = await b.snapshot()
    for await (const item of (await snapshot.collection('c'))!.items(0, 0)) if (item.key === 'k7') await b.dropItems('c', 1, [item])
    await snapshot.close()
    expect(b.get('c', 'k7')).toBeUndefined()
    await time.pass(10_000)
    expect(b.get('c', 'k7')).toBeDefined()
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(pair.progress[0].some(({ isRepaired, isDiverged }) => isRepaired && !isDiverged)).toBe(true)
    clear(pair)
    await time.pass(60_000)
    expect(pair.sent.flat()).toEqual([])
  })

  it('is not alarmed by frames whose mark is under way: a robot that catches up elsewhere has no round with its neighbour', async () => {
    await b.write([put('c', 'k')])
    const bc = await connect(b, c)
    await time.pass(5_000)
    clear(bc)
    await a.write(Array.from({ length: 5_000 }, (_, i) => put('c', `k${i}`)))
    const ab = await connect(a, b)
    await time.pass(5_000)
    expect(digestOf(c, 'c')).toBe(digestOf(a, 'c'))
    expect(bc.progress.flat().filter(({ name, isRepaired }) => name === 'c' && isRepaired)).toEqual([])
    expect(keysShipped(bc.sent[1])).toEqual([])
    expect(keysShipped(ab.sent[1])).toContain('k')
  })

  it('has a round when one side asks for it, and goes on', async () => {
    await a.write([put('c', 'k')])
    const pair = await connect(a, b)
    await time.pass(5_000)
    clear(pair)
    pair.controls[1]?.requestRound()
    await time.settle()
    expect(kinds(pair.sent[0]).slice(0, 2)).toEqual(['round', 'offers'])
    expect(kinds(pair.sent[1]).slice(0, 2)).toEqual(['round', 'offers'])
    await a.write([put('c', 'later')])
    await time.settle()
    expect(b.get('c', 'later')).toBeDefined()
  })

  it('ends when one of the two is evicted, which enrols anew and comes back', async () => {
    await a.write([put('c', 'k')])
    const pair = await connect(a, b)
    const before = b.storeId
    await a.evict(b.storeId)
    await time.pass(3_000)
    const results = await pair.results
    expect(results.map(({ fault, wasLive }) => [fault?.kind, wasLive])).toEqual([
      ['refused', true],
      ['refused', true],
    ])
    await connect(a, b)
    await b.write([put('c', 'again')])
    await time.settle()
    expect(a.get('c', 'again')).toBeDefined()
    expect(b.storeId).not.toBe(before)
  })

  it('X4 P11 gives no mark to the origin of a version that was passed over, also behind later ones', async () => {
    await a.write([put('c', 'first')])
    const pair = await connect(a, b)
    await time.pass(3_000)
    pair.close()
    await pair.results
    const poisoned = (bytes: Uint8Array): Uint8Array => {
      const decoded = codec.decode(bytes)
      if (!Array.isArray(decoded) || decoded[0] !== 3) return bytes
      const [kind, items, ...rest] = decoded
      const cut = (items as [string, Uint8Array][]).map(([key, version]) => [key, key === 'poison' ? version.subarray(0, 20) : version])
      return codec.encode([kind, cut, ...rest])
    }
    const again = startLive(time, a, b, Number.POSITIVE_INFINITY, poisoned)
    pairs.push(again)
    await time.settle()
    await a.write([put('c', 'poison')])
    await time.settle()
    await a.write([put('c', 'good')])
    await time.settle()
    expect(b.get('c', 'good')).toBeDefined()
    expect(b.get('c', 'poison')).toBeUndefined()
    again.close()
    await again.results
    await syncPair(a, b)
    expect(b.get('c', 'poison')).toBeDefined()
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })
})

describe('a live link that breaks', () => {
  it('X8 leaves both so that the next session ends equal, wherever it is cut', async () => {
    await a.write([put('c', 'before')])
    await syncPair(a, b)
    for (let cutAfter = 4; ; cutAfter++) {
      const [left, right] = [await openTestReplica(stores[0]!.crash(), 4), await openTestReplica(stores[1]!.crash(), 5)]
      const pair = await connect(left, right, cutAfter)
      for (let i = 0; i < 4; i++) {
        await left.write([put('c', `left-${i}`), remove('c', 'before')])
        await right.write([put('c', `right-${i}`)])
        if (i === 1) await left.createCollection('late', {})
        if (i === 2) await right.write([put('late', 'k')])
        await time.pass(400)
      }
      await time.pass(5_000)
      const isWhole = pair.count() < cutAfter
      pair.close()
      await pair.results
      const [result] = await syncPair(left, right)
      expect(result).toMatchObject({ isComplete: true, diverged: [] })
      for (const name of ['c', 'late']) {
        expect(digestOf(left, name)).toBe(digestOf(right, name))
        expect(left.collection(name)?.recordCount).toBe(name === 'c' ? 8 : 1)
        expect(right.collection(name)?.recordCount).toBe(name === 'c' ? 8 : 1)
      }
      if (isWhole) break
    }
  })

  it('X8 loses nothing when the receiver loses its power after any message', async () => {
    await a.write([put('c', 'before')])
    await syncPair(a, b)
    for (let crashAfter = 4; ; crashAfter++) {
      const [left, store] = [await openTestReplica(stores[0]!.crash(), 4), stores[1]!.crash()]
      const pair = await connect(left, await openTestReplica(store, 5), crashAfter)
      for (let i = 0; i < 3; i++) {
        await left.write([put('c', `k-${i}`)])
        await time.settle()
      }
      const isWhole = pair.count() < crashAfter
      pair.close()
      await pair.results
      const restarted = await openTestReplica(store.crash(), 6)
      await syncPair(left, restarted)
      expect(digestOf(left, 'c')).toBe(digestOf(restarted, 'c'))
      expect(restarted.collection('c')?.recordCount).toBe(4)
      if (isWhole) break
    }
  })

  it('P16 messages in any order end it with a reason, never with an exception, and lose nothing', async () => {
    await a.write([put('c', 'k')])
    const before = digestOf(a, 'c')
    const origin = 'ab'.repeat(16)
    const zeros = new Uint8Array(16)
    const held = {
      kind: 'held',
      name: 'c',
      generation: 1,
      vector: new Map([[origin, { counter: 2 ** 50, run: '00'.repeat(8) }]]),
      collected: new Map([[origin, 3]]),
      collectedStampMax: { ms: 2 ** 48 - 1, tick: 0 },
      rosterHash: new Uint8Array(8),
      acknowledgements: [{ storeId: origin, rosterHash: new Uint8Array(8), vector: new Map([[origin, 2 ** 50]]) }],
      root: zeros,
      knowledge: zeros,
      hasTail: true,
    } as const
    const messages: Message[] = [
      held,
      { ...held, hasTail: false },
      { ...held, name: '_system' },
      { ...held, name: 'unheard-of', generation: 7 },
      { ...held, collected: new Map() },
      { kind: 'frame', items: [{ key: 'k', version: new Uint8Array(3) }], position: undefined, logicalClock: 7 },
      { kind: 'ack' },
      { kind: 'mark', vector: new Map() },
      { kind: 'round' },
      { kind: 'offers', offers: [], isLast: true, rosterHash: new Uint8Array(8) },
      { kind: 'state', root: zeros, knowledge: zeros, rosterHash: new Uint8Array(8), flags: 0 },
      { kind: 'bye', reason: 'enough' },
    ]
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...messages), { maxLength: 10 }), async order => {
        const link = createTestLink()
        const session = runSession({
          link: link.ends[0],
          replica: a,
          codec,
          hash: systemHash,
          isInitiator: false,
          hello: () => ({ ...helloOf(a), isLive: true }),
          refusal: () => undefined,
          live: { after: (delayMs, action) => time.after(delayMs, action) },
        })
        const own = await a.snapshot()
        const offers = await Promise.all(
          own.names().map(async name => {
            const { generation, root, knowledge } = (await own.collection(name))!
            return { name, generation, root, knowledge, flags: 0, priority: 0 }
          }),
        )
        await own.close()
        const opening: Message[] = [
          { ...helloOf(b), isLive: true },
          { kind: 'offers', offers, isLast: true, rosterHash: new Uint8Array(8) },
        ]
        for (const message of [...opening, ...order]) await link.ends[1].send(encodeMessage(codec, message))
        await time.settle()
        link.ends[1].close()
        const { fault } = await session
        expect(fault).toBeDefined()
        expect(fault?.kind).not.toBe('store')
      }),
      { numRuns: 60 },
    )
    expect(digestOf(a, 'c')).toBe(before)
  })
})

import * as fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { encodeMessage } from '../../../sync/message-codec.ts'
import type { Message } from '../../../sync/messages.ts'
import { readTerms } from '../../../sync/partial.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import type { CollectionProgress } from '../../../sync/session.ts'
import { runSession } from '../../../sync/session.ts'
import { judgeAbsent } from '../../../sync/floor.ts'
import { recordRow } from '../../../sync/rows.ts'
import { decodeVersion } from '../../../sync/version.ts'
import { keyBytes } from '../../../sync/write-batch.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import { codec, contentOf, createTestLink, digestOf, helloOf, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'

let storeA: MemoryStore
let storeB: MemoryStore
let a: OpenReplica
let b: OpenReplica
beforeEach(async () => {
  storeA = createMemoryStore()
  storeB = createMemoryStore()
  a = await openTestReplica(storeA, 1)
  b = await openTestReplica(storeB, 2)
})

const many = (collection: string, from: number, count: number) =>
  Array.from({ length: count }, (_, i) => put(collection, `k${from + i}`, from + i))

describe('a session', () => {
  it('brings two replicas to the same content, both ways at once, new collections included', async () => {
    await a.write(many('left', 0, 30))
    await b.write(many('right', 0, 40))
    await a.write(many('both', 0, 20))
    await b.write([...many('both', 10, 20), remove('both', 'k10')])
    const [result] = await syncPair(a, b)
    expect(result).toMatchObject({ isComplete: true, fault: undefined, diverged: [] })
    for (const name of ['left', 'right', 'both']) {
      expect(digestOf(a, name)).toBe(digestOf(b, name))
      expect(await contentOf(a, name)).toEqual(await contentOf(b, name))
    }
    expect(Object.keys(await contentOf(b, 'left'))).toHaveLength(30)
    expect(Object.keys(await contentOf(a, 'right'))).toHaveLength(40)
  })

  it('of equal replicas exchanges hellos and offers only', async () => {
    await a.write(many('c', 0, 500))
    await syncPair(a, b)
    const link = createTestLink()
    const [result] = await syncPair(a, b, link)
    expect(result.isComplete).toBe(true)
    expect(link.messages).toBe(4)
  })

  it('ships only what the other lacks', async () => {
    await a.write(many('c', 0, 500))
    await syncPair(a, b)
    await a.write([put('c', 'k7', 'new')])
    const progress: CollectionProgress[] = []
    await syncPair(a, b, createTestLink(), { onProgress: event => progress.push(event) })
    const sent = progress.filter(({ state }) => state === 'done').map(({ itemsSent }) => itemsSent)
    expect(sent.toSorted((x, y) => x - y)).toEqual([0, 1])
  })

  it('passes on through a chain what it got from others', async () => {
    const c = await openTestReplica(createMemoryStore(), 3)
    await a.write(many('c', 0, 10))
    await syncPair(a, b)
    await syncPair(b, c)
    expect(await contentOf(c, 'c')).toEqual(await contentOf(a, 'c'))
    expect(digestOf(c, 'c')).toBe(digestOf(a, 'c'))
  })

  it('carries versions of a megabyte, alone in their frame', async () => {
    const large = 'x'.repeat(1024 * 1024 - 2)
    await a.write([put('c', 'small'), put('c', 'large', large), put('c', 'small too')])
    await syncPair(a, b)
    expect((await contentOf(b, 'c'))['large']).toHaveLength(large.length + 2)
  })

  it('tells a peer why it does not exchange with it', async () => {
    const [forA, forB] = await syncPair(a, b, createTestLink(), { refusal: () => 'you are not named here' })
    expect(forB.fault).toEqual({ kind: 'refused', detail: 'you are not named here' })
    expect(forA.fault).toEqual({ kind: 'refused', detail: 'you are not named here' })
  })

  it('P6 of a robot of 1970 and one a year ahead ends equal', async () => {
    const past = await openTestReplica(createMemoryStore(), 5, { monotonicMs: () => 0, wallMs: () => 5, trusted: () => false })
    const future = await openTestReplica(createMemoryStore(), 6, { monotonicMs: () => 0, wallMs: () => 1.73e12, trusted: () => true })
    await past.write(many('c', 0, 5))
    await future.write(many('c', 3, 5))
    await syncPair(past, future)
    expect(await contentOf(past, 'c')).toEqual(await contentOf(future, 'c'))
    expect((await past.write([put('c', 'k4', 'mine')]))[0]?.ok).toBe(true)
    await syncPair(past, future)
    expect((await contentOf(future, 'c'))['k4']).toBe('"mine"')
  })
})

describe('an interrupted session', () => {
  it('X1 leaves the vector where it was, and the next session ends equal, wherever the link was cut', async () => {
    // Small frames, so that the link is cut in many places.
    const frames = { bytesMax: 4_096, itemsMax: 20 }
    await a.write(many('c', 0, 90))
    await b.write(many('d', 0, 45))
    for (let cutAfter = 0; ; cutAfter++) {
      const [left, right] = [await openTestReplica(storeA.crash(), 1), await openTestReplica(storeB.crash(), 2)]
      const link = createTestLink(cutAfter)
      const [first] = await syncPair(left, right, link, { frames })
      if (first.isComplete) break
      expect(first.fault?.kind).toBe('closed')
      const [second] = await syncPair(left, right, createTestLink(), { frames })
      expect(second.isComplete).toBe(true)
      for (const name of ['c', 'd']) {
        expect(digestOf(left, name)).toBe(digestOf(right, name))
        expect(left.collection(name)?.recordCount).toBe(right.collection(name)?.recordCount)
      }
    }
  })

  it('X3 P10 goes on behind the last durable frame: at most one frame is sent again', async () => {
    await a.write(many('c', 0, 10_000))
    let received = 0
    let isCut = false
    const link = createTestLink()
    await syncPair(a, b, link, {
      onProgress({ itemsReceived }) {
        received = Math.max(received, itemsReceived)
        if (itemsReceived >= 4_000 && !isCut) {
          isCut = true
          link.ends[0].close()
        }
      },
    })
    expect(b.collection('c')?.recordCount).toBeGreaterThanOrEqual(4_000)
    let sentAgain = 0
    await syncPair(a, b, createTestLink(), {
      onProgress: ({ name, itemsSent }) => void (name === 'c' && (sentAgain = Math.max(sentAgain, itemsSent))),
    })
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(received).toBeLessThan(10_000)
    // At most one frame's items were durable and not known to be.
    expect(sentAgain).toBeLessThanOrEqual(10_000 - received + 1_000)
  })

  it('resumes after kill -9 and a power cut of the receiver', async () => {
    await a.write(many('c', 0, 5_000))
    await syncPair(a, b, createTestLink(20))
    const restarted = await openTestReplica(storeB.crash(), 7)
    const [result] = await syncPair(a, restarted)
    expect(result.isComplete).toBe(true)
    expect(digestOf(a, 'c')).toBe(digestOf(restarted, 'c'))
  })
})

describe('what a peer may do wrong', () => {
  it('X4 P11 one malformed version does not stop the rest, and is asked for again', async () => {
    await a.write([put('c', 'good'), put('c', 'poison'), put('d', 'other')])
    const cut = (message: Uint8Array): Uint8Array => {
      const decoded = codec.decode(message)
      if (!Array.isArray(decoded) || decoded[0] !== 3) return message
      const [kind, items, ...rest] = decoded
      const poisoned = (items as [string, Uint8Array][]).map(([key, version]) => [
        key,
        key === 'poison' ? version.subarray(0, 20) : version,
      ])
      return codec.encode([kind, poisoned, ...rest])
    }
    const malformed: number[] = []
    const [result] = await syncPair(a, b, createTestLink(Number.POSITIVE_INFINITY, cut), {
      onProgress: event => malformed.push(event.malformed),
    })
    expect(result.fault).toBeUndefined()
    expect(Math.max(...malformed)).toBe(1)
    expect(Object.keys(await contentOf(b, 'c'))).toEqual(['good'])
    expect(Object.keys(await contentOf(b, 'd'))).toEqual(['other'])
    await syncPair(a, b)
    expect(Object.keys(await contentOf(b, 'c'))).toEqual(['good', 'poison'])
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })

  it('P16 any bytes end the session with a reason, never with an exception', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }), async garbage => {
        const link = createTestLink()
        const session = runSession({
          link: link.ends[0],
          replica: a,
          codec,
          hash: systemHash,
          isInitiator: false,
          hello: () => helloOf(a),
          refusal: () => undefined,
        })
        for (const bytes of garbage) await link.ends[1].send(bytes)
        link.ends[1].close()
        const { fault, isComplete } = await session
        expect(isComplete).toBe(false)
        expect(['closed', 'malformed', 'unexpected', 'incompatible']).toContain(fault?.kind)
      }),
    )
  })

  it('P16 valid messages in any order end the session with a reason, and lose nothing', async () => {
    await a.write(many('c', 0, 5))
    const before = digestOf(a, 'c')
    const zeros = new Uint8Array(16)
    const origin = 'ab'.repeat(16)
    const dot = { origin, counter: 5 }
    const impossible = new Map([[origin, 2 ** 50]])
    const claims = {
      collectedStampMax: { ms: 2 ** 48 - 1, tick: 0 },
      rosterHash: new Uint8Array(8),
      acknowledgements: [{ storeId: origin, rosterHash: new Uint8Array(8), vector: impossible }],
      terms: readTerms(31, 2 ** 50, 2 ** 52),
      voided: [{ origin, from: 0, to: 2 ** 50 }],
    }
    const messages: Message[] = [
      helloOf(b),
      {
        kind: 'offers',
        offers: [{ name: 'c', generation: 1, root: zeros, knowledge: zeros, flags: 31, priority: 0 }],
        isLast: true,
        rosterHash: new Uint8Array(8),
      },
      {
        kind: 'open',
        name: 'c',
        generation: 1,
        vector: new Map([[origin, { counter: 9, run: '00'.repeat(8) }]]),
        collected: new Map(),
        resume: undefined,
        ...claims,
      },
      {
        kind: 'open',
        name: 'c',
        generation: 1,
        vector: new Map(),
        collected: new Map([[origin, 3]]),
        resume: { position: dot, target: new Map() },
        ...claims,
      },
      { kind: 'frame', items: [{ key: 'k', version: new Uint8Array(3) }], position: dot, logicalClock: 7 },
      { kind: 'ack' },
      { kind: 'mark', vector: new Map() },
      { kind: 'mark', vector: new Map(), isAsOpened: true },
      { kind: 'state', root: zeros, knowledge: zeros, rosterHash: new Uint8Array(8), flags: 0 },
      { kind: 'repair', vector: new Map(), collected: new Map() },
      { kind: 'get-nodes', level: 7, indexes: [9] },
      { kind: 'get-nodes', level: 1, indexes: [15] },
      { kind: 'nodes', nodes: [] },
      { kind: 'get-items', level: 2, index: 300, skip: 0 },
      { kind: 'items', items: [], hasMore: true },
      { kind: 'want', items: [{ key: 'k1', dot }] },
      { kind: 'drop', items: [{ key: 'k1', dot }] },
      { kind: 'repaired' },
      { kind: 'bye', reason: 'enough' },
    ]
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(fc.constantFrom(...messages), { maxLength: 12 }), async (isInitiator, sent) => {
        const link = createTestLink()
        const session = runSession({
          link: link.ends[0],
          replica: a,
          codec,
          hash: systemHash,
          isInitiator,
          hello: () => helloOf(a),
          refusal: () => undefined,
        })
        for (const message of [helloOf(b), ...sent]) await link.ends[1].send(encodeMessage(codec, message))
        link.ends[1].close()
        expect((await session).fault?.kind).not.toBe('store')
      }),
    )
    expect(digestOf(a, 'c')).toBe(before)
  })
})

describe('repair (L2)', () => {
  it('R4 R6 P14 finds and mends a record that was lost behind the vector, among many', async () => {
    await a.write(many('c', 0, 2_000))
    await syncPair(a, b)
    // Another key of the same replica reaches b only as an item below its vector: as if b had lost it.
    const cid = 2
    const snapshot = await b.snapshot()
    const collection = (await snapshot.collection('c'))!
    const lost = []
    for await (const item of collection.items(0, 0)) if (item.key === 'k77') lost.push(item)
    await snapshot.close()
    await b.dropItems('c', 1, lost)
    expect(storeB.get(recordRow(cid, keyBytes('k77')))).toBeUndefined()
    expect(digestOf(a, 'c')).not.toBe(digestOf(b, 'c'))

    const progress: CollectionProgress[] = []
    const [result] = await syncPair(a, b, createTestLink(), { onProgress: event => progress.push(event) })
    expect(result).toMatchObject({ isComplete: true, diverged: [] })
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect((await contentOf(b, 'c'))['k77']).toBe('77')
    const done = progress.filter(({ state }) => state === 'done')
    expect(done.every(({ isRepaired, isInSync }) => isRepaired && isInSync)).toBe(true)
    // Found by descending the tree: a fraction of what 2,000 records weigh.
    expect(result.bytesSent + result.bytesReceived).toBeLessThan(30_000)
  })

  it('R4 P5 is made again when a third replica brings more in its midst, and what it cannot mend is told', async () => {
    await a.write(many('c', 0, 40))
    await syncPair(a, b)
    const itemsOf = async (keys: readonly string[]) => {
      const snapshot = await a.snapshot()
      const items = []
      for await (const item of (await snapshot.collection('c'))!.items(0, 0)) if (keys.includes(item.key)) items.push(item)
      await snapshot.close()
      return items
    }
    await b.dropItems('c', 1, await itemsOf(['k7']))
    /** With each of the first frames that mend it, b loses another record: what it holds has changed, and is not mended. */
    const losing = (times: number) => {
      let frames = 0
      const applyItems: OpenReplica['applyItems'] = async frame => {
        const applied = await b.applyItems(frame)
        if (frames++ < times) await b.dropItems('c', 1, await itemsOf([`k${10 + frames}`]))
        return applied
      }
      return { replica: { ...b, applyItems }, frames: () => frames }
    }
    const once = losing(1)
    const [, mended] = await syncPair(a, once.replica)
    expect(mended.diverged).toEqual([])
    expect(once.frames()).toBe(2)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))

    await b.dropItems('c', 1, await itemsOf(['k7']))
    const ever = losing(Number.POSITIVE_INFINITY)
    const [, failed] = await syncPair(a, ever.replica)
    expect(failed.diverged).toEqual(['c'])
    expect(ever.frames()).toBe(3)
  })

  it('works in both directions of damage and whoever drives', async () => {
    await a.write(many('c', 0, 300))
    await syncPair(a, b)
    for (const [replica, key] of [
      [a, 'k5'],
      [b, 'k6'],
    ] as const) {
      const snapshot = await replica.snapshot()
      for await (const item of (await snapshot.collection('c'))!.items(0, 0)) if (item.key === key) await replica.dropItems('c', 1, [item])
      await snapshot.close()
    }
    await syncPair(b, a)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(Object.keys(await contentOf(a, 'c'))).toHaveLength(300)
  })

  it('R6 P5 drops what the other side collected, and does not bring it back', async () => {
    await a.write([put('c', 'gone'), put('c', 'stays')])
    await syncPair(a, b)
    await b.write([remove('c', 'gone')])
    // a is evicted, so b's tombstone waits for nobody: the item goes, and G says so. a has not heard of the delete.
    expect(await b.evict(a.storeId)).toBe(true)
    expect(await b.collectStable('c', 1)).toBe(1)
    const before = a.storeId
    expect((await syncPair(a, b))[1].fault?.kind).toBe('refused')

    const [result] = await syncPair(a, b)
    expect(result.fault).toBeUndefined()
    expect(Object.keys(await contentOf(a, 'c'))).toEqual(['stays'])
    expect(Object.keys(await contentOf(b, 'c'))).toEqual(['stays'])
    expect(a.storeId).not.toBe(before)
    expect(b.replicas().filter(({ isEvicted }) => isEvicted)).toMatchObject([{ storeId: before }])
    expect(b.replicas()).toHaveLength(3)
  })

  describe.each(['siblings', 'lww'] as const)('under %s, who is behind the floor', conflict => {
    /** a was evicted and has not heard that b deleted, collected, and wrote the keys again; `over` was written over. */
    async function fallBehind(): Promise<void> {
      await a.createCollection('c', { conflict })
      await a.write([put('c', 'k', 'old'), put('c', 'twice', 'old'), put('c', 'over', 'old')])
      await syncPair(a, b)
      await b.write([remove('c', 'k'), remove('c', 'twice'), put('c', 'over', 'new')])
      expect(await b.evict(a.storeId)).toBe(true)
      expect(await b.collectStable('c', 1)).toBe(2)
      await b.write([put('c', 'k', 'new'), put('c', 'twice', 'new')])
      // What the delete had not seen is a concurrent version like any other.
      await a.write([put('c', 'twice', 'late')])
      expect((await syncPair(a, b))[1].fault?.kind).toBe('refused')
    }

    const versionsOf = (key: string): string[] => {
      const found = a.get('c', key)
      if (found === undefined) return []
      return [found, ...(found.conflicts ?? [])].map(({ payload }) => Buffer.from(payload ?? []).toString()).sort()
    }

    it.each(['dials', 'is dialled'])('and %s, R6 P5 brings nothing back beside a key that was written again', async side => {
      await fallBehind()
      const [result] = side === 'dials' ? await syncPair(a, b) : await syncPair(b, a)
      expect(result).toMatchObject({ fault: undefined, diverged: [] })
      expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
      expect(versionsOf('k')).toEqual(['"new"'])
      expect(versionsOf('over')).toEqual(['"new"'])
      expect(versionsOf('twice')).toEqual(conflict === 'siblings' ? ['"late"', '"new"'] : ['"new"'])
    })

    it('R6 gives nothing up before that which supersedes it is here, wherever the link is cut', async () => {
      await fallBehind()
      let cutAfter = 0
      let hasCome = false
      for (let isComplete = false; !isComplete; cutAfter++) {
        ;[{ isComplete }] = await syncPair(a, b, createTestLink(cutAfter))
        expect(versionsOf('over')).toHaveLength(1)
        // What the tails have brought is above the own vector for a while, and no reason to give it up again: once more from the first cut on.
        const isHere = versionsOf('twice').includes('"new"')
        expect(isHere || !hasCome).toBe(true)
        if (isHere && !hasCome) cutAfter = 0
        hasCome = isHere
      }
      expect(cutAfter).toBeGreaterThan(10)
      expect(versionsOf('over')).toEqual(['"new"'])
    })
  })

  describe('tombstones that one side has collected', () => {
    // Somebody who is away, so that a and b collect nothing by themselves.
    beforeEach(async () => {
      await syncPair(a, await openTestReplica(createMemoryStore(), 3))
    })

    /** Deletes the key everywhere; answers what is needed to collect the tombstone. */
    async function deleteEverywhere(key: string) {
      const [deleted] = await a.write([remove('c', key)])
      if (!deleted?.ok || deleted.version === undefined) throw new Error('the delete was refused')
      await syncPair(a, b)
      const { timeMs, tick, origin, counter } = deleted.version
      return { dot: { origin, counter }, stamp: { ms: timeMs, tick } }
    }

    /** As if a peer that knows nothing else had told that it has collected the tombstone. */
    async function collect(replica: OpenReplica, { dot, stamp }: Awaited<ReturnType<typeof deleteEverywhere>>): Promise<void> {
      const vector = new Map([[dot.origin, dot.counter]])
      await replica.adoptCollected('c', 1, { vector, collected: vector, collectedStampMax: stamp })
    }

    /** The version of a key, as a peer would send it. */
    async function itemOf(replica: OpenReplica, key: string) {
      const snapshot = await replica.snapshot()
      const collection = (await snapshot.collection('c'))!
      for await (const { dot } of collection.items(0, 0)) {
        const item = collection.item(keyBytes(key), dot)
        if (item === undefined) continue
        await snapshot.close()
        return { key, version: decodeVersion(Uint8Array.from(item.version))!, dot }
      }
      throw new Error(`nothing is held of ${key}`)
    }

    it('R4 R6 T1 go beside siblings too: whoever collected first has the later write alone', async () => {
      await a.createCollection('c', { conflict: 'siblings' })
      await a.write([put('c', 'k', 'old')])
      await collect(a, await deleteEverywhere('k'))
      await a.write([put('c', 'k', 'new')])
      const [result] = await syncPair(a, b)
      expect(result.diverged).toEqual([])
      expect(digestOf(b, 'c')).toBe(digestOf(a, 'c'))
      expect(await contentOf(b, 'c')).toEqual({ k: '"new"' })
    })

    it('R6 P5 make void what a repair judged before it', async () => {
      await a.write([put('c', 'gone'), put('c', 'stays')])
      await syncPair(a, b)
      const old = await itemOf(a, 'gone')
      await collect(b, await deleteEverywhere('gone'))
      const frame = { collection: 'c', generation: 1, items: [old], logicalClock: 0, skipCovered: false, collected: new Map() }
      expect(await b.applyItems(frame)).toBeUndefined()
      expect(Object.keys(await contentOf(b, 'c'))).toEqual(['stays'])
    })

    it('R6 P5 nor is anything dropped at a floor that this replica is not behind any more', async () => {
      await a.write([put('c', 'gone'), put('c', 'stays')])
      await deleteEverywhere('gone')
      const tombstone = await itemOf(a, 'gone')
      const snapshot = await a.snapshot()
      const covered = (await snapshot.collection('c'))!.counters.get(tombstone.dot.origin)!
      await snapshot.close()
      const floor = (counter: number) => new Map([[tombstone.dot.origin, counter]])
      expect(await a.dropItems('c', 1, [tombstone], floor(covered))).toBe(0)
      expect(await a.dropItems('c', 1, [tombstone], floor(covered + 1))).toBe(1)
    })

    it('R6 T1 T3 do not come back from a peer that has not collected them, and later writes stay above them', async () => {
      await a.write([put('c', 'gone'), put('c', 'stays')])
      const tombstone = await deleteEverywhere('gone')
      const item = await itemOf(a, 'gone')
      // Who told of it did not tell its stamp.
      await collect(b, { ...tombstone, stamp: { ms: 0, tick: 0 } })
      const stamp = { ms: tombstone.stamp.ms + 3_600_000, tick: 0 }
      const late = { ...item, version: { ...item.version, stamp } }
      const frame = { collection: 'c', generation: 1, items: [late], logicalClock: 0, skipCovered: false }
      expect(await b.applyItems(frame)).toMatchObject({ applied: 0 })
      await b.write([put('c', 'gone', 'again')])
      expect(b.get('c', 'gone')?.version.timeMs).toBeGreaterThanOrEqual(stamp.ms)
    })

    it('R6 P5 end the repair in whose midst they are collected, and the next session agrees', async () => {
      await a.write([put('c', 'gone'), ...many('c', 0, 20)])
      const tombstone = await deleteEverywhere('gone')
      // Damage, so that there is something to repair.
      await b.dropItems('c', 1, [await itemOf(b, 'k7')])
      let isCollected = false
      const link = createTestLink(Number.POSITIVE_INFINITY, bytes => {
        const isFrame = bytes[1] === 3
        if (isFrame && !isCollected) void collect(b, tombstone)
        isCollected ||= isFrame
        return bytes
      })
      const [, result] = await syncPair(a, b, link)
      expect(isCollected).toBe(true)
      expect(result.fault).toMatchObject({ kind: 'closed', detail: expect.stringContaining('were collected') as string })
      const [again] = await syncPair(a, b)
      expect(again).toMatchObject({ isComplete: true, diverged: [] })
      expect(digestOf(b, 'c')).toBe(digestOf(a, 'c'))
      expect(Object.keys(await contentOf(b, 'c'))).toHaveLength(20)
    })
  })

  it('R6 judges an absent key by vectors and floors', () => {
    const vector = (entries: Record<string, number>) => new Map(Object.entries(entries))
    const dot = { origin: 'x', counter: 3 }
    const collector = { vector: vector({ x: 3, y: 1 }), collected: vector({ y: 1 }) }
    expect(judgeAbsent({ vector: vector({ x: 3 }), collected: vector({}) }, collector, dot)).toBe('drop')
    expect(judgeAbsent({ vector: vector({ x: 3, y: 1 }), collected: vector({}) }, collector, dot)).toBe('send')
    expect(judgeAbsent({ vector: vector({ x: 4 }), collected: vector({}) }, collector, { origin: 'x', counter: 4 })).toBe('send')
  })
})

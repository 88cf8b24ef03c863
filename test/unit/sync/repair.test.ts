/** Repair (L2) between replicas that differ in every way, with sketches and down the digest tree. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { createChannel, type Channel } from '../../../sync/channel.ts'
import type { ExchangeStats } from '../../../sync/exchange.ts'
import { decodeMessage, encodeMessage } from '../../../sync/message-codec.ts'
import type { Message } from '../../../sync/messages.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { PLAIN_RELATION } from '../../../sync/partial.ts'
import { driveRepair, serveRepair } from '../../../sync/repair.ts'
import { guessFromBuckets } from '../../../sync/sketch-search.ts'
import { sketchBuckets } from '../../../sync/sketch-region.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { codec, contentOf, createTestLink, digestOf, openTestReplica, put, syncPair } from '../../replica-pair.ts'

const RECORDS = 1_500

/** Two replicas with the same records. */
async function makePair(count = RECORDS): Promise<[OpenReplica, OpenReplica]> {
  const a = await openTestReplica(createMemoryStore(), 1)
  const b = await openTestReplica(createMemoryStore(), 2)
  await a.write(Array.from({ length: count }, (_, i) => put('c', `k${i}`, i)))
  await syncPair(a, b)
  return [a, b]
}

/** Takes records from a replica as damage does: its vector covers them as before. */
async function lose(replica: OpenReplica, isLost: (number: number) => boolean): Promise<void> {
  const snapshot = await replica.snapshot()
  const items = []
  for await (const item of (await snapshot.collection('c'))!.items(0, 0)) if (isLost(Number(item.key.slice(1)))) items.push(item)
  await snapshot.close()
  await replica.dropItems('c', 1, items)
}

interface Repaired {
  readonly messages: number
  readonly bytes: number
  readonly kinds: ReadonlySet<Message['kind']>
  readonly drifted: number
}

/** Repairs "c" alone. */
async function repair(driver: OpenReplica, server: OpenReplica, isSketched = true): Promise<Repaired> {
  const kinds = new Set<Message['kind']>()
  const link = createTestLink(Number.POSITIVE_INFINITY, bytes => {
    kinds.add(decodeMessage(codec, bytes)!.kind)
    return bytes
  })
  const stats: ExchangeStats = { itemsSent: 0, itemsReceived: 0, malformed: 0, drifted: 0 }
  const run = async (replica: OpenReplica, channel: Channel, side: typeof serveRepair): Promise<void> => {
    const snapshot = await replica.snapshot()
    const mine = (await snapshot.collection('c'))!
    await side({ channel, replica, hash: systemHash, stats, relation: PLAIN_RELATION, isSketched }, mine)
    await snapshot.close()
  }
  const channels = link.ends.map(end => createChannel(end, codec))
  await Promise.all([run(driver, channels[0]!, driveRepair), run(server, channels[1]!, serveRepair)])
  return { messages: link.messages, bytes: channels[0]!.bytesSent + channels[0]!.bytesReceived, kinds, drifted: stats.drifted }
}

describe('repair with sketches', () => {
  it('mends any damage on both sides, and leaves both with everything', async () => {
    const [a, b] = await makePair(400)
    const whole = await contentOf(a, 'c')
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }),
        fc.nat(9),
        fc.nat(9),
        fc.boolean(),
        fc.boolean(),
        async (one, x, y, isDriver, isSketched) => {
          await lose(a, number => number % one === x)
          await lose(b, number => number % (one + 3) === y + 20)
          await (isDriver ? repair(a, b, isSketched) : repair(b, a, isSketched))
          // What both had lost is gone; everything else is on both sides.
          expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
          expect(await contentOf(a, 'c')).toEqual(await contentOf(b, 'c'))
          const left = Object.keys(whole).filter(key => {
            const number = Number(key.slice(1))
            return number % one === x && number % (one + 3) === y + 20
          })
          await a.write(left.map(key => put('c', key, Number(key.slice(1)))))
          await syncPair(a, b)
        },
      ),
      { numRuns: 25 },
    )
    expect(await contentOf(a, 'c')).toEqual(whole)
  })

  it('finds one lost record by the bucket sums, in two round trips and less than 2 KB', async () => {
    const [a, b] = await makePair()
    await lose(b, number => number === 77)
    const { kinds, bytes, messages, drifted } = await repair(a, b)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect([...kinds].sort()).toEqual(['ack', 'cells', 'frame', 'get-cells', 'repair', 'repaired'])
    expect(messages).toBe(8)
    expect(bytes).toBeLessThan(2_000)
    expect(drifted).toBe(1)
  })

  it('finds a hundred by one sketch of all, with a fraction of the bytes of the tree', async () => {
    const isLost = (number: number): boolean => number % 15 === 3
    const [a, b] = await makePair()
    await lose(b, isLost)
    const sketched = await repair(b, a)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(sketched.drifted).toBe(100)
    await lose(b, isLost)
    const down = await repair(b, a, false)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(down.drifted).toBe(100)
    expect(sketched.bytes).toBeLessThan(down.bytes / 1.5)
    expect(down.kinds.has('get-cells')).toBe(false)
  })

  it.each([
    ['the driver', 0],
    ['the other side', 1],
  ])('streams a snapshot of what %s has lost, when that is most of it', async (_, loser) => {
    const pair = await makePair()
    await lose(pair[loser]!, number => number > 100)
    const { kinds } = await repair(pair[0], pair[1])
    expect(digestOf(pair[0], 'c')).toBe(digestOf(pair[1], 'c'))
    expect(Object.keys(await contentOf(pair[loser]!, 'c'))).toHaveLength(RECORDS)
    expect(kinds.has('get-symbols')).toBe(true)
  })

  it('fills a replica that has lost everything and knows that it had it', async () => {
    const [a, b] = await makePair(600)
    await lose(b, () => true)
    await repair(a, b)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    await lose(a, () => true)
    await repair(a, b)
    expect(Object.keys(await contentOf(a, 'c'))).toHaveLength(600)
  })

  it('R4 leaves to the log tails what one vector does not cover: that is no drift', async () => {
    const [a, b] = await makePair(50)
    await a.write(Array.from({ length: 30 }, (_, i) => put('c', `new${i}`, i)))
    await lose(b, number => number === 7)
    const { drifted } = await repair(a, b)
    expect(drifted).toBe(1)
    expect(Object.keys(await contentOf(b, 'c'))).toHaveLength(50)
    await syncPair(a, b)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })

  it('guesses from the bucket sums about how many items differ', async () => {
    for (const every of [750, 15, 5]) {
      const [a, b] = await makePair()
      await lose(b, number => number % every === 1)
      const sketches = await Promise.all(
        [a, b].map(async replica => {
          const snapshot = await replica.snapshot()
          return sketchBuckets(systemHash, (await snapshot.collection('c'))!)
        }),
      )
      const guess = guessFromBuckets(sketches[0]!, sketches[1]!, true)!
      const lost = RECORDS / every
      expect(guess.region.level).toBe(lost < 5 ? 2 : 0)
      expect(guess.differences).toBeGreaterThan(lost / 3)
      expect(guess.differences).toBeLessThan(lost * 3)
    }
  })

  it('P16 passes messages through the codec unaltered, and takes no others for them', () => {
    const messages: Message[] = [
      { kind: 'get-cells', level: 2, indexes: [3, 200], from: 0, upTo: 24 },
      { kind: 'cells', cells: new Uint8Array(48).fill(3) },
      { kind: 'get-symbols', level: 4, index: 65_535, after: new Uint8Array(16).fill(1) },
      { kind: 'get-symbols', level: 0, index: 0, after: new Uint8Array(0) },
      { kind: 'symbols', symbols: new Uint8Array(32), hasMore: true },
      { kind: 'get-keys', keyHashes: new Uint8Array(24) },
      { kind: 'repair', vector: new Map(), collected: new Map(), bucketCells: new Uint8Array(48) },
    ]
    for (const message of messages) expect(decodeMessage(codec, encodeMessage(codec, message))).toEqual(message)
    const bad: unknown[] = [
      [40, 2, [3, 3], 0, 24],
      [40, 2, [], 0, 24],
      [40, 2, Array.from({ length: 257 }, (_, i) => i), 0, 24],
      [40, 2, [3], 24, 24],
      [40, 2, [3], 0, 16_385],
      [41, new Uint8Array(25)],
      [41, new Uint8Array(24 * 16_385)],
      [42, 0, 0, new Uint8Array(8)],
      [43, new Uint8Array(17), false],
      [43, new Uint8Array(16)],
      [44, new Uint8Array(8 * 2_049)],
      [45, 1],
      [39],
    ]
    for (const fields of bad) expect(decodeMessage(codec, codec.encode(fields))).toBeUndefined()
  })
})

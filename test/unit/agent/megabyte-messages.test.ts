/** The largest things that replicas tell one another, over real sockets. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createPeerLink, dialPeer, LINK_LIMITS } from '../../../agent/peer-link.ts'
import type { LinkLimits, PeerLink } from '../../../agent/peer-link.ts'
import { decodeMessage, encodeMessage } from '../../../sync/message-codec.ts'
import { VECTOR_ENTRIES_MAX, type Open } from '../../../sync/messages.ts'
import { FULL_TERMS } from '../../../sync/partial.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import type { VectorEntry } from '../../../sync/collection-state.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { codec, digestOf, openTestReplica, put, syncPair } from '../../replica-pair.ts'

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function joined(changed: Partial<LinkLimits> = {}): Promise<readonly [PeerLink, PeerLink]> {
  const limits = { ...LINK_LIMITS, ...changed }
  const { promise, resolve } = Promise.withResolvers<PeerLink>()
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    resolve(createPeerLink(socket, limits))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  opened.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const dialled = (await dialPeer('127.0.0.1', (server.address() as { port: number }).port, limits))!
  opened.push(() => dialled.close())
  return [dialled, await promise]
}

const syncOver = async (a: OpenReplica, b: OpenReplica, ends: readonly [PeerLink, PeerLink]): ReturnType<typeof syncPair> =>
  syncPair(a, b, { ends, messages: 0 })

const origins = (count: number): string[] => Array.from({ length: count }, () => randomBytes(16).toString('hex'))
const vectorOf = (names: readonly string[]): Map<string, VectorEntry> =>
  new Map(names.map((name, i) => [name, { counter: 2 ** 50 + i, run: '0123456789abcdef' }]))

describe('P10 large things', () => {
  test('an `open` whose every vector has 65,536 entries fits the link', () => {
    const vector = vectorOf(origins(VECTOR_ENTRIES_MAX))
    const counters = new Map([...vector].map(([origin, { counter }]) => [origin, counter]))
    const open: Open = {
      kind: 'open',
      name: 'c'.repeat(64),
      generation: 2 ** 50,
      vector,
      collected: counters,
      resume: { target: counters, position: { origin: 'f'.repeat(32), counter: 2 ** 50 } },
      collectedStampMax: { ms: 2 ** 47, tick: 7 },
      terms: FULL_TERMS,
      voided: [],
      rosterHash: new Uint8Array(8),
      acknowledgements: Array.from({ length: 32 }, () => ({
        storeId: 'e'.repeat(32),
        rosterHash: new Uint8Array(8),
        vector: new Map([...counters].slice(0, 256)),
      })),
    }
    const bytes = encodeMessage(codec, open)
    expect(bytes.length).toBeGreaterThan(6_000_000)
    expect(bytes.length).toBeLessThan(LINK_LIMITS.messageBytesMax)
    expect(decodeMessage(codec, bytes)).toEqual(open)
  })

  test('replicas that know 65,536 origins agree over a link', async () => {
    const [a, b] = [await openTestReplica(createMemoryStore(), 1), await openTestReplica(createMemoryStore(), 2)]
    for (const replica of [a, b]) {
      await replica.write([put('c', 'first')])
      await syncPair(a, b)
    }
    const generation = a.collection('c')!.generation
    // One of them has met many, the other one only some.
    const all = vectorOf(origins(65_000))
    const some = new Map([...all].slice(0, 60_000))
    const mark = { collection: 'c', generation, senderStore: new Uint8Array(16) }
    await a.applyMark({ ...mark, vector: all })
    await b.applyMark({ ...mark, vector: some })
    await b.write([put('c', 'second')])
    const [result] = await syncOver(a, b, await joined())
    expect(result.fault).toBeUndefined()
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    const snapshot = await b.snapshot()
    expect((await snapshot.collection('c'))?.vector.size).toBeGreaterThan(65_000)
    await snapshot.close()
  })

  test.each([
    ['as fast as it goes', {}],
    ['through a cap', { sendKbpsMax: 20_000 }],
  ])('a record with a payload of a megabyte and a vector of 65,536 numbers arrives, %s', async (_name, limits) => {
    const [a, b] = [await openTestReplica(createMemoryStore(), 1), await openTestReplica(createMemoryStore(), 2)]
    const payload = new TextEncoder().encode(JSON.stringify(randomBytes(512 * 1024 - 1).toString('hex')))
    const vector = Array.from({ length: 65_536 }, (_, i) => Math.fround(Math.sin(i)))
    const [written] = await a.write([{ collection: 'c', key: 'large', content: { payload, vector } }, put('c', 'small')])
    expect(written).toMatchObject({ ok: true })
    const [result] = await syncOver(a, b, await joined(limits))
    expect(result.fault).toBeUndefined()
    expect(b.get('c', 'large')).toEqual(a.get('c', 'large'))
    expect(b.get('c', 'large')?.payload).toHaveLength(payload.length)
  })
})

/** Two agents' synchronisers on memory stores and links in memory, in a time that stands still until it is told to go on. */
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import type { PeerLink } from '../../../agent/peer-link.ts'
import { createSynchroniser, type Synchroniser } from '../../../agent/synchroniser.ts'
import { equalBytes } from '../../../base/bytes.ts'
import type { Link } from '../../../sync/channel.ts'
import { loadCollections } from '../../../sync/collection-state.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import { codec, createTestClock, createTestLink, openTestReplica, put, remove } from '../../replica-pair.ts'
import { createSeededRandom } from '../../seeded-random.ts'

const NODE_IDS = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const peerLink = (link: Link): PeerLink => ({
  ...link,
  remote: { host: 'memory', port: 1 },
  fault: undefined,
  silenceMs: () => 0,
  mayIdleWhile: () => {},
  batchBytesMax: Number.POSITIVE_INFINITY,
})

interface Pair {
  readonly replicas: readonly [OpenReplica, OpenReplica]
  readonly stores: readonly [MemoryStore, MemoryStore]
  /** Messages of each session so far. */
  readonly sessions: readonly { readonly messages: number }[]
  /** From now on links close when so many messages have been sent. */
  cutAfter: number
  /** What gossip does. */
  tellDigests(): void
  /** Time goes on by so much. */
  pass(ms: number): Promise<void>
  close(): Promise<void>
}

async function createPair(): Promise<Pair> {
  const stores = [createMemoryStore(), createMemoryStore()] as const
  const replicas = (await Promise.all(stores.map((store, i) => openTestReplica(store, i + 1)))) as [OpenReplica, OpenReplica]
  const sessions: { readonly messages: number }[] = []
  const synchronisers: Synchroniser[] = []
  const viewsOf = (replica: OpenReplica) => [replica.systemCollection(), ...replica.collections()]
  const differing = (): string[] => {
    const [own, theirs] = [viewsOf(replicas[0]), viewsOf(replicas[1])]
    const isSame = (name: string | undefined): boolean => {
      const [a, b] = [own.find(view => view?.name === name), theirs.find(view => view?.name === name)]
      return a !== undefined && b !== undefined && equalBytes(a.digest, b.digest)
    }
    return [...new Set([...own, ...theirs].map(view => view?.name ?? ''))].filter(name => !isSame(name))
  }
  const pair: Pair = {
    replicas,
    stores,
    sessions,
    cutAfter: Number.POSITIVE_INFINITY,
    tellDigests: () => synchronisers.forEach((synchroniser, i) => synchroniser.digestsChanged(NODE_IDS[1 - i]!, differing())),
    pass: async ms => {
      for (let passedMs = 0; passedMs < ms; passedMs += 50) {
        await vi.advanceTimersByTimeAsync(50)
        for (let turn = 0; turn < 3; turn++) await new Promise<void>(resolve => void setImmediate(resolve))
      }
    },
    close: async () => void (await Promise.all(synchronisers.map(synchroniser => synchroniser.close()))),
  }
  for (const [i, replica] of replicas.entries()) {
    const peer = { nodeId: NODE_IDS[1 - i]!, host: 'memory', port: 1, mayExchange: true, isNamed: false }
    synchronisers.push(
      createSynchroniser({
        nodeId: NODE_IDS[i]!,
        swarmName: 'test',
        replica,
        clock: createTestClock(),
        random: createSeededRandom(i),
        hash: systemHash,
        codec,
        log: pino({ level: 'silent' }),
        isSealed: false,
        isOpen: true,
        async dial() {
          await Promise.resolve()
          const link = createTestLink(pair.cutAfter)
          sessions.push(link)
          synchronisers[1 - i]!.accept(peerLink(link.ends[1]))
          return peerLink(link.ends[0])
        },
        peer: () => peer,
        peers: () => [peer],
        differing,
        liveLinksMax: 0,
        onExchanged: () => {},
        onSettled: () => {},
        onAnswered: () => {},
      }),
    )
  }
  return pair
}

const itemsOf = async (store: MemoryStore): Promise<number> =>
  (await loadCollections(store)).find(({ name, dropped }) => name === 'c' && !dropped)?.total.count ?? 0

/** A pair that is at rest, and then has a delete to tell. */
async function pairWithDelete(): Promise<Pair> {
  const pair = await createPair()
  await pair.replicas[0].write([put('c', 'x'), put('c', 'y')])
  pair.tellDigests()
  await pair.pass(5_000)
  expect(await itemsOf(pair.stores[1])).toBe(2)
  await pair.replicas[0].write([remove('c', 'x')])
  return pair
}

it('R7 wherever a session breaks off, one more is made though digests are equal, and deletes go away', async () => {
  const calm = await pairWithDelete()
  const before = calm.sessions.length
  calm.tellDigests()
  await calm.pass(5_000)
  const messages = calm.sessions[before]!.messages
  const needed = calm.sessions.length - before
  await calm.close()

  for (let cutAfter = 3; cutAfter < messages; cutAfter++) {
    const pair = await pairWithDelete()
    const first = pair.sessions.length
    pair.cutAfter = cutAfter
    pair.tellDigests()
    await pair.pass(300)
    pair.cutAfter = Number.POSITIVE_INFINITY
    await pair.pass(10_000)
    const made = pair.sessions.length - first
    expect(made, `cut after ${cutAfter} of ${messages} messages`).toBeGreaterThan(1)
    expect(made, `cut after ${cutAfter} of ${messages} messages`).toBeLessThan(needed + 4)
    // What one side has collected, digests tell of by themselves.
    pair.tellDigests()
    await pair.pass(10_000)
    for (const store of pair.stores) expect(await itemsOf(store), `cut after ${cutAfter} of ${messages} messages`).toBe(1)
    await pair.close()
  }
})

it('a pair that is at rest makes no session', async () => {
  const pair = await pairWithDelete()
  pair.tellDigests()
  await pair.pass(10_000)
  pair.tellDigests()
  await pair.pass(10_000)
  const made = pair.sessions.length
  for (let i = 0; i < 5; i++) {
    pair.tellDigests()
    await pair.pass(10_000)
  }
  expect(pair.sessions.length).toBe(made)
  await pair.close()
})

/** Replicas on memory stores and a link between them, for tests of sessions: no sockets, no clocks. */
import { createCodec } from '../agent/codec.ts'
import { systemHash } from '../agent/ports.ts'
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import type { Link } from '../sync/channel.ts'
import { PROTOCOL_VERSION, type Hello } from '../sync/messages.ts'
import { openReplica, type OpenReplica } from '../sync/open-replica.ts'
import type { LocalWrite } from '../sync/replica.ts'
import { runSession, type SessionOptions, type SessionResult } from '../sync/session.ts'
import type { Store } from '../sync/store.ts'
import { createSeededRandom } from './seeded-random.ts'

export interface TestClock extends Clock {
  wall: number
}

export function createTestClock(wall = 1.7e12): TestClock {
  return {
    wall,
    monotonicMs: () => 0,
    wallMs() {
      return this.wall
    },
    trusted: () => true,
  }
}

export const codec = createCodec()

export function openTestReplica(store: Store, seed: number, clock: Clock = createTestClock(), nodeId = ''): Promise<OpenReplica> {
  return openReplica({
    store,
    hash: systemHash,
    random: createSeededRandom(seed),
    clock,
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability: 'fsync',
    nodeId,
  })
}

export const json = (value: unknown): Uint8Array => encodeUtf8(JSON.stringify(value))!
export const put = (collection: string, key: string | undefined, value: unknown = 1): LocalWrite => ({
  collection,
  key,
  content: { payload: json(value) },
})
export const remove = (collection: string, key: string): LocalWrite => ({ collection, key, content: undefined })

/** Live records as `key -> payload text`, read page by page. */
export async function contentOf(replica: OpenReplica, collection: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {}
  for await (const page of replica.scan(collection, {})) {
    for (const { key, payload } of page) content[key] = Buffer.from(payload ?? []).toString()
  }
  return content
}

export const digestOf = (replica: OpenReplica, collection: string): string =>
  toHex(replica.collection(collection)?.digest ?? new Uint8Array(0))

export interface TestLink {
  readonly ends: readonly [Link, Link]
  readonly messages: number
}

/** Two ends of a link. `cutAfter`: it closes when so many messages have been sent. `tamper` may change a message on its way. */
export function createTestLink(cutAfter = Number.POSITIVE_INFINITY, tamper = (bytes: Uint8Array): Uint8Array => bytes): TestLink {
  let messages = 0
  let isOpen = true
  const queues: Uint8Array[][] = [[], []]
  const waiting: ((bytes: Uint8Array | undefined) => void)[][] = [[], []]
  const close = (): void => {
    isOpen = false
    for (const side of waiting) for (const wake of side.splice(0)) wake(undefined)
  }
  const end = (own: 0 | 1): Link => {
    const other = own === 0 ? 1 : 0
    return {
      async send(bytes) {
        await Promise.resolve()
        if (!isOpen) return
        if (messages >= cutAfter) return close()
        messages += 1
        const wake = waiting[other]!.shift()
        if (wake === undefined) queues[other]!.push(tamper(bytes))
        else wake(tamper(bytes))
      },
      async receive() {
        const bytes = queues[own]!.shift()
        if (bytes !== undefined) return bytes
        return isOpen ? new Promise(resolve => void waiting[own]!.push(resolve)) : undefined
      },
      close,
    }
  }
  return {
    ends: [end(0), end(1)],
    get messages() {
      return messages
    },
  }
}

export function helloOf(replica: OpenReplica): Hello {
  const { storeId, saltId } = replica
  return {
    kind: 'hello',
    protocol: PROTOCOL_VERSION,
    swarmName: 'test',
    nodeId: storeId,
    storeId,
    saltId,
    logicalClock: 0,
    wallMs: 0,
    isNamed: false,
    isLive: false,
  }
}

export async function syncPair(
  a: OpenReplica,
  b: OpenReplica,
  link: TestLink = createTestLink(),
  options: Partial<SessionOptions> = {},
): Promise<[SessionResult, SessionResult]> {
  const run = (replica: OpenReplica, end: Link, isInitiator: boolean): Promise<SessionResult> =>
    runSession({
      link: end,
      replica,
      codec,
      hash: systemHash,
      isInitiator,
      hello: () => helloOf(replica),
      refusal: () => undefined,
      ...options,
    })
  return Promise.all([run(a, link.ends[0], true), run(b, link.ends[1], false)])
}

/** Sessions of each with each, as often. */
export async function meetAll(replicas: readonly OpenReplica[], rounds = 3): Promise<void> {
  for (let round = 0; round < rounds; round++)
    for (const [i, a] of replicas.entries()) for (const b of replicas.slice(i + 1)) await syncPair(a, b)
}

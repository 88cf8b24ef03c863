/** What comes from elsewhere while a peer's mark is about to take a replica past that peer's floor (R6, P5). */
import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../../../base/utf8.ts'
import type { Link } from '../../../sync/channel.ts'
import { createCrossings, type Crossings } from '../../../sync/crossing.ts'
import type { Dot } from '../../../sync/dot.ts'
import { decodeMessage } from '../../../sync/message-codec.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { createRemoteFrames, type RemoteFrameOptions } from '../../../sync/remote-frames.ts'
import { renewIdentity } from '../../../sync/replica-state.ts'
import { decodeVersion } from '../../../sync/version.ts'
import { createMemoryStore } from '../../memory-store.ts'
import {
  codec,
  contentOf,
  createTestLink,
  digestOf,
  meetAll,
  openTestReplica,
  put,
  remove,
  syncPair,
  type TestLink,
} from '../../replica-pair.ts'
import { createSeededRandom } from '../../seeded-random.ts'

const KEYS = Array.from({ length: 10 }, (_, i) => `stays-${i}`)
/** So small that a tail is sent in several. */
const frames = { bytesMax: 1e6, itemsMax: 3 }

let full: OpenReplica
let peer: OpenReplica
let returning: OpenReplica
let fresh: OpenReplica

/** A robot comes back that has slept since before a delete, which all others have forgotten; and one that knows nothing joins. */
beforeEach(async () => {
  const store = createMemoryStore()
  full = await openTestReplica(createMemoryStore(), 1)
  peer = await openTestReplica(createMemoryStore(), 2)
  const third = await openTestReplica(store, 3)
  const swarm = [full, peer, third]
  await full.write([put('c', 'gone'), ...KEYS.map(key => put('c', key))])
  await meetAll(swarm)
  const asleep = store.crash()
  await full.write([remove('c', 'gone')])
  await meetAll(swarm)
  await renewIdentity(asleep, createSeededRandom(9))
  returning = await openTestReplica(asleep, 4)
  fresh = await openTestReplica(createMemoryStore(), 5)
})

/** A link whose responder does something else before its mark of `c` leaves. */
function beforeMark(action: () => Promise<unknown>): TestLink {
  const link = createTestLink()
  const [left, right] = link.ends
  let opened = ''
  const slow: Link = {
    ...right,
    async send(bytes) {
      const message = decodeMessage(codec, bytes)
      if (message?.kind === 'open') opened = message.name
      if (message?.kind === 'mark' && opened === 'c') await action()
      return right.send(bytes)
    },
  }
  return { ends: [left, slow], messages: 0 }
}

const pull = async (link?: TestLink): Promise<{ readonly isComplete: boolean; readonly received: number }> => {
  let received = 0
  const [{ isComplete, fault }] = await syncPair(fresh, full, link, {
    frames,
    onProgress: ({ name, state, itemsReceived }) =>
      void (name === 'c' && state === 'done' && (received = Math.max(received, itemsReceived))),
  })
  expect(fault).toBeUndefined()
  return { isComplete, received }
}

const hasCollected = async (): Promise<boolean> => {
  const snapshot = await full.snapshot()
  const collection = await snapshot.collection('c')
  await snapshot.close()
  return collection !== undefined && collection.collected.size > 0
}

describe('a replica that is taken past the floor of a peer', () => {
  it('R6 P5 leaves the mark, when somebody brought what the peer had seen deleted, and drops it the next time', async () => {
    expect(await hasCollected()).toBe(true)
    const first = await pull(beforeMark(() => syncPair(fresh, returning)))
    expect(first).toMatchObject({ isComplete: false, received: KEYS.length })
    expect(Object.keys(await contentOf(fresh, 'c'))).toContain('gone')

    const second = await pull()
    expect(second.isComplete).toBe(true)
    expect(second.received).toBeLessThanOrEqual(frames.itemsMax)
    for (const other of [peer, returning, full]) expect((await syncPair(fresh, other))[0].fault).toBeUndefined()
    for (const replica of [fresh, returning, peer, full]) {
      expect(Object.keys(await contentOf(replica, 'c'))).toEqual(KEYS)
      expect(digestOf(replica, 'c')).toBe(digestOf(full, 'c'))
    }
  })

  it('R6 P5 leaves the mark, when that was brought before the peer had answered, into a collection that was not there', async () => {
    const late = await openTestReplica(createMemoryStore(), 6)
    const [left, right] = createTestLink().ends
    let opened = ''
    let isFilled = false
    const slow: Link = {
      ...right,
      async send(bytes) {
        const message = decodeMessage(codec, bytes)
        if (message?.kind === 'open') opened = message.name
        if (message?.kind === 'open' && opened === 'c') await syncPair(fresh, returning)
        if (message?.kind === 'state' && opened === '_system' && !isFilled) {
          isFilled = true
          await syncPair(late, full)
        }
        return right.send(bytes)
      },
    }
    expect((await syncPair(fresh, late, { ends: [left, slow], messages: 0 }))[0].isComplete).toBe(false)
    const others = [late, full, peer, returning]
    for (let i = 0; i < 3; i++) for (const other of others) await syncPair(fresh, other)
    for (const replica of [fresh, ...others]) expect(Object.keys(await contentOf(replica, 'c'))).toEqual(KEYS)
  })

  it('takes the mark, when what came from elsewhere is news to the peer too', async () => {
    await peer.write([put('c', 'news')])
    const bringNews = async (): Promise<void> => {
      const snapshot = await peer.snapshot()
      const collection = (await snapshot.collection('c'))!
      const { version } = collection.item(encodeUtf8('news')!, peer.get('c', 'news')!.version)!
      const items = [{ key: 'news', version: decodeVersion(version)! }]
      await snapshot.close()
      const frame = { collection: 'c', generation: collection.generation, items, logicalClock: 0, skipCovered: true }
      expect(await fresh.applyItems(frame)).toMatchObject({ applied: 1 })
    }
    expect((await pull(beforeMark(bringNews))).isComplete).toBe(true)
    expect(Object.keys(await contentOf(fresh, 'c'))).toEqual(['news', ...KEYS])
  })

  it('is disturbed by nothing that its own session brings, that is in another collection, or that comes when it is over', () => {
    const crossings = createCrossings()
    const known = new Map([['origin', 5]])
    const one = crossings.begin('c', known)
    const other = crossings.begin('c', known)
    const at = (counter: number): Dot => ({ origin: 'origin', counter })
    crossings.noteApplied('c', at(6), undefined)
    crossings.noteApplied('d', at(5), undefined)
    crossings.noteApplied('c', at(5), one)
    expect([one.isDisturbed, other.isDisturbed]).toEqual([false, true])
    one.end()
    other.end()
    crossings.noteApplied('c', at(5), undefined)
    expect(one.isDisturbed).toBe(false)
  })

  it('a mark for a collection that is gone, or that there is no place for, is left to nobody', async () => {
    const { generation } = fresh.collection('c') ?? { generation: 1 }
    await fresh.write([put('c', 'k')])
    await fresh.deleteCollection('c')
    const mark = { collection: 'c', generation, vector: new Map(), senderStore: new Uint8Array(16) }
    expect(await fresh.applyMark(mark)).toBe('gone')
  })

  it('ends where the store fails as it begins', async () => {
    let open = 0
    const real = createCrossings()
    const crossings: Crossings = {
      ...real,
      begin(name, known) {
        const crossing = real.begin(name, known)
        open += 1
        return { ...crossing, end: () => void (open -= 1) }
      },
    }
    const refusing = createRemoteFrames({
      context: { crossings } as RemoteFrameOptions['context'],
      submit: () => Promise.reject(new Error('no disk')),
    } as unknown as RemoteFrameOptions)
    await expect(refusing.beginCrossing('c', new Map(), false)).rejects.toThrow('no disk')
    expect(open).toBe(0)
  })
})

/** Sends through it take turns of the event loop, more or fewer. */
function unsteady(link: TestLink, pick: (n: number) => number): TestLink {
  const slow = (end: Link, pace: number): Link => {
    let last = Promise.resolve()
    return {
      ...end,
      send: bytes =>
        (last = last.then(async () => {
          for (let turns = pick(pace); turns > 0; turns--) await eventLoopTurn()
          await end.send(bytes)
        })),
    }
  }
  return { ends: [slow(link.ends[0], 2 + pick(12)), slow(link.ends[1], 2 + pick(12))], messages: 0 }
}

describe.each(['lww', 'siblings'] as const)('sessions at once, in any order, with %s', conflict => {
  it.each(Array.from({ length: 12 }, (_, i) => i + 1))('R6 P5 bring nothing back and end equal: seed %i', async seed => {
    const random = createSeededRandom(seed * 7_919)
    const pick = (n: number): number => Math.floor(random.fraction() * n)
    const open = (i: number): Promise<OpenReplica> => openTestReplica(createMemoryStore(), seed * 10 + i)
    const store = createMemoryStore()
    const enrolled = [await open(1), await open(2), await openTestReplica(store, seed * 10 + 3)]
    const gone = Array.from({ length: 6 }, (_, i) => `gone-${i}`)
    await enrolled[0]!.createCollection('c', { conflict })
    await enrolled[0]!.write(gone.map(key => put('c', key)))
    for (const [n, one] of enrolled.entries()) await one.write(Array.from({ length: 6 }, (_, i) => put('c', `${n}-${i}`)))
    await meetAll(enrolled)
    const asleep = store.crash()
    await enrolled[1]!.write(gone.map(key => remove('c', key)))
    await meetAll(enrolled)
    await renewIdentity(asleep, createSeededRandom(seed))
    const all = [...enrolled, await openTestReplica(asleep, seed * 10 + 4), await open(5), await open(6)]

    const later = async (turns: number, action: () => Promise<unknown>): Promise<void> => {
      for (let left = turns; left > 0; left--) await eventLoopTurn()
      await action()
    }
    for (let step = 0; step < 4; step++) {
      const tasks: Promise<void>[] = []
      const pairs = new Set<string>()
      for (let k = 0; k < 5; k++) {
        const [a, b] = [k < 3 ? 4 : pick(6), pick(6)]
        const pair = `${Math.min(a, b)} ${Math.max(a, b)}`
        if (a === b || pairs.has(pair)) continue
        pairs.add(pair)
        const link = createTestLink(random.fraction() < 0.25 ? 5 + pick(60) : undefined)
        const small = { frames: { bytesMax: 1e6, itemsMax: 2 } }
        tasks.push(later(pick(40), () => syncPair(all[a]!, all[b]!, unsteady(link, pick), small)))
      }
      tasks.push(later(pick(60), () => enrolled[pick(3)]!.write([put('c', `new-${step}`)])))
      await Promise.all(tasks)
    }
    for (let i = 0; i < 3; i++) for (const a of all) for (const b of all) if (a !== b) await syncPair(a, b)
    for (const one of all) {
      expect(Object.keys(await contentOf(one, 'c')).filter(key => gone.includes(key))).toEqual([])
      expect(digestOf(one, 'c')).toBe(digestOf(all[0]!, 'c'))
    }
  })
})

/** What comes from elsewhere while a peer's mark is about to take a replica past that peer's floor (R6, P5). */
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../../../base/utf8.ts'
import type { Link } from '../../../sync/channel.ts'
import { createCrossings } from '../../../sync/crossing.ts'
import type { Dot } from '../../../sync/dot.ts'
import { decodeMessage } from '../../../sync/message-codec.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { renewIdentity } from '../../../sync/replica-state.ts'
import { decodeVersion } from '../../../sync/version.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { codec, contentOf, createTestLink, digestOf, openTestReplica, put, remove, syncPair, type TestLink } from '../../replica-pair.ts'
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
  const meetAll = async (): Promise<void> => {
    for (let round = 0; round < 3; round++)
      for (const [a, b] of [
        [full, peer],
        [full, third],
        [third, peer],
      ] as const)
        await syncPair(a, b)
  }
  await full.write([put('c', 'gone'), ...KEYS.map(key => put('c', key))])
  await meetAll()
  const asleep = store.crash()
  await full.write([remove('c', 'gone')])
  await meetAll()
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
})

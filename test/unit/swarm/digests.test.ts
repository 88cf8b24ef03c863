import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { createDigestList, differingNames } from '../../../swarm/digest-list.ts'
import type { CollectionDigest } from '../../../swarm/digest-list.ts'
import { LIMITS } from '../../../swarm/options.ts'
import { DATAGRAM_BYTES_MAX } from '../../../swarm/packet.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'
import type { VirtualNode } from './virtual-network.ts'

const collection = (name: string, fill: number, recordCount = 10): CollectionDigest => ({
  name,
  generation: 1,
  digest: new Uint8Array(16).fill(fill),
  recordCount,
  vectorCount: 0,
})

function hold(node: VirtualNode, ...collections: CollectionDigest[]): void {
  node.give({ type: 'local-state', state: { logicalClock: 1, collections } })
}

/** What it last said of a peer, or of this one. */
function lastDiffering(node: VirtualNode, peer?: VirtualNode): readonly string[] | undefined {
  const told = node.effects('digests').filter(({ nodeId }) => peer === undefined || nodeId === peer.nodeId)
  return told.at(-1)?.differing
}

const manyOf = (count: number, fill: number): CollectionDigest[] =>
  Array.from({ length: count }, (_, i) => collection(`a-collection-with-a-longish-name.${i}`, fill, 2 ** 33 + i))

test('peers learn whose digests differ, and when they agree again', () => {
  const net = createVirtualNetwork()
  const [a, b] = [net.add(1), net.add(2)]
  hold(a, collection('imu', 1), collection('map', 1), collection('only-a', 1))
  hold(b, collection('imu', 1), collection('map', 2))
  net.run(500)
  expect(lastDiffering(a)).toEqual(['map', 'only-a'])
  expect(lastDiffering(b)).toEqual(['map', 'only-a'])
  expect(a.swarm.member(NODE_ID(2), net.nowMs())!.collections).toEqual([collection('imu', 1), collection('map', 2)])
  hold(b, collection('imu', 1), collection('map', 1), collection('only-a', 1))
  net.run(300)
  expect(lastDiffering(a)).toEqual([])
  expect(lastDiffering(b)).toEqual([])
  const count = a.effects('digests').length
  net.run(10_000)
  expect(a.effects('digests')).toHaveLength(count)
})

test('a change is told at once, and many changes at most four times a second', () => {
  const net = createVirtualNetwork()
  const [a, b] = [net.add(1), net.add(2)]
  net.run(5_000)
  hold(a, collection('imu', 1))
  net.run(10)
  expect(lastDiffering(b)).toEqual(['imu'])
  const from = a.sent.length
  for (let i = 0; i < 100; i++) {
    hold(a, collection('imu', 2 + i))
    net.run(20)
  }
  // 2 s: 8 tellings, 2 periods, and the answers to b's questions.
  expect(a.sent.slice(from).length).toBeLessThan(40)
  net.run(300)
  expect(b.swarm.member(NODE_ID(1), net.nowMs())!.collections).toEqual([collection('imu', 101)])
})

test('nobody is left out of a change, however many members there are', () => {
  const net = createVirtualNetwork()
  const hub = net.add(1, { multicast: false })
  const others = Array.from({ length: 50 }, (_, i) => net.add(i + 2, { multicast: false, seeds: [hub.address] }))
  net.run(5_000)
  hold(hub, collection('imu', 1))
  net.run(1_000)
  for (const node of others) expect(lastDiffering(node, hub)).toEqual(['imu'])
})

test('2,000 collections come over in pages that fit a datagram, every one of them (G8)', () => {
  const net = createVirtualNetwork()
  const [a, b] = [net.add(1), net.add(2)]
  hold(a, ...manyOf(2_000, 1))
  hold(b, ...manyOf(1_999, 1), collection('zzz', 1))
  net.run(3_000)
  expect(b.swarm.member(NODE_ID(1), net.nowMs())!.collections).toHaveLength(2_000)
  expect(lastDiffering(b)).toEqual(['a-collection-with-a-longish-name.1999', 'zzz'])
  expect(lastDiffering(a)).toEqual(lastDiffering(b))
  expect(Math.max(...net.wire.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(DATAGRAM_BYTES_MAX)
})

test('2,000 collections come over although one changes all the time and every fifth packet is lost (G7, G8)', () => {
  const net = createVirtualNetwork()
  const [a, b] = [net.add(1), net.add(2)]
  let packets = 0
  net.setLink(() => ++packets % 5 !== 0)
  const complete: number[] = []
  const lengths = new Set<number>()
  for (let fill = 0; fill < 200; fill++) {
    hold(a, ...manyOf(2_000, 1), collection('busy', fill))
    net.run(250)
    const held = b.swarm.member(NODE_ID(1), net.nowMs())?.collections
    if (held === undefined) continue
    lengths.add(held.length)
    complete.push(held.find(({ name }) => name === 'busy')!.digest[0]!)
  }
  expect([...lengths]).toEqual([2_001])
  expect(new Set(complete).size).toBeGreaterThan(5)
  expect(complete).toEqual([...complete].sort((x, y) => x - y))
})

test('pages that do not add up to the summary they claim are not taken (G7)', () => {
  const net = createVirtualNetwork()
  const [a, b] = [net.add(1), net.add(2)]
  const lying = createDigestList([collection('imu', 1)], systemHash)
  hold(a, ...lying.collections)
  // The name of the collection is changed under way.
  const real = a.swarm.step.bind(a.swarm)
  Object.assign(a.swarm, {
    step: (...args: Parameters<typeof real>) =>
      real(...args).map(effect => {
        if (effect.type !== 'send') return effect
        const bytes = Uint8Array.from(effect.bytes)
        const at = bytes.findIndex((byte, i) => byte === 0x69 && bytes[i + 1] === 0x6d && bytes[i + 2] === 0x75)
        if (at > 0) bytes[at] = 0x6a
        return { ...effect, bytes }
      }),
  })
  net.run(10_000)
  expect(b.lists()).toEqual(['robot-1'])
  expect(b.effects('reject').map(({ reason }) => reason)).toContain('digest-mismatch')
  expect(b.swarm.member(NODE_ID(1), net.nowMs())!.collections).toBeUndefined()
  expect(b.effects('digests')).toEqual([])
  // Asked again, at a bounded rate.
  expect(b.effects('reject').length).toBeLessThanOrEqual(4)
})

test('a peer with more collections than the limit is refused with a reason, and the others go on', () => {
  const net = createVirtualNetwork()
  const [a, b, c] = [net.add(1), net.add(2, { limits: { ...LIMITS, collectionsMax: 100 } }), net.add(3)]
  hold(a, ...manyOf(101, 1))
  hold(c, ...manyOf(100, 2))
  net.run(10_000)
  expect(b.effects('reject').map(({ reason }) => reason)).toEqual(['too-many-collections'])
  expect(b.swarm.member(NODE_ID(1), net.nowMs())!.collections).toBeUndefined()
  expect(b.swarm.member(NODE_ID(3), net.nowMs())!.collections).toHaveLength(100)
})

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

describe('the digest list', () => {
  const lists = fc
    .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), fc.nat(2), fc.nat(2)), { selector: ([name]) => name })
    .map(entries => entries.map(([name, generation, fill]) => ({ ...collection(name, fill), generation })))

  test('its summary does not depend on the order given, and differs when anything in it does', () => {
    fc.assert(
      fc.property(lists, lists, (one, other) => {
        const [a, b] = [createDigestList(one, systemHash), createDigestList(other, systemHash)]
        expect(createDigestList([...one].reverse(), systemHash).summary).toBe(a.summary)
        expect(a.summary === b.summary).toBe(JSON.stringify(a.collections) === JSON.stringify(b.collections))
      }),
    )
  })

  test('the difference of two lists is that of their sets', () => {
    fc.assert(
      fc.property(lists, lists, (one, other) => {
        const [a, b] = [createDigestList(one, systemHash), createDigestList(other, systemHash)]
        const text = (list: CollectionDigest[], name: string): string => JSON.stringify(list.find(entry => entry.name === name) ?? null)
        const expected = NAMES.filter(name => text(one, name) !== text(other, name))
        expect(differingNames(a, b)).toEqual(expected)
      }),
    )
  })
})

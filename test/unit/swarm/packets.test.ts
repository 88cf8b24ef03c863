import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCodec } from '../../../agent/codec.ts'
import type { SwarmEffect } from '../../../swarm/events.ts'
import { LIMITS } from '../../../swarm/options.ts'
import { DATAGRAM_BYTES_MAX, HEADER_BYTES } from '../../../swarm/packet.ts'
import { createReplayWindow } from '../../../swarm/replay-window.ts'
import { createSourceLimits } from '../../../swarm/token-bucket.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'
import type { VirtualNetwork, VirtualNode } from './virtual-network.ts'

const codec = createCodec()

/** A node with a member whose packets of all kinds are on record. */
function scene(): { net: VirtualNetwork; node: VirtualNode; peer: VirtualNode; packets: Uint8Array[] } {
  const net = createVirtualNetwork()
  const [node, peer] = [net.add(1), net.add(2)]
  net.add(3)
  const collections = ['imu', 'map'].map(name => ({
    name,
    generation: 1,
    digest: new Uint8Array(16).fill(7),
    recordCount: 5,
    vectorCount: 2 ** 40,
  }))
  peer.give({ type: 'local-state', state: { logicalClock: 9, collections } })
  net.run(3_000)
  return { net, node, peer, packets: peer.sent.map(({ bytes }) => bytes) }
}

const reasonOf = (node: VirtualNode, bytes: Uint8Array, host = '10.0.0.2'): string | undefined => {
  const [effect] = node.give({ type: 'packet', bytes, from: { host, port: 7_946 }, multicast: false })
  return effect?.type === 'reject' ? effect.reason : effect?.type
}

/** A packet of node 2 that has not been seen: a new counter and, if given, another body. */
function fresh(packet: Uint8Array, change: (bytes: Uint8Array) => void = () => {}, body?: unknown): Uint8Array {
  const bytes = body === undefined ? Uint8Array.from(packet) : Uint8Array.from([...packet.subarray(0, HEADER_BYTES), ...codec.encode(body)])
  bytes[45] = 1
  change(bytes)
  return bytes
}

/** The cookie that these effects ask to be echoed. */
function findCookie(effects: readonly SwarmEffect[]): unknown {
  for (const effect of effects) {
    if (effect.type !== 'send') continue
    const messages = codec.decode(effect.bytes.subarray(HEADER_BYTES)) as unknown[][]
    const challenge = messages.find(([kind]) => kind === 48)
    if (challenge !== undefined) return challenge[1]
  }
  return undefined
}

describe('P16 what is not acceptable is refused with a reason', () => {
  const { node, peer, packets } = scene()
  const packet = packets.at(-1)!
  const toNode = peer.sent.findLast(({ to }) => to === 'multicast' || to.host === node.address.host)!.bytes
  const heartbeat = codec.decode(packets[0]!.subarray(HEADER_BYTES)) as unknown[][]
  const withField = (index: number, value: unknown): Uint8Array =>
    fresh(packet, undefined, [heartbeat[0]!.map((field, i) => (i === index ? value : field))])

  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'truncated'],
    ['a header alone', packet.slice(0, HEADER_BYTES), 'truncated'],
    ['a byte too many', new Uint8Array(DATAGRAM_BYTES_MAX + 1), 'too-large'],
    ['zeros', new Uint8Array(DATAGRAM_BYTES_MAX), 'not-a-packet'],
    ['a later version', fresh(packet, bytes => (bytes[2] = 2)), 'other-version'],
    ['an unknown flag', fresh(packet, bytes => (bytes[3] = 2)), 'malformed'],
    ['a key id', fresh(packets[0]!, bytes => (bytes[7] = 1)), 'sealed'],
    ['a key id and no room for a tag', fresh(packet, bytes => (bytes[7] = 1)).slice(0, HEADER_BYTES + 16), 'truncated'],
    ['another swarm', fresh(packet, bytes => (bytes[8]! ^= 1)), 'other-swarm'],
    ['a copy', toNode, 'duplicate'],
    ['an earlier boot', fresh(packet, bytes => (bytes[35] = 0)), 'stale-boot'],
    ['a counter beyond 2^53', fresh(packet, bytes => (bytes[40] = 0xff)), 'malformed'],
    ['a truncated body', fresh(packet).slice(0, -1), 'malformed'],
    ['a body with more behind it', Uint8Array.from([...fresh(packet), 0]), 'malformed'],
    ['a map', fresh(packet, undefined, {}), 'malformed'],
    ['no message', fresh(packet, undefined, []), 'malformed'],
    [
      '17 messages',
      fresh(
        packet,
        undefined,
        Array.from({ length: 17 }, () => [2, new Uint8Array(8)]),
      ),
      'malformed',
    ],
    ['a message without a kind', fresh(packet, undefined, [['x']]), 'malformed'],
    ['a port of 2^16', withField(1, 65_536), 'malformed'],
    ['a gossip port of 0', withField(2, 0), 'malformed'],
    ['a fourth role', withField(3, 3), 'malformed'],
    ['a clock as a number', withField(4, 7), 'malformed'],
    ['a clock of 2^64 - 1', withField(4, new Uint8Array(8).fill(255)), 'malformed'],
    ['a fractional incarnation', withField(5, 0.5), 'malformed'],
    ['a name that controls the terminal', withField(6, '\u001b[2J'), 'malformed'],
    ['a name of 129 characters', withField(6, 'x'.repeat(129)), 'malformed'],
    ['a summary of 7 bytes', withField(7, new Uint8Array(7)), 'malformed'],
    ['a negative counter', withField(8, -1), 'malformed'],
    ['a short token', fresh(packet, undefined, [[2, new Uint8Array(7)]]), 'malformed'],
    ['a challenge with a short cookie', fresh(packet, undefined, [[48, new Uint8Array(7)]]), 'malformed'],
    ['an echo with a long one', fresh(packet, undefined, [[49, new Uint8Array(9)]]), 'malformed'],
    ['nine keys', fresh(packet, undefined, [[50, Array(9).fill(1)]]), 'malformed'],
    ['a key id of 33 bits', fresh(packet, undefined, [[50, [2 ** 32]]]), 'malformed'],
    ['65 claims', fresh(packet, undefined, [[11, Array(65).fill(0)]]), 'malformed'],
    ['a page with more to come and nothing in it', fresh(packet, undefined, [[7, new Uint8Array(8), '', true, []]]), 'malformed'],
    ['a page behind an improper name', fresh(packet, undefined, [[7, new Uint8Array(8), '../x', false, []]]), 'malformed'],
    ['a bignum', fresh(packet, bytes => bytes.set([0x81, 0x82, 0xc2, 0x41], HEADER_BYTES)), 'malformed'],
    ['deep nesting', Uint8Array.from([...fresh(packet).subarray(0, HEADER_BYTES), ...Array<number>(1_000).fill(0x81), 0]), 'malformed'],
  ])('%s', (_title, bytes, reason) => {
    const before = node.swarm.members(0)
    expect(reasonOf(node, bytes)).toBe(reason)
    expect(node.swarm.members(0)).toEqual(before)
  })

  test('a page whose names do not ascend', () => {
    const entry = (name: string): unknown[] => [name, 1, new Uint8Array(16), 0, 0]
    expect(reasonOf(node, fresh(packet, undefined, [[7, new Uint8Array(8), '', false, [entry('b'), entry('a')]]]))).toBe('malformed')
  })

  test('a message of a later version is skipped and counted; longer arrays are read as far as they are known', () => {
    expect(
      reasonOf(
        node,
        fresh(packet, bytes => (bytes[46] = 9), [[99, 'what']]),
      ),
    ).toBe('unknown-message')
    const longer = fresh(packet, bytes => (bytes[46] = 10), [[...heartbeat[0]!.with(6, 'renamed'), 'more']])
    const effects = node.give({ type: 'packet', bytes: longer, from: { host: '10.0.0.2', port: 7_946 }, multicast: false })
    expect(effects).toContainEqual(expect.objectContaining({ type: 'member-updated', reason: 'described' }))
  })

  test('somebody who has not introduced himself is not listened to', () => {
    const stranger = fresh(packet, bytes => (bytes[31] = 77), [[2, new Uint8Array(8)]])
    expect(reasonOf(node, stranger)).toBe('unknown-sender')
    expect(node.swarm.member(NODE_ID(77), 0)).toBeUndefined()
  })
})

test('a packet that is replayed changes nothing, whichever it is', () => {
  const { net, node, peer } = scene()
  const packets = peer.sent.filter(({ to }) => to === 'multicast' || to.host === node.address.host).map(({ bytes }) => bytes)
  expect(packets.length).toBeGreaterThan(5)
  const before = node.swarm.members(net.nowMs())
  for (const packet of packets) expect(reasonOf(node, packet)).toBe('duplicate')
  expect(node.swarm.members(net.nowMs())).toEqual(before)
})

test('P16 random bytes and mutated packets raise no exception, and what is rejected changes nothing (G1)', () => {
  const { net, node, packets } = scene()
  const mutated = fc
    .tuple(fc.constantFrom(...packets), fc.array(fc.tuple(fc.nat(1_199), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(1_200))
    .map(([packet, changes, length]) => {
      const bytes = fresh(packet).slice(0, length)
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      return bytes
    })
  const bodies = fc.tuple(fc.constantFrom(...packets), fc.array(fc.array(fc.anything({ maxDepth: 3 })))).map(([packet, body]) => {
    try {
      return fresh(packet, undefined, body)
    } catch {
      return new Uint8Array(0)
    }
  })
  let host = 0
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 1_300 }), mutated, bodies), fc.boolean(), (bytes, multicast) => {
      const before = node.swarm.members(0)
      // Spread over source hosts, or the rate limit would stop all of it.
      const from = { host: `10.1.${(host >> 8) & 255}.${host++ & 255}`, port: 7_946 }
      const effects = node.swarm.step({ type: 'packet', bytes, from, multicast }, net.nowMs())
      const isRejected = effects.some(({ type }) => type === 'reject') && effects.every(({ type }) => type === 'reject')
      // These concern a part of a packet; the rest of it was taken.
      const isApplied = effects.some(
        effect => effect.type === 'reject' && (effect.reason === 'unknown-message' || effect.reason === 'clock-ahead'),
      )
      expect(isRejected && !isApplied ? node.swarm.members(0) : before).toEqual(before)
      const lengths = effects.map(effect => (effect.type === 'send' ? effect.bytes.length : 0))
      expect(Math.max(0, ...lengths)).toBeLessThanOrEqual(DATAGRAM_BYTES_MAX)
      expect(effects.length).toBeLessThan(40)
    }),
    { numRuns: 3_000 },
  )
})

test('P16 a flood of made-up nodes is bounded: members, and the answers to them', () => {
  const { net, node, packets } = scene()
  const limits = { ...LIMITS, membersMax: 50 }
  const small = net.add(9, { limits, host: '10.0.0.9' })
  const heartbeat = packets[0]!
  const before = node.swarm.members(0)
  let answers = 0
  let proven = 0
  for (let i = 0; i < 2_000; i++) {
    const bytes = fresh(heartbeat, copy => copy.set([9, i >> 8, i & 255], 16))
    for (const target of [small, node]) {
      const from = { host: `10.2.${i >> 8}.${i & 255}`, port: 7_946 }
      const effects = target.swarm.step({ type: 'packet', bytes, from, multicast: false }, net.nowMs())
      answers += effects.filter(({ type }) => type === 'send').length
      const challenge = target === small ? findCookie(effects) : undefined
      if (challenge === undefined) continue
      // Some of them are where they say they are.
      const messages = codec.decode(heartbeat.subarray(HEADER_BYTES)) as unknown[]
      const echo = fresh(bytes, copy => copy.fill(0, 3, 4).fill(1, 46, 47), [...messages, [49, challenge]])
      target.swarm.step({ type: 'packet', bytes: echo, from, multicast: false }, net.nowMs())
      proven += 1
    }
  }
  // Whoever does not echo is not listed at all.
  expect(node.swarm.members(0)).toEqual(before)
  expect(proven).toBeGreaterThan(50)
  expect(small.swarm.members(0)).toHaveLength(50)
  expect(answers).toBeLessThan(2 * LIMITS.newcomersRate.burst + 4 * LIMITS.exchangesMax)
})

test('P16 one source cannot take up all the time: beyond its rate nothing is even looked at', () => {
  const { node } = scene()
  const reasons = Array.from({ length: 2_000 }, () => reasonOf(node, new Uint8Array(100), '10.3.3.3'))
  expect(reasons.filter(reason => reason === 'rate-limited').length).toBeGreaterThan(900)
  expect(reasonOf(node, new Uint8Array(100), '10.3.3.4')).toBe('not-a-packet')
})

test('made-up source addresses do not push out the buckets of real ones', () => {
  const sources = createSourceLimits({ perSecond: 1, burst: 2 }, 3)
  for (const host of ['a', 'b', 'c']) expect(sources.admit(host, 0)).toBe(true)
  expect(['x', 'y', 'z'].map(host => sources.admit(host, 0))).toEqual([true, true, false])
  expect(sources.admit('a', 0)).toBe(true)
  // Once the oldest has been idle, its place is free.
  expect(['x', 'y', 'z'].map(host => sources.admit(host, 5_000))).toEqual([true, true, true])
})

test('the replay window knows exactly which of the last 1,024 counters it has seen', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 5_000 })), { maxLength: 300 }), counters => {
      const window = createReplayWindow()
      const seen = new Set<number>()
      let highest = 0
      for (const counter of counters) {
        const tooOld = counter <= highest - 1_024
        expect(window.seen(counter)).toBe(tooOld || seen.has(counter))
        window.mark(counter)
        if (!tooOld) seen.add(counter)
        highest = Math.max(highest, counter)
      }
    }),
  )
})

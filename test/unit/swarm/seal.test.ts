import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCodec } from '../../../agent/codec.ts'
import { systemCryptography, systemHash } from '../../../agent/ports.ts'
import { fromHex, toHex } from '../../../base/bytes.ts'
import type { SwarmEvent } from '../../../swarm/events.ts'
import { createKeyRing, swarmKeyId } from '../../../swarm/key-ring.ts'
import { LIMITS, PROFILES } from '../../../swarm/options.ts'
import type { SwarmOptions } from '../../../swarm/options.ts'
import { DATAGRAM_BYTES_MAX, decodeHeader, encodeHeader, HEADER_BYTES } from '../../../swarm/packet.ts'
import type { PacketHeader } from '../../../swarm/packet.ts'
import { createOpener, createSeal } from '../../../swarm/seal.ts'
import { createSwarm } from '../../../swarm/swarm.ts'
import type { Swarm } from '../../../swarm/swarm.ts'
import { createSeededRandom } from '../../seeded-random.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'
import type { VirtualNetwork, VirtualNode } from './virtual-network.ts'

const K1 = new Uint8Array(32).fill(1)
const K2 = new Uint8Array(32).fill(2)
const OWN = { nodeId: NODE_ID(1), bootId: '0000000100000000' }
const ports = { hash: systemHash, cryptography: systemCryptography }
const ringOf = (keys: readonly Uint8Array[], swarmName = 'default') => createKeyRing(keys, swarmName, ports)
const hex = (text: string): Uint8Array => fromHex(text.replaceAll(/\s/g, ''))!
const ascii = (text: string): Uint8Array => Uint8Array.from(text, letter => letter.charCodeAt(0))

/** What a packet of node 1 looks like, whatever is in it. */
function pack(keys: readonly Uint8Array[], body: Uint8Array, counter = 7, swarmName = 'default'): Uint8Array {
  const ring = ringOf(keys, swarmName)
  const fixed = Uint8Array.from([...new Uint8Array(8).fill(9), ...hex(OWN.nodeId.replaceAll('-', '')), ...hex(OWN.bootId)])
  return createSeal(ring, OWN)(encodeHeader(fixed, ring.sealingId, counter, false), counter, body)
}

function unpack(keys: readonly Uint8Array[], bytes: Uint8Array, swarmName = 'default'): Uint8Array | string {
  const header = decodeHeader(bytes)
  return typeof header === 'string' ? header : createOpener(ringOf(keys, swarmName), 10)(header, bytes)
}

describe('the primitives are the published ones', () => {
  test('HKDF-SHA256: RFC 5869, test case 1 (its first 32 bytes)', () => {
    const key = systemCryptography.deriveKey(new Uint8Array(22).fill(0x0b), hex('000102030405060708090a0b0c'), hex('f0f1f2f3f4f5f6f7f8f9'))
    expect(toHex(key)).toBe('3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf')
  })

  test('ChaCha20-Poly1305: RFC 8439, section 2.8.2', () => {
    const aead = systemCryptography.createAead(hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'))
    const plain = ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    )
    const sealed = aead.seal(hex('070000004041424344454647'), hex('50515253c0c1c2c3c4c5c6c7'), plain)
    expect(toHex(sealed.subarray(0, 16))).toBe('d31a8d34648e60db7b86afbc53ef7ec2')
    expect(toHex(sealed.subarray(-16))).toBe('1ae10b594f09e26a7e902ecbd0600691')
  })

  test('HMAC-SHA-256: RFC 4231, test case 1', () => {
    expect(toHex(systemCryptography.mac(new Uint8Array(20).fill(0x0b), ascii('Hi There')))).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    )
  })
})

describe('P16 a sealed packet', () => {
  test('opens with the key that its id names, whichever place that has, and with nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 1_136 }), fc.integer({ min: 1, max: 2 ** 53 - 1 }), (body, counter) => {
        const bytes = pack([K1], body, counter)
        expect(bytes.length).toBe(HEADER_BYTES + body.length + 16)
        expect(unpack([K1], bytes)).toEqual(body)
        expect(unpack([K2, K1], bytes)).toEqual(body)
        expect(unpack([K2], bytes)).toBe('unknown-key')
        expect(unpack([], bytes)).toBe('sealed')
        expect(unpack([K1], pack([], body))).toBe('not-sealed')
        // The same key in a swarm of another name, were its tag the same.
        expect(unpack([K1], bytes, 'depot')).toBe('bad-seal')
      }),
    )
  })

  test('does not open when any bit of it is another, header or body', () => {
    const body = ascii('of all the bits there is none that may change')
    const bytes = pack([K1], body)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Uint8Array.from(bytes)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(typeof unpack([K1], changed)).toBe('string')
    }
  })

  test('shares its key with no other node, boot, name or swarm key, and its nonce with no other packet', () => {
    const bodies = [
      pack([K1], new Uint8Array(64)),
      pack([K1], new Uint8Array(64), 8),
      pack([K2], new Uint8Array(64)),
      pack([K1], new Uint8Array(64), 7, 'depot'),
    ].map(bytes => toHex(bytes.subarray(HEADER_BYTES)))
    for (const [nodeId, bootId] of [
      [NODE_ID(2), OWN.bootId],
      [OWN.nodeId, '0000000100000001'],
    ] as const) {
      bodies.push(toHex(createSeal(ringOf([K1]), { nodeId, bootId })(new Uint8Array(48), 7, new Uint8Array(64)).subarray(HEADER_BYTES)))
    }
    expect(new Set(bodies).size).toBe(bodies.length)
  })

  test('names its key by a number that is never 0, and tells nothing else of it', () => {
    expect(swarmKeyId(K1, systemHash)).not.toBe(swarmKeyId(K2, systemHash))
    const zeros = { sha256: () => new Uint8Array(32), sha256Into: () => {} }
    expect(swarmKeyId(K1, zeros)).toBe(1)
  })
})

test('P16 keys of senders are kept only after they have opened a packet, and not more than the limit', () => {
  let derived = 0
  const cryptography = {
    ...systemCryptography,
    deriveKey: (...args: Parameters<typeof systemCryptography.deriveKey>) => {
      derived += 1
      return systemCryptography.deriveKey(...args)
    },
  }
  const open = createOpener(createKeyRing([K1], 'default', { hash: systemHash, cryptography }), 2)
  const good = pack([K1], ascii('good'))
  const header = decodeHeader(good) as PacketHeader
  expect(open(header, good)).toEqual(ascii('good'))
  for (let i = 0; i < 10; i++) expect(open({ ...header, nodeId: NODE_ID(100 + i) }, good)).toBe('bad-seal')
  expect(derived).toBe(11)
  expect(open(header, good)).toEqual(ascii('good'))
  expect(derived).toBe(11)
})

// --- Whole nodes ---

const collections = Array.from({ length: 60 }, (_, i) => ({
  name: `collection-${String(i).padStart(3, '0')}`,
  generation: 1,
  digest: new Uint8Array(16).fill(i),
  recordCount: i,
  vectorCount: 0,
}))

interface Recorded {
  readonly atMs: number
  readonly event: SwarmEvent
}

const optionsOf = (index: number, bootCounter: number, keys: readonly Uint8Array[]): SwarmOptions => ({
  nodeId: NODE_ID(index),
  nodeName: `robot-${index}`,
  bootCounter,
  role: 'edge',
  httpPort: () => 50_050,
  httpReachable: false,
  gossipPort: 7_946,
  multicast: true,
  swarmName: 'default',
  open: false,
  keys,
  timings: PROFILES.lan,
  limits: LIMITS,
})

function start(options: SwarmOptions, seed: number): Swarm {
  return createSwarm(options, { ...ports, codec: createCodec(), random: createSeededRandom(seed), wallMs: () => 0 })
}

/** Node 1 among three with these keys, everything that happened to it, and what the others sent. */
function scene(keys: readonly Uint8Array[]): {
  net: VirtualNetwork
  node: VirtualNode
  peer: VirtualNode
  story: Recorded[]
  packets: Uint8Array[]
} {
  const net = createVirtualNetwork(5)
  const node = net.add(1, { keys })
  const story: Recorded[] = [{ atMs: net.nowMs(), event: { type: 'start' } }]
  const give = node.give
  node.give = event => {
    story.push({ atMs: net.nowMs(), event })
    return give(event)
  }
  const peer = net.add(2, { keys })
  net.add(3, { keys })
  peer.give({ type: 'local-state', state: { logicalClock: 9, collections } })
  net.run(8_000)
  return { net, node, peer, story, packets: peer.sent.map(({ bytes }) => bytes) }
}

describe('sealed swarms', () => {
  test('nodes with one key find one another, exchange all digests and see a farewell, in packets that fit', () => {
    const { net, node, peer } = scene([K1])
    expect(node.lists()).toEqual(['robot-2', 'robot-3'])
    expect(node.swarm.member(NODE_ID(2), net.nowMs())!.collections).toEqual(collections)
    expect(net.wire.every(({ bytes }) => bytes.length <= DATAGRAM_BYTES_MAX && bytes[7] !== 0)).toBe(true)
    expect(node.effects('reject')).toEqual([])
    peer.give({ type: 'leave' })
    net.run(1_000)
    expect(node.lists()).toEqual(['robot-3'])
  })

  test.each<[string, object, object, string | undefined, string | undefined]>([
    ['one key and another', { keys: [K1] }, { keys: [K2] }, 'unknown-key', 'unknown-key'],
    ['a key and none', { keys: [K1] }, {}, 'not-sealed', 'sealed'],
    ['one key under two names', { keys: [K1], swarmName: 'north' }, { keys: [K1], swarmName: 'south' }, 'other-swarm', 'other-swarm'],
    ['no key under two names', { swarmName: 'north' }, { swarmName: 'south' }, 'other-swarm', 'other-swarm'],
  ])('P16 stay apart and say why: %s', (_title, a, b, reasonOfA, reasonOfB) => {
    const net = createVirtualNetwork()
    const [left, right] = [net.add(1, a), net.add(2, b)]
    left.give({ type: 'seeds-resolved', addresses: [right.address] })
    net.run(40_000)
    expect([left.lists(), right.lists()]).toEqual([[], []])
    expect(new Set(left.effects('reject').map(({ reason }) => reason))).toEqual(new Set([reasonOfA]))
    expect(new Set(right.effects('reject').map(({ reason }) => reason))).toEqual(new Set([reasonOfB]))
    // Nothing but beacons and greetings went out: nothing was answered.
    expect(right.sent.every(({ to }) => to === 'multicast')).toBe(true)
  })

  test('change their key node by node, and nobody is refused or dropped meanwhile', () => {
    const net = createVirtualNetwork()
    const nodes = [1, 2, 3, 4].map(index => net.add(index, { keys: [K1] }))
    net.run(5_000)
    for (const keys of [[K1, K2], [K2, K1], [K2]]) {
      for (const node of nodes) {
        node.give({ type: 'keys', keys })
        net.run(700)
      }
      net.run(10_000)
      const ids = keys.map(key => swarmKeyId(key, systemHash))
      for (const member of nodes.flatMap(node => node.swarm.members(net.nowMs())))
        expect(member).toMatchObject({ keyId: ids[0], keyIds: ids })
    }
    for (const node of nodes) {
      expect(node.lists()).toHaveLength(3)
      expect([...node.effects('reject'), ...node.effects('member-dropped')]).toEqual([])
    }
    // A node that was away meanwhile is not heard, in neither direction.
    const late = net.add(5, { keys: [K1] })
    net.run(5_000)
    expect(late.lists()).toEqual([])
    expect(nodes[0]!.lists()).toHaveLength(3)
  })

  test('P16 whatever is made of recorded packets: no exception, and no trace of what does not authenticate (G1, G11, G12)', () => {
    const { story, packets, net } = scene([K1])
    // Two like nodes live through the same story; one of them is also given forged packets, all the time.
    const [calm, bothered] = [start(optionsOf(1, 1, [K1]), 5_001), start(optionsOf(1, 1, [K1]), 5_001)]
    const changes = fc.array(fc.tuple(fc.nat(1_199), fc.integer({ min: 1, max: 255 })), { maxLength: 3 })
    const cut = fc.option(fc.nat(1_200), { nil: undefined })
    // A counter far ahead and a boot far ahead, which would silence or displace a peer if they were believed; and no key at all.
    const claims: ((bytes: Uint8Array) => void)[] = [b => b.fill(1, 42, 43), b => b.fill(1, 32, 33), b => b.fill(0, 4, 8), () => {}]
    const forged = fc.tuple(fc.constantFrom(...packets), changes, cut, fc.constantFrom(...claims)).map(([packet, flips, length, claim]) => {
      const bytes = Uint8Array.from(packet.subarray(0, length))
      claim(bytes)
      for (const [at, flip] of flips) if (at < bytes.length) bytes[at]! ^= flip
      return bytes
    })
    const known = new Set(packets.map(toHex))
    const pool = fc.sample(forged, { numRuns: 3_000, seed: 20_260_101 }).filter(bytes => !known.has(toHex(bytes)))
    expect(pool.length).toBeGreaterThan(2_000)
    const reasons = new Set<string>()
    let host = 0
    for (const [i, { atMs, event }] of story.entries()) {
      for (let n = 0; n < Math.ceil(pool.length / story.length); n++) {
        const bytes = pool[(i * 7 + n * 131) % pool.length]!
        const from = n % 3 === 0 ? { host: '10.0.0.2', port: 7_946 } : { host: `10.1.${(host >> 8) & 255}.${host++ & 255}`, port: 7_946 }
        const effects = bothered.step({ type: 'packet', bytes, from, multicast: n % 2 === 0 }, atMs)
        for (const effect of effects) {
          expect(effect.type).toBe('reject')
          if (effect.type === 'reject') reasons.add(effect.reason)
        }
      }
      expect(bothered.step(event, atMs)).toEqual(calm.step(event, atMs))
      expect(bothered.deadline()).toBe(calm.deadline())
    }
    expect(calm.members(net.nowMs())).toHaveLength(2)
    expect(bothered.members(net.nowMs())).toEqual(calm.members(net.nowMs()))
    for (const reason of ['bad-seal', 'unknown-key', 'not-sealed', 'not-a-packet', 'truncated']) expect(reasons).toContain(reason)
  })

  test('P16 whatever was recorded and is played back, from wherever, changes nothing', () => {
    const { net, node, peer } = scene([K1])
    const heard = peer.sent.filter(({ to }) => to === 'multicast' || to.host === node.address.host)
    expect(heard.length).toBeGreaterThan(8)
    const before = node.swarm.members(net.nowMs())
    for (const [i, { bytes }] of heard.entries()) {
      const from = { host: `10.4.0.${i % 250}`, port: 7_946 }
      expect(node.give({ type: 'packet', bytes, from, multicast: false })).toEqual([{ type: 'reject', reason: 'duplicate', from }])
    }
    expect(node.swarm.members(net.nowMs())).toEqual(before)
  })
})

describe.each([
  ['open', []],
  ['sealed', [K1]],
])('P16 who may be a member: %s', (_title, keys) => {
  test('a node that has just started does not take recorded packets for a peer, however many', () => {
    const { net, packets } = scene(keys)
    const fresh = start(optionsOf(9, 1, keys), 77)
    const nowMs = net.nowMs()
    fresh.step({ type: 'start' }, nowMs)
    const from = { host: '10.0.0.2', port: 7_946 }
    const effects = packets.flatMap(bytes => fresh.step({ type: 'packet', bytes, from, multicast: false }, nowMs))
    expect(fresh.members(nowMs)).toEqual([])
    expect(effects.filter(effect => !['send', 'reject'].includes(effect.type))).toEqual([])
    // Each was asked to show that it is there, at the rate for one address.
    expect(effects.filter(({ type }) => type === 'send').length).toBeLessThanOrEqual(LIMITS.newcomerRate.burst)
  })

  test('a newer boot displaces the listed one only when it echoes a cookie', () => {
    const { net, node, peer } = scene(keys)
    const before = node.swarm.member(peer.nodeId, net.nowMs())!
    net.setLink((_from, to) => to !== peer.address.host)
    peer.kill()
    const restarted = net.add(2, { keys })
    net.run(3_000)
    // It shouts and hears nothing: it may be a recording.
    expect(restarted.lists()).toEqual([])
    expect(node.swarm.member(peer.nodeId, net.nowMs())!.bootId).toBe(before.bootId)
    net.setLink(() => true)
    net.run(3_000)
    expect(node.swarm.member(peer.nodeId, net.nowMs())!.bootId > before.bootId).toBe(true)
    expect(node.effects('member-updated').filter(({ reason }) => reason === 'restarted')).toHaveLength(1)
  })

  test('three times what came from an address is the most that goes to it before it has echoed', () => {
    const { net, packets } = scene(keys)
    const nowMs = net.nowMs()
    const victim = start(optionsOf(9, 1, keys), 78)
    victim.step({ type: 'start' }, nowMs)
    victim.step({ type: 'local-state', state: { logicalClock: 1, collections } }, nowMs)
    const received = new Map<string, number>()
    const sent = new Map<string, number>()
    fc.assert(
      fc.property(fc.constantFrom(...packets), fc.nat(40), fc.nat(3_000), fc.boolean(), (bytes, host, laterMs, multicast) => {
        const from = { host: `10.5.0.${host}`, port: 7_946 }
        // What a group's packet allows goes to the port that it claims, which here is the same.
        received.set(from.host, (received.get(from.host) ?? 0) + bytes.length)
        for (const effect of victim.step({ type: 'packet', bytes, from, multicast }, nowMs + laterMs)) {
          if (effect.type !== 'send' || effect.to === 'multicast') continue
          sent.set(effect.to.host, (sent.get(effect.to.host) ?? 0) + effect.bytes.length)
        }
        for (const [to, count] of sent) expect(count).toBeLessThanOrEqual(3 * (received.get(to) ?? 0))
      }),
      { numRuns: 2_000 },
    )
    expect(sent.size).toBeGreaterThan(20)
  })

  test('a member whose packets suddenly come from elsewhere gets no pages there until it has echoed', () => {
    const { net, node, peer } = scene(keys)
    node.give({ type: 'local-state', state: { logicalClock: 10, collections: collections.map(one => ({ ...one, recordCount: 1_000 })) } })
    const from = { host: '10.6.6.6', port: 7_946 }
    // All that the peer says is played to the node from another address before it arrives from its own.
    const give = node.give
    let received = 0
    let sent = 0
    node.give = event => {
      if (event.type !== 'packet' || event.multicast || event.from.host !== peer.address.host) return give(event)
      received += event.bytes.length
      const effects = give({ ...event, from })
      for (const effect of effects)
        if (effect.type === 'send' && effect.to !== 'multicast' && effect.to.host === from.host) sent += effect.bytes.length
      expect(sent).toBeLessThanOrEqual(3 * received)
      return effects
    }
    net.run(20_000)
    expect(received).toBeGreaterThan(100)
    expect(sent).toBeGreaterThan(0)
  })
})

describe.each([
  ['open', []],
  ['sealed', [K1]],
])('P16 who is known through others only: %s', (_title, keys) => {
  /** A node that lists robot 3 on the word of robot 2, and what robot 3 has sent in its life. */
  function hearsay(): { net: VirtualNetwork; node: VirtualNode; recorded: Uint8Array[] } {
    const net = createVirtualNetwork(9)
    const [told, teller, spoken] = [1, 2, 3].map(index => net.add(index, { keys, open: true, multicast: false })) as [
      VirtualNode,
      VirtualNode,
      VirtualNode,
    ]
    net.setLink((from, to) => ![from, to].every(host => host === told.address.host || host === spoken.address.host))
    spoken.give({ type: 'seeds-resolved', addresses: [teller.address] })
    told.give({ type: 'seeds-resolved', addresses: [teller.address] })
    net.run(3_000)
    expect(told.lists()).toEqual(['robot-2', 'robot-3'])
    return { net, node: told, recorded: spoken.sent.map(({ bytes }) => bytes) }
  }

  test('is listed, and data is not exchanged with it before it has been heard itself', () => {
    const { net, node } = hearsay()
    expect(node.swarm.member(NODE_ID(3), net.nowMs())).toMatchObject({ trust: 'hearsay', mayExchange: false, keyId: 0, keyIds: [] })
    net.setLink(() => true)
    net.run(8_000)
    expect(node.swarm.member(NODE_ID(3), net.nowMs())).toMatchObject({ mayExchange: true })
    expect(node.effects('member-updated')).toContainEqual(expect.objectContaining({ reason: 'trust' }))
  })

  test('what it once sent, played back, is no evidence of its life and clears no suspicion', () => {
    const { net, node, recorded } = hearsay()
    const from = { host: '10.0.0.3', port: 7_946 }
    const silence = net.nowMs() + 4_000
    // From here on nobody hears it.
    net.setLink((a, b) => ![a, b].includes(from.host))
    net.run(2_000)
    const before = node.swarm.member(NODE_ID(3), net.nowMs())!
    for (const bytes of recorded) {
      for (const effect of node.give({ type: 'packet', bytes, from, multicast: false })) {
        expect(['send', 'reject']).toContain(effect.type)
      }
    }
    expect(node.swarm.member(NODE_ID(3), net.nowMs())).toEqual(before)
    // However often: it is suspected, and dead in the end.
    for (let i = 0; i < 40; i++) {
      net.run(500)
      for (const bytes of recorded) node.give({ type: 'packet', bytes, from, multicast: i % 2 === 0 })
    }
    expect(net.nowMs()).toBeGreaterThan(silence)
    expect(node.lists()).toEqual(['robot-2'])
    const farewell = recorded.at(-1)!
    node.give({ type: 'packet', bytes: farewell, from, multicast: false })
    expect(node.lists()).toEqual(['robot-2'])
  })

  test('P16 made-up members at one host: what goes there unasked is small, and bounded', () => {
    const net = createVirtualNetwork(4)
    const unaskedRate = { perSecond: 2, burst: 10 }
    const node = net.add(1, { keys, multicast: false, limits: { ...LIMITS, unaskedRate } })
    const crowd = Array.from({ length: 40 }, (_, i) => net.add(i + 10, { keys, host: '10.9.9.9', port: 10_000 + i, multicast: false }))
    const hub = net.add(2, { keys, multicast: false })
    for (const one of [node, ...crowd]) one.give({ type: 'seeds-resolved', addresses: [hub.address] })
    net.setLink((a, b) => !(a === '10.0.0.1' && b === '10.9.9.9') && !(b === '10.0.0.1' && a === '10.9.9.9'))
    net.run(20_000)
    const there = node.sent.filter(({ to }) => to !== 'multicast' && to.host === '10.9.9.9')
    expect(there.length).toBeGreaterThan(20)
    expect(Math.max(...there.map(({ bytes }) => bytes.length))).toBeLessThan(240)
    expect(there.length).toBeLessThanOrEqual(unaskedRate.burst + 20 * unaskedRate.perSecond)
  })
})

test.each([
  ['open', []],
  ['sealed', [K1]],
])('nine nodes that start at once list one another within 290 ms, cookies and all: %s', (_title, keys) => {
  for (let seed = 1; seed <= 10; seed++) {
    const net = createVirtualNetwork(seed, 0.2)
    const nodes = Array.from({ length: 9 }, (_, i) => net.add(i + 1, { keys, timings: PROFILES.local }))
    net.run(290)
    for (const node of nodes) {
      expect(node.lists()).toHaveLength(8)
      expect(node.swarm.members(net.nowMs()).filter(({ trust }) => trust === 'hearsay')).toEqual([])
    }
  }
})

describe.each([
  ['open', []],
  ['sealed', [K1]],
])('P15 a cloned card: %s', (_title, keys) => {
  test('both copies report it, and neither lists itself', () => {
    const net = createVirtualNetwork()
    const copies = ['10.0.0.7', '10.0.0.8'].map(host => net.add(7, { host, bootCounter: 5, keys }))
    net.run(10_000)
    for (const copy of copies) {
      expect(copy.lists()).toEqual([])
      expect(copy.effects('duplicate-identity')).toHaveLength(1)
    }
  })

  test('what was recorded of our own past is no copy', () => {
    const net = createVirtualNetwork()
    const first = net.add(7, { keys })
    net.add(1, { keys })
    net.run(3_000)
    first.kill()
    const second = net.add(7, { keys })
    net.run(20_000)
    for (const { bytes } of first.sent) second.give({ type: 'packet', bytes, from: { host: '10.0.0.66', port: 7_946 }, multicast: false })
    net.run(10_000)
    expect(second.effects('duplicate-identity')).toEqual([])
    expect(second.lists()).toEqual(['robot-1'])
  })
})

test('two copies that talk to one another come to rest', () => {
  const net = createVirtualNetwork()
  const copies = ['10.0.0.7', '10.0.0.8'].map(host => net.add(7, { host, bootCounter: 5, multicast: false, keys: [K1] }))
  copies[0]!.give({ type: 'seeds-resolved', addresses: [copies[1]!.address] })
  net.run(15_000)
  for (const copy of copies) expect(copy.effects('duplicate-identity')).toHaveLength(1)
  expect(net.wire.length).toBeLessThan(20)
})

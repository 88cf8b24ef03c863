import { describe, expect, test } from 'vitest'
import { createCodec } from '../../../agent/codec.ts'
import { HEADER_BYTES } from '../../../swarm/packet.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'
import type { NodeSettings, VirtualNode } from './virtual-network.ts'

const A = { host: '10.0.0.1', port: 7_946 }
const B = { host: '10.0.0.2', port: 7_946 }

/** What a and b think of one another after a while. */
function meet(a: NodeSettings, b: NodeSettings): [string | undefined, string | undefined] {
  const net = createVirtualNetwork()
  const nodes: [VirtualNode, VirtualNode] = [net.add(1, a), net.add(2, b)]
  net.run(15_000)
  const views = [nodes[0].swarm.member(NODE_ID(2), net.nowMs()), nodes[1].swarm.member(NODE_ID(1), net.nowMs())] as const
  expect(views.map(view => view?.mayExchange)).toEqual(views.map(view => view && view.trust !== 'not-named'))
  return [views[0]?.trust, views[1]?.trust]
}

// Without a key: interfaces.md, HS_SWARM_OPEN.
describe('P16 with whom data may be exchanged (G5)', () => {
  test.each<[string, NodeSettings, NodeSettings, [string | undefined, string | undefined]]>([
    ['met by multicast alone: listed, not synced', {}, {}, ['not-named', 'not-named']],
    ['a names b: both sync', { seeds: [B] }, {}, ['named-by-us', 'named-by-peer']],
    ['b names a: both sync', {}, { seeds: [A] }, ['named-by-peer', 'named-by-us']],
    ['named without multicast', { multicast: false, seeds: [B] }, { multicast: false }, ['named-by-us', 'named-by-peer']],
    ['a seed that is somebody else gives nothing', { seeds: [{ host: '10.0.0.9', port: 7_946 }] }, {}, ['not-named', 'not-named']],
    ['the right host with another port is somebody else', { seeds: [{ host: '10.0.0.2', port: 7_947 }] }, {}, ['not-named', 'not-named']],
    ['open is one side’s own decision', { open: true }, {}, ['open', 'not-named']],
    ['one swarm name that is not the default', { swarmName: 'depot' }, { swarmName: 'depot' }, ['swarm-name', 'swarm-name']],
    ['different swarm names ignore one another', { swarmName: 'depot', seeds: [B] }, { swarmName: 'yard' }, [undefined, undefined]],
    ['the default name and another', { swarmName: 'depot', seeds: [B] }, {}, [undefined, undefined]],
  ])('%s', (_title, a, b, expected) => {
    expect(meet(a, b)).toEqual(expected)
  })

  test('a seed with two addresses is known by the echo of our token, whichever its packets come from', () => {
    const net = createVirtualNetwork()
    const a = net.add(1, { multicast: false, seeds: [B] })
    // Its packets come from an address that we did not name.
    const b = net.add(2, { multicast: false, host: '10.9.9.9', otherHost: B.host })
    net.run(5_000)
    expect(b.lists()).toEqual(['robot-1'])
    expect(a.swarm.member(NODE_ID(2), net.nowMs())).toMatchObject({ host: '10.9.9.9', trust: 'named-by-us', mayExchange: true })
  })

  test('who becomes named later is reported, with the difference again', () => {
    const net = createVirtualNetwork()
    const a = net.add(1)
    const b = net.add(2)
    const digest = new Uint8Array(16)
    b.give({
      type: 'local-state',
      state: { logicalClock: 0, collections: [{ name: 'imu', generation: 1, digest, recordCount: 1, vectorCount: 0 }] },
    })
    net.run(2_000)
    const before = a.effects('digests').length
    a.give({ type: 'seeds-resolved', addresses: [B] })
    expect(a.effects('member-updated').at(-1)).toMatchObject({ reason: 'trust', view: { mayExchange: true } })
    expect(a.effects('digests').slice(before)).toEqual([{ type: 'digests', nodeId: NODE_ID(2), differing: ['imu'] }])
  })

  test('P16 who is said to be at an address that we name, and speaks from elsewhere, is not the one that was named', () => {
    const net = createVirtualNetwork()
    const [a, hub] = [net.add(1, { multicast: false }), net.add(3, { multicast: false })]
    const b = net.add(2, { host: '10.7.7.7' })
    net.setLink((from, to) => ![from, to].includes('10.7.7.7'))
    a.give({ type: 'seeds-resolved', addresses: [hub.address] })
    net.run(2_000)
    // The hub tells a that b is at B.
    const codec = createCodec()
    const [nodeId, bootId] = [b.sent[0]!.bytes.slice(16, 32), b.sent[0]!.bytes.slice(32, 40)]
    const record = [nodeId, bootId, 0, Uint8Array.of(10, 0, 0, 2), 7_946, 0, 50_050, 0, 0, 'robot-2', new Uint8Array(8)]
    const header = hub.sent.at(-1)!.bytes.slice(0, HEADER_BYTES).fill(1, 46, 47)
    a.give({
      type: 'packet',
      bytes: Uint8Array.from([...header, ...codec.encode([[10, [record]]])]),
      from: hub.address,
      multicast: false,
    })
    expect(a.swarm.member(b.nodeId, net.nowMs())).toMatchObject({ host: B.host, trust: 'hearsay', mayExchange: false })
    a.give({ type: 'seeds-resolved', addresses: [hub.address, B] })
    expect(a.swarm.member(b.nodeId, net.nowMs())).toMatchObject({ trust: 'hearsay', mayExchange: false })
    net.setLink(() => true)
    b.give({ type: 'remembered', peers: [{ nodeId: a.nodeId, address: a.address }] })
    net.run(2_000)
    expect(a.swarm.member(b.nodeId, net.nowMs())).toMatchObject({ host: '10.7.7.7', trust: 'not-named', mayExchange: false })
  })

  test('the word "you are named" counts by unicast only', () => {
    const net = createVirtualNetwork()
    const [a, b] = [net.add(1), net.add(2)]
    net.run(2_000)
    b.give({ type: 'seeds-resolved', addresses: [A] })
    const give = a.give
    a.give = event => give(event.type === 'packet' ? { ...event, multicast: true } : event)
    net.run(5_000)
    expect(b.lists()).toEqual(['robot-1'])
    expect(a.swarm.member(NODE_ID(2), net.nowMs())!.mayExchange).toBe(false)
  })
})

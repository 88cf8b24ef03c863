import { expect, test } from 'vitest'
import { createMember } from '../../../swarm/member.ts'
import { createMembership } from '../../../swarm/membership.ts'
import { LIMITS, PROFILES } from '../../../swarm/options.ts'
import { createSeededRandom } from '../../seeded-random.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'
import type { VirtualNode } from './virtual-network.ts'

const names = (...indexes: number[]): string[] => indexes.map(index => `robot-${index}`).sort()
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)

test('nodes that start together know one another within a fraction of a second by multicast alone', () => {
  const net = createVirtualNetwork()
  const nodes = range(5).map(index => net.add(index))
  net.run(300)
  for (const [i, node] of nodes.entries()) expect(node.lists()).toEqual(names(...range(5).filter(index => index !== i + 1)))
})

test('a newcomer is answered by unicast at once, not at the next period', () => {
  const net = createVirtualNetwork()
  net.add(1)
  net.run(5_500)
  const late = net.add(2)
  net.run(PROFILES.lan.bootJitterMs + 10)
  expect(late.lists()).toEqual(names(1))
})

test('seeds alone are enough: a peer heard of through others is contacted', () => {
  const net = createVirtualNetwork()
  const hub = net.add(1, { multicast: false })
  const nodes = range(5)
    .slice(1)
    .map(index => net.add(index, { multicast: false, seeds: [hub.address] }))
  net.run(500)
  expect(hub.lists()).toEqual(names(2, 3, 4, 5))
  net.run(3_000)
  for (const [i, node] of nodes.entries()) expect(node.lists()).toEqual(names(...range(5).filter(index => index !== i + 2)))
})

test('a node that names itself as a seed neither lists itself nor sees a double of itself', () => {
  const net = createVirtualNetwork()
  const node = net.add(1, { seeds: [{ host: '10.0.0.1', port: 7_946 }] })
  net.run(60_000)
  expect(node.lists()).toEqual([])
  expect(node.log).toEqual([])
})

test('P6 wrong wall clocks, 1970 or a year ahead, hide nobody and keep nobody alive (G2)', () => {
  const net = createVirtualNetwork()
  const clocks: (() => number)[] = [() => net.nowMs(), () => 1_700_000_000_000 + net.nowMs(), () => 1_731_536_000_000 + net.nowMs()]
  const nodes = clocks.map((wallMs, i) => net.add(i + 1, { wallMs }))
  net.run(120_000)
  for (const node of nodes) expect(node.lists()).toHaveLength(2)
  expect(nodes.flatMap(node => node.effects('member-dropped'))).toEqual([])
  expect(nodes[1]!.swarm.member(NODE_ID(1), net.nowMs())!.clockSkewMs).toBeCloseTo(-1_700_000_000_000, -2)
  expect(nodes[1]!.swarm.member(NODE_ID(3), net.nowMs())!.clockSkewMs).toBeCloseTo(31_536_000_000, -2)
  // The one with the fast clock dies: it is gone as soon as any other would be.
  nodes[2]!.kill()
  net.run(10_000)
  expect(nodes[0]!.lists()).toEqual(names(2))
  expect(nodes[1]!.lists()).toEqual(names(1))
})

test('a wall clock that jumps about changes nothing (G2)', () => {
  const net = createVirtualNetwork()
  let wallMs = 1_700_000_000_000
  const steady = net.add(1)
  const jumping = net.add(2, { wallMs: () => wallMs })
  for (const jump of [-1e12, 1e12, -5e11, 0]) {
    wallMs += jump
    net.run(40_000)
    expect(steady.lists()).toEqual(names(2))
    expect(jumping.lists()).toEqual(names(1))
  }
})

test('a member is dropped 30 s after the last sign of life, and pinged before (G3)', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const other = net.add(2)
  net.run(10_000)
  other.kill()
  const lastHeardMs = net.nowMs() - node.swarm.members(net.nowMs())[0]!.heardAgoMs
  net.run(lastHeardMs + 29_900 - net.nowMs())
  expect(node.lists()).toEqual(names(2))
  net.run(200)
  expect(node.lists()).toEqual([])
  const dropped = node.effects('member-dropped')
  expect(dropped.map(({ reason, view }) => [reason, view.nodeName])).toEqual([['timeout', 'robot-2']])
})

test('a member that only others can still hear is kept: a newer heartbeat counter is evidence of life (G3)', () => {
  const net = createVirtualNetwork()
  const nodes = range(3).map(index => net.add(index))
  net.run(5_000)
  net.setLink((from, to) => ![from, to].every(host => host === '10.0.0.1' || host === '10.0.0.2'))
  net.run(180_000)
  expect(nodes[0]!.lists()).toEqual(names(2, 3))
  expect(nodes[1]!.lists()).toEqual(names(1, 3))
})

test('whoever leaves is dropped at once, also by those who miss the farewell, and rumours do not bring it back (G4)', () => {
  const net = createVirtualNetwork()
  const nodes = range(4).map(index => net.add(index))
  net.run(5_000)
  // One node does not hear the farewell and speaks of the node that left, until it is told by others.
  net.setLink((from, to) => !(from === '10.0.0.4' && to === '10.0.0.3'))
  nodes[3]!.give({ type: 'leave' })
  net.run(200)
  expect(nodes[3]!.effects('stopped')).toHaveLength(1)
  nodes[3]!.kill()
  net.setLink(() => true)
  expect(nodes[0]!.lists()).toEqual(names(2, 3))
  expect(nodes[2]!.lists()).toEqual(names(1, 2))
  net.run(40_000)
  for (const node of nodes.slice(0, 2)) {
    expect(node.effects('member-dropped').map(({ reason, view }) => [reason, view.status])).toEqual([['left', 'left']])
    expect(node.effects('member-joined')).toHaveLength(3)
  }
  expect(nodes[2]!.lists()).toEqual(names(1, 2))
})

test('a packet of a boot that has left, delayed on its way, does not bring it back (G4)', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const other = net.add(2)
  net.run(5_000)
  net.setLink(() => false)
  net.run(3_000)
  const delayed = other.sent.at(-1)!.bytes
  net.setLink(() => true)
  other.give({ type: 'leave' })
  net.run(10)
  expect(node.lists()).toEqual([])
  expect(node.give({ type: 'packet', bytes: delayed, from: other.address, multicast: false })).toMatchObject([
    { type: 'reject', reason: 'left' },
  ])
  expect(node.lists()).toEqual([])
})

const description = { nodeName: 'robot', role: 'edge', httpPort: 1, httpReachable: false, secured: false, multicast: true } as const
const own = { key: 1, tag: 1 }

test('tables stay within their limits: tombstones lose the oldest', () => {
  const membership = createMembership({ ...LIMITS, tombstonesMax: 3 }, own, createSeededRandom(1))
  for (let i = 1; i <= 5; i++) {
    const member = createMember({ nodeId: NODE_ID(i), bootId: '00' }, description, { host: `10.0.0.${i}`, port: 7_946 })
    membership.add(member, 0)
    membership.drop(member, { left: false, claimedMs: i }, i)
  }
  expect([1, 2, 3, 4, 5].map(i => membership.tombstone(NODE_ID(i)) !== undefined)).toEqual([false, false, true, true, true])
  expect(membership.randomTombstone(LIMITS.tombstoneMs + 4, false)!.nodeId).toBe(NODE_ID(5))
})

test('a beacon heard on the unicast socket, where the ports are equal, is known for one and not taken for unicast', () => {
  const net = createVirtualNetwork()
  const node = net.add(1, { multicast: false })
  const other = net.add(2)
  net.setLink(() => false)
  net.run(1_000)
  const beacon = other.sent.find(({ to }) => to === 'multicast')!.bytes
  node.give({ type: 'packet', bytes: beacon, from: { host: '10.0.0.2', port: 50_000 }, multicast: false })
  // Not to port 50,000: that is no gossip port.
  expect(node.sent.at(-1)!.to).toEqual({ host: '10.0.0.2', port: 7_946 })
})

test('a node with two ways to us does not flap, and one that moved is followed', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const other = net.add(2)
  net.run(5_000)
  const hosts = new Set<string>()
  const give = node.give
  let alternate = 0
  node.give = event => {
    const isOther = event.type === 'packet' && event.from.host === '10.0.0.2' && !event.multicast
    if (isOther) alternate += 1
    const effects = give(isOther && alternate % 2 === 0 ? { ...event, from: { host: '10.1.1.2', port: 7_946 } } : event)
    hosts.add(node.swarm.member(NODE_ID(2), net.nowMs())!.host)
    return effects
  }
  net.run(30_000)
  expect([...hosts]).toEqual(['10.0.0.2'])
  node.give = give
  other.kill()
  net.add(2, { host: '10.7.7.7' })
  net.run(500)
  expect(node.swarm.member(NODE_ID(2), net.nowMs())!.host).toBe('10.7.7.7')
})

test('a restarted node is taken at once in its new boot, and packets of the old one are refused', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const before = net.add(2)
  net.run(5_000)
  before.kill()
  const oldPacket = before.sent.at(-1)!.bytes
  net.add(2)
  net.run(300)
  expect(node.effects('member-updated').map(({ reason }) => reason)).toContain('restarted')
  expect(node.lists()).toEqual(names(2))
  const [rejected] = node.give({ type: 'packet', bytes: oldPacket, from: before.address, multicast: false })
  expect(rejected).toMatchObject({ type: 'reject', reason: 'stale-boot' })
})

test('a node restored from an older copy, whose boots count from further back, is let in again after 30 s', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const newer = net.add(2, { bootCounter: 900 })
  net.run(5_000)
  newer.kill()
  net.add(2, { bootCounter: 3 })
  net.run(25_000)
  expect(node.effects('reject').map(({ reason }) => reason)).toContain('stale-boot')
  net.run(60_000)
  expect(node.swarm.member(NODE_ID(2), net.nowMs())!.bootId.slice(0, 8)).toBe('00000003')
})

test('a partition of an hour heals by itself, without multicast and without seeds between the halves (G4)', () => {
  const net = createVirtualNetwork(7)
  const hub = { host: '10.0.0.1', port: 7_946 }
  const nodes = range(6).map(index => net.add(index, { multicast: false, ...(index > 1 && index < 4 && { seeds: [hub] }) }))
  nodes[3]!.give({ type: 'seeds-resolved', addresses: [hub] })
  nodes[4]!.give({ type: 'seeds-resolved', addresses: [{ host: '10.0.0.4', port: 7_946 }] })
  nodes[5]!.give({ type: 'seeds-resolved', addresses: [{ host: '10.0.0.4', port: 7_946 }] })
  net.run(20_000)
  for (const node of nodes) expect(node.lists()).toHaveLength(5)
  // The seeds are forgotten, so that only tombstones can heal it.
  for (const node of nodes) node.give({ type: 'seeds-resolved', addresses: [] })
  const side = (host: string): boolean => Number(host.split('.')[3]) <= 3
  net.setLink((from, to) => side(from) === side(to))
  net.run(3_600_000)
  for (const node of nodes) expect(node.lists()).toHaveLength(2)
  net.setLink(() => true)
  net.run(30_000)
  for (const node of nodes) expect(node.lists()).toHaveLength(5)
})

test('who left and comes back, with seeds that are gone and no group, is found by those whom it left (G4)', () => {
  const net = createVirtualNetwork()
  const seed = net.add(1, { multicast: false })
  const nodes = [2, 3, 4].map(index => net.add(index, { multicast: false, seeds: [seed.address] }))
  net.run(5_000)
  seed.kill()
  nodes[2]!.give({ type: 'leave' })
  net.run(20_000)
  nodes[2]!.kill()
  for (const node of nodes.slice(0, 2)) expect(node.lists()).toHaveLength(1)
  const back = net.add(4, { multicast: false, seeds: [seed.address] })
  net.run(30_000)
  expect(back.lists()).toEqual(names(2, 3))
  expect(nodes[0]!.lists()).toEqual(names(3, 4))
})

test('who has left is greeted every few seconds and no more, also by somebody whom nobody answers any more', () => {
  const net = createVirtualNetwork()
  const [node, other] = [1, 2].map(index => net.add(index, { multicast: false, seeds: [{ host: '10.0.0.1', port: 7_946 }] }))
  net.run(5_000)
  other!.give({ type: 'leave' })
  net.run(1_000)
  other!.kill()
  node!.give({ type: 'seeds-resolved', addresses: [] })
  const before = node!.sent.length
  net.run(600_000)
  expect(node!.sent.length - before).toBeLessThanOrEqual(600_000 / PROFILES.lan.tombstoneContactMs + 1)
})

test('P18 a process that stood still for a minute does not take its own silence for that of others', () => {
  const net = createVirtualNetwork()
  const nodes = range(3).map(index => net.add(index))
  net.run(5_000)
  const [stalled, ...others] = nodes as [VirtualNode, ...VirtualNode[]]
  const atMs = net.nowMs() + 60_000
  expect(stalled.swarm.step({ type: 'tick' }, atMs).filter(({ type }) => type === 'member-dropped')).toEqual([])
  expect(stalled.swarm.members(atMs)).toHaveLength(others.length)
})

test('P18 nor does one that stood still between its first packet and its first tick', () => {
  const net = createVirtualNetwork()
  const other = net.add(1)
  net.run(2_000)
  const stalled = net.add(2)
  /** What `from` has sent to `to` last, given to it by hand: no tick comes between. */
  const hand = (from: VirtualNode, to: VirtualNode, multicast: boolean): void => {
    const sent = from.sent.findLast(packet => (packet.to === 'multicast') === multicast)!
    to.give({ type: 'packet', bytes: sent.bytes, from: from.address, multicast })
  }
  hand(other, stalled, true)
  hand(stalled, other, false)
  hand(other, stalled, false)
  expect(stalled.lists()).toEqual(names(1))
  const atMs = net.nowMs() + 60_000
  expect(stalled.swarm.step({ type: 'tick' }, atMs).filter(({ type }) => type === 'member-dropped')).toEqual([])
  expect(stalled.swarm.counters().stalls).toBe(1)
})

test('P7 what a node sends does not grow with the swarm: one beacon a period, and unicast to as many as the options say (G9)', () => {
  const perSecond = (count: number): { beacons: number; bytes: number } => {
    const net = createVirtualNetwork(3)
    const nodes = range(count).map(index => net.add(index))
    net.run(10_000)
    const [node] = nodes as [VirtualNode]
    const from = node.sent.length
    net.run(20_000)
    const sent = node.sent.slice(from)
    const bytes = sent.reduce((sum, { bytes }) => sum + bytes.length, 0)
    return { beacons: sent.filter(({ to }) => to === 'multicast').length / 20, bytes: bytes / 20 }
  }
  const few = perSecond(6)
  const many = perSecond(30)
  expect(few.beacons).toBeLessThanOrEqual(1.15)
  expect(many.beacons).toBeLessThanOrEqual(1.15)
  // Up to 8 rumours in the place of 4.
  expect(many.bytes).toBeLessThan(few.bytes * 1.5)
})

test('the round trip is measured from echoes', () => {
  const net = createVirtualNetwork(1, 12)
  const node = net.add(1)
  net.add(2)
  net.run(10_000)
  expect(node.swarm.members(net.nowMs())[0]!.rttMs).toBeCloseTo(24, 5)
})

test('a Lamport clock is followed at most, and one that nobody can have reached by counting is not followed at all', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const ahead = net.add(2)
  ahead.give({ type: 'local-state', state: { logicalClock: 4_200, collections: [] } })
  const absurd = net.add(3)
  absurd.give({ type: 'local-state', state: { logicalClock: 2 ** 52, collections: [] } })
  net.run(5_000)
  expect(node.effects('observe-clock').map(({ logicalClock }) => logicalClock)).toEqual([4_200])
  expect(node.effects('reject').map(({ reason }) => reason)).toContain('clock-ahead')
  expect(ahead.effects('observe-clock')).toEqual([])
})

test('a Lamport clock cannot be walked up without end, however small the steps', () => {
  const net = createVirtualNetwork()
  const node = net.add(1)
  const stranger = net.add(2)
  for (let clock = 2 ** 39; clock < 2 ** 50 + 2 ** 45; clock += 2 ** 40 - 1) {
    stranger.give({ type: 'local-state', state: { logicalClock: clock, collections: [] } })
    net.run(2_000)
  }
  const followed = node.effects('observe-clock').map(({ logicalClock }) => logicalClock)
  expect(followed.length).toBeGreaterThan(500)
  expect(Math.max(...followed)).toBeLessThanOrEqual(2 ** 50)
})

test('evidence that goes round does not keep the dead alive: its age only grows (M9)', () => {
  const net = createVirtualNetwork(3)
  // Nobody can be declared dead here, so that nothing but the 30 s rule ends it.
  const timings = { ...PROFILES.lan, suspicionPeriods: 1_000 }
  const nodes = range(6).map(index => net.add(index, { timings }))
  net.run(10_000)
  nodes[5]!.kill()
  net.run(32_000)
  for (const node of nodes.slice(0, 5)) {
    expect(node.lists()).toHaveLength(4)
    expect(node.effects('member-dropped').map(({ reason }) => reason)).toEqual(['timeout'])
  }
})

test('multicast that is mute is reported, and so is that it carries again', () => {
  const net = createVirtualNetwork()
  const node = net.add(1, { seeds: [{ host: '10.0.0.2', port: 7_946 }] })
  net.add(2)
  const give = node.give
  node.give = event => (event.type === 'packet' && event.multicast ? [] : give(event))
  net.run(300_000)
  expect(node.effects('multicast-mute').map(({ mute }) => mute)).toEqual([true])
  node.give = give
  net.run(120_000)
  expect(node.effects('multicast-mute').map(({ mute }) => mute)).toEqual([true, false])
})

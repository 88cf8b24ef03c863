import { expect, test } from 'vitest'
import { PROFILES } from '../../../swarm/options.ts'
import { createRemembered, REMEMBERED_MAX } from '../../../swarm/remembered.ts'
import type { RememberedPeer } from '../../../swarm/remembered.ts'
import { createSeededRandom } from '../../seeded-random.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'

const peer = (index: number, host = `10.0.0.${index}`): RememberedPeer => ({ nodeId: NODE_ID(index), address: { host, port: 7_946 } })

test('a node that remembers a peer meets it again within a second, without a seed and without multicast', () => {
  const net = createVirtualNetwork()
  const a = net.add(1, { multicast: false })
  const b = net.add(2, { multicast: false })
  net.run(10_000)
  expect(b.lists()).toEqual([])
  b.give({ type: 'remembered', peers: [peer(1)] })
  net.run(1_000)
  expect([a.lists(), b.lists()]).toEqual([['robot-2'], ['robot-1']])
})

test('P16 being remembered gives no trust (G5)', () => {
  const net = createVirtualNetwork()
  const a = net.add(1, { multicast: false })
  const b = net.add(2, { multicast: false })
  b.give({ type: 'remembered', peers: [peer(1)] })
  net.run(30_000)
  expect(b.swarm.member(a.nodeId, net.nowMs())).toMatchObject({ trust: 'not-named', mayExchange: false })
  expect(a.swarm.member(b.nodeId, net.nowMs())).toMatchObject({ trust: 'not-named', mayExchange: false })
})

test('who is not there yet is asked until it is, and again at once when there is a new network', () => {
  const net = createVirtualNetwork()
  const b = net.add(2, { multicast: false })
  b.give({ type: 'remembered', peers: [peer(1)] })
  net.run(600_000)
  const sentBefore = b.sent.length
  // A minute at most, and a second of grace for the way.
  const a = net.add(1, { multicast: false })
  net.run(67_000)
  expect(b.lists()).toEqual(['robot-1'])
  expect(sentBefore).toBeLessThan(20)
  a.kill()
  net.run(3_600_000)
  expect(b.lists()).toEqual([])
  const again = net.add(1, { multicast: false })
  b.give({ type: 'interfaces-changed' })
  net.run(1_000)
  expect([again.lists(), b.lists()]).toEqual([['robot-2'], ['robot-1']])
})

test('P7 many stale addresses are no storm: a few per period, the first of the list first, each at most once a minute in the end', () => {
  const net = createVirtualNetwork()
  const b = net.add(2, { multicast: false })
  const peers = Array.from({ length: 1_000 }, (_, i) => peer(1_000 + i, `10.1.${Math.floor(i / 250)}.${(i % 250) + 1}`))
  b.give({ type: 'remembered', peers })
  const sentIn = (forMs: number): { atMs: number; host: string }[] => {
    const before = b.sent.length
    net.run(forMs)
    return b.sent.slice(before).map(({ atMs, to }) => ({ atMs, host: to === 'multicast' ? to : to.host }))
  }
  const first = sentIn(PROFILES.lan.bootJitterMs)
  expect(first.map(({ host }) => host)).toEqual(peers.slice(0, 4).map(({ address }) => address.host))
  expect(sentIn(600_000).length).toBeLessThanOrEqual(4 * 601)
  const late = sentIn(3_600_000)
  const perHost = Map.groupBy(late, ({ host }) => host)
  expect(perHost.size).toBeLessThanOrEqual(REMEMBERED_MAX)
  for (const sent of perHost.values()) expect(sent.length).toBeLessThanOrEqual(3_600_000 / 54_000 + 1)
})

test('members are not greeted, addresses that nobody can have neither, and a list that comes again keeps its pauses', () => {
  const remembered = createRemembered(PROFILES.lan, createSeededRandom(3))
  remembered.replace([peer(1), peer(2), peer(3, '224.0.0.1'), peer(4, 'robot.local')], 0)
  const isMember = (nodeId: string): boolean => nodeId === NODE_ID(2)
  expect(remembered.takeDue(1_000, isMember)).toEqual([peer(1).address])
  for (let i = 0; i < 20; i++) remembered.takeDue(remembered.deadline(), isMember)
  const dueMs = remembered.deadline()
  remembered.replace([peer(1), peer(2)], dueMs - 1)
  expect(remembered.deadline()).toBe(dueMs)
  expect(remembered.takeDue(dueMs - 1, isMember)).toEqual([])
  remembered.replace([], dueMs)
  expect(remembered.deadline()).toBe(Infinity)
})

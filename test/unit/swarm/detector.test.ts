import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { beats, CLAIM_STATUSES } from '../../../swarm/claim-order.ts'
import type { Standing } from '../../../swarm/claim-order.ts'
import { createBroadcastQueue } from '../../../swarm/broadcast.ts'
import { createLocalHealth } from '../../../swarm/health.ts'
import type { SwarmEvent } from '../../../swarm/events.ts'
import { createSuspicion } from '../../../swarm/suspicion.ts'
import { createSeededRandom } from '../../seeded-random.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'
import type { VirtualNetwork, VirtualNode } from './virtual-network.ts'

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)
const HOST = (index: number): string => `10.0.0.${index}`

function swarmOf(count: number, seed = 1): { net: VirtualNetwork; nodes: VirtualNode[] } {
  const net = createVirtualNetwork(seed)
  const nodes = range(count).map(index => net.add(index))
  net.run(8_000)
  for (const node of nodes) expect(node.lists()).toHaveLength(count - 1)
  return { net, nodes }
}

const counted = (nodes: readonly VirtualNode[], name: 'suspicionsRaised' | 'suspicionsHeard' | 'deathsDeclared' | 'refutations'): number =>
  nodes.reduce((sum, node) => sum + node.swarm.counters()[name], 0)
const dropsOf = (nodes: readonly VirtualNode[]): string[] =>
  nodes.flatMap(node => node.effects('member-dropped').map(({ reason, view }) => `${node.address.host} ${view.nodeName} ${reason}`))

describe('who dies is found out', () => {
  test('by all within seconds, and remembered as dead', () => {
    const { net, nodes } = swarmOf(10)
    nodes[9]!.kill()
    net.run(9_000)
    for (const node of nodes.slice(0, 9)) {
      expect(node.lists()).toHaveLength(8)
      expect(node.effects('member-dropped').map(({ reason }) => reason)).toEqual(['dead'])
      expect(node.swarm.departed(net.nowMs())).toMatchObject([{ nodeName: 'robot-10', status: 'dead', host: HOST(10) }])
    }
  })

  test('when half of the swarm dies at once: the others list one another within 10 s, and never anything else', () => {
    for (const seed of range(5)) {
      const { net, nodes } = swarmOf(10, seed)
      for (const node of nodes.slice(5)) node.kill()
      net.run(10_000)
      for (let second = 0; second < 60; second++) {
        for (const node of nodes.slice(0, 5)) expect(node.lists()).toHaveLength(4)
        net.run(1_000)
      }
    }
  })

  test('with two nodes there are no witnesses: the other is suspected, and dropped after 30 s (N = 2)', () => {
    const { net, nodes } = swarmOf(2)
    nodes[1]!.kill()
    net.run(20_000)
    expect(nodes[0]!.swarm.members(net.nowMs()).map(({ status }) => status)).toEqual(['suspect'])
    net.run(12_000)
    expect(dropsOf(nodes)).toEqual([`${HOST(1)} robot-2 timeout`])
  })
})

test('every period probes somebody, also where there is one other', () => {
  const { net, nodes } = swarmOf(2)
  const before = nodes.map(node => node.swarm.counters().probes)
  net.run(60_000)
  for (const [index, node] of nodes.entries()) expect(node.swarm.counters().probes - before[index]!).toBeGreaterThan(50)
})

describe('who lives is not declared dead', () => {
  test('under 20 % loss of all packets', () => {
    const { net, nodes } = swarmOf(10)
    const random = createSeededRandom(5)
    net.setLink(() => random.fraction() >= 0.2)
    net.run(120_000)
    expect(dropsOf(nodes)).toEqual([])
    expect(counted(nodes, 'suspicionsRaised')).toBeLessThan(26)
  })

  test('by a node whose radio is off: nothing came in from anybody (M7, the deaf rule)', () => {
    const { net, nodes } = swarmOf(10)
    net.setLink((from, to) => from !== HOST(1) && to !== HOST(1))
    net.run(25_000)
    expect(nodes[0]!.swarm.counters().suspicionsRaised).toBe(0)
    expect(nodes[0]!.swarm.counters().probesVoided).toBeGreaterThan(3)
    expect(nodes[0]!.lists()).toHaveLength(9)
    net.setLink(() => true)
    net.run(5_000)
    for (const node of nodes) expect(node.lists()).toHaveLength(9)
    expect(dropsOf(nodes).filter(text => !text.includes('robot-1 '))).toEqual([])
  })

  test('by a node that hears others but gets no answer: what nobody answers is not heard, whoever else speaks (M7)', () => {
    for (const seed of range(12)) {
      const { net, nodes } = swarmOf(6, seed)
      const [mute, ...others] = nodes as [VirtualNode, ...VirtualNode[]]
      net.setLink(from => from !== HOST(1))
      // As long as it takes to notice; what it thought until then it has not told anybody.
      net.run(4_000)
      const { suspicionsRaised } = mute.swarm.counters()
      net.run(16_000)
      // They hold it dead, and greet it.
      for (const node of others) expect(node.lists()).toHaveLength(4)
      expect(mute.lists()).toHaveLength(5)
      expect(mute.swarm.counters().suspicionsRaised).toBe(suspicionsRaised)
      net.setLink(() => true)
      net.run(5_000)
      for (const node of nodes) expect(node.lists()).toHaveLength(5)
      const suspected = others.flatMap(node => node.effects('member-updated').filter(({ view }) => view.status === 'suspect'))
      expect(suspected.filter(({ view }) => view.nodeName !== 'robot-1')).toEqual([])
    }
  })

  test('when it is heard and hears nobody: its packets are evidence (M1)', () => {
    const { net, nodes } = swarmOf(5)
    net.setLink((_from, to) => to !== HOST(1))
    net.run(25_000)
    for (const node of nodes.slice(1)) expect(node.lists()).toHaveLength(4)
    expect(dropsOf(nodes)).toEqual([])
  })

  test('when it has heard nobody for so long that it lists nobody: it goes on speaking, and who hears it vouches for it (M1)', () => {
    for (const seed of range(10)) {
      const { net, nodes } = swarmOf(5, seed)
      const [deaf, ...others] = nodes as [VirtualNode, ...VirtualNode[]]
      net.setLink((_from, to) => to !== HOST(1))
      net.run(90_000)
      expect(deaf.lists()).toEqual([])
      expect(dropsOf(others)).toEqual([])
    }
  })

  test('when only one link is cut, however long', () => {
    const { net, nodes } = swarmOf(4)
    net.setLink((from, to) => ![from, to].every(host => host === HOST(1) || host === HOST(2)))
    net.run(300_000)
    expect(dropsOf(nodes)).toEqual([])
  })

  test('when it is accused falsely: it refutes with a greater incarnation (M4)', () => {
    const { net, nodes } = swarmOf(6)
    const accused = nodes[5]!
    // Silent for 4 s: suspected by then.
    net.setLink((from, to) => from !== HOST(6) && to !== HOST(6))
    net.run(4_000)
    expect(counted(nodes.slice(0, 5), 'suspicionsRaised')).toBeGreaterThan(0)
    net.setLink(() => true)
    net.run(3_000)
    for (const node of nodes.slice(0, 5)) {
      const view = node.swarm.member(NODE_ID(6), net.nowMs())!
      expect(view.status).toBe('alive')
      expect(view.incarnation).toBeGreaterThan(0)
    }
    expect(dropsOf(nodes)).toEqual([])
    expect(accused.lists()).toHaveLength(5)
  })

  test('held dead, it is told, and comes back within seconds', () => {
    const { net, nodes } = swarmOf(6)
    net.setLink((from, to) => from !== HOST(6) && to !== HOST(6))
    net.run(20_000)
    for (const node of nodes.slice(0, 5)) expect(node.lists()).toHaveLength(4)
    net.setLink(() => true)
    net.run(5_000)
    for (const node of nodes) expect(node.lists()).toHaveLength(5)
    expect(nodes[5]!.swarm.counters().isolationsEnded).toBe(1)
  })

  test('P18 by a process that stood still for 10 s with a suspicion under way', () => {
    const { net, nodes } = swarmOf(4)
    const [stalled] = nodes as [VirtualNode]
    net.setLink((from, to) => from !== HOST(4) && to !== HOST(4))
    net.run(3_000)
    expect(stalled.swarm.member(NODE_ID(4), net.nowMs())!.status).toBe('suspect')
    const atMs = net.nowMs() + 10_000
    const effects = stalled.swarm.step({ type: 'tick' }, atMs)
    expect(effects.filter(({ type }) => type === 'member-dropped')).toEqual([])
    expect(stalled.swarm.counters().stalls).toBe(1)
    expect(stalled.swarm.member(NODE_ID(4), atMs)!.status).toBe('suspect')
  })

  test('P18 on the word of packets that waited in the socket of a process that stood still: it has been refuted since', () => {
    const { net, nodes } = swarmOf(6)
    const [stopped, ...others] = nodes as [VirtualNode, ...VirtualNode[]]
    const { give } = stopped
    const core = { ...stopped.swarm }
    const waiting: SwarmEvent[] = []
    net.setLink((from, to) => from !== HOST(6) && to !== HOST(6))
    net.run(3_000)
    stopped.give = event => (waiting.push(event), [])
    Object.assign(stopped.swarm, { deadline: () => Infinity })
    net.run(8_000)
    expect(dropsOf(others)).toContain(`${HOST(2)} robot-6 dead`)
    net.setLink(() => true)
    net.run(3_000)
    expect(others[0]!.lists()).toContain('robot-6')
    Object.assign(stopped.swarm, core)
    // As many as a small socket buffer keeps: the refutation did not fit.
    for (const event of waiting.slice(0, 64)) give(event)
    give({ type: 'tick' })
    stopped.give = give
    net.run(5_000)
    expect(dropsOf([stopped])).toEqual([])
    expect(stopped.lists()).toHaveLength(5)
  })

  test('P18 when its process is stopped for 5 s', () => {
    const { net, nodes } = swarmOf(4)
    const stopped = nodes[3]!
    const give = stopped.give
    stopped.give = event => (event.type === 'packet' ? [] : give(event))
    Object.assign(stopped.swarm, { deadline: () => Infinity })
    net.run(5_000)
    stopped.give = give
    expect(dropsOf(nodes)).toEqual([])
  })
})

describe('suspicion', () => {
  const options = { startedMs: 1_000, minMs: 3_000, maxMs: 18_000, askIntervalMs: 250, confirmationsMax: 3 }
  test('lasts longest without confirmation, and least with three independent ones (Lifeguard, IV-B)', () => {
    const suspicion = createSuspicion(options)
    suspicion.confirm(1)
    expect(suspicion.dueMs()).toBe(19_000)
    expect(suspicion.confirm(1)).toBe(false)
    expect(suspicion.confirm(2)).toBe(true)
    expect(suspicion.dueMs()).toBeCloseTo(1_000 + 18_000 - 15_000 * 0.5)
    suspicion.confirm(3)
    suspicion.confirm(4)
    expect(suspicion.dueMs()).toBe(4_000)
    expect(suspicion.confirm(5)).toBe(false)
  })

  test('others are asked twice before it ends, and it does not end before they can have answered', () => {
    const suspicion = createSuspicion({ ...options, confirmationsMax: 1 })
    suspicion.confirm(1)
    expect(suspicion.askMs()).toBe(18_500)
    // A confirmation has ended it long since.
    suspicion.confirm(2)
    expect(suspicion.askMs()).toBe(3_500)
    suspicion.asked(5_000)
    expect([suspicion.askMs(), suspicion.dueMs()]).toEqual([3_750, 5_250])
    suspicion.asked(5_000)
    expect([suspicion.askMs(), suspicion.dueMs()]).toEqual([Infinity, 5_250])
  })

  test('lasts twice as long while the host accepts connections, and longer by our own standstill', () => {
    const suspicion = createSuspicion({ ...options, confirmationsMax: 0 })
    suspicion.confirm(1)
    expect(suspicion.dueMs()).toBe(4_000)
    suspicion.listens()
    suspicion.extend(500)
    expect(suspicion.dueMs()).toBe(7_500)
  })
})

test('local health goes from 0 to 8 and back', () => {
  const health = createLocalHealth()
  health.better()
  expect(health.score()).toBe(0)
  health.worse(20)
  expect(health.score()).toBe(8)
  health.better()
  expect(health.score()).toBe(7)
})

test('the order of claims is a strict total order: all nodes end with the same opinion in whatever order claims arrive (M2)', () => {
  const standing = fc.record({
    bootId: fc.constantFrom('0000000100000000', '0000000200000000'),
    incarnation: fc.nat(2),
    status: fc.constantFrom(...CLAIM_STATUSES),
  })
  const isEqual = (a: Standing, b: Standing): boolean => !beats(a, b) && !beats(b, a)
  const latest = (claims: readonly Standing[]): Standing => claims.reduce((best, claim) => (beats(claim, best) ? claim : best))
  fc.assert(
    fc.property(standing, standing, standing, (a, b, c) => {
      expect(beats(a, b) && beats(b, a)).toBe(false)
      expect(beats(a, b) && beats(b, c) && !beats(a, c)).toBe(false)
      expect(isEqual(a, b) && (a.bootId !== b.bootId || a.status !== b.status)).toBe(false)
    }),
  )
  fc.assert(
    fc.property(fc.array(standing, { minLength: 1, maxLength: 8 }), claims => {
      expect(isEqual(latest(claims), latest([...claims].reverse()))).toBe(true)
    }),
  )
})

describe('broadcasts (M6)', () => {
  const to = { host: '10.0.0.1', port: 1 }
  const take = (queue: ReturnType<typeof createBroadcastQueue>, bytes = 1_000, times = 3): string[] =>
    queue.take(to, bytes, 10, times, 0).map(item => String.fromCharCode(...item))
  const say = (subject: string, text = subject) => ({ subject, encode: () => Uint8Array.from(text, letter => letter.charCodeAt(0)) })

  test('go out newest first, those told least before others, and at most as often as allowed', () => {
    const queue = createBroadcastQueue(10)
    queue.enqueue(say('a'))
    queue.enqueue(say('b'))
    expect(take(queue)).toEqual(['b', 'a'])
    queue.enqueue(say('c'))
    expect(take(queue)[0]).toBe('c')
    expect([take(queue), take(queue), take(queue)].flat().filter(text => text === 'a')).toHaveLength(1)
    expect(queue.size()).toBe(0)
  })

  test('about the same subject replace one another, and withdrawn ones are not told', () => {
    const queue = createBroadcastQueue(10)
    queue.enqueue(say('a', 'old'))
    queue.enqueue(say('a', 'new'))
    queue.enqueue(say('b'))
    queue.withdraw('b')
    expect(take(queue)).toEqual(['new'])
  })

  test('are bounded: the one told most often goes', () => {
    const queue = createBroadcastQueue(2)
    queue.enqueue(say('a'))
    take(queue)
    queue.enqueue(say('b'))
    queue.enqueue(say('c'))
    expect(take(queue).sort()).toEqual(['b', 'c'])
  })
})

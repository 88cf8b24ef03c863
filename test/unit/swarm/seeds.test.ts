import { describe, expect, test } from 'vitest'
import { LIMITS, PROFILES } from '../../../swarm/options.ts'
import { createSeeds } from '../../../swarm/seeds.ts'
import { createSeededRandom } from '../../seeded-random.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'

const addressOf = (index: number): { host: string; port: number } => ({ host: `10.0.0.${index}`, port: 7_946 })

test('a seed that comes up late is found within seconds: it is tried for ever', () => {
  const net = createVirtualNetwork()
  const node = net.add(1, { multicast: false, seeds: [addressOf(2)] })
  net.run(20 * 60_000)
  expect(node.sent.length).toBeGreaterThan(200)
  expect(node.sent.length).toBeLessThan(280)
  net.add(2, { multicast: false })
  net.run(6_000)
  expect(node.lists()).toEqual(['robot-2'])
})

test('a node that left and came back behind a cut is listed again when the cut is over, although greetings are lost then (G4)', () => {
  const net = createVirtualNetwork()
  const seeds = [addressOf(1), addressOf(2)]
  const [hub, before] = [1, 2].map(index => net.add(index, { multicast: false, seeds }))
  net.run(10_000)
  const isBetween = (from: string, to: string): boolean => from === addressOf(2).host && to === addressOf(1).host
  before!.give({ type: 'leave' })
  net.run(1_000)
  before!.kill()
  expect(hub!.lists()).toEqual([])
  net.setLink((from, to) => !isBetween(from, to))
  const node = net.add(2, { multicast: false, seeds })
  net.run(40_000)
  expect(node.lists()).toEqual([])
  // What could come through then is lost, four times more.
  let lost = 0
  net.setLink((from, to) => !isBetween(from, to) || ++lost > 4)
  net.run(30_000)
  expect(lost).toBeGreaterThan(4)
  expect(node.lists()).toEqual(['robot-1'])
  expect(hub!.lists()).toEqual(['robot-2'])
})

test('a seed that speaks and is not listed is greeted within a second: our answer may have been lost', () => {
  const net = createVirtualNetwork()
  const timings = { ...PROFILES.lan, seedSilentMs: 60_000 }
  const node = net.add(1, { multicast: false, seeds: [addressOf(2)], timings })
  net.run(20 * 60_000)
  let answers = 0
  net.setLink(from => from !== addressOf(1).host || ++answers > 1)
  const from = node.sent.length
  const late = net.add(2, { multicast: false, seeds: [addressOf(1)], timings })
  // Its first greeting is answered in vain, and it says nothing more.
  net.run(PROFILES.lan.bootJitterMs)
  late.give({ type: 'seeds-resolved', addresses: [] })
  net.run(PROFILES.lan.seedBackoffMinMs + 10)
  expect(node.sent.length).toBeGreaterThan(from + 1)
  expect(node.lists()).toEqual(['robot-2'])
})

describe('how often a missing seed is greeted', () => {
  const greetedIn = (forMs: number, seedCount: number, size: number, isMember = false): number => {
    const seeds = createSeeds(PROFILES.lan, LIMITS, createSeededRandom(1))
    seeds.resolved(
      Array.from({ length: seedCount }, (_, index) => addressOf(index + 1)),
      0,
    )
    for (let index = 1; index <= seedCount; index++) seeds.answered(NODE_ID(index), addressOf(index))
    let greeted = 0
    for (let nowMs = 0; nowMs < forMs; nowMs = seeds.deadline()) greeted += seeds.takeDue(nowMs, size, () => isMember).length
    return greeted
  }
  const hourMs = 3_600_000

  test('in a large swarm by few nodes at a time, and once a minute while it is listed (G9)', () => {
    expect(greetedIn(hourMs, 1, 10)).toBeGreaterThan(650)
    expect(greetedIn(hourMs, 1, 100)).toBeLessThan(100)
    expect(greetedIn(hourMs, 1, 1_000)).toBeLessThan(75)
    expect(greetedIn(hourMs, 1, 2, true)).toBeLessThan(75)
  })

  test('of many that are missing about one a second (G9)', () => {
    expect(greetedIn(hourMs, 40, 3)).toBeLessThan(1.1 * 3_600 + 40 * 8)
    // A minute apart, whatever their number.
    expect(greetedIn(hourMs, 250, 3)).toBeLessThan(250 * 75)
  })
})

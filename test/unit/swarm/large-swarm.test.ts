/** A swarm that is large enough for what is bounded to be at its bound. */
import { expect, test } from 'vitest'
import { PROFILES } from '../../../swarm/options.ts'
import { createVirtualNetwork } from './virtual-network.ts'

const range = (count: number): number[] => [...Array(count).keys()]

test('P7 a hundred nodes that are switched on together stay within what the group is allowed, and find one another (M8)', () => {
  const net = createVirtualNetwork(11)
  const nodes = range(100).map(index => net.add(index))
  net.run(30_000)
  for (const node of nodes) expect(node.lists()).toHaveLength(99)
  net.run(30_000)
  const beacons = nodes.flatMap(({ sent }) => sent).filter(({ to }) => to === 'multicast')
  expect(beacons.length).toBeLessThanOrEqual(20 + 60 * PROFILES.lan.multicastPerSecond)
})

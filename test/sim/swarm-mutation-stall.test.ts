/** The stall guard switched off: time that this board slept counts as the silence of others. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import { makeSwarmScenario, SLEEP } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'

vi.mock('../../swarm/stall.ts', () => ({ createStallGuard: () => ({ tick() {}, stood() {} }) }))

it('P18 without it, a board that slept drops healthy nodes: caught', () => {
  const { failures } = runSwarmSeeds({ from: 1, count: 100, make: seed => makeSwarmScenario(seed, SLEEP) })
  expect(failures).toHaveLength(1)
  expect(failures[0]).toMatch(/W[127]/)
})

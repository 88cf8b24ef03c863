/** The stall guard switched off: time that this process stood still counts against others. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import { makeSwarmScenario } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'

vi.mock('../../swarm/stall.ts', () => ({ createStallGuard: () => ({ tick() {}, stood() {} }) }))

it('P18 without it, a process that stood still suspects or drops healthy nodes: caught', () => {
  const make = (seed: number) => makeSwarmScenario(seed, { kinds: ['stall'] })
  const { failures } = runSwarmSeeds({ from: 1, count: 1_000, make })
  expect(failures).toHaveLength(1)
  expect(failures[0]).toMatch(/W[17]/)
})

/** The deaf rule switched off: a probe counts although nothing came in from anybody. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import { makeSwarmScenario } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'

vi.mock('../../swarm/deafness.ts', () => ({ isDeafSince: () => false }))

it('M7 without it, a node whose radio is off declares healthy nodes dead: caught', () => {
  const make = (seed: number) => makeSwarmScenario(seed, { kinds: ['radio'] })
  const { failures } = runSwarmSeeds({ from: 1, count: 300, make })
  expect(failures).toHaveLength(1)
  expect(failures[0]).toMatch(/W1/)
})

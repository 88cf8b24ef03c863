/** The evidence rule switched off: only a greater incarnation clears a suspicion. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import { makeSwarmScenario } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'

vi.mock('../../swarm/evidence-rule.ts', () => ({ isHeardSince: () => false }))

it('M1 without it, a node that is heard by everybody and hears nobody is declared dead: caught', () => {
  const make = (seed: number) => makeSwarmScenario(seed, { kinds: ['deaf'] })
  const { failures } = runSwarmSeeds({ from: 1, count: 300, make })
  expect(failures).toHaveLength(1)
  expect(failures[0]).toMatch(/W1/)
})

/** The end of isolation switched off: what was thought while nothing came in is kept and told. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import { makeSwarmScenario } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'
import type { SwarmState } from '../../swarm/state.ts'

vi.mock('../../swarm/isolation.ts', () => ({
  createIsolation: (state: SwarmState) => ({
    heard() {
      state.inboundMs = state.nowMs
      state.answeredMs = state.nowMs
    },
    period() {},
  }),
}))

it('without it, accusations that were formed in isolation reach healthy nodes: caught', () => {
  const make = (seed: number) => makeSwarmScenario(seed, { kinds: ['radio'] })
  const { failures } = runSwarmSeeds({ from: 1, count: 1_000, make })
  expect(failures).toHaveLength(1)
  expect(failures[0]).toMatch(/W[17]/)
})

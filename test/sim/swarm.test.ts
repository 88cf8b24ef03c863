/** Many seeds of swarms that lose packets, nodes and one another. `npm run sim:swarm` runs more of them. */
import { expect, it } from 'vitest'
import { makeSwarmScenario, runSwarmScenario, SLEEP } from './swarm-scenario.ts'
import type { ScenarioShape } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'

/** Enough to notice a broken rule at every change; `npm test` runs 2,000. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 60)

it(
  `${SEEDS} seeds: nobody healthy is declared dead, nobody gone stays, all agree in the end`,
  () => {
    const result = runSwarmSeeds({ from: 1, count: SEEDS, make: seed => makeSwarmScenario(seed) })
    expect(result.failures).toEqual([])
    expect(result.steps).toBeGreaterThan(SEEDS * 500)
  },
  SEEDS * 5_000,
)

it.each<readonly [string, ScenarioShape]>([
  ['radio', { kinds: ['radio'] }],
  ['deaf', { kinds: ['deaf'] }],
  ['stall', { kinds: ['stall'] }],
  ['sleep', SLEEP],
])('the scenarios that catch a rule switched off pass with it: %s', (_name, shape) => {
  const { failures } = runSwarmSeeds({ from: 1, count: 40, make: seed => makeSwarmScenario(seed, shape) })
  expect(failures).toEqual([])
})

it('the same seed gives the same trace', () => {
  for (const seed of [1, 2, 3]) {
    const [first, second] = [runSwarmScenario(makeSwarmScenario(seed)), runSwarmScenario(makeSwarmScenario(seed))]
    expect(second.trace).toEqual(first.trace)
    expect(second.steps).toBe(first.steps)
  }
})

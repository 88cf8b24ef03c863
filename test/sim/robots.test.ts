/** Many seeds of robots that write, crash, lose one another and meet again. `npm run sim` runs more of them. */
import { expect, it } from 'vitest'
import { makeScenario, runScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

/** Enough to notice a broken rule at every change; `npm test` runs 2,000. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 60)

it(
  `${SEEDS} seeds: no acknowledged write is lost, no delete comes undone, all agree`,
  async () => {
    const result = await runSeeds({ from: 1, count: SEEDS, make: seed => makeScenario(seed) })
    expect(result.failures).toEqual([])
    expect(result.acknowledged).toBeGreaterThan(SEEDS * 5)
  },
  SEEDS * 5_000,
)

it('the same seed gives the same trace', async () => {
  for (const seed of [1, 2, 3]) {
    const [first, second] = [await runScenario(makeScenario(seed)), await runScenario(makeScenario(seed))]
    expect(second.trace).toEqual(first.trace)
    expect(second.traceDigest).toBe(first.traceDigest)
    expect(second.events).toBe(first.events)
  }
})

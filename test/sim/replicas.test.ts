/** Seeds of the model of replicas. MODEL_SEEDS (how many for each scenario) and SIM_FIRST choose them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runSeed } from './replica-checks.ts'
import { SCENARIOS } from './replica-model.ts'

/** For each of the eleven scenarios; `npm test` runs 25. */
const SEEDS = Number(process.env['MODEL_SEEDS'] ?? 3)
const FIRST = Number(process.env['SIM_FIRST'] ?? 1)

describe.each(Object.entries(SCENARIOS))('replicas with %s', (name, faults) => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  beforeAll(() => void process.on('unhandledRejection', note))
  afterAll(() => void process.off('unhandledRejection', note))

  it(`agree and lose nothing, seeds ${FIRST} to ${FIRST + SEEDS - 1}`, { timeout: 600_000 }, async () => {
    const failed: string[] = []
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      let problems: string[]
      try {
        problems = await runSeed(seed, faults)
      } catch (error) {
        problems = [error instanceof Error ? (error.stack ?? error.message) : String(error)]
      }
      problems.push(...unhandled.splice(0).map(error => `unhandled rejection: ${String(error)}`))
      if (problems.length > 0) failed.push(`seed ${seed} (${name}):\n  ${problems.slice(0, 8).join('\n  ')}`)
    }
    expect(failed.slice(0, 5).join('\n'), `${failed.length} of ${SEEDS} seeds fail`).toBe('')
  })
})

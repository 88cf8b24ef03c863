/**
 * R2 switched off: a store that was put back to an older state writes on under its old origin, whatever its peers know of it. The model
 * of replicas must notice.
 */
import { expect, it, vi } from 'vitest'
import type * as fork from '../../sync/fork.ts'
import type * as replicaState from '../../sync/replica-state.ts'
import { runSeed } from './replica-checks.ts'
import { SCENARIOS } from './replica-model.ts'

const rule = vi.hoisted(() => ({ isOff: false }))

vi.mock('../../sync/fork.ts', async original => {
  const real = await original<typeof fork>()
  const createForkSettlement: typeof real.createForkSettlement = options =>
    rule.isOff ? () => Promise.resolve(false) : real.createForkSettlement(options)
  return { ...real, createForkSettlement }
})
vi.mock('../../sync/replica-state.ts', async original => {
  const real = await original<typeof replicaState>()
  const takeNewOrigin: typeof real.takeNewOrigin = (...given) => {
    if (!rule.isOff) real.takeNewOrigin(...given)
  }
  return { ...real, takeNewOrigin }
})

const SEEDS = 200
/** Sentences about a fault, not lines of the trace behind them. */
const LOSS = /^repair did not mend|^robot \d differs from robot 0|^lost: /
const FORK = /live versions without a log row$/

/** How many seeds end with a fault of each kind. */
async function countFailures(): Promise<{ losses: number; forks: number }> {
  const counts = { losses: 0, forks: 0 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const problems = await runSeed(seed, { ...SCENARIOS['restored copies']!, restores: 0.07 }, false)
    if (problems.some(problem => LOSS.test(problem))) counts.losses += 1
    if (problems.some(problem => FORK.test(problem))) counts.forks += 1
  }
  return counts
}

/**
 * Where copies are put back this often, a version and one that was pulled before it was issued anew can share a log row. Nothing is lost by
 * it: repair carries what the log does not. Without the rule that is what becomes of every fork.
 */
it('R2 without it, several times as often one dot names two versions, one of which the log ships no more: caught', async () => {
  rule.isOff = false
  const kept = await countFailures()
  rule.isOff = true
  const dropped = await countFailures()
  expect(kept.losses).toBe(0)
  expect(dropped.forks).toBeGreaterThan(2 * kept.forks)
})

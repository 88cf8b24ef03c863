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

/** What is wrong with the first seed that fails, if any does. */
async function firstFailure(): Promise<string | undefined> {
  for (let seed = 1; seed <= 25; seed++) {
    const [failure] = await runSeed(seed, { ...SCENARIOS['restored copies']!, restores: 0.12 })
    if (failure !== undefined) return failure
  }
  return undefined
}

it('R2 without it, one dot names two versions, and what lies under it is lost or shipped no more: caught', async () => {
  rule.isOff = true
  expect(await firstFailure()).toMatch(/without a log row|^repair did not mend|^robot \d differs from robot 0|^lost: /)
})

it('R2 with it, the same scenarios pass', async () => {
  rule.isOff = false
  expect(await firstFailure()).toBeUndefined()
})

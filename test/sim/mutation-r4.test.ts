/** R4 switched off: roots are compared whatever the two know. Then what is still on its way looks like damage, and the simulator must notice. */
import { expect, it, vi } from 'vitest'
import { equalBytes } from '../../base/bytes.ts'
import type * as offers from '../../sync/offers.ts'
import { makeScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

const rule = vi.hoisted(() => ({ isOff: false }))

vi.mock('../../sync/offers.ts', async original => {
  const real = await original<typeof offers>()
  const isDiverged: typeof real.isDiverged = (a, b) => (rule.isOff ? !equalBytes(a.root, b.root) : real.isDiverged(a, b))
  return { ...real, isDiverged }
})

it('R4 without it, replicas that know different things are taken for damaged ones: caught', async () => {
  rule.isOff = true
  const { failures } = await runSeeds({ from: 1, count: 100, make: seed => makeScenario(seed), isShortened: false })
  expect(failures).toEqual([expect.stringMatching(/ has diverged, and nothing was damaged/)])
})

it('R4 with it, in the same scenarios nobody is', async () => {
  rule.isOff = false
  const { failures } = await runSeeds({ from: 1, count: 15, make: seed => makeScenario(seed), isShortened: false, failuresMax: 15 })
  expect(failures.filter(failure => failure.includes('has diverged'))).toEqual([])
})

/** R6 switched off: an absent key always means "dropped", whoever is behind whose floor. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import { coversDot } from '../../sync/dot.ts'
import type * as floor from '../../sync/floor.ts'
import { makeScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

vi.mock('../../sync/floor.ts', async original => {
  const real = await original<typeof floor>()
  const judgeAbsent: typeof real.judgeAbsent = (_holder, other, dot) => (coversDot(other.vector, dot) ? 'drop' : 'send')
  return { ...real, judgeAbsent }
})

it('R6 without it, one damaged replica takes the record from all: caught', async () => {
  const { failures } = await runSeeds({ from: 1, count: 600, make: seed => makeScenario(seed), isShortened: false })
  // By what is gone, or by a repair that takes away where it should bring back, and so never ends equal.
  expect(failures).toEqual([expect.stringMatching(/ gave up .* for nothing that beats it| for damaged beyond repair/)])
})

/** R1 switched off: a write's stamp is the clock's, whatever it supersedes. The simulator must notice. */
import { expect, it, vi } from 'vitest'
import type * as entry from '../../sync/entry.ts'
import { makeScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

vi.mock('../../sync/entry.ts', async original => ({
  ...(await original<typeof entry>()),
  stampOver: (_entry: unknown, clock: unknown) => clock,
}))

it('R1 without it, a write that saw another loses to it: caught', async () => {
  const { failures } = await runSeeds({ from: 1, count: 300, make: seed => makeScenario(seed), isShortened: false })
  expect(failures).toEqual([expect.stringMatching(/know the same of .* and hold different things|acknowledged .* is lost/)])
})

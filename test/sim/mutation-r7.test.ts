/**
 * R7 switched off, in two ways: tombstones go as soon as their collector has them, as they would by a time limit that has passed; or
 * when those have acknowledged them of whom the collector has heard. The simulator must notice by what becomes of the data: the checker that
 * knows the rule itself is switched off as well.
 */
import { expect, it, vi } from 'vitest'
import { equalBytes } from '../../base/bytes.ts'
import type * as acknowledgement from '../../sync/acknowledgement.ts'
import { makeScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

type StableVector = typeof acknowledgement.stableVector
const rule = vi.hoisted(() => ({ waitsForNobody: true }))

vi.mock('../../sync/acknowledgement.ts', async original => {
  const real = await original<typeof acknowledgement>()
  const stableVector: StableVector = (own, roster, acknowledgements) => {
    if (rule.waitsForNobody) return own.vector
    const hasSpoken = (id: string): boolean =>
      id === own.storeId || acknowledgements.some(({ storeId, rosterHash }) => storeId === id && equalBytes(rosterHash, roster.hash))
    return real.stableVector(own, { ...roster, enrolled: roster.enrolled.filter(hasSpoken) }, acknowledgements)
  }
  return { ...real, stableVector }
})
vi.mock('./checkers/stability.ts', () => ({ findUnstable: () => undefined }))

it.each([true, false])(
  'R7 without it, deletes come undone and replicas differ: caught, when tombstones wait for nobody: %s',
  async waitsForNobody => {
    rule.waitsForNobody = waitsForNobody
    const { failures } = await runSeeds({ from: 1, count: 300, make: seed => makeScenario(seed), isShortened: false })
    expect(failures).toEqual([expect.stringMatching(/know the same of .* and hold different things| came back on robot |is lost on robot/)])
  },
)

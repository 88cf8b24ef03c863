/**
 * R8 switched off, in four ways: what a bounded robot lacks is taken for what it collected, or for damage; it vouches for what others
 * wrote; it lets go of what nobody has; and its mark passes over what it gave up. The simulator must notice by what becomes of the data.
 */
import { expect, it, vi } from 'vitest'
import type * as kept from '../../sync/kept-elsewhere.ts'
import type * as partial from '../../sync/partial.ts'
import { makeRetentionScenario } from './retention-scenario.ts'
import type { Scenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

type Off =
  | 'nothing'
  | 'partial replicas are taken for full ones'
  | 'marks tell all'
  | 'nobody is asked'
  | 'marks pass over what was given up'
const rule = vi.hoisted((): { off: Off } => ({ off: 'nothing' }))

vi.mock('../../sync/partial.ts', async original => {
  const real = await original<typeof partial>()
  const relate: typeof real.relate = (mine, theirs) => {
    const relation = real.relate(mine, theirs)
    return rule.off === 'partial replicas are taken for full ones'
      ? { ...relation, isMinePartial: false, isTheirsPartial: false }
      : relation
  }
  const ownMark: typeof real.ownMark = (vector, known, own) => {
    if (rule.off === 'marks tell all') return new Map(vector)
    const none = new Map()
    return real.ownMark(vector, known, rule.off === 'marks pass over what was given up' ? { ...own, givenUp: none, expired: none } : own)
  }
  return { ...real, relate, ownMark }
})
vi.mock('../../sync/kept-elsewhere.ts', async original => {
  const real = await original<typeof kept>()
  const isKept: typeof real.isKept = (...asked) => rule.off === 'nobody is asked' || real.isKept(...asked)
  return { ...real, isKept }
})

const make = (seed: number): Scenario => makeRetentionScenario(seed, 'bounded')

it.each(['partial replicas are taken for full ones', 'marks tell all', 'nobody is asked', 'marks pass over what was given up'] as const)(
  'R8 without it, when %s: caught',
  async off => {
    rule.off = off
    const { failures } = await runSeeds({ from: 1, count: 300, make, isShortened: false })
    expect(failures).toEqual([
      expect.stringMatching(/ gave up .* for nothing that beats it|is lost on robot|hold different things|no agreement/),
    ])
  },
)

it('R8 with it, the same scenarios pass', async () => {
  rule.off = 'nothing'
  const { failures } = await runSeeds({ from: 1, count: 10, make, isShortened: false })
  expect(failures).toEqual([])
})

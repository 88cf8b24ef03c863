/**
 * R9 switched off, in four ways: every horizon is taken over, however far ahead; clocks that nobody vouches for count; so do stamps
 * that were made by such; and what nobody else has expires as well. The simulator must notice by what becomes of the data.
 */
import { expect, it, vi } from 'vitest'
import type * as kept from '../../sync/kept-elsewhere.ts'
import type * as retention from '../../sync/retention.ts'
import { isTombstone } from '../../sync/version.ts'
import { makeRetentionScenario } from './retention-scenario.ts'
import type { Action, Scenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

type Off = 'nothing' | 'every horizon is taken over' | 'every stamp counts' | 'nobody is asked'
const rule = vi.hoisted((): { off: Off } => ({ off: 'nothing' }))

vi.mock('../../sync/retention.ts', async original => {
  const real = await original<typeof retention>()
  const adoptableHorizonMs: typeof real.adoptableHorizonMs = (kept, ownMs, wallMs, isTrusted) =>
    rule.off === 'every horizon is taken over' && kept.ttlMs !== undefined
      ? 2 ** 50
      : real.adoptableHorizonMs(kept, ownMs, wallMs, isTrusted)
  const isBehindHorizon: typeof real.isBehindHorizon = (version, horizonMs) =>
    rule.off === 'every stamp counts' ? version.stamp.ms < horizonMs && !isTombstone(version) : real.isBehindHorizon(version, horizonMs)
  return { ...real, adoptableHorizonMs, isBehindHorizon }
})
vi.mock('../../sync/kept-elsewhere.ts', async original => {
  const real = await original<typeof kept>()
  const isKept: typeof real.isKept = (...asked) => rule.off === 'nobody is asked' || real.isKept(...asked)
  return { ...real, isKept }
})

/** In the middle of each run one clock goes a year ahead, and says that it is right. */
function make(seed: number): Scenario {
  const scenario = makeRetentionScenario(seed, 'ttl')
  const wrong: Action = { atMs: 12_000, kind: 'clock', robot: 1, offsetMs: 365 * 86_400_000, driftRate: 0, isTrusted: true }
  return { ...scenario, actions: [...scenario.actions, wrong].sort((a, b) => a.atMs - b.atMs) }
}

it.each(['every horizon is taken over', 'every stamp counts', 'nobody is asked'] as const)('R9 without it, when %s: caught', async off => {
  rule.off = off
  const { failures } = await runSeeds({ from: 1, count: 300, make, isShortened: false })
  expect(failures).toEqual([
    expect.stringMatching(/ gave up .* for nothing that beats it|is lost on robot|hold different things|no agreement/),
  ])
})

it('R9 with it, the same scenarios pass', async () => {
  rule.off = 'nothing'
  const { failures } = await runSeeds({ from: 1, count: 5, make, isShortened: false })
  expect(failures).toEqual([])
})

/**
 * Scenarios of robots that do not keep everything (R8, R9): bounded ones beside full ones, some that exchange one way only; or all with a
 * ttl, some of whose clocks are wrong and say that they are right.
 */
import { createSeededRandom } from '../seeded-random.ts'
import type { LocalSettingsChange } from '../../sync/replica.ts'
import { makeScenario, type Action, type Scenario } from './scenario.ts'

/** Faults that take more than a robot is asked to keep: what only a lost disk had is nobody's fault here. */
const LEFT_OUT: readonly Action['kind'][] = ['lose-disk', 'damage', 'evict']

export function makeRetentionScenario(seed: number, kind: 'bounded' | 'ttl' = seed % 2 === 0 ? 'bounded' : 'ttl'): Scenario {
  const base = makeScenario(seed)
  const random = createSeededRandom(seed ^ 0x7e7e)
  const below = (max: number): number => Math.floor(random.fraction() * max)
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!
  const policy = base.policy === 'mixed' ? 'lww' : base.policy
  const robots = Math.max(3, base.robots)
  const ttlMs = pick([6_000, 12_000, 30_000])

  const localOf = (robot: number): LocalSettingsChange => {
    if (kind === 'ttl') return below(6) === 0 && robot > 1 ? {} : { retention: { ttlMs, policy: 'drop_oldest' } }
    // The first keeps everything, and exchanges both ways.
    if (robot === 0 || below(4) === 0) return {}
    const sync = pick(['both', 'both', 'both', 'push', 'pull'] as const)
    const bound = pick([{ recordsMax: 1 + below(4) }, { recordsMax: 1 + below(4) }, { bytesMax: 1_024 }])
    return { sync, retention: { ...bound, policy: pick(['drop_oldest', 'drop_oldest', 'drop_lowest_priority', 'reject'] as const) } }
  }
  const actions = base.actions
    .filter(({ kind: action }) => !LEFT_OUT.includes(action))
    .map((action): Action => {
      // Of two that are wrong in one way each would let the other's go: that is what R9 trusts a clock with.
      const isWrong = kind === 'ttl' && action.kind === 'clock' && below(2) === 0
      return isWrong ? { ...action, robot: 1, isTrusted: true } : action
    })
  return { ...base, policy, robots, actions, local: Array.from({ length: robots }, (_, robot) => localOf(robot)) }
}

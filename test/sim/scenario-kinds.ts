/** The kinds of scenarios that seeds are run of, by name: a thread is told the name. */
import { makeRetentionScenario } from './retention-scenario.ts'
import { makeScenario, type Scenario } from './scenario.ts'

export const SCENARIO_KINDS = {
  /** Robots that keep everything. */
  full: seed => makeScenario(seed),
  /** Robots that keep a part (R8, R9). */
  retention: seed => makeRetentionScenario(seed),
} as const satisfies Record<string, (seed: number) => Scenario>

export type ScenarioKind = keyof typeof SCENARIO_KINDS

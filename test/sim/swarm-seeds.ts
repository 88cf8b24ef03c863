/** Runs seeds of the simulated swarm; a failing one is shortened and told with the command that replays it. */
import { runSwarmScenario } from './swarm-scenario.ts'
import type { SwarmScenario } from './swarm-scenario.ts'

export interface SwarmSeedsResult {
  readonly seeds: number
  readonly failures: readonly string[]
  readonly steps: number
}

export interface SwarmSeedsOptions {
  readonly from: number
  readonly count: number
  readonly make: (seed: number) => SwarmScenario
  /** Stops after so many failures. */
  readonly failuresMax?: number
}

export function runSwarmSeeds({ from, count, make, failuresMax = 1 }: SwarmSeedsOptions): SwarmSeedsResult {
  const failures: string[] = []
  let steps = 0
  let seeds = 0
  for (let seed = from; seed < from + count && failures.length < failuresMax; seed++) {
    const scenario = make(seed)
    const outcome = runSwarmScenario(scenario)
    seeds += 1
    steps += outcome.steps
    if (outcome.failure !== undefined) failures.push(explain(scenario, outcome.failure))
  }
  return { seeds, failures, steps }
}

/** Leaves out faults for as long as it still fails. */
function shorten(scenario: SwarmScenario): SwarmScenario {
  for (const fault of scenario.faults) {
    const shorter = { ...scenario, faults: scenario.faults.filter(other => other !== fault) }
    if (runSwarmScenario(shorter).failure !== undefined) return shorten(shorter)
  }
  return scenario
}

function explain(scenario: SwarmScenario, failure: string): string {
  const shortest = shorten(scenario)
  const outcome = runSwarmScenario(shortest)
  return [
    `seed ${scenario.seed}: ${failure}`,
    `with ${shortest.faults.length} of ${scenario.faults.length} faults: ${outcome.failure ?? 'passes'}`,
    JSON.stringify(shortest.faults),
    ...outcome.trace.slice(-40),
    `replay: npm run sim:swarm -- --seed ${scenario.seed}`,
  ].join('\n')
}

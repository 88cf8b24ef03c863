/** Runs seeds one after another; a failing one is shortened and told with the command that replays it. */
import { runScenario, shorten, type Scenario } from './scenario.ts'

export interface SeedsResult {
  readonly seeds: number
  /** One text a failing seed; at most `failuresMax`. */
  readonly failures: readonly string[]
  readonly events: number
  readonly acknowledged: number
  readonly collected: number
  readonly agreedAfterMsMax: number
}

export interface SeedsOptions {
  readonly from: number
  readonly count: number
  readonly make: (seed: number) => Scenario
  /** Stops after so many failures. */
  readonly failuresMax?: number
  readonly isShortened?: boolean
}

export const NO_SEEDS: SeedsResult = { seeds: 0, failures: [], events: 0, acknowledged: 0, collected: 0, agreedAfterMsMax: 0 }

export async function runSeeds(options: SeedsOptions): Promise<SeedsResult> {
  const { from, count, make, failuresMax = 1, isShortened = true } = options
  let total = NO_SEEDS
  for (let seed = from; seed < from + count && total.failures.length < failuresMax; seed++) {
    const scenario = make(seed)
    const { failure, events, acknowledged, collected, agreedAfterMs } = await runScenario(scenario).catch((error: unknown) => {
      throw new Error(`seed ${seed} threw`, { cause: error })
    })
    const failures = failure === undefined ? [] : [await explain(scenario, failure, isShortened)]
    total = joinResults(total, { seeds: 1, failures, events, acknowledged, collected, agreedAfterMsMax: agreedAfterMs })
  }
  return total
}

/** What two sets of seeds come to together. */
export function joinResults(a: SeedsResult, b: SeedsResult): SeedsResult {
  return {
    seeds: a.seeds + b.seeds,
    failures: [...a.failures, ...b.failures].sort((one, other) => seedOf(one) - seedOf(other)),
    events: a.events + b.events,
    acknowledged: a.acknowledged + b.acknowledged,
    collected: a.collected + b.collected,
    agreedAfterMsMax: Math.max(a.agreedAfterMsMax, b.agreedAfterMsMax),
  }
}

const seedOf = (failure: string): number => Number(/^seed (\d+)/.exec(failure)?.[1])

async function explain(scenario: Scenario, failure: string, isShortened: boolean): Promise<string> {
  const replay = `replay: npm run sim -- --seed ${scenario.seed}${scenario.local === undefined ? '' : ' --retention'}`
  if (!isShortened) return `seed ${scenario.seed}: ${failure}\n${replay}`
  const shortest = await shorten(scenario)
  const { trace } = await runScenario(shortest)
  return [
    `seed ${scenario.seed}: ${failure}`,
    `shortest trace found, ${shortest.actions.length} of ${scenario.actions.length} actions:`,
    ...trace,
    replay,
  ].join('\n')
}

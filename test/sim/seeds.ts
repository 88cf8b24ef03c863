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
  readonly onSeed?: (seed: number) => void
}

export async function runSeeds(options: SeedsOptions): Promise<SeedsResult> {
  const { from, count, make, failuresMax = 1, isShortened = true } = options
  const failures: string[] = []
  let events = 0
  let acknowledged = 0
  let collected = 0
  let agreedAfterMsMax = 0
  let seeds = 0
  for (let seed = from; seed < from + count && failures.length < failuresMax; seed++) {
    const scenario = make(seed)
    const outcome = await runScenario(scenario)
    seeds += 1
    events += outcome.events
    acknowledged += outcome.acknowledged
    collected += outcome.collected
    agreedAfterMsMax = Math.max(agreedAfterMsMax, outcome.agreedAfterMs)
    if (outcome.failure !== undefined) failures.push(await explain(scenario, outcome.failure, isShortened))
    options.onSeed?.(seed)
  }
  return { seeds, failures, events, acknowledged, collected, agreedAfterMsMax }
}

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

/** `npm run sim:swarm -- [--seeds N] [--from N] [--seed N]`: many seeds of the simulated swarm, or one with its whole trace. */
import { parseArgs } from 'node:util'
import { makeSwarmScenario, runSwarmScenario } from './swarm-scenario.ts'
import { runSwarmSeeds } from './swarm-seeds.ts'

const { values } = parseArgs({ options: { seeds: { type: 'string' }, from: { type: 'string' }, seed: { type: 'string' } } })
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (values.seed !== undefined) {
  const scenario = makeSwarmScenario(Number(values.seed))
  const outcome = runSwarmScenario(scenario)
  say(JSON.stringify(scenario))
  for (const line of outcome.trace) say(line)
  say(`${outcome.steps} steps: ${outcome.failure ?? 'all agree'}`)
  process.exitCode = outcome.failure === undefined ? 0 : 1
} else {
  const { seeds, failures, steps } = runSwarmSeeds({
    from: Number(values.from ?? 1),
    count: Number(values.seeds ?? 200),
    make: seed => makeSwarmScenario(seed),
    failuresMax: 5,
  })
  for (const failure of failures) say(failure)
  say(`${seeds} seeds, ${failures.length} failed; ${steps} steps`)
  process.exitCode = failures.length === 0 ? 0 : 1
}

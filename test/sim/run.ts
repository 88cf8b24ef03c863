/** `npm run sim -- [--seeds N] [--from N] [--seed N] [--retention]`: many seeds, or one with its whole trace. */
import { parseArgs } from 'node:util'
import { makeRetentionScenario } from './retention-scenario.ts'
import { makeScenario, runScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

const { values } = parseArgs({
  options: { seeds: { type: 'string' }, from: { type: 'string' }, seed: { type: 'string' }, retention: { type: 'boolean' } },
})
const make = values.retention === true ? makeRetentionScenario : makeScenario
const startedMs = performance.now()
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (values.seed !== undefined) {
  const scenario = make(Number(values.seed))
  const outcome = await runScenario(scenario)
  say(JSON.stringify({ ...scenario, actions: `${scenario.actions.length} actions` }))
  for (const line of outcome.trace) say(line)
  say(`trace ${outcome.traceDigest}, ${outcome.events} events: ${outcome.failure ?? 'all agree'}`)
  process.exitCode = outcome.failure === undefined ? 0 : 1
} else {
  const count = Number(values.seeds ?? 200)
  const result = await runSeeds({
    from: Number(values.from ?? 1),
    count,
    make: seed => make(seed),
    failuresMax: 5,
    onSeed(seed) {
      if (seed % 500 === 0) say(`${seed} seeds, ${Math.round((performance.now() - startedMs) / 1000)} s`)
    },
  })
  for (const failure of result.failures) say(failure)
  const { seeds, failures, events, acknowledged, collected, agreedAfterMsMax } = result
  say(
    `${seeds} seeds, ${failures.length} failed; ${events} events, ${acknowledged} acknowledged writes, ${collected} tombstones collected, agreement at most ${agreedAfterMsMax} ms after the last fault healed`,
  )
  process.exitCode = failures.length === 0 ? 0 : 1
}

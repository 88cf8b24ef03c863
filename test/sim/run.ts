/** `npm run sim -- [--seeds N] [--from N] [--jobs N] [--seed N] [--retention]`: many seeds on all processors, or one with its whole trace. */
import { parseArgs } from 'node:util'
import { SCENARIO_KINDS } from './scenario-kinds.ts'
import { runScenario } from './scenario.ts'
import { spreadSeeds } from './spread-seeds.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    jobs: { type: 'string' },
    seed: { type: 'string' },
    retention: { type: 'boolean' },
  },
})
const kind = values.retention === true ? 'retention' : 'full'
const startedMs = performance.now()
/** Between two lines of progress. */
const TELL_MS = 30_000
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (values.seed !== undefined) {
  const scenario = SCENARIO_KINDS[kind](Number(values.seed))
  const outcome = await runScenario(scenario)
  say(JSON.stringify({ ...scenario, actions: `${scenario.actions.length} actions` }))
  for (const line of outcome.trace) say(line)
  say(`trace ${outcome.traceDigest}, ${outcome.events} events: ${outcome.failure ?? 'all agree'}`)
  process.exitCode = outcome.failure === undefined ? 0 : 1
} else {
  const count = Number(values.seeds ?? 200)
  let toldMs = startedMs
  const result = await spreadSeeds({
    from: Number(values.from ?? 1),
    count,
    kind,
    ...(values.jobs === undefined ? {} : { jobs: Number(values.jobs) }),
    failuresMax: 5,
    onProgress({ seeds, failures }) {
      if (performance.now() - toldMs < TELL_MS) return
      toldMs = performance.now()
      say(`${seeds} of ${count} seeds, ${failures.length} failed, ${Math.round((toldMs - startedMs) / 1000)} s`)
    },
  })
  for (const failure of result.failures) say(failure)
  const { seeds, failures, events, acknowledged, collected, agreedAfterMsMax } = result
  const { user, system } = process.cpuUsage()
  say(
    `${seeds} seeds, ${failures.length} failed; ${events} events, ${acknowledged} acknowledged writes, ${collected} tombstones collected, agreement at most ${agreedAfterMsMax} ms after the last fault healed; ${Math.round((performance.now() - startedMs) / 1000)} s, ${Math.round((user + system) / 1e6)} s of processor time`,
  )
  process.exitCode = failures.length === 0 ? 0 : 1
}

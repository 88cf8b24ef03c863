/** Many seeds of robots that write, crash, lose one another and meet again. `npm run sim` runs more of them. */
import { expect, it } from 'vitest'
import { makeScenario, runScenario, type Scenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'
import { spreadSeeds } from './spread-seeds.ts'

/** Enough to notice a broken rule at every change; `npm test` runs 2,000. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 10)
/** A seed takes four times as long: horizons move all the time, and each step of one is a session. */
const RETENTION_SEEDS = Math.max(4, Math.ceil(SEEDS / 10))

it(
  `${SEEDS} seeds: no acknowledged write is lost, no delete comes undone, all agree`,
  async () => {
    const result = await spreadSeeds({ from: 1, count: SEEDS })
    expect(result.failures).toEqual([])
    expect(result.acknowledged).toBeGreaterThan(SEEDS * 5)
    expect(result.collected).toBeGreaterThan(SEEDS)
  },
  120_000 + SEEDS * 5_000,
)

it(
  `${RETENTION_SEEDS} seeds of robots that do not keep everything: what one gives up, for want of room or by its age, is lost to nobody else (R8, R9)`,
  async () => {
    const result = await spreadSeeds({ from: 1, count: RETENTION_SEEDS, kind: 'retention' })
    expect(result.failures).toEqual([])
    expect(result.acknowledged).toBeGreaterThan(RETENTION_SEEDS * 5)
  },
  120_000 + RETENTION_SEEDS * 5_000,
)

it('seeds on two threads come to the same as one after another', async () => {
  const alone = await runSeeds({ from: 1, count: 9, make: seed => makeScenario(seed) })
  const blocks: number[] = []
  const spread = await spreadSeeds({ from: 1, count: 9, jobs: 2, onProgress: ({ seeds }) => void blocks.push(seeds) })
  expect(spread).toEqual(alone)
  expect(blocks).toHaveLength(2)
})

it('the same seed gives the same trace', async () => {
  for (const seed of [1, 2]) {
    const [first, second] = [await runScenario(makeScenario(seed)), await runScenario(makeScenario(seed))]
    expect(second.trace).toEqual(first.trace)
    expect(second.traceDigest).toBe(first.traceDigest)
    expect(second.events).toBe(first.events)
  }
})

const silentDamage = (seed: number): Scenario => makeScenario(seed, { mutation: 'silent-damage' })
const atMs = (line: string | undefined): number => Number(line?.split(' ')[0])

it('what breaks a rule for a moment is caught at the step that does it, not at the end', async () => {
  let caught = 0
  for (let seed = 1; seed <= 12; seed++) {
    const { failure, trace } = await runScenario(silentDamage(seed))
    if (failure === undefined) continue
    caught += 1
    const damagedMs = trace.filter(line => / loses (imu|map)/.test(line)).map(atMs)
    // As long as the disk takes to make it durable.
    expect(damagedMs.some(ms => atMs(trace.at(-1)) - ms < 20)).toBe(true)
  }
  expect(caught).toBeGreaterThan(0)
})

it('a failing seed is told with the shortest trace found and the command that replays it', async () => {
  const { failures } = await runSeeds({ from: 1, count: 60, make: silentDamage })
  const [, seed, kept, all] = /^seed (\d+): [^]*\nshortest trace found, (\d+) of (\d+) actions:\n/.exec(failures[0] ?? '') ?? []
  expect(Number(kept)).toBeLessThan(Number(all) / 2)
  expect(failures[0]).toMatch(/\n[\d.]+ FAILED .*\nreplay: npm run sim -- --seed \d+$/)
  expect(failures[0]).toContain(`--seed ${seed}`)
})

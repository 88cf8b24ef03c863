/** The simulator itself: it is deterministic, notices what breaks for a moment, and tells a failure so that it can be replayed. */
import { expect, it } from 'vitest'
import { makeScenario, runScenario, type Scenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'
import { spreadSeeds } from './spread-seeds.ts'

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

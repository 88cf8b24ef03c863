/** R5 switched off: the sender's vector is taken over with the first frame, not with the mark. The simulator must notice. */
import { expect, it } from 'vitest'
import { makeScenario, type Action, type Scenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

/** A hole below the vector does its harm when tombstones are collected, so here they are collected all the time. */
function make(seed: number): Scenario {
  const scenario = makeScenario(seed, { mutation: 'vector-by-frames', frameItemsMax: 1, linkBytesPerSecond: 2e3 })
  const collections: Action[] = []
  for (let atMs = 500; atMs < 20_000; atMs += 500) {
    for (let robot = 0; robot < scenario.robots; robot++) {
      for (const collection of ['imu', 'map']) collections.push({ atMs, kind: 'collect', robot, collection })
    }
  }
  return { ...scenario, actions: [...scenario.actions, ...collections].sort((a, b) => a.atMs - b.atMs) }
}

it('R5 without it, an interrupted session leaves holes below the vector: caught', async () => {
  const { failures } = await runSeeds({ from: 1, count: 300, make, isShortened: false })
  expect(failures).toEqual([expect.stringMatching(/know the same of .* and hold different things|is lost on robot/)])
})

it('R5 with it, the same scenarios pass', async () => {
  const { failures } = await runSeeds({ from: 1, count: 20, make: seed => ({ ...make(seed), mutation: 'none' }), isShortened: false })
  expect(failures).toEqual([])
})

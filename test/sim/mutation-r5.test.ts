/** R5 switched off: the sender's vector is taken over with the first frame, not with the mark. The simulator must notice. */
import { expect, it } from 'vitest'
import { makeScenario, type Scenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

const make = (seed: number): Scenario => makeScenario(seed, { mutation: 'vector-by-frames', frameItemsMax: 1, linkBytesPerSecond: 2e3 })

it('R5 without it, an interrupted session leaves holes below the vector: caught', async () => {
  const { failures } = await runSeeds({ from: 1, count: 300, make, isShortened: false })
  expect(failures).toEqual([expect.stringMatching(/know the same of .* and hold different things|is lost on robot/)])
})

it('R5 with it, the same scenarios pass', async () => {
  const { failures } = await runSeeds({ from: 1, count: 10, make: seed => ({ ...make(seed), mutation: 'none' }), isShortened: false })
  expect(failures).toEqual([])
})

/** R5 switched off: the sender's vector is taken over with the first frame, not with the mark. The simulator must notice. */
import { expect, it } from 'vitest'
import { makeScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

it('R5 without it, an interrupted session leaves holes below the vector: caught', async () => {
  const make = (seed: number) => makeScenario(seed, { mutation: 'vector-by-frames' })
  const { failures } = await runSeeds({ from: 1, count: 600, make, isShortened: false })
  expect(failures).toHaveLength(1)
})

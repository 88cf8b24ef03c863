/** R3 switched off: the disk says "synced" before it is, so what was told and acknowledged is gone after a crash. */
import { expect, it } from 'vitest'
import { makeScenario } from './scenario.ts'
import { runSeeds } from './seeds.ts'

it('R3 without it, acknowledged writes are lost: caught', async () => {
  const { failures } = await runSeeds({ from: 1, count: 300, make: seed => makeScenario(seed, { isLyingDisk: true }), isShortened: false })
  expect(failures).toEqual([expect.stringMatching(/acknowledged .* is (lost|forgotten)|tells a digest of .* that is not durable/)])
})

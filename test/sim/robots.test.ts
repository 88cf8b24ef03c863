/** Many seeds of robots that write, crash, lose one another and meet again. `npm run sim` runs more of them. */
import { expect, it } from 'vitest'
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

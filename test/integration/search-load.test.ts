/** Searching 100,000 vectors of 128 numbers: exact, in slices, while the event loop goes on turning. */
import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { createSystemClock, systemHash, systemRandom } from '../../agent/ports.ts'
import { openReplica, type OpenReplica } from '../../sync/open-replica.ts'
import { makeFolder, stopEverything } from '../agent-process.ts'
import { createSeededRandom } from '../seeded-random.ts'

const VECTORS = 100_000
const DIMENSION = 128
const GROUP = 1_000
/** Numbers that one slice may read. */
const SLICE_NUMBERS = 131_072
const SLICES = Math.ceil((VECTORS * DIMENSION) / SLICE_NUMBERS)

const numbers = new Float32Array(VECTORS * DIMENSION)
const vectorAt = (i: number): number[] => [...numbers.subarray(i * DIMENSION, (i + 1) * DIMENSION)]
const keyAt = (i: number): string => `frame/${String(i).padStart(6, '0')}`

let replica: OpenReplica
beforeAll(async () => {
  const random = createSeededRandom(7)
  for (let i = 0; i < numbers.length; i++) numbers[i] = random.fraction() * 2 - 1
  replica = await openReplica({
    store: await openLevelStore(await makeFolder('hs-search-')),
    hash: systemHash,
    random: systemRandom,
    clock: createSystemClock(() => true),
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability: 'deferred',
  })
  await replica.createCollection('vision', { metric: 'l2', dimension: DIMENSION })
  for (let from = 0; from < VECTORS; from += GROUP) {
    const group = Array.from({ length: GROUP }, (_, i) => from + i)
    await replica.write(group.map(i => ({ collection: 'vision', key: keyAt(i), content: { vector: vectorAt(i) } })))
  }
})
afterAll(async () => {
  await replica.close()
  await stopEverything()
})

/** The k nearest by a plain scan. */
function plainScan(query: readonly number[], k: number): string[] {
  const distances = Array.from({ length: VECTORS }, (_, i) => {
    let sum = 0
    for (let j = 0; j < DIMENSION; j++) sum += (query[j]! - numbers[i * DIMENSION + j]!) ** 2
    return { i, sum }
  })
  return distances
    .sort((a, b) => a.sum - b.sum || a.i - b.i)
    .slice(0, k)
    .map(({ i }) => keyAt(i))
}

/** Searches, and counts the turns that it asked for and those that the event loop really made meanwhile. */
async function search(vector: readonly number[], k: number): Promise<{ keys: string[]; asked: number; turned: number }> {
  let turned = 0
  const watch = (): void => {
    turned += 1
    watching = setImmediate(watch)
  }
  let watching = setImmediate(watch)
  let asked = 0
  const answer = await replica.search('vision', { vector, k, bytesMax: 1_000_000 }, async () => {
    asked += 1
    await eventLoopTurn()
  })
  clearImmediate(watching)
  if (!answer.ok) throw new Error(answer.detail)
  return { keys: answer.results.map(({ record }) => record.key), asked, turned }
}

describe('a search of 100,000 vectors', () => {
  const query = (seed: number): number[] => {
    const random = createSeededRandom(seed)
    return Array.from({ length: DIMENSION }, () => Math.fround(random.fraction() * 2 - 1))
  }

  it('is exact, and lets the event loop turn between slices of bounded size, also while it loads them', async () => {
    const loading = await search(query(1), 10)
    expect(loading.keys).toEqual(plainScan(query(1), 10))
    expect(loading.asked).toBeGreaterThan(VECTORS / 256)
    expect(loading.turned).toBeGreaterThanOrEqual(loading.asked)

    const loaded = await search(query(2), 100)
    expect(loaded.keys).toEqual(plainScan(query(2), 100))
    expect(loaded.asked).toBeGreaterThanOrEqual(SLICES)
    expect(loaded.turned).toBeGreaterThanOrEqual(loaded.asked)
  })

  it('side by side with others turns as often as all of them together ask', async () => {
    const searches = await Promise.all([3, 4, 5, 6].map(seed => search(query(seed), 1)))
    const asked = searches.reduce((sum, { asked }) => sum + asked, 0)
    expect(asked).toBeGreaterThanOrEqual(4 * SLICES)
    expect(Math.max(...searches.map(({ turned }) => turned))).toBeGreaterThanOrEqual(asked)
  })
})

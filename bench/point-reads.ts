/** How long does one record take to read, usually and at worst? In no order, from 200,000. */
import { createSeededRandom } from '../test/seeded-random.ts'
import { interleave, type Bench, type Measure } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { builtKey, openBuiltPair } from './built-store.ts'
import { benchRecordRow } from './record-rows.ts'
import { quantile } from './statistics.ts'

const recordCount = 200_000
const readsPerRound = 20_000
const httpReadsPerRound = 2_000

function drawKeys(count: number, seed: number): string[] {
  const random = createSeededRandom(seed)
  return Array.from({ length: count }, () => builtKey(Math.floor(random.fraction() * recordCount)))
}

export const bench: Bench = {
  question: 'Single reads in no order through the replica and through HTTP, against `getSync` of the same rows',
  async run(context) {
    const { store, replica, client, close } = await openBuiltPair(recordCount, context.say)

    const timesByName = { raw: [] as number[][], replica: [] as number[][], http: [] as number[][] }
    const readAll = async (name: keyof typeof timesByName, keys: readonly string[], read: (key: string) => unknown): Promise<number> => {
      const times: number[] = []
      for (const key of keys) {
        const startMs = performance.now()
        if ((await read(key)) === undefined) throw new Error(`${key} is missing`)
        times.push((performance.now() - startMs) * 1000)
      }
      timesByName[name].push(times)
      return quantile(times, 0.5)
    }
    await interleave(context, {
      raw: round => readAll('raw', drawKeys(readsPerRound, round), key => store.get(benchRecordRow(key))),
      replica: round => readAll('replica', drawKeys(readsPerRound, round), key => replica.get(COLLECTION, key)),
      http: round =>
        readAll('http', drawKeys(httpReadsPerRound, round), async key => {
          await client.send('GET', `/api/collections/${COLLECTION}/records/${encodeURIComponent(key)}`)
          return true
        }),
    })
    await close()

    const samplesOf = (name: keyof typeof timesByName, q: number): number[] => timesByName[name].slice(1).map(times => quantile(times, q))
    return [0.5, 0.99].flatMap((q): Measure[] => {
      const baseline = { label: 'getSync', samples: samplesOf('raw', q) }
      const percentile = `p${q * 100}`
      return [
        { name: `Replica.get, ${percentile}`, unit: 'µs', baseline, candidate: { label: 'replica', samples: samplesOf('replica', q) } },
        { name: `GET, ${percentile}`, unit: 'µs', baseline, candidate: { label: 'agent', samples: samplesOf('http', q) } },
      ]
    })
  },
}

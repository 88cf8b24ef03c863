/** How long does one record take to read, usually and at worst? In no order, from 200,000. */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, startAgentProcess } from '../test/agent-process.ts'
import { createSeededRandom } from '../test/seeded-random.ts'
import { createAgentClient } from './agent-client.ts'
import { interleave, type Bench, type Measure } from './bench.ts'
import { COLLECTION, openBenchStore } from './bench-replica.ts'
import { buildDataDirectory } from './built-store.ts'
import { benchRecordRow } from './record-rows.ts'
import { quantile } from './statistics.ts'

const recordCount = 200_000
const readsPerRound = 20_000
const httpReadsPerRound = 2_000

/** Keys as built-store.ts makes them. */
function drawKeys(count: number, seed: number): string[] {
  const random = createSeededRandom(seed)
  return Array.from({ length: count }, () => {
    const i = Math.floor(random.fraction() * recordCount)
    return `part${String(Math.floor(i / 100_000)).padStart(4, '0')}/${String(i % 100_000).padStart(8, '0')}`
  })
}

export const bench: Bench = {
  question: 'Single reads in no order through the replica and through HTTP, against `getSync` of the same rows',
  async run(context) {
    const folder = await buildDataDirectory(recordCount, context.say)
    const agentFolder = await makeFolder('hs-bench-')
    await cp(folder, agentFolder, { recursive: true })
    const agent = await startAgentProcess({ env: { HS_LOG_LEVEL: 'warn', HS_DATA_DIR: agentFolder } })
    const client = createAgentClient(agent.url)
    const { store, replica } = await openBenchStore(join(folder, 'store'))

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
    client.close()
    await agent.kill()
    await replica.close()

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

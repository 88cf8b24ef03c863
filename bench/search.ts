/** What does a search cost over the arithmetic alone? It yields to the event loop, keeps keys, reads a snapshot and the records. */
import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import type { LocalWrite, Metric } from '../sync/replica.ts'
import { makeFolder } from '../test/agent-process.ts'
import { createSeededRandom } from '../test/seeded-random.ts'
import { interleave, measureRate, type Bench, type Measure } from './bench.ts'
import { openBenchStore } from './bench-replica.ts'
import { GROUP_RECORDS, writeInGroups } from './raw-level.ts'
import { inGroups } from './made-records.ts'

const vectors = 100_000
const dimension = 128
const neighbours = 10
const queriesPerRound = 50
const metrics: readonly Metric[] = ['cosine', 'l2', 'dot']

export const bench: Bench = {
  question: `Exact search of ${vectors.toLocaleString('en-US')} vectors of ${dimension} numbers, against a plain scan of one typed array`,
  async run(context) {
    const random = createSeededRandom(1)
    const numbers = Float32Array.from({ length: vectors * dimension }, () => random.fraction() * 2 - 1)
    const { replica } = await openBenchStore(await makeFolder('hs-bench-'))
    const measures: Measure[] = []
    for (const metric of metrics) {
      await replica.createCollection(metric, { metric, dimension })
      const writes = Array.from({ length: vectors }, (_, i): LocalWrite => ({
        collection: metric,
        key: `frame/${String(i).padStart(8, '0')}`,
        content: { payload: Buffer.from(`{"frame":${i}}`), vector: [...numbers.subarray(i * dimension, (i + 1) * dimension)] },
      }))
      context.say(`${metric}: writing`)
      await writeInGroups(inGroups(writes, GROUP_RECORDS), group => replica.write(group))
      const queries = Array.from({ length: queriesPerRound }, () => Array.from({ length: dimension }, () => random.fraction() * 2 - 1))
      const squaredNorms = squaredNormsOf(numbers)

      const search = async (): Promise<void> => {
        for (const vector of queries) {
          const answer = await replica.search(metric, { vector, k: neighbours, bytesMax: 1_000_000 }, eventLoopTurn)
          if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`)
        }
      }
      const scan = async (): Promise<void> => {
        for (const vector of queries) plainScan(metric, numbers, squaredNorms, Float32Array.from(vector))
      }
      const { baseline, candidate } = await interleave(context, {
        baseline: () => measureRate(queriesPerRound, scan),
        candidate: () => measureRate(queriesPerRound, search),
      })
      measures.push({
        name: metric,
        unit: 'queries/s',
        baseline: { label: 'plain scan', samples: baseline },
        candidate: { label: 'replica', samples: candidate },
        target: { ratioMin: 0.7 },
      })
      replica.forgetVectors()
    }
    await replica.close()
    return measures
  },
}

function squaredNormsOf(numbers: Float32Array): Float64Array {
  return Float64Array.from({ length: vectors }, (_, i) => {
    let sum = 0
    for (let j = i * dimension; j < (i + 1) * dimension; j++) sum += numbers[j]! * numbers[j]!
    return sum
  })
}

/** The indices of the nearest, found in one go. */
function plainScan(metric: Metric, numbers: Float32Array, squaredNorms: Float64Array, query: Float32Array): number[] {
  const nearest: { readonly i: number; readonly distance: number }[] = []
  let queryNorm = 0
  for (let j = 0; j < dimension; j++) queryNorm += query[j]! * query[j]!
  for (let i = 0; i < vectors; i++) {
    const at = i * dimension
    let sum = 0
    if (metric === 'l2') {
      for (let j = 0; j < dimension; j++) {
        const difference = query[j]! - numbers[at + j]!
        sum += difference * difference
      }
    } else {
      for (let j = 0; j < dimension; j++) sum += query[j]! * numbers[at + j]!
    }
    const distance = metric === 'l2' ? Math.sqrt(sum) : metric === 'dot' ? -sum : 1 - sum / Math.sqrt(queryNorm * squaredNorms[i]!)
    if (nearest.length === neighbours && distance >= nearest.at(-1)!.distance) continue
    nearest.push({ i, distance })
    nearest.sort((a, b) => a.distance - b.distance)
    if (nearest.length > neighbours) nearest.pop()
  }
  return nearest.map(({ i }) => i)
}

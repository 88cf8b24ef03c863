/** What does reading a whole collection cost over LevelDB's own iterator on the same rows? */
import { interleave, measureRate, type Bench } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { openBuiltPair } from './built-store.ts'
import { recordRowsOf } from './record-rows.ts'

const recordCount = 200_000
const rowsPerPage = 128

const expectAll = (count: number): void => {
  if (count !== recordCount) throw new Error(`${count} records were read, ${recordCount} are there`)
}

export const bench: Bench = {
  question: 'A scan of 200,000 records through the replica and as an NDJSON export, against an iterator over the same rows',
  async run(context) {
    const { store, replica, client, close } = await openBuiltPair(recordCount, context.say)
    const range = await recordRowsOf(store)

    const { iterator, throughReplica, throughHttp } = await interleave(context, {
      iterator: () =>
        measureRate(recordCount, async () => {
          const cursor = store.scan(range)
          let count = 0
          for (let page = await cursor.next(rowsPerPage); page.length > 0; page = await cursor.next(rowsPerPage)) count += page.length
          await cursor.close()
          expectAll(count)
        }),
      throughReplica: () =>
        measureRate(recordCount, async () => {
          let count = 0
          for await (const records of replica.scan(COLLECTION, {})) count += records.length
          expectAll(count)
        }),
      throughHttp: () =>
        measureRate(recordCount, async () => {
          const { lines } = await client.export(`/api/collections/${COLLECTION}/records`)
          expectAll(lines)
        }),
    })
    await close()
    const baseline = { label: 'iterator', samples: iterator }
    return [
      {
        name: 'Replica.scan',
        unit: 'records/s',
        baseline,
        candidate: { label: 'replica', samples: throughReplica },
        target: { ratioMin: 0.5 },
      },
      { name: 'NDJSON export', unit: 'records/s', baseline, candidate: { label: 'agent', samples: throughHttp } },
    ]
  },
}

/** The process of `slow-disk`, which runs it on a disk whose syncs take long: prints the samples as JSON. */
import { makeFolder, stopEverything } from '../test/agent-process.ts'
import { interleave, measureRate } from './bench.ts'
import { openBenchStore, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords } from './made-records.ts'
import { openRawLevel } from './raw-level.ts'

const rounds = Number(process.argv[2])
/** How many clients, and how many writes each of them makes a round. */
const loads = [
  { clients: 1, writesEach: 60 },
  { clients: 16, writesEach: 60 },
  { clients: 256, writesEach: 30 },
] as const

const raw = await openRawLevel(await makeFolder('hs-bench-'))
const { replica } = await openBenchStore(await makeFolder('hs-bench-'))
const results: object[] = []
for (const { clients, writesEach } of loads) {
  const recordsOf = (round: number) => makeRecords(clients * writesEach, `clients${clients}/round${round}`, round)
  // A group a sync: as many synced groups a second as each of the clients makes writes.
  const samples = await interleave(
    { rounds, say: () => {} },
    {
      raw: round => {
        const groups = inGroups(recordsOf(round), clients)
        return measureRate(writesEach, async () => {
          for (const group of groups) await raw.writeGroup(group)
        })
      },
      replica: round => {
        const lists = inGroups(recordsOf(round), writesEach)
        return measureRate(writesEach, async () => {
          await Promise.all(
            lists.map(async records => {
              for (const record of records) await writeRecords(replica, [record])
            }),
          )
        })
      },
    },
  )
  results.push({ clients, ...samples })
}
await replica.close()
await raw.close()
await stopEverything()
process.stdout.write(JSON.stringify(results))

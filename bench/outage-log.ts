/** What does the outage log cost? The same replica on the same disk, with a second, synced copy of each write group and without. */
import { join } from 'node:path'
import { openLevelStore } from '../agent/level-store.ts'
import { openOutageLog } from '../agent/outage-log.ts'
import { makeFolder } from '../test/agent-process.ts'
import { interleave, measureRate, type Bench, type Measure } from './bench.ts'
import { openBenchReplica, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords } from './made-records.ts'

/** How many write at once, how many records each write has, and how many writes each of them makes a round. */
const loads = [
  { name: '1 client', clients: 1, recordsEach: 1, writesEach: 300 },
  { name: '16 clients', clients: 16, recordsEach: 1, writesEach: 100 },
  { name: 'bulk, groups of 1,000', clients: 2, recordsEach: 1_000, writesEach: 10 },
] as const
const LOG_BYTES_MAX = 64 * 1024 * 1024

export const bench: Bench = {
  question: 'Durable writes with the outage log, against the same without it',
  async run(context) {
    const folder = await makeFolder('hs-bench-')
    const log = await openOutageLog(join(folder, 'outage'), LOG_BYTES_MAX)
    const logged = await openBenchReplica(await openLevelStore(join(folder, 'store')), 'fsync', log)
    const plain = await openBenchReplica(await openLevelStore(await makeFolder('hs-bench-')))
    const measures: Measure[] = []
    for (const { name, clients, recordsEach, writesEach } of loads) {
      const count = clients * recordsEach * writesEach
      const writeAll = (replica: typeof plain) => (round: number) => {
        const lists = inGroups(makeRecords(count, `${name}/round${round}`, round), recordsEach * writesEach)
        return measureRate(count, async () => {
          await Promise.all(
            lists.map(async records => {
              for (const group of inGroups(records, recordsEach)) await writeRecords(replica, group)
            }),
          )
        })
      }
      const { without, having } = await interleave(context, { without: writeAll(plain), having: writeAll(logged) })
      const baseline = { label: 'without', samples: without }
      measures.push({ name, unit: 'records/s', baseline, candidate: { label: 'with the log', samples: having } })
    }
    await logged.close()
    await log.close()
    await plain.close()
    return measures
  },
}

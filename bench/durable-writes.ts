/**
 * What does one durable write cost when many write at once? The disk syncs so often a second and no more; group commit lets all who wait
 * share one. The baseline is the best that LevelDB offers to as many writers: one synced batch of a record each, again and again.
 */
import { makeFolder, startAgentProcess } from '../test/agent-process.ts'
import { createAgentClient } from './agent-client.ts'
import { interleave, measureRate, type Bench, type Measure } from './bench.ts'
import { COLLECTION, openBenchStore, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords, type MadeRecord } from './made-records.ts'
import { openRawLevel } from './raw-level.ts'

/** How many clients, and how many writes each of them makes a round. */
const loads = [
  { clients: 1, writesEach: 300 },
  { clients: 16, writesEach: 100 },
  { clients: 256, writesEach: 20 },
] as const

/** As many writers as there are lists, each waiting for one write before it makes the next. */
async function writeConcurrently(
  perClient: readonly (readonly MadeRecord[])[],
  write: (record: MadeRecord) => Promise<unknown>,
): Promise<void> {
  await Promise.all(
    perClient.map(async records => {
      for (const record of records) await write(record)
    }),
  )
}

export const bench: Bench = {
  question: 'Single durable writes by 1, 16 and 256 clients at once, against synced LevelDB batches of as many records',
  async run(context) {
    const raw = await openRawLevel(await makeFolder('hs-bench-'))
    const { replica } = await openBenchStore(await makeFolder('hs-bench-'))
    const agent = await startAgentProcess({ env: { HS_LOG_LEVEL: 'warn' } })
    const client = createAgentClient(agent.url)
    const measures: Measure[] = []
    for (const { clients, writesEach } of loads) {
      const count = clients * writesEach
      const recordsOf = (round: number) => makeRecords(count, `clients${clients}/round${round}`, round)
      const put = ({ key, payload }: MadeRecord) =>
        client.send(
          'PUT',
          `/api/collections/${COLLECTION}/records/${encodeURIComponent(key)}`,
          Buffer.concat([Buffer.from('{"payload":'), payload, Buffer.from('}')]),
        )
      const { batches, puts, throughReplica, throughHttp } = await interleave(context, {
        batches: round => {
          const groups = inGroups(recordsOf(round), clients)
          return measureRate(count, async () => {
            for (const group of groups) await raw.writeGroup(group)
          })
        },
        puts: round => {
          const lists = inGroups(makeRecords(count, `puts${clients}/round${round}`, round), writesEach)
          return measureRate(count, () => writeConcurrently(lists, record => raw.put(record)))
        },
        throughReplica: round => {
          const lists = inGroups(recordsOf(round), writesEach)
          return measureRate(count, () => writeConcurrently(lists, record => writeRecords(replica, [record])))
        },
        throughHttp: round => {
          const lists = inGroups(recordsOf(round), writesEach)
          return measureRate(count, () => writeConcurrently(lists, put))
        },
      })
      const against = (label: string, samples: readonly number[]) => ({ unit: 'writes/s', baseline: { label, samples } })
      const name = clients === 1 ? '1 client' : `${clients} clients`
      measures.push(
        {
          name,
          ...against('LevelDB batches', batches),
          candidate: { label: 'replica', samples: throughReplica },
          target: { ratioMin: 0.7 },
        },
        { name, ...against('LevelDB puts', puts), candidate: { label: 'replica', samples: throughReplica } },
        { name: `${name}, PUT`, ...against('LevelDB batches', batches), candidate: { label: 'agent', samples: throughHttp } },
      )
    }
    client.close()
    await agent.kill()
    await raw.close()
    await replica.close()
    return measures
  },
}

/** What does an agent cost over LevelDB itself, HTTP and JSON included? */
import { makeFolder, startAgentProcess } from '../test/agent-process.ts'
import { createAgentClient } from './agent-client.ts'
import { interleave, measureRate, type Bench } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { inGroups, makeRecords, toNdjson } from './made-records.ts'
import { GROUP_RECORDS, openRawLevel, writeOneByOne } from './raw-level.ts'

const recordsPerRound = 100_000

export const bench: Bench = {
  question:
    'Bulk ingest through `POST /api/collections/:name/records` (NDJSON), against synced LevelDB batches of the same keys and payloads',
  async run(context) {
    const raw = await openRawLevel(await makeFolder('hs-bench-'))
    const agent = await startAgentProcess({ env: { HS_LOG_LEVEL: 'warn' } })
    const client = createAgentClient(agent.url)
    const recordsOf = (round: number) => makeRecords(recordsPerRound, `round${round}`, round)
    const { baseline, candidate } = await interleave(context, {
      baseline: round => {
        const groups = inGroups(recordsOf(round), GROUP_RECORDS)
        return measureRate(recordsPerRound, () => writeOneByOne(groups, group => raw.writeGroup(group)))
      },
      candidate: round => {
        const chunks = toNdjson(recordsOf(round))
        return measureRate(recordsPerRound, () => client.post(`/api/collections/${COLLECTION}/records`, chunks))
      },
    })
    client.close()
    await agent.kill()
    await raw.close()
    return [
      {
        name: 'one request of 100,000 lines',
        unit: 'records/s',
        baseline: { label: 'LevelDB', samples: baseline },
        candidate: { label: 'agent', samples: candidate },
        target: { ratioMin: 0.2 },
      },
    ]
  },
}

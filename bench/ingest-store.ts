/** What does the replica cost over LevelDB itself? A record is one row there and four here, and is hashed, stamped and given a dot. */
import { makeFolder } from '../test/agent-process.ts'
import { interleave, measureRate, type Bench } from './bench.ts'
import { openBenchStore, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords, shuffle } from './made-records.ts'
import { GROUP_RECORDS, openRawLevel, writeOneByOne, writeInGroups } from './raw-level.ts'

const recordsPerRound = 100_000

export const bench: Bench = {
  question: 'Bulk ingest through the replica, against synced LevelDB batches of the same keys and payloads',
  async run(context) {
    const raw = await openRawLevel(await makeFolder('hs-bench-'))
    const { replica } = await openBenchStore(await makeFolder('hs-bench-'))
    const orders = {
      'keys in order': (round: number) => makeRecords(recordsPerRound, `ordered${round}`, round),
      'keys in no order': (round: number) => shuffle(makeRecords(recordsPerRound, `shuffled${round}`, round)),
    }
    const measures = []
    for (const [name, recordsOf] of Object.entries(orders)) {
      const { baseline, candidate } = await interleave(context, {
        baseline: round => {
          const groups = inGroups(recordsOf(round), GROUP_RECORDS)
          return measureRate(recordsPerRound, () => writeOneByOne(groups, group => raw.writeGroup(group)))
        },
        candidate: round => {
          const groups = inGroups(recordsOf(round), GROUP_RECORDS)
          return measureRate(recordsPerRound, () => writeInGroups(groups, group => writeRecords(replica, group)))
        },
      })
      measures.push({
        name,
        unit: 'records/s',
        baseline: { label: 'LevelDB', samples: baseline },
        candidate: { label: 'replica', samples: candidate },
        target: { ratioMin: 0.35 },
      })
    }
    await raw.close()
    await replica.close()
    return measures
  },
}

/** Stores that are built once for benches that read. */
import { join } from 'node:path'
import { openLevelStore } from '../agent/level-store.ts'
import { makeFolder } from '../test/agent-process.ts'
import { openBenchReplica, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords } from './made-records.ts'
import { GROUP_RECORDS, writeInGroups } from './raw-level.ts'

/** A data directory for an agent, with so many records in it; the store is in its folder `store`. */
export async function buildDataDirectory(count: number, say: (text: string) => void): Promise<string> {
  const folder = await makeFolder('hs-bench-')
  await addRecords(join(folder, 'store'), count, say)
  return folder
}

const recordsPerPart = 100_000

/** Writes records through a replica, not synced one by one, in parts so that they are never all in memory. */
async function addRecords(folder: string, count: number, say: (text: string) => void): Promise<void> {
  const replica = await openBenchReplica(await openLevelStore(folder), 'deferred')
  for (let done = 0; done < count; done += recordsPerPart) {
    say(`building a store: ${done} of ${count} records`)
    const records = makeRecords(Math.min(recordsPerPart, count - done), `part${String(done / recordsPerPart).padStart(4, '0')}`, done + 1)
    await writeInGroups(inGroups(records, GROUP_RECORDS), group => writeRecords(replica, group))
  }
  await replica.close()
}

/** Stores that are built once for benches that read. */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { openLevelStore } from '../agent/level-store.ts'
import { makeFolder, startAgentProcess } from '../test/agent-process.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import type { Store } from '../sync/store.ts'
import { createAgentClient, type AgentClient } from './agent-client.ts'
import { openBenchReplica, openBenchStore, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords, recordKey } from './made-records.ts'
import { GROUP_RECORDS, writeInGroups } from './raw-level.ts'

/** A data directory for an agent, with so many records in it; the store is in its folder `store`. */
export async function buildDataDirectory(count: number, say: (text: string) => void): Promise<string> {
  const folder = await makeFolder('hs-bench-')
  await addRecords(join(folder, 'store'), count, say)
  return folder
}

/** The same records in a replica of this process and in an agent. */
export interface BuiltPair {
  readonly store: Store
  readonly replica: OpenReplica
  readonly client: AgentClient
  readonly close: () => Promise<void>
}

export async function openBuiltPair(count: number, say: (text: string) => void): Promise<BuiltPair> {
  const folder = await buildDataDirectory(count, say)
  const agentFolder = await makeFolder('hs-bench-')
  await cp(folder, agentFolder, { recursive: true })
  const agent = await startAgentProcess({ env: { HS_LOG_LEVEL: 'warn', HS_DATA_DIR: agentFolder } })
  const client = createAgentClient(agent.url)
  const { store, replica } = await openBenchStore(join(folder, 'store'))
  return {
    store,
    replica,
    client,
    async close() {
      client.close()
      await agent.kill()
      await replica.close()
    },
  }
}

const recordsPerPart = 100_000

const partPrefix = (part: number): string => `part${String(part).padStart(4, '0')}`

/** The key of a built store's record, counted from 0. */
export const builtKey = (i: number): string => recordKey(partPrefix(Math.floor(i / recordsPerPart)), i % recordsPerPart)

/** Writes records through a replica, not synced one by one, in parts so that they are never all in memory. */
async function addRecords(folder: string, count: number, say: (text: string) => void): Promise<void> {
  const replica = await openBenchReplica(await openLevelStore(folder), 'deferred')
  for (let done = 0; done < count; done += recordsPerPart) {
    say(`building a store: ${done} of ${count} records`)
    const records = makeRecords(Math.min(recordsPerPart, count - done), partPrefix(done / recordsPerPart), done + 1)
    await writeInGroups(inGroups(records, GROUP_RECORDS), group => writeRecords(replica, group))
  }
  await replica.close()
}

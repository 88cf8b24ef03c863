/** A replica on LevelDB as the agent opens it, without the agent around it. */
import { openLevelStore } from '../agent/level-store.ts'
import { createSystemClock, systemHash, systemRandom } from '../agent/ports.ts'
import type { Journal } from '../sync/journal.ts'
import { openReplica, type OpenReplica } from '../sync/open-replica.ts'
import type { LocalWrite } from '../sync/replica.ts'
import type { Store } from '../sync/store.ts'
import type { MadeRecord } from './made-records.ts'

export const COLLECTION = 'imu'

export async function openBenchStore(folder: string): Promise<{ readonly store: Store; readonly replica: OpenReplica }> {
  const store = await openLevelStore(folder)
  return { store, replica: await openBenchReplica(store) }
}

export function openBenchReplica(store: Store, durability: 'fsync' | 'deferred' = 'fsync', journal?: Journal): Promise<OpenReplica> {
  return openReplica({
    store,
    hash: systemHash,
    random: systemRandom,
    clock: createSystemClock(() => true),
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability,
    ...(journal === undefined ? {} : { journal }),
  })
}

/** Writes one group; a refusal ends the bench. */
export async function writeRecords(replica: OpenReplica, records: readonly MadeRecord[]): Promise<void> {
  const writes = records.map(({ key, payload }): LocalWrite => ({ collection: COLLECTION, key, content: { payload } }))
  for (const outcome of await replica.write(writes)) if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.detail}`)
}

/** The baseline of most benches: LevelDB used directly, with nothing but keys and values. */
import { Level } from 'level'
import type { MadeRecord } from './made-records.ts'

export interface RawLevel {
  /** One synced batch. */
  writeGroup(records: readonly MadeRecord[]): Promise<void>
  /** One synced put. */
  put(record: MadeRecord): Promise<void>
  close(): Promise<void>
}

export async function openRawLevel(folder: string): Promise<RawLevel> {
  const database = new Level<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' })
  await database.open()
  return {
    async writeGroup(records) {
      const batch = database.batch()
      for (const { key, payload } of records) batch.put(Buffer.from(key), payload)
      await batch.write({ sync: true })
    },
    put: ({ key, payload }) => database.put(Buffer.from(key), payload, { sync: true }),
    close: () => database.close(),
  }
}

/** Records of one write group, in every bench. */
export const GROUP_RECORDS = 1_000

/** Groups that the agent's bulk route has under way: while one goes to the disk, the next one is built. */
const groupsInFlight = 2

/** Writes groups one after the other: how LevelDB is used when there is nothing else to do. */
export async function writeOneByOne<T>(groups: readonly T[], write: (group: T) => Promise<unknown>): Promise<void> {
  for (const group of groups) await write(group)
}

/** Writes groups in order, as the agent's bulk route does. */
export async function writeInGroups<T>(groups: readonly T[], write: (group: T) => Promise<unknown>): Promise<void> {
  const inFlight: Promise<unknown>[] = []
  for (const group of groups) {
    inFlight.push(write(group))
    if (inFlight.length >= groupsInFlight) await inFlight.shift()
  }
  await Promise.all(inFlight)
}

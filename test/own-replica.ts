/** A data directory opened as an agent opens it - database, outage log, replica, coming back - without sockets. */
import { bringBack, type Comeback } from '../agent/comeback.ts'
import { openDataDirectory, type DataDirectory } from '../agent/data-directory.ts'
import { createSystemClock, systemHash, systemRandom } from '../agent/ports.ts'
import { createItemHasher } from '../sync/digest.ts'
import { openReplica, type OpenReplica } from '../sync/open-replica.ts'

export const NO_SALT = new Uint8Array(16)

export interface OwnReplica {
  readonly replica: OpenReplica
  readonly directory: DataDirectory
  readonly comeback: Comeback | undefined
  close(): Promise<void>
}

export async function openOwnReplica(
  folder: string,
  options: { readonly outageLogBytesMax?: number; readonly durability?: 'fsync' | 'deferred'; readonly checkedBytesMax?: number } = {},
): Promise<OwnReplica> {
  const { outageLogBytesMax = 64 * 1024 * 1024, durability = 'fsync', checkedBytesMax } = options
  const directory = await openDataDirectory(folder, { outageLogBytesMax, digestSalt: NO_SALT, wallMs: Date.now(), checkedBytesMax })
  const { opened, outageLog, identity, starts } = directory
  const replica = await openReplica({
    store: opened.store,
    ...(outageLog === undefined || outageLogBytesMax === 0 ? {} : { journal: outageLog }),
    hash: systemHash,
    random: systemRandom,
    clock: createSystemClock(() => true),
    digestSalt: NO_SALT,
    clockDriftMaxMs: 60_000,
    durability,
    nodeId: identity.nodeId,
  })
  const comeback = await bringBack(folder, opened, replica, outageLog, createItemHasher(systemHash, NO_SALT))
  return {
    replica,
    directory,
    comeback,
    async close() {
      await replica.close()
      await outageLog?.close()
      await starts.settle()
    },
  }
}

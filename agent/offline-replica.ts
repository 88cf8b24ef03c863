/** A data directory opened as an agent opens it - database, outage log, replica, coming back - without sockets. */
import { bringBack, type Comeback } from './comeback.ts'
import { openDataDirectory, type DataDirectory } from './data-directory.ts'
import { createSystemClock, systemHash, systemRandom } from './ports.ts'
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
  options: {
    readonly outageLogBytesMax?: number
    readonly durability?: 'fsync' | 'deferred'
    readonly checkedBytesMax?: number
    readonly digestSalt?: Uint8Array
  } = {},
): Promise<OwnReplica> {
  const { outageLogBytesMax = 64 * 1024 * 1024, durability = 'fsync', checkedBytesMax, digestSalt = NO_SALT } = options
  const directory = await openDataDirectory(folder, { outageLogBytesMax, digestSalt, wallMs: Date.now(), checkedBytesMax })
  const { opened, outageLog, identity, starts } = directory
  const replica = await openReplica({
    store: opened.store,
    ...(outageLog === undefined || outageLogBytesMax === 0 ? {} : { journal: outageLog }),
    hash: systemHash,
    random: systemRandom,
    clock: createSystemClock(() => true),
    digestSalt,
    clockDriftMaxMs: 60_000,
    durability,
    nodeId: identity.nodeId,
  })
  const comeback = await bringBack(folder, opened, replica, outageLog, createItemHasher(systemHash, digestSalt))
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

/**
 * Coming back: an open replica gets again what its store has lost (P1, P2) - first the writes of the outage log, in their order, then
 * what is left of databases that were moved aside. Doing it twice changes nothing, so whoever is interrupted begins again.
 */
import { join } from 'node:path'
import { decodeCollectionRow, rowsOf } from '../sync/collection-state.ts'
import type { ItemHasher } from '../sync/digest.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import { createRescueTally, type RescuedWrite, type RescueTally } from '../sync/rescue.ts'
import { allCollections } from '../sync/rows.ts'
import { readU32 } from '../base/bytes.ts'
import { intactEntriesOf } from '../sync/store-audit.ts'
import type { StoreReader } from '../sync/store.ts'
import { keyText } from '../sync/write-batch.ts'
import { openLevelStore } from './level-store.ts'
import type { OutageLog } from './outage-log.ts'
import type { OpenedStore, RecoveryKind } from './store-opening.ts'

/** What an opening found wrong and what came back. */
export interface Comeback {
  /** `replayed`: the database was fine, but lacked writes that the outage log has. */
  readonly kind: RecoveryKind | 'replayed'
  readonly reason: string
  /** Databases that were moved aside, in the data directory. */
  readonly quarantines: readonly string[]
  /** From the outage log, as they were. */
  readonly redone: number
  /** From the outage log, to be issued anew when a peer has been met. */
  readonly rescued: number
  /** Versions taken over from what is left of the former database. */
  readonly salvaged: number
  /** Versions found there that are not as they were written. */
  readonly damaged: number
}

const VERSIONS_PER_GROUP = 1_000

/** Undefined when nothing was missing. */
export async function bringBack(
  dataDir: string,
  opened: OpenedStore,
  replica: OpenReplica,
  outageLog: OutageLog | undefined,
  hasher: ItemHasher,
): Promise<Comeback | undefined> {
  const { recovery } = opened
  const replayed = createRescueTally()
  for await (const page of outageLog?.replay(write => replica.knows(write)) ?? []) add(replayed, await replica.rescue(page))

  const salvaged = createRescueTally()
  let damaged = 0
  // The newest first: it has what the others have, and more.
  for (const source of recovery?.readable.toReversed() ?? []) {
    damaged += await salvage(join(dataDir, source), replica, hasher, salvaged)
  }
  await opened.finish()
  if (recovery === undefined && replayed.redone + replayed.rescued === 0) return undefined
  return {
    kind: recovery?.kind ?? 'replayed',
    reason: recovery?.reason ?? 'the database lacked writes that the outage log has',
    quarantines: recovery?.sources ?? [],
    redone: replayed.redone,
    rescued: replayed.rescued,
    salvaged: salvaged.rescued + salvaged.redone,
    damaged,
  }
}

function add(sum: RescueTally, tally: RescueTally): void {
  sum.redone += tally.redone
  sum.rescued += tally.rescued
  sum.known += tally.known
  sum.unplaceable += tally.unplaceable
}

/** Takes over the versions that are as they were written; returns how many are not. What cannot be read at all is left. */
async function salvage(folder: string, replica: OpenReplica, hasher: ItemHasher, tally: RescueTally): Promise<number> {
  let damaged = 0
  let source
  try {
    source = await openLevelStore(folder, { createIfMissing: false })
  } catch {
    return damaged
  }
  try {
    for (const { cid, name, generation } of await collectionsOf(source)) {
      let group: RescuedWrite[] = []
      const submit = async (): Promise<void> => {
        add(tally, await replica.rescue(group))
        group = []
      }
      try {
        for await (const { key, entry, damaged: unfit } of intactEntriesOf(source, cid, hasher)) {
          damaged += unfit
          for (const version of entry) {
            // The group outlives the page that the bytes are a view of.
            const own = { ...version, body: version.body.slice() }
            group.push({ collection: name, generation, run: undefined, key: keyText(key), version: own })
          }
          if (group.length >= VERSIONS_PER_GROUP) await submit()
        }
      } catch {
        // The rest of this collection cannot be read.
        damaged += 1
      }
      if (group.length > 0) await submit()
    }
  } finally {
    await source.close()
  }
  return damaged
}

/** The system collection first: it says which others there are. */
async function collectionsOf(reader: StoreReader): Promise<{ cid: number; name: string; generation: number }[]> {
  const found: { cid: number; name: string; generation: number }[] = []
  try {
    for await (const [row, value] of rowsOf(reader, allCollections)) {
      const cid = readU32(row, 1)
      try {
        const { name, generation, dropped } = decodeCollectionRow(cid, value)
        if (!dropped && name !== '') found.push({ cid, name, generation })
      } catch {
        // Not a collection's row any more.
      }
    }
  } catch {
    // What was found until here.
  }
  return found.sort((a, b) => a.cid - b.cid)
}

/**
 * What the deleters of a collection had seen, which tells which writes need not be kept. Noted at each write of a disk, in the moment in
 * which it is done: the next deletion of the same name takes the record's place, on the same disk and maybe at once, and whoever comes to
 * read it later, or loses its power before that, never learns what the former one covered.
 */
import type { VersionVector } from '../../sync/dot.ts'
import { SYSTEM_CID } from '../../sync/replica-state.ts'
import { recordRow } from '../../sync/rows.ts'
import { deletedKey } from '../../sync/settings.ts'
import type { StoreReader } from '../../sync/store.ts'
import { decodeStoredEntry, keyBytes } from '../../sync/write-batch.ts'

export interface Deletion {
  readonly name: string
  readonly generation: number
  readonly vector: VersionVector
}

export interface DeletionNotes {
  /** Every deletion that was ever on a disk, some more than once. */
  readonly all: readonly Deletion[]
  readonly look: (disk: StoreReader) => void
}

export function createDeletionNotes(name: string): DeletionNotes {
  const all: Deletion[] = []
  const row = recordRow(SYSTEM_CID, keyBytes(deletedKey(name)))
  /** The memory store keeps a row's value as one object until it changes. */
  const seen = new WeakSet<Uint8Array>()
  return {
    all,
    look(disk) {
      const value = disk.get(row)
      if (value === undefined || seen.has(value)) return
      seen.add(value)
      for (const { body } of decodeStoredEntry(value)?.entry ?? []) {
        const deletion = JSON.parse(Buffer.from(body).toString()) as { generation: number; vector: Record<string, number> }
        all.push({ name, generation: deletion.generation, vector: new Map(Object.entries(deletion.vector)) })
      }
    },
  }
}

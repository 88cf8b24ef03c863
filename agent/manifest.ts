/**
 * The tables that a LevelDB database consists of, as its manifest names them. Others may lie beside them: what a compaction was writing when the
 * power was cut is no damage, and LevelDB removes it when it opens.
 *
 * A manifest is a log (level-log.ts) of changes (LevelDB, db/version_edit.cc): fields that begin with a number for what they are.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { recordsOf } from './level-log.ts'
import { createVarintReader, listTables, type TableFile } from './table-check.ts'

const MANIFEST_BYTES_MAX = 64 * 1024 * 1024
const FIELD = {
  comparator: 1,
  logNumber: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLogNumber: 9,
} as const

interface NamedTables {
  /** What the database consists of. */
  readonly live: ReadonlySet<number>
  /** These, and what it has consisted of since it was opened: it may again, where the end of the manifest is not on the disk yet. */
  readonly named: ReadonlySet<number>
}

/** The numbers of the tables; undefined where the manifest cannot be read, and any may be one. */
export const readLiveTables = async (folder: string): Promise<ReadonlySet<number> | undefined> => (await readTables(folder))?.live

/** Tables that the database has never consisted of: what a merge that failed has left. None where the manifest cannot be read. */
export async function findStrayTables(folder: string): Promise<TableFile[]> {
  const named = (await readTables(folder))?.named
  return named === undefined ? [] : (await listTables(folder)).filter(({ name }) => !named.has(Number.parseInt(name, 10)))
}

async function readTables(folder: string): Promise<NamedTables | undefined> {
  try {
    const name = (await readFile(join(folder, 'CURRENT'), 'latin1')).trim()
    const path = join(folder, name)
    if (!/^MANIFEST-\d+$/.test(name) || (await stat(path)).size > MANIFEST_BYTES_MAX) return undefined
    const [live, named] = [new Set<number>(), new Set<number>()]
    let edits = 0
    for (const edit of recordsOf(await readFile(path))) {
      applyEdit(edit, live, named)
      edits += 1
    }
    return edits === 0 ? undefined : { live, named }
  } catch {
    // LevelDB will say what is wrong with it.
    return undefined
  }
}

function addTo(live: Set<number>, named: Set<number>, table: number): void {
  live.add(table)
  named.add(table)
}

/** Throws an Error at what it does not know. */
function applyEdit(edit: Buffer, live: Set<number>, named: Set<number>): void {
  const reader = createVarintReader(edit)
  const skipText = (): void => reader.skip(reader.varint())
  while (reader.at() < edit.length) {
    const field = reader.varint()
    switch (field) {
      case FIELD.comparator:
        skipText()
        break
      case FIELD.logNumber:
      case FIELD.nextFile:
      case FIELD.lastSequence:
      case FIELD.previousLogNumber:
        reader.varint()
        break
      case FIELD.compactPointer:
        reader.varint()
        skipText()
        break
      case FIELD.deletedFile:
        reader.varint()
        live.delete(reader.varint())
        break
      case FIELD.newFile:
        reader.varint()
        addTo(live, named, reader.varint())
        reader.varint()
        skipText()
        skipText()
        break
      default:
        throw new Error(`field ${field} is not known`)
    }
  }
}

/**
 * The tables that a LevelDB database consists of, as its manifest names them. Others may lie beside them: what a compaction was writing when the
 * power was cut is no damage, and LevelDB removes it when it opens.
 *
 * A manifest is a log (level-log.ts) of changes (LevelDB, db/version_edit.cc): fields that begin with a number for what they are.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { compareBytes } from '../base/bytes.ts'
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

interface Tables {
  /** What the database consists of, and the greatest key of each. */
  readonly live: Map<number, Uint8Array>
  /** These, and what it has consisted of since it was opened: it may again, where the end of the manifest is not on the disk yet. */
  readonly named: Set<number>
  /** There is nothing in the manifest that cannot be read. */
  readonly isWhole: boolean
}

/** The numbers of the tables; undefined where the manifest cannot be read, and any may be one. */
export async function readLiveTables(folder: string): Promise<ReadonlySet<number> | undefined> {
  const tables = await readTables(folder)
  return tables && new Set(tables.live.keys())
}

/** The greatest keys of the tables, in ascending order. None where the manifest cannot be read. */
export async function readTableEnds(folder: string): Promise<readonly Uint8Array[]> {
  const tables = await readTables(folder)
  return [...(tables?.live.values() ?? [])].sort(compareBytes)
}

/** Tables that the database has never consisted of: what a merge that failed has left. None where the manifest cannot be read to its end. */
export async function findStrayTables(folder: string): Promise<TableFile[]> {
  const tables = await readTables(folder)
  return tables?.isWhole === true ? (await listTables(folder)).filter(({ name }) => !tables.named.has(Number.parseInt(name, 10))) : []
}

async function readTables(folder: string): Promise<Tables | undefined> {
  try {
    const name = (await readFile(join(folder, 'CURRENT'), 'latin1')).trim()
    const path = join(folder, name)
    if (!/^MANIFEST-\d+$/.test(name) || (await stat(path)).size > MANIFEST_BYTES_MAX) return undefined
    const tables = { live: new Map<number, Uint8Array>(), named: new Set<number>() }
    const edits = recordsOf(await readFile(path))
    let count = 0
    let next = edits.next()
    for (; next.done !== true; next = edits.next()) {
      applyEdit(next.value, tables)
      count += 1
    }
    return count === 0 ? undefined : { ...tables, isWhole: next.value }
  } catch {
    // LevelDB will say what is wrong with it.
    return undefined
  }
}

/** Behind a key LevelDB keeps its sequence and type. */
const KEY_TAIL_BYTES = 8

/** Throws an Error at what it does not know. */
function applyEdit(edit: Buffer, { live, named }: Pick<Tables, 'live' | 'named'>): void {
  const reader = createVarintReader(edit)
  const readText = (): Buffer => {
    const length = reader.varint()
    const from = reader.at()
    reader.skip(length)
    return edit.subarray(from, from + length)
  }
  const addTable = (table: number): void => {
    reader.varint()
    readText()
    const greatest = readText()
    live.set(table, greatest.subarray(0, Math.max(0, greatest.length - KEY_TAIL_BYTES)))
    named.add(table)
  }
  while (reader.at() < edit.length) {
    const field = reader.varint()
    switch (field) {
      case FIELD.comparator:
        readText()
        break
      case FIELD.logNumber:
      case FIELD.nextFile:
      case FIELD.lastSequence:
      case FIELD.previousLogNumber:
        reader.varint()
        break
      case FIELD.compactPointer:
        reader.varint()
        readText()
        break
      case FIELD.deletedFile:
        reader.varint()
        live.delete(reader.varint())
        break
      case FIELD.newFile:
        reader.varint()
        addTable(reader.varint())
        break
      default:
        throw new Error(`field ${field} is not known`)
    }
  }
}

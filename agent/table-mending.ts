/**
 * Makes a damaged table one that LevelDB can read without harm: the same bytes, with another index behind them that names the data blocks that
 * are intact, and no others. Nothing is lost of what a person could look at. Without an index there is no telling where blocks begin: such
 * a table goes to the folder `lost`, where LevelDB's repair has its own.
 *
 * The length of a table is in the manifest, so only a repair makes use of what was mended here.
 */
import { mkdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { maskedCrc32c } from './crc32c.ts'
import { writeDurably } from './durable-file.ts'
import { findTableFault, FOOTER_BYTES, intactEntriesOf, listTables, MAGIC } from './table-check.ts'

/** Mends the damaged tables of a database that nobody has open, and that is to be repaired next. Doing it twice changes nothing. */
export async function mendTables(folder: string): Promise<void> {
  for (const table of await listTables(folder)) {
    if ((await findTableFault(folder, table)) === undefined) continue
    const path = join(folder, table.name)
    const mended = indexAnew(await readFile(path).catch(() => Buffer.alloc(0)))
    if (mended === undefined) {
      await mkdir(join(folder, 'lost'), { recursive: true })
      await rename(path, join(folder, 'lost', table.name))
    } else {
      await writeDurably(path, mended)
    }
  }
}

/** The table with an index of its intact blocks; undefined when there is none, or no index to know them by. */
function indexAnew(table: Buffer): Buffer | undefined {
  const entries = intactEntriesOf(table)
  // A key that leans on the one before cannot stand alone. LevelDB writes no such index.
  if (entries === undefined || entries.length === 0 || entries.some(({ sharedBytes }) => sharedBytes > 0)) return undefined
  // Without the filter, which may be the damaged one.
  const metaindex = encodeBlock([])
  const index = encodeBlock(entries.map(({ bytes }) => bytes))
  const places = [table.length, metaindex.size, table.length + metaindex.bytes.length, index.size].flatMap(encodeVarint)
  const footer = Buffer.alloc(FOOTER_BYTES)
  footer.set(places)
  footer.set(MAGIC, FOOTER_BYTES - MAGIC.length)
  return Buffer.concat([table, metaindex.bytes, index.bytes, footer])
}

/** A block of whole entries, plain, with kind and checksum behind it; `size` is without these. */
function encodeBlock(entries: readonly Buffer[]): { readonly bytes: Buffer; readonly size: number } {
  let at = 0
  const restarts = entries.map(entry => (at += entry.length) - entry.length)
  // LevelDB has one restart in an empty block.
  if (restarts.length === 0) restarts.push(0)
  const size = at + 4 * restarts.length + 4
  const bytes = Buffer.alloc(size + 5)
  for (const [i, entry] of entries.entries()) bytes.set(entry, restarts[i])
  for (const value of [...restarts, restarts.length]) at = bytes.writeUInt32LE(value, at)
  bytes.writeUInt32LE(maskedCrc32c(bytes.subarray(0, size + 1)), size + 1)
  return { bytes, size }
}

function encodeVarint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...encodeVarint(Math.floor(value / 128))]
}

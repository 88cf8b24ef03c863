/**
 * Checks LevelDB's tables by their own checksums. LevelDB has them and does not look at them when it reads: a bit that an SD card has
 * turned over would come back as a record, or go unnoticed for years.
 *
 * A table (LevelDB, doc/table_format.md): data blocks, filter, metaindex, index, and a footer of 48 bytes with the places of the latter two and
 * a magic. A block is followed by its kind (0 plain, 1 Snappy) and its masked CRC-32C. Index and metaindex name all other blocks.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { maskedCrc32c } from './crc32c.ts'
import { decompressSnappy } from './snappy.ts'

export const FOOTER_BYTES = 48
const TRAILER_BYTES = 5
export const MAGIC = Buffer.from([0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb])
const SNAPPY = 1
/** LevelDB makes tables of 2 MiB, and of as much as its memory holds. */
const TABLE_BYTES_MAX = 64 * 1024 * 1024
const TABLE = /^(\d+)\.(ldb|sst)$/

class TableFault extends Error {
  override readonly name = 'TableFault'
}

interface Handle {
  readonly offset: number
  readonly size: number
}

/** An entry of an index block: a key that no row of the block is behind, and the place of the block. */
export interface IndexEntry {
  /** As it is in the index. */
  readonly bytes: Buffer
  /** Bytes of the key that are those of the key before; the index of a table has 0. */
  readonly sharedBytes: number
  readonly handle: Handle
}

export interface TableFile {
  readonly name: string
  readonly bytes: number
}

const numberOf = (name: string): number => Number(TABLE.exec(name)?.[1])

/** The tables in a folder, the newest first. */
export async function listTables(folder: string): Promise<TableFile[]> {
  const names = (await readdir(folder)).filter(name => TABLE.test(name))
  const tables: TableFile[] = []
  for (const name of names.sort((a, b) => numberOf(b) - numberOf(a))) {
    // LevelDB may remove one meanwhile.
    const status = await stat(join(folder, name)).catch(() => undefined)
    if (status !== undefined) tables.push({ name, bytes: status.size })
  }
  return tables
}

/** What is wrong with a table, in words; undefined when nothing is, or when it is gone. */
export async function findTableFault(folder: string, { name, bytes }: TableFile): Promise<string | undefined> {
  if (bytes > TABLE_BYTES_MAX) return undefined
  let content
  try {
    content = await readFile(join(folder, name))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    return `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
  try {
    await checkTable(content)
    return undefined
  } catch (error) {
    if (error instanceof TableFault || error instanceof RangeError) return `${name}: ${error.message}`
    throw error
  }
}

/** The first fault among the newest tables that have no more than `bytesMax` together; of those alone that `live` has, by number. */
export async function findNewTableFault(folder: string, bytesMax: number, live?: ReadonlySet<number>): Promise<string | undefined> {
  let left = bytesMax
  for (const table of await listTables(folder)) {
    if (live?.has(numberOf(table.name)) === false) continue
    left -= table.bytes
    if (left < 0) return undefined
    const fault = await findTableFault(folder, table)
    if (fault !== undefined) return fault
  }
  return undefined
}

const BLOCKS_PER_TURN = 256

async function checkTable(table: Buffer): Promise<void> {
  let blocks = 0
  for (const block of placesOf(table)) {
    for (const { handle } of entriesOf(readBlock(table, block))) {
      checkBlock(table, handle)
      if (++blocks % BLOCKS_PER_TURN === 0) await nextTurn()
    }
  }
}

function placesOf(table: Buffer): [metaindex: Handle, index: Handle] {
  const footer = table.subarray(Math.max(0, table.length - FOOTER_BYTES))
  if (footer.length < FOOTER_BYTES || !footer.subarray(FOOTER_BYTES - MAGIC.length).equals(MAGIC)) throw new TableFault('it has no end')
  const places = createVarintReader(footer)
  return [places.handle(), places.handle()]
}

/** The entries of a table's index whose data blocks are intact; undefined when the index itself is not. */
export function intactEntriesOf(table: Buffer): IndexEntry[] | undefined {
  try {
    return entriesOf(readBlock(table, placesOf(table)[1])).filter(({ handle }) => isIntact(table, handle))
  } catch (error) {
    if (error instanceof TableFault || error instanceof RangeError) return undefined
    throw error
  }
}

function isIntact(table: Buffer, handle: Handle): boolean {
  try {
    checkBlock(table, handle)
    return true
  } catch (error) {
    if (error instanceof TableFault) return false
    throw error
  }
}

function checkBlock(table: Buffer, { offset, size }: Handle): void {
  const end = offset + size + TRAILER_BYTES
  if (!Number.isSafeInteger(end) || end > table.length) throw new TableFault(`a block lies outside of it, at ${offset}`)
  if (maskedCrc32c(table.subarray(offset, end - 4)) !== table.readUInt32LE(end - 4))
    throw new TableFault(`the block at ${offset} does not match its checksum`)
}

function readBlock(table: Buffer, handle: Handle): Buffer {
  checkBlock(table, handle)
  const block = table.subarray(handle.offset, handle.offset + handle.size)
  if (table[handle.offset + handle.size] !== SNAPPY) return block
  const plain = decompressSnappy(block, TABLE_BYTES_MAX)
  if (plain === undefined) throw new TableFault(`the block at ${handle.offset} is not Snappy`)
  return Buffer.from(plain)
}

/** The entries of an index block; the metaindex is one, too. */
function entriesOf(block: Buffer): IndexEntry[] {
  if (block.length < 4) throw new TableFault('a block is too short')
  const end = block.length - 4 - 4 * block.readUInt32LE(block.length - 4)
  const entries: IndexEntry[] = []
  const reader = createVarintReader(block)
  while (reader.at() < end) {
    const from = reader.at()
    const sharedBytes = reader.varint()
    const keyBytes = reader.varint()
    const valueBytes = reader.varint()
    reader.skip(keyBytes)
    const next = reader.at() + valueBytes
    const handle = reader.handle()
    reader.skip(next - reader.at())
    entries.push({ bytes: block.subarray(from, next), sharedBytes, handle })
  }
  return entries
}

/** Reads numbers, seven bits a byte, the lowest first. Throws an Error where one does not end. */
export function createVarintReader(bytes: Uint8Array) {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]
      if (byte === undefined || factor > 2 ** 49) throw new TableFault('a number does not end')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  return {
    at: () => at,
    varint,
    handle: (): Handle => ({ offset: varint(), size: varint() }),
    skip(count: number): void {
      if (count < 0) throw new TableFault('an entry is longer than it says')
      at += count
    },
  }
}

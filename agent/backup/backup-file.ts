/**
 * A backup: all rows of a store as of one moment, in one file that says itself whether it is whole.
 *
 *   header       one line of JSON, at most 4 KiB with its line feed
 *   block        length 4, raw length 4, CRC-32C of the packed bytes 4, then so many bytes: one zstd frame (RFC 8878) of rows
 *   row          key length 4, value length 4, key, value; in ascending order of keys, over all blocks
 *   end          length 0, rows 8, SHA-256 of everything in front of it 32; nothing follows
 *
 * Numbers are big-endian. Blocks are made and read one by one, so neither side holds more than two.
 */
import { createHash, type Hash } from 'node:crypto'
import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import { compareBytes } from '../../base/bytes.ts'
import type { Row, StoreReader } from '../../sync/store.ts'
import { crc32c } from '../crc32c.ts'
import { AgentError } from '../errors.ts'

const pack = promisify(zstdCompress)
const unpack = promisify(zstdDecompress)

export const BACKUP_TYPE = 'application/vnd.hs-agent.backup'
const VERSION = 1
const HEADER_BYTES_MAX = 4_096
/** A block is closed when it has this much; one row of a large version is more. */
const BLOCK_BYTES = 256 * 1024
/** The largest row has an entry of many siblings of a mebibyte each. Beyond this nothing is allocated. */
const BLOCK_BYTES_MAX = 512 * 1024 * 1024
const BLOCK_HEAD_BYTES = 12
const END_BYTES = 4 + 8 + 32
const ROWS_PER_PAGE = 256
const LINE_FEED = 0x0a

export interface BackupHeader {
  readonly nodeId: string
  readonly nodeName: string
  /** Of the program that made it. */
  readonly version: string
  /** Unix milliseconds by the clock of that node. */
  readonly createdAtMs: number
  /** Which HS_DIGEST_SALT its digests are made with, in hex. */
  readonly saltId: string
}

export interface BackupCount {
  rows: number
  /** Of keys and values. */
  bytes: number
}

/** The chunks of a backup of everything that `reader` holds. */
export async function* writeBackup(reader: StoreReader, header: BackupHeader): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  const hashed = (chunk: Buffer): Buffer => {
    hash.update(chunk)
    return chunk
  }
  yield hashed(Buffer.from(`${JSON.stringify({ hs_agent_backup: VERSION, ...toJson(header) })}\n`))
  let rows = 0
  let block: Buffer[] = []
  let blockBytes = 0
  const cursor = reader.scan({})
  try {
    for (let page = await cursor.next(ROWS_PER_PAGE); page.length > 0; page = await cursor.next(ROWS_PER_PAGE)) {
      for (const [key, value] of page) {
        const lengths = Buffer.alloc(8)
        lengths.writeUInt32BE(key.length, 0)
        lengths.writeUInt32BE(value.length, 4)
        block.push(lengths, Buffer.from(key), Buffer.from(value))
        blockBytes += 8 + key.length + value.length
        rows += 1
        if (blockBytes < BLOCK_BYTES) continue
        yield hashed(await sealBlock(block))
        block = []
        blockBytes = 0
      }
    }
  } finally {
    await cursor.close()
  }
  if (block.length > 0) yield hashed(await sealBlock(block))
  const end = Buffer.alloc(END_BYTES)
  end.writeBigUInt64BE(BigInt(rows), 4)
  hash.update(end.subarray(0, 12))
  hash.digest().copy(end, 12)
  yield end
}

async function sealBlock(parts: readonly Buffer[]): Promise<Buffer> {
  const raw = Buffer.concat(parts)
  const packed = await pack(raw)
  const head = Buffer.alloc(BLOCK_HEAD_BYTES)
  head.writeUInt32BE(packed.length, 0)
  head.writeUInt32BE(raw.length, 4)
  head.writeUInt32BE(crc32c(packed), 8)
  return Buffer.concat([head, packed])
}

export interface BackupReading {
  readonly header: BackupHeader
  /** The rows, block by block. Throws as `readBackup` does; only when it has ended without that is all of the backup there. */
  readonly blocks: AsyncGenerator<readonly Row[]>
}

/** Reads a backup from its chunks. Throws AgentError HS_BACKUP_INVALID with what is wrong with it. */
export async function readBackup(chunks: AsyncIterable<Uint8Array>): Promise<BackupReading> {
  const input = createInput(chunks)
  const hash = createHash('sha256')
  const line = await input.line(HEADER_BYTES_MAX)
  hash.update(line)
  return { header: readHeader(line), blocks: readBlocks(input, hash) }
}

async function* readBlocks(input: Input, hash: Hash): AsyncGenerator<readonly Row[]> {
  let rows = 0
  let last: Uint8Array | undefined
  for (;;) {
    const length = (await input.bytes(4)).readUInt32BE()
    if (length === 0) break
    const head = await input.bytes(BLOCK_HEAD_BYTES - 4)
    const rawBytes = head.readUInt32BE(0)
    if (length > BLOCK_BYTES_MAX || rawBytes > BLOCK_BYTES_MAX) throw invalid('a block claims to be larger than any is')
    const packed = await input.bytes(length)
    if (crc32c(packed) !== head.readUInt32BE(4)) throw invalid(`it is damaged behind row ${rows}`)
    hash.update(u32(length)).update(head).update(packed)
    const block = readRows(await unpack(packed, { maxOutputLength: rawBytes }).catch(() => Buffer.alloc(0)), rawBytes)
    for (const [key] of block) {
      if (last !== undefined && compareBytes(last, key) >= 0) throw invalid(`its rows are not in order behind row ${rows}`)
      last = key
      rows += 1
    }
    yield block
  }
  const end = await input.bytes(END_BYTES - 4)
  hash.update(u32(0)).update(end.subarray(0, 8))
  if (end.readBigUInt64BE(0) !== BigInt(rows) || !hash.digest().equals(end.subarray(8))) throw invalid('its checksum does not match')
  if (!(await input.isAtEnd())) throw invalid('something follows its end')
}

function readRows(block: Buffer, bytes: number): Row[] {
  const rows: Row[] = []
  if (block.length !== bytes) throw invalid('a block does not unpack to what it says')
  for (let at = 0; at < block.length;) {
    if (block.length - at < 8) throw invalid('a row is cut off')
    const [keyEnd, end] = [at + 8 + block.readUInt32BE(at), at + 8 + block.readUInt32BE(at) + block.readUInt32BE(at + 4)]
    if (end > block.length) throw invalid('a row is cut off')
    rows.push([block.subarray(at + 8, keyEnd), block.subarray(keyEnd, end)])
    at = end
  }
  return rows
}

interface Input {
  /** Exactly so many bytes. */
  bytes(count: number): Promise<Buffer>
  /** Up to and with the next line feed. */
  line(bytesMax: number): Promise<Buffer>
  isAtEnd(): Promise<boolean>
}

function createInput(chunks: AsyncIterable<Uint8Array>): Input {
  const iterator = chunks[Symbol.asyncIterator]()
  let held: Buffer[] = []
  let heldBytes = 0
  const more = async (): Promise<boolean> => {
    const next = await iterator.next()
    if (next.done === true) return false
    held.push(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length))
    heldBytes += next.value.length
    return true
  }
  const take = (count: number): Buffer => {
    const all = held.length === 1 ? held[0]! : Buffer.concat(held)
    held = [all.subarray(count)]
    heldBytes = all.length - count
    return all.subarray(0, count)
  }
  return {
    async bytes(count) {
      for (;;) {
        if (heldBytes >= count) return take(count)
        if (!(await more())) throw invalid('it ends too early')
      }
    },
    async line(bytesMax) {
      for (;;) {
        const all = Buffer.concat(held)
        const at = all.indexOf(LINE_FEED)
        if (at !== -1 && at < bytesMax) return take(at + 1)
        if (all.length >= bytesMax || !(await more())) throw invalid('it does not begin as one')
      }
    },
    async isAtEnd() {
      for (;;) {
        if (heldBytes > 0) return false
        if (!(await more())) return true
      }
    },
  }
}

const toJson = ({ nodeId, nodeName, version, createdAtMs, saltId }: BackupHeader): object => ({
  node_id: nodeId,
  node_name: nodeName,
  version,
  created_at: createdAtMs,
  salt_id: saltId,
})

function readHeader(line: Buffer): BackupHeader {
  let fields: Record<string, unknown> = {}
  try {
    const value: unknown = JSON.parse(line.toString())
    if (typeof value === 'object' && value !== null) fields = { ...value }
  } catch {
    throw invalid('it does not begin as one')
  }
  const { hs_agent_backup: format, node_id: nodeId, node_name: nodeName, version, created_at: createdAtMs, salt_id: saltId } = fields
  if (typeof format === 'number' && format > VERSION) throw invalid(`it has format ${format}, and this version reads format ${VERSION}`)
  const isWhole =
    format === VERSION &&
    typeof nodeId === 'string' &&
    typeof nodeName === 'string' &&
    typeof version === 'string' &&
    typeof createdAtMs === 'number' &&
    Number.isSafeInteger(createdAtMs) &&
    typeof saltId === 'string'
  if (!isWhole) throw invalid('it does not begin as one')
  return { nodeId, nodeName, version, createdAtMs, saltId }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const invalid = (detail: string): AgentError => new AgentError('HS_BACKUP_INVALID', `the backup cannot be used: ${detail}`)

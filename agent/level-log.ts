/**
 * LevelDB's log format (doc/log_format.md), which its logs and its manifest have: blocks of 32 KiB of records, each with its masked CRC-32C (4),
 * length (2), type (1) and payload; the checksum is of type and payload. Less than 7 bytes at the end of a block are nothing. A record that
 * does not fit is in parts: first, middle ones, last.
 */
import { maskedCrc32c } from './crc32c.ts'

export const LOG_BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7
export const TYPE_AT = 6
const FULL = 1
const FIRST = 2
const LAST = 4

export interface LogPart {
  /** Where it begins in its block. */
  readonly at: number
  readonly type: number
  readonly payload: Buffer
  readonly isIntact: boolean
}

/** The parts of records in one block; returns whether they end where it does. */
export function* partsOf(block: Buffer): Generator<LogPart, boolean> {
  for (let at = 0; at + HEADER_BYTES <= block.length;) {
    const end = at + HEADER_BYTES + block.readUInt16LE(at + 4)
    // LevelDB leaves out the rest of the block by itself.
    if (end > block.length) return false
    const isIntact = maskedCrc32c(block.subarray(at + TYPE_AT, end)) === block.readUInt32LE(at)
    yield { at, type: block[at + TYPE_AT]!, payload: block.subarray(at + HEADER_BYTES, end), isIntact }
    at = end
  }
  return true
}

/** The records of a log, until the first that is not intact; returns whether all are, to the end. */
export function* recordsOf(log: Buffer): Generator<Buffer, boolean> {
  let parts: Buffer[] = []
  for (let from = 0; from < log.length; from += LOG_BLOCK_BYTES) {
    const block = partsOf(log.subarray(from, from + LOG_BLOCK_BYTES))
    let next = block.next()
    for (; next.done !== true; next = block.next()) {
      const { type, payload, isIntact } = next.value
      if (!isIntact) return false
      if (type === FULL || type === FIRST) parts = []
      parts.push(payload)
      if (type !== FULL && type !== LAST) continue
      yield Buffer.concat(parts)
      parts = []
    }
    if (!next.value) return false
  }
  return parts.length === 0
}

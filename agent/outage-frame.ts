/**
 * Frames of the outage log: one for each write group.
 *
 *   magic     4   "hsol"
 *   length    4   of what follows the checksum, big-endian
 *   checksum  8   leading bytes of its SHA-256
 *   writes    -   length (4) and a write (sync/journal.ts), again and again
 *
 * A frame that was cut off or altered is passed over, and what is behind it is found again by the magic.
 */
import { equalBytes, readU32 } from '../base/bytes.ts'
import { decodeJournalWrite, type JournalWrite } from '../sync/journal.ts'
import { systemHash } from './ports.ts'

const MAGIC = Uint8Array.from([0x68, 0x73, 0x6f, 0x6c])
const CHECKSUM_BYTES = 8
const HEAD_BYTES = MAGIC.length + 4 + CHECKSUM_BYTES

export function encodeFrame(writes: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const write of writes) length += 4 + write.length
  const frame = Buffer.allocUnsafe(HEAD_BYTES + length)
  let at = HEAD_BYTES
  for (const write of writes) {
    at = frame.writeUInt32BE(write.length, at)
    frame.set(write, at)
    at += write.length
  }
  frame.set(MAGIC, 0)
  frame.writeUInt32BE(length, MAGIC.length)
  frame.set(systemHash.sha256(frame.subarray(HEAD_BYTES)).subarray(0, CHECKSUM_BYTES), MAGIC.length + 4)
  return frame
}

export interface FrameScan {
  readonly writes: JournalWrite[]
  /** Bytes in front of an intact frame, or of the end, that belong to none. */
  readonly damagedBytes: number
  /** Whether the last frame is whole: more may be appended. */
  readonly isWhole: boolean
}

/** All writes of a segment, in their order. Never throws. */
export function scanFrames(bytes: Uint8Array): FrameScan {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const writes: JournalWrite[] = []
  let damagedBytes = 0
  let at = 0
  let isWhole = true
  while (at < bytes.length) {
    const payload = readPayload(bytes, at)
    const found = payload && readWrites(payload)
    if (found === undefined) {
      const next = buffer.indexOf(MAGIC, at + 1)
      const end = next < 0 ? bytes.length : next
      damagedBytes += end - at
      at = end
      isWhole = false
      continue
    }
    for (const write of found) writes.push(write)
    at += HEAD_BYTES + (payload?.length ?? 0)
    isWhole = true
  }
  return { writes, damagedBytes, isWhole }
}

function readPayload(bytes: Uint8Array, at: number): Uint8Array | undefined {
  if (at + HEAD_BYTES > bytes.length || !equalBytes(bytes.subarray(at, at + MAGIC.length), MAGIC)) return undefined
  const end = at + HEAD_BYTES + readU32(bytes, at + MAGIC.length)
  if (end > bytes.length) return undefined
  const payload = bytes.subarray(at + HEAD_BYTES, end)
  const checksum = bytes.subarray(at + MAGIC.length + 4, at + HEAD_BYTES)
  return equalBytes(systemHash.sha256(payload).subarray(0, CHECKSUM_BYTES), checksum) ? payload : undefined
}

function readWrites(payload: Uint8Array): JournalWrite[] | undefined {
  const writes: JournalWrite[] = []
  for (let at = 0; at < payload.length;) {
    if (at + 4 > payload.length) return undefined
    const end = at + 4 + readU32(payload, at)
    const write = end > payload.length ? undefined : decodeJournalWrite(payload.subarray(at + 4, end))
    if (write === undefined) return undefined
    writes.push(write)
    at = end
  }
  return writes
}

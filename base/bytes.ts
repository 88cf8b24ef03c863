/** Byte strings: comparison, hexadecimal, and a growing big-endian writer with its reader. */

export const EMPTY = new Uint8Array(0)

/** Byte order, as LevelDB has it: unsigned, shorter first when one is a prefix of the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference < 0 ? -1 : 1
  }
  return Math.sign(a.length - b.length)
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** The smallest byte string greater than every string that starts with `prefix`; undefined when there is none (all 0xff). */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i]! < 0xff) {
      const end = prefix.slice(0, i + 1)
      end[i]! += 1
      return end
    }
  }
  return undefined
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]!]!
  return text
}

/** The value of a digit's character code, -1 when it is none. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** Reads lower- or upper-case hexadecimal; undefined when it is not that. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) {
    const high = hexDigit(text.charCodeAt(2 * i))
    const low = hexDigit(text.charCodeAt(2 * i + 1))
    if (high < 0 || low < 0) return undefined
    bytes[i] = high * 16 + low
  }
  return bytes
}

/** Writes big-endian fields into a buffer that grows. `finish` returns a copy of its own, so one writer can be used again. */
export interface ByteWriter {
  u8(value: number): ByteWriter
  u16(value: number): ByteWriter
  u32(value: number): ByteWriter
  /** An integer from 0 to 2^53 - 1, in 8 bytes. */
  u64(value: number): ByteWriter
  raw(bytes: Uint8Array): ByteWriter
  readonly length: number
  reset(): ByteWriter
  finish(): Uint8Array
}

export function createByteWriter(capacityBytes = 256): ByteWriter {
  let buffer = new Uint8Array(capacityBytes)
  let length = 0
  const reserve = (count: number): void => {
    if (length + count <= buffer.length) return
    const larger = new Uint8Array(Math.max(buffer.length * 2, length + count))
    larger.set(buffer.subarray(0, length))
    buffer = larger
  }
  const writer: ByteWriter = {
    u8(value) {
      reserve(1)
      buffer[length++] = value
      return writer
    },
    u16(value) {
      reserve(2)
      buffer[length++] = value >>> 8
      buffer[length++] = value
      return writer
    },
    u32(value) {
      reserve(4)
      buffer[length++] = value >>> 24
      buffer[length++] = value >>> 16
      buffer[length++] = value >>> 8
      buffer[length++] = value
      return writer
    },
    u64(value) {
      return writer.u32(Math.floor(value / 2 ** 32)).u32(value >>> 0)
    },
    raw(bytes) {
      reserve(bytes.length)
      buffer.set(bytes, length)
      length += bytes.length
      return writer
    },
    get length() {
      return length
    },
    reset() {
      length = 0
      return writer
    },
    finish() {
      return buffer.slice(0, length)
    },
  }
  return writer
}

/** Reads what a `ByteWriter` wrote. Reading past the end throws `RangeError`: for bytes of our own, never for a peer's. */
export interface ByteReader {
  u8(): number
  u16(): number
  u32(): number
  u64(): number
  /** A view, not a copy. */
  raw(length: number): Uint8Array
  rest(): Uint8Array
  readonly left: number
}

export function createByteReader(bytes: Uint8Array): ByteReader {
  let at = 0
  const take = (count: number): number => {
    if (at + count > bytes.length) throw new RangeError(`${count} bytes wanted, ${bytes.length - at} left`)
    const from = at
    at += count
    return from
  }
  const reader: ByteReader = {
    u8: () => bytes[take(1)]!,
    u16() {
      const i = take(2)
      return bytes[i]! * 0x100 + bytes[i + 1]!
    },
    u32() {
      return readU32(bytes, take(4))
    },
    u64() {
      const i = take(8)
      return readU32(bytes, i) * 2 ** 32 + readU32(bytes, i + 4)
    },
    raw(length) {
      const from = take(length)
      return bytes.subarray(from, from + length)
    },
    rest: () => bytes.subarray(take(bytes.length - at)),
    get left() {
      return bytes.length - at
    },
  }
  return reader
}

export function readU32(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
}

/** An integer from 0 to 2^53 - 1 as 8 bytes, big-endian: how clocks and counters travel. */
export function u64Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  let high = Math.floor(value / 2 ** 32)
  let low = value >>> 0
  for (let i = 3; i >= 0; i--) {
    bytes[i] = high
    bytes[i + 4] = low
    high >>>= 8
    low >>>= 8
  }
  return bytes
}

/** Reads 8 bytes as an integer; undefined when it is not 8 bytes or not below 2^53. */
export function readU64(bytes: Uint8Array): number | undefined {
  if (bytes.length !== 8) return undefined
  const value = readU32(bytes, 0) * 2 ** 32 + readU32(bytes, 4)
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined
}

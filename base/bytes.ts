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

/** As `equalBytes`, in a time that does not tell where the two differ: for what the other side must not find out byte by byte. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
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

export const createByteWriter = (capacityBytes = 256): ByteWriter => new GrowingWriter(capacityBytes)

// Classes, since one is made for most messages and rows: an object of closures costs ten times as much.
class GrowingWriter implements ByteWriter {
  #buffer: Uint8Array
  #length = 0

  constructor(capacityBytes: number) {
    this.#buffer = new Uint8Array(capacityBytes)
  }

  /** Makes room for `count` bytes; answers where they go. */
  #reserve(count: number): number {
    const at = this.#length
    this.#length = at + count
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length))
      larger.set(this.#buffer.subarray(0, at))
      this.#buffer = larger
    }
    return at
  }

  u8(value: number): this {
    const at = this.#reserve(1)
    this.#buffer[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.#reserve(2)
    this.#buffer[at] = value >>> 8
    this.#buffer[at + 1] = value
    return this
  }

  u32(value: number): this {
    const at = this.#reserve(4)
    const buffer = this.#buffer
    buffer[at] = value >>> 24
    buffer[at + 1] = value >>> 16
    buffer[at + 2] = value >>> 8
    buffer[at + 3] = value
    return this
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value >>> 0)
  }

  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
    return this
  }

  get length(): number {
    return this.#length
  }

  reset(): this {
    this.#length = 0
    return this
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }
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

export const createByteReader = (bytes: Uint8Array): ByteReader => new BoundedReader(bytes)

class BoundedReader implements ByteReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  #take(count: number): number {
    const from = this.#at
    if (from + count > this.#bytes.length) throw new RangeError(`${count} bytes wanted, ${this.left} left`)
    this.#at = from + count
    return from
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }

  u16(): number {
    const at = this.#take(2)
    return this.#bytes[at]! * 0x100 + this.#bytes[at + 1]!
  }

  u32(): number {
    return readU32(this.#bytes, this.#take(4))
  }

  u64(): number {
    const at = this.#take(8)
    return readU32(this.#bytes, at) * 2 ** 32 + readU32(this.#bytes, at + 4)
  }

  raw(length: number): Uint8Array {
    const from = this.#take(length)
    return this.#bytes.subarray(from, from + length)
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#take(this.left))
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }
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

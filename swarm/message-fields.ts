/** Reading checked fields out of a decoded message, and writing the CBOR (RFC 8949) of those messages that every packet carries. */
import { concatBytes, readU64 } from '../base/bytes.ts'
import { isCollectionName } from './digest-list.ts'

export const U32_MAX = 0xffff_ffff

export function asInteger(value: unknown, max: number): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max ? value : undefined
}

/** A view into the datagram: to be copied when it is kept. */
export function asBytes(value: unknown, length: number): Uint8Array | undefined {
  return value instanceof Uint8Array && value.length === length ? value : undefined
}

export function asClock(value: unknown): number | undefined {
  return value instanceof Uint8Array ? readU64(value) : undefined
}

export function asCursor(value: unknown): string | undefined {
  return typeof value === 'string' && (value === '' || isCollectionName(value)) ? value : undefined
}

export function decodeAll<T>(value: unknown, itemsMax: number, decode: (fields: readonly unknown[]) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > itemsMax) return undefined
  const decoded: T[] = []
  for (const item of value) {
    const one = Array.isArray(item) ? decode(item) : undefined
    if (one === undefined) return undefined
    decoded.push(one)
  }
  return decoded
}

/** The head of a CBOR item: major type 0 (integer), 2 (bytes) or 4 (array), and an argument below 2^32. */
export function cborHead(major: 0 | 2 | 4, argument: number): Uint8Array {
  const type = major << 5
  if (argument < 24) return Uint8Array.of(type | argument)
  if (argument < 0x100) return Uint8Array.of(type | 24, argument)
  if (argument < 0x1_0000) return Uint8Array.of(type | 25, argument >>> 8, argument & 0xff)
  return Uint8Array.of(type | 26, argument >>> 24, (argument >>> 16) & 0xff, (argument >>> 8) & 0xff, argument & 0xff)
}

/** The message `[kind, [items]]` from items that are encoded already. */
export function listMessage(kind: number, items: readonly Uint8Array[]): Uint8Array {
  return concatBytes(Uint8Array.of(0x82), cborHead(0, kind), cborHead(4, items.length), ...items)
}

/** As many items, in order, as fit the bytes. */
export function fillItems<T>(
  values: readonly T[],
  bytesMax: number,
  encode: (value: T) => Uint8Array,
): { readonly items: number; readonly bytes: Uint8Array } {
  const parts: Uint8Array[] = []
  let left = bytesMax
  for (const value of values) {
    const part = encode(value)
    left -= part.length
    if (left < 0) break
    parts.push(part)
  }
  return { items: parts.length, bytes: concatBytes(...parts) }
}

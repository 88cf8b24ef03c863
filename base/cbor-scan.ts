/**
 * A linear look at CBOR (RFC 8949) bytes before any decoder sees them. It accepts one item made of integers, byte and text
 * strings, arrays, maps, false, true, null and floats; refuses tags, indefinite lengths, undefined and other simple values,
 * invalid UTF-8, lengths beyond the bytes that are there, and nesting deeper than the limit.
 * Why: decoders allocate what a length field says, and a tag-2 bignum blocks the event loop for a second (docs/protocol.md).
 */
import { isUtf8 } from './utf8.ts'

export const CBOR_DEPTH_MAX = 8

export type CborFault = 'truncated' | 'trailing' | 'tag' | 'indefinite' | 'simple' | 'utf8' | 'depth' | 'reserved'

/** The first fault found, undefined when the bytes are acceptable. Takes time linear in their length, and no memory. */
export function scanCbor(bytes: Uint8Array, depthMax = CBOR_DEPTH_MAX): CborFault | undefined {
  // Items still to read on each level of nesting; level 0 is the one item that the bytes hold.
  const pending = [1]
  let at = 0
  while (pending.length > 0) {
    if (pending.at(-1) === 0) {
      pending.pop()
      continue
    }
    pending[pending.length - 1]! -= 1
    if (at >= bytes.length) return 'truncated'
    const initial = bytes[at++]!
    const major = initial >> 5
    const info = initial & 0x1f
    if (major === 6) return 'tag'
    if (info === 31) return 'indefinite'
    if (info > 27) return 'reserved'
    const width = info < 24 ? 0 : 1 << (info - 24)
    if (at + width > bytes.length) return 'truncated'
    let argument = info < 24 ? info : 0
    for (let i = 0; i < width; i++) argument = argument * 256 + bytes[at + i]!
    at += width
    if (major === 7) {
      if (info !== 20 && info !== 21 && info !== 22 && info !== 25 && info !== 26 && info !== 27) return 'simple'
    } else if (major === 2 || major === 3) {
      if (argument > bytes.length - at) return 'truncated'
      if (major === 3 && !isUtf8(bytes, at, at + argument)) return 'utf8'
      at += argument
    } else if (major === 4 || major === 5) {
      const items = major === 4 ? argument : argument * 2
      // Every item takes a byte at least: a count beyond what is left is refused before anybody allocates for it.
      if (items > bytes.length - at) return 'truncated'
      if (pending.length > depthMax) return 'depth'
      pending.push(items)
    }
  }
  return at === bytes.length ? undefined : 'trailing'
}

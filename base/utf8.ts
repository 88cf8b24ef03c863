/**
 * UTF-8 (RFC 3629) for the cores, which have no TextEncoder. Strict: overlong forms, surrogates, code points above
 * U+10FFFF and truncated sequences are invalid, never replaced.
 */
import { allocateBytes, type Allocate } from './scratch.ts'

/** Encodes a string; undefined when it holds a lone surrogate. */
export function encodeUtf8(text: string, allocate: Allocate = allocateBytes): Uint8Array | undefined {
  // Most text is ASCII: one byte a character, no bytes to spare.
  const ascii = allocate(text.length)
  let length = 0
  while (length < text.length) {
    const code = text.charCodeAt(length)
    if (code >= 0x80) return encodeWide(text)
    ascii[length++] = code
  }
  return ascii
}

function encodeWide(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length * 3)
  let at = 0
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i)
    if (code < 0x80) {
      bytes[at++] = code
      continue
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6)
      bytes[at++] = 0x80 | (code & 0x3f)
      continue
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = text.charCodeAt(i + 1)
      if (code > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) return undefined
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
      i += 1
      bytes[at++] = 0xf0 | (code >> 18)
      bytes[at++] = 0x80 | ((code >> 12) & 0x3f)
    } else {
      bytes[at++] = 0xe0 | (code >> 12)
    }
    bytes[at++] = 0x80 | ((code >> 6) & 0x3f)
    bytes[at++] = 0x80 | (code & 0x3f)
  }
  return bytes.slice(0, at)
}

/** Arguments of one call must fit onto the stack; every key of ours does. */
const ASCII_BYTES_MAX = 512

/** Decodes bytes; undefined when they are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  // In one piece: text that is put together from characters takes ten times its memory, which counts where many keys are kept.
  if (bytes.length <= ASCII_BYTES_MAX && isAscii(bytes)) {
    const text: string = Reflect.apply(String.fromCharCode, undefined, bytes)
    return text
  }
  let text = ''
  let i = 0
  while (i < bytes.length) {
    const first = bytes[i]!
    if (first < 0x80) {
      text += String.fromCharCode(first)
      i += 1
      continue
    }
    const length = sequenceLength(bytes, i)
    if (length === 0) return undefined
    let code = first & (0x7f >> length)
    for (let k = 1; k < length; k++) code = (code << 6) | (bytes[i + k]! & 0x3f)
    text += String.fromCodePoint(code)
    i += length
  }
  return text
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! >= 0x80) return false
  return true
}

export function isUtf8(bytes: Uint8Array, from = 0, to = bytes.length): boolean {
  let i = from
  while (i < to) {
    if (bytes[i]! < 0x80) {
      i += 1
      continue
    }
    const length = sequenceLength(bytes, i)
    if (length === 0 || i + length > to) return false
    i += length
  }
  return true
}

/** Length of the multi-byte sequence at `i`, 0 when it is invalid (table 3-7 of the Unicode standard). */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const first = bytes[i]!
  const length = first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0
  if (length === 0 || i + length > bytes.length) return 0
  const second = bytes[i + 1]!
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return 0
  for (let k = 2; k < length; k++) if ((bytes[i + k]! & 0xc0) !== 0x80) return 0
  return length
}

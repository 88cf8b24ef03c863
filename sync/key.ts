/** Record keys and collection names: what is allowed, and keys made here. */
import { readU32 } from '../base/bytes.ts'
import { encodeUtf8 } from '../base/utf8.ts'

export const KEY_BYTES_MAX = 512

/** Why a key is refused, as a sentence's end; undefined when it is allowed. */
export function keyFault(key: string): string | undefined {
  if (key === '') return 'a key has at least 1 byte'
  if (key === '.' || key === '..') return '"." and ".." are not keys: URL handling removes them from paths'
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
      return `a key has no control characters (U+${code.toString(16).padStart(4, '0')} at ${i})`
  }
  // Three bytes a character are the most: short keys need not be encoded to be measured.
  if (key.length * 3 <= KEY_BYTES_MAX && key.isWellFormed()) return undefined
  const bytes = encodeUtf8(key)
  if (bytes === undefined) return 'a key has no lone surrogates'
  return bytes.length > KEY_BYTES_MAX ? `a key has at most ${KEY_BYTES_MAX} bytes of UTF-8, this one has ${bytes.length}` : undefined
}

/** The order of keys: that of their UTF-8 bytes, which differs from JavaScript's where surrogates meet what lies above them. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rankOf(x) < rankOf(y) ? -1 : 1
  }
  return Math.sign(a.length - b.length)
}

/** Surrogates stand for code points above U+FFFF. */
const rankOf = (code: number): number => (code >= 0xd800 && code <= 0xdfff ? code + 0x10000 : code)

export function nameFault(name: string): string | undefined {
  if (name.startsWith('_')) return 'names that begin with "_" belong to the agent'
  return /^[a-z0-9][a-z0-9_.-]{0,63}$/.test(name) ? undefined : 'a collection name matches [a-z0-9][a-z0-9_.-]{0,63}'
}

// Crockford's base 32 in lower case: ordered like the number, no letters that look like digits.
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
export const MADE_KEY_RANDOM_BYTES = 10

/** A key that is time-ordered and unique across robots: 48 bits of milliseconds and 80 random bits, 26 characters, as a ULID is. */
export function makeKey(timeMs: number, random: Uint8Array): string {
  let time = ''
  let left = Math.min(Math.max(0, Math.floor(timeMs)), 2 ** 48 - 1)
  for (let i = 0; i < 10; i++) {
    time = DIGITS[left % 32]! + time
    left = Math.floor(left / 32)
  }
  return time + base32(random.subarray(0, 5)) + base32(random.subarray(5, 10))
}

/** 5 bytes as 8 digits. */
function base32(bytes: Uint8Array): string {
  let value = bytes[0]! * 2 ** 32 + readU32(bytes, 1)
  let text = ''
  for (let i = 0; i < 8; i++) {
    text = DIGITS[value % 32]! + text
    value = Math.floor(value / 32)
  }
  return text
}

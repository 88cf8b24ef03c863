/**
 * The content of a version: its body's layout, made once at the origin and never re-encoded.
 *
 *   vector bytes   4   length in bytes   \ with FLAG_VECTOR
 *   vector         -   little-endian float32
 *   type length    1                     \ with FLAG_DATA
 *   type           -   media type, ASCII /
 *   payload or data -  the rest
 *
 * A tombstone's body is empty.
 */
import { concatBytes, EMPTY, readU32 } from '../base/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../base/utf8.ts'
import { FLAG_DATA, FLAG_PAYLOAD, FLAG_VECTOR, type Version } from './version.ts'

/** 1 MiB of payload or data. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024
export const CONTENT_TYPE_BYTES_MAX = 255

export interface Content {
  /** JSON text in UTF-8. */
  readonly payload?: Uint8Array
  readonly data?: Uint8Array
  readonly contentType?: string
  /** Little-endian float32. */
  readonly vector?: Uint8Array
}

export function encodeContent(content: Content): { flags: number; body: Uint8Array } {
  if (content.vector === undefined && content.data === undefined) {
    return content.payload === undefined ? { flags: 0, body: EMPTY } : { flags: FLAG_PAYLOAD, body: content.payload }
  }
  let flags = 0
  const parts: Uint8Array[] = []
  if (content.vector !== undefined) {
    flags |= FLAG_VECTOR
    const length = content.vector.length
    parts.push(Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length), content.vector)
  }
  if (content.data !== undefined) {
    flags |= FLAG_DATA
    const type = encodeUtf8(content.contentType ?? '') ?? EMPTY
    parts.push(Uint8Array.of(type.length), type, content.data)
  } else if (content.payload !== undefined) {
    flags |= FLAG_PAYLOAD
    parts.push(content.payload)
  }
  return { flags, body: concatBytes(...parts) }
}

/** Reads a version's body, as views into it; undefined when it does not have the layout. */
export function decodeContent(version: Pick<Version, 'flags' | 'body'>): Content | undefined {
  const { flags, body } = version
  let at = 0
  let vector: Uint8Array | undefined
  if (flags & FLAG_VECTOR) {
    if (body.length < 4) return undefined
    const length = readU32(body, 0)
    at = 4 + length
    if (length % 4 !== 0 || at > body.length) return undefined
    vector = body.subarray(4, at)
  }
  const withVector = vector === undefined ? {} : { vector }
  if (flags & FLAG_DATA) {
    const typeAt = at + 1
    const dataAt = typeAt + (body[at] ?? 0)
    if (typeAt > body.length || dataAt > body.length) return undefined
    const contentType = decodeUtf8(body.subarray(typeAt, dataAt))
    return contentType === undefined ? undefined : { ...withVector, contentType, data: body.subarray(dataAt) }
  }
  if (flags & FLAG_PAYLOAD) return { ...withVector, payload: body.subarray(at) }
  return at === body.length ? withVector : undefined
}

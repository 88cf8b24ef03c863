/**
 * Takes the byte stream of a peer link apart into frames (the layout is in peer-link.ts), in whatever pieces it comes.
 *
 * A frame's memory grows with what has come of it, never with what its length field claims (P16), and pieces are copied into it at
 * once: a peer that sends single bytes costs no more than one that sends all at once.
 */
import type { Wish } from './link-compression.ts'

export const PREAMBLE = Buffer.from('HSL1')
export const HEAD_BYTES = 5
/** The body is packed (link-compression.ts). */
export const FLAG_PACKED = 1
/** The message goes on in the next frame. */
export const FLAG_GOES_ON = 2
/** In the place of a ping: the sender asks for plain frames, or for packed ones. */
export const FLAG_WANTS_PLAIN = 4
export const FLAG_WANTS_PACKED = 8
const BODY_FLAGS = FLAG_PACKED | FLAG_GOES_ON
/** Room for a body at first; it doubles as the body comes in. */
const ROOM_BYTES = 64 * 1024

export type FrameFault = 'not-a-link' | 'too-large'

export interface Frame {
  readonly body: Uint8Array
  readonly isPacked: boolean
  readonly goesOn: boolean
  /** From its first byte to its last, as far as the stream was read while it came. */
  readonly arrivalMs: number
}

export interface FrameReader {
  /** Bytes of bodies that have come, those of unfinished frames too. */
  readonly bodyBytes: number
  /** Bytes from the socket, at a monotonic moment; kept and not copied until `next` asks for them. */
  push(chunk: Buffer, nowMs: number): void
  /** The next frame or wish, pings passed over; undefined when more bytes are needed. After a fault the stream makes no sense any more. */
  next(bodyBytesMax: number): Frame | { readonly wish: Wish } | FrameFault | undefined
}

export function createFrameReader(): FrameReader {
  let pushedMs = 0
  let beganMs = 0
  let bodyBytes = 0
  let unread: Buffer = Buffer.alloc(0)
  let preambleRead = 0
  const head = Buffer.alloc(HEAD_BYTES)
  let headRead = 0
  let body: Uint8Array | undefined
  let bodyRead = 0

  /** Moves unread bytes to `target`; says how many. */
  const move = (target: Uint8Array, at: number): number => {
    const count = unread.copy(target, at, 0, target.length - at)
    unread = unread.subarray(count)
    return count
  }

  const readPreamble = (): FrameFault | undefined => {
    const piece = unread.subarray(0, PREAMBLE.length - preambleRead)
    if (!piece.equals(PREAMBLE.subarray(preambleRead, preambleRead + piece.length))) return 'not-a-link'
    preambleRead += piece.length
    unread = unread.subarray(piece.length)
    return undefined
  }

  const readBody = (length: number): Uint8Array | undefined => {
    let room = body ?? new Uint8Array(Math.min(length, ROOM_BYTES))
    const before = bodyRead
    bodyRead += move(room, bodyRead)
    while (bodyRead === room.length && bodyRead < length) {
      const wider = new Uint8Array(Math.min(length, 2 * room.length))
      wider.set(room)
      room = wider
      bodyRead += move(room, bodyRead)
    }
    bodyBytes += bodyRead - before
    if (bodyRead < length) {
      body = room
      return undefined
    }
    body = undefined
    bodyRead = 0
    headRead = 0
    return room
  }

  return {
    get bodyBytes() {
      return bodyBytes
    },
    push(chunk, nowMs) {
      pushedMs = nowMs
      unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk])
    },
    next(bodyBytesMax) {
      if (preambleRead < PREAMBLE.length) {
        const fault = readPreamble()
        if (fault !== undefined || preambleRead < PREAMBLE.length) return fault
      }
      for (;;) {
        if (headRead < HEAD_BYTES) {
          beganMs = pushedMs
          headRead += move(head, headRead)
          if (headRead < HEAD_BYTES) return undefined
        }
        const length = head.readUInt32BE(0)
        const flags = head[4] ?? 0
        if (length > bodyBytesMax) return 'too-large'
        if (length > 0) {
          if ((flags & ~BODY_FLAGS) !== 0) return 'not-a-link'
          const whole = readBody(length)
          if (whole === undefined) return undefined
          return { body: whole, isPacked: (flags & FLAG_PACKED) !== 0, goesOn: (flags & FLAG_GOES_ON) !== 0, arrivalMs: pushedMs - beganMs }
        }
        headRead = 0
        if (flags === FLAG_WANTS_PLAIN) return { wish: 'plain' }
        if (flags === FLAG_WANTS_PACKED) return { wish: 'packed' }
        if (flags !== 0) return 'not-a-link'
      }
    },
  }
}

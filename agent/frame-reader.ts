/**
 * Takes the byte stream of a peer link apart (the layout is in peer-link.ts), in whatever pieces it comes.
 *
 * A message's memory grows with what has come of it, never with what its length field claims (P16), and pieces are copied into it at
 * once: a peer that sends single bytes costs no more than one that sends all at once.
 */
export const PREAMBLE = Buffer.from('HSL1')
export const HEAD_BYTES = 5
/** Room for a message at first; it doubles as the message comes in. */
const ROOM_BYTES = 64 * 1024

export type FrameFault = 'not-a-link' | 'too-large'

export interface FrameReader {
  /** Bytes from the socket; kept and not copied until `next` asks for them. */
  push(chunk: Buffer): void
  /** The next message, pings passed over; undefined when more bytes are needed. After a fault the stream makes no sense any more. */
  next(bytesMax: number): Uint8Array | FrameFault | undefined
}

export function createFrameReader(): FrameReader {
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
    bodyRead += move(room, bodyRead)
    while (bodyRead === room.length && bodyRead < length) {
      const wider = new Uint8Array(Math.min(length, 2 * room.length))
      wider.set(room)
      room = wider
      bodyRead += move(room, bodyRead)
    }
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
    push(chunk) {
      unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk])
    },
    next(bytesMax) {
      if (preambleRead < PREAMBLE.length) {
        const fault = readPreamble()
        if (fault !== undefined || preambleRead < PREAMBLE.length) return fault
      }
      for (;;) {
        headRead += move(head, headRead)
        if (headRead < HEAD_BYTES) return undefined
        const length = head.readUInt32BE(0)
        if (length > bytesMax) return 'too-large'
        if (head[4] !== 0) return 'not-a-link'
        if (length > 0) return readBody(length)
        headRead = 0
      }
    },
  }
}

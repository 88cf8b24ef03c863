/**
 * The receiving half of a peer link: frames (frame-reader.ts) become messages again. Packed frames are unpacked one after the other, none
 * before the one in front of it is dealt with, so the order stays and at most one frame more than was sent is in memory.
 */
import { createFrameReader, type Frame, type FrameFault } from './frame-reader.ts'
import { createWishPolicy, FRAME_BYTES_MAX, rawLengthOf, unpackBody, type Wish } from './link-compression.ts'

export type MessageFault = FrameFault | 'badly-packed'

/** A message, why the link makes no sense any more, or that more bytes are needed. */
export type NextMessage = Uint8Array | MessageFault | undefined

export interface MessageReaderOptions {
  readonly firstMessageBytesMax: number
  readonly messageBytesMax: number
  /** The peer says how it wants our frames. */
  readonly onWish: (wish: Wish) => void
  /** How this side wants the peer's frames from now on. */
  readonly tell: (wish: Wish) => void
}

export interface MessageReader {
  /** Bytes of bodies that have come, those of unfinished frames too. */
  readonly bodyBytes: number
  push(chunk: Buffer, nowMs: number): void
  /**
   * The next message. `isFirst`: nothing of the peer has been taken yet, and it may send nothing but one small plain frame. A promise: a
   * frame is being unpacked, and this must not be called before it resolves. Never rejects.
   */
  next(isFirst: boolean): NextMessage | Promise<NextMessage>
}

export function createMessageReader({ firstMessageBytesMax, messageBytesMax, onWish, tell }: MessageReaderOptions): MessageReader {
  const frames = createFrameReader()
  const wishes = createWishPolicy()
  /** Frames of a message that goes on. */
  let parts: Uint8Array[] = []

  /** One more frame of a message, or all of it; undefined when the message goes on. */
  const assemble = (raw: Uint8Array, goesOn: boolean): NextMessage => {
    if (!goesOn && parts.length === 0) return raw
    parts.push(raw)
    if ((parts.length - 1) * FRAME_BYTES_MAX + raw.length > messageBytesMax) return 'too-large'
    if (!goesOn) {
      const message = Buffer.concat(parts)
      parts = []
      return new Uint8Array(message.buffer, message.byteOffset, message.length)
    }
    // Every frame but the last one is full: many small ones would be dearer than what they say.
    return raw.length === FRAME_BYTES_MAX ? undefined : 'not-a-link'
  }

  const finish = (frame: Frame, raw: Uint8Array | undefined, unpackMs: number): NextMessage => {
    if (raw === undefined) return 'badly-packed'
    const { body, goesOn, arrivalMs } = frame
    const wish = wishes.observe({ wireBytes: body.length, rawBytes: raw.length, arrivalMs, unpackMs })
    if (wish !== undefined) tell(wish)
    return assemble(raw, goesOn)
  }

  const unpack = (frame: Frame): NextMessage | Promise<NextMessage> => {
    const rawBytes = rawLengthOf(frame.body)
    if (rawBytes === undefined) return 'badly-packed'
    const beganMs = performance.now()
    const raw = unpackBody(frame.body, rawBytes)
    if (!(raw instanceof Promise)) return finish(frame, raw, performance.now() - beganMs)
    return raw.then(unpacked => finish(frame, unpacked, performance.now() - beganMs) ?? read(false))
  }

  const read = (isFirst: boolean): NextMessage | Promise<NextMessage> => {
    for (;;) {
      const frame = frames.next(isFirst ? firstMessageBytesMax : FRAME_BYTES_MAX)
      if (frame === undefined || typeof frame === 'string') return frame
      // Strangers have no wishes, and nothing of theirs is unpacked.
      if (isFirst && ('wish' in frame || frame.isPacked || frame.goesOn)) return 'not-a-link'
      if ('wish' in frame) {
        onWish(frame.wish)
        continue
      }
      const message = frame.isPacked ? unpack(frame) : finish(frame, frame.body, 0)
      if (message !== undefined) return message
    }
  }

  return {
    get bodyBytes() {
      return frames.bodyBytes
    },
    push: (chunk, nowMs) => frames.push(chunk, nowMs),
    next: read,
  }
}

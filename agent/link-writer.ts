/**
 * The sending half of a peer link: messages become frames (the layout is in peer-link.ts), one after the other and in the order in
 * which they were given, packed where it pays and no faster than the link may send.
 *
 * A body is written in pieces, and the next piece when the system has taken the one before: so this side sees how fast its bytes go, and
 * a slow link shows the other side a sign of life with every piece. Pings go between messages.
 */
import type { Socket } from 'node:net'
import { createPackingPolicy, FRAME_BYTES_MAX, packBody, type Wish } from './link-compression.ts'
import { FLAG_GOES_ON, FLAG_PACKED, FLAG_WANTS_PACKED, FLAG_WANTS_PLAIN, HEAD_BYTES, PREAMBLE } from './frame-reader.ts'
import { createSendBudget } from './send-budget.ts'

const PING = headOf(0, 0)
const PIECE_BYTES = 64 * 1024

export interface WriterOptions {
  /** Frames of fewer bytes are not packed. */
  readonly packBytesMin: number
  /** Thousand bits a second; infinite for no bound. */
  readonly sendKbpsMax: number
  /** The system has taken bytes. */
  readonly onTaken: (wireBytes: number) => void
}

export interface LinkWriter {
  /** When this side last said something, monotonic. */
  readonly saidMs: number
  /** Something is under way, and not yet with the system. */
  readonly isBusy: boolean
  /** Resolves when the system has taken the whole message, or the link is closed. */
  send(message: Uint8Array): Promise<void>
  ping(): void
  /** Tells the peer how its frames should come. */
  tell(wish: Wish): void
  /** How the peer wants ours. */
  heed(wish: Wish): void
  /** Wakes whoever waits; what was given goes out. Resolves when it has. */
  finish(): Promise<void>
  /** Nothing more goes out. */
  stop(): void
}

function headOf(bodyBytes: number, flags: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(bodyBytes, 0)
  head[4] = flags
  return head
}

export function createLinkWriter(socket: Socket, { packBytesMin, sendKbpsMax, onTaken }: WriterOptions): LinkWriter {
  const packing = createPackingPolicy(packBytesMin)
  const budget = Number.isFinite(sendKbpsMax) ? createSendBudget(sendKbpsMax) : undefined
  const pieceBytes = Math.min(PIECE_BYTES, budget?.pieceBytes ?? PIECE_BYTES)
  let saidMs = performance.now()
  let isPlainWanted = false
  let isStopped = false
  /** Messages and tokens of the link's own that are not with the system yet. */
  let pending = 0
  let tail = Promise.resolve()
  let endWait = (): void => {}
  const waiting = new Set<() => void>()

  const wait = (ms: number): Promise<void> =>
    new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      endWait = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const put = async (head: Buffer | undefined, piece: Uint8Array): Promise<void> => {
    const bytes = (head?.length ?? 0) + piece.length
    const waitMs = budget?.reserve(bytes, performance.now()) ?? 0
    if (waitMs > 0) await wait(waitMs)
    if (isStopped) return
    saidMs = performance.now()
    await new Promise<void>(resolve => {
      socket.cork()
      if (head !== undefined) socket.write(head)
      // A socket that is gone calls back too.
      socket.write(piece, () => resolve())
      socket.uncork()
    })
    onTaken(bytes)
  }

  const putFrame = async (raw: Uint8Array, flags: number): Promise<void> => {
    let body = raw
    // A link that is bound in what it sends is slow, whatever the peer thinks.
    if ((!isPlainWanted || budget !== undefined) && packing.shouldTry(raw.length)) {
      const packed = await packBody(raw)
      if (packing.judge(raw.length, packed.length)) body = packed
    }
    let head: Buffer | undefined = headOf(body.length, body === raw ? flags : flags | FLAG_PACKED)
    for (let at = 0; at < body.length; at += pieceBytes) {
      if (isStopped) return
      await put(head, body.subarray(at, at + pieceBytes))
      head = undefined
    }
  }

  const putMessage = async (message: Uint8Array): Promise<void> => {
    for (let at = 0; at < message.length; at += FRAME_BYTES_MAX) {
      if (isStopped) return
      const end = at + FRAME_BYTES_MAX
      await putFrame(message.subarray(at, end), end < message.length ? FLAG_GOES_ON : 0)
    }
  }

  /** Behind everything that was given before. */
  const enqueue = (action: () => Promise<void>): Promise<void> => {
    pending += 1
    tail = tail.then(action).finally(() => (pending -= 1))
    return tail
  }

  socket.write(PREAMBLE)
  return {
    get saidMs() {
      return saidMs
    },
    get isBusy() {
      return pending > 0
    },
    send(message) {
      const sent = enqueue(() => putMessage(message))
      return new Promise((resolve, reject) => {
        const settle = (): void => {
          waiting.delete(settle)
          resolve()
        }
        waiting.add(settle)
        sent.then(settle, reject)
      })
    },
    ping() {
      budget?.reserve(PING.length, performance.now())
      saidMs = performance.now()
      socket.write(PING)
    },
    tell(wish) {
      void enqueue(() => put(undefined, headOf(0, wish === 'plain' ? FLAG_WANTS_PLAIN : FLAG_WANTS_PACKED)))
    },
    heed: wish => void (isPlainWanted = wish === 'plain'),
    finish() {
      for (const settle of waiting) settle()
      return tail
    },
    stop() {
      isStopped = true
      endWait()
      for (const settle of waiting) settle()
    },
  }
}

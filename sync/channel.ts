/** Messages over a link: encoding, counting, and the one way in which a session fails. */
import type { Codec } from '../base/ports.ts'
import { decodeMessage, encodeMessage } from './message-codec.ts'
import type { Message } from './messages.ts'

/** A reliable, ordered stream of byte strings to one peer; the driver frames them, watches for silence and bounds their length. */
export interface Link {
  /** Resolves when there is room for more. */
  send(bytes: Uint8Array): Promise<void>
  /** The next message; undefined when the link is closed, by whichever side. */
  receive(): Promise<Uint8Array | undefined>
  close(): void
}

export type SessionFaultKind =
  /** The link closed in mid-session. */
  | 'closed'
  /** Bytes that are not a message. */
  | 'malformed'
  /** A message that has no place here. */
  | 'unexpected'
  /** One side does not exchange with the other. */
  | 'refused'
  | 'incompatible'

/** Ends a session; what was made durable before stays, and the next session resumes there. */
export class SessionFault extends Error {
  override readonly name = 'SessionFault'
  readonly kind: SessionFaultKind

  constructor(kind: SessionFaultKind, detail: string) {
    super(detail)
    this.kind = kind
  }
}

export type MessageOf<Kind extends Message['kind']> = Extract<Message, { readonly kind: Kind }>

export interface Channel {
  readonly bytesSent: number
  readonly bytesReceived: number
  send(message: Message): Promise<void>
  /** Throws SessionFault when there is no next message. A `bye` is one. */
  receive(): Promise<Message>
  /** The next message, which stays the next one. */
  peek(): Promise<Message>
  /** The next message, which must be of this kind. */
  expect<Kind extends Message['kind']>(kind: Kind): Promise<MessageOf<Kind>>
  close(): void
}

export function createChannel(link: Link, codec: Codec): Channel {
  let bytesSent = 0
  let bytesReceived = 0
  let peeked: Promise<Message> | undefined
  const read = async (): Promise<Message> => {
    const bytes = await link.receive()
    if (bytes === undefined) throw new SessionFault('closed', 'the link closed in mid-session')
    bytesReceived += bytes.length
    const message = decodeMessage(codec, bytes)
    if (message === undefined) throw new SessionFault('malformed', 'the peer sent bytes that are not a message')
    if (message.kind === 'bye') throw new SessionFault('refused', message.reason)
    return message
  }
  const receive = (): Promise<Message> => {
    const next = peeked ?? read()
    peeked = undefined
    return next
  }
  const isKind = <Kind extends Message['kind']>(message: Message, kind: Kind): message is MessageOf<Kind> => message.kind === kind
  return {
    get bytesSent() {
      return bytesSent
    },
    get bytesReceived() {
      return bytesReceived
    },
    async send(message) {
      const bytes = encodeMessage(codec, message)
      bytesSent += bytes.length
      await link.send(bytes)
    },
    receive,
    peek() {
      if (peeked === undefined) {
        peeked = read()
        // Whoever receives it hears of it; until then a link that closes is nobody's exception.
        peeked.catch(() => {})
      }
      return peeked
    },
    async expect(kind) {
      const message = await receive()
      if (!isKind(message, kind)) throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the place of "${kind}"`)
      return message
    },
    close: () => link.close(),
  }
}

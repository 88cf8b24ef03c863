/**
 * The peer link: sync messages over TCP, on the gossip port's number; with a swarm key inside of TLS (link-security.ts).
 *
 *   preamble   4    "HSL1", once, from both sides
 *   length     4    big-endian, of what follows the flags; 0: a ping, nothing follows
 *   flags      1    0; bits are reserved (1: zstd)
 *   message    -    CBOR, see sync/messages.ts
 *
 * Bounds: a message's length is checked before anything is allocated, strictly until the peer has said who it is (P16); a peer that
 * says nothing for `silenceMs` is gone, whatever TCP believes (P4); one that only pings while no message moves, though there is something to
 * say, is as good as gone after `stallMs`; reading stops while messages wait to be taken.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Link } from '../sync/channel.ts'
import { AgentError } from './errors.ts'
import type { LinkSecurity } from './link-security.ts'
import { createFrameReader, HEAD_BYTES, PREAMBLE, type FrameFault } from './frame-reader.ts'

const PING = Buffer.alloc(HEAD_BYTES)
/** What a message costs in memory besides its bytes: many small ones must not count as nothing. */
const MESSAGE_OVERHEAD_BYTES = 256

export const LINK_LIMITS = {
  /** Before the peer's first message has been taken. */
  firstMessageBytesMax: 4 * 1024,
  /** A version of 1 MiB with its vector and context travels alone. */
  messageBytesMax: 2 * 1024 * 1024,
  /** Bytes of messages that wait to be taken, 256 more for each; the socket is paused beyond them. */
  waitingBytesMax: 4 * 1024 * 1024,
  /** Links that peers may hold open at once, and those of one host; further ones are closed at once. */
  inboundLinksMax: 64,
  inboundLinksPerHostMax: 16,
  /** A link is closed when the first message has not come by then. */
  firstMessageMs: 10_000,
  pingMs: 5_000,
  silenceMs: 20_000,
  /** Without a whole message, taken or let go, in either direction. 2 MiB in this time are 17 KB/s: slower links do not sync. */
  stallMs: 120_000,
  /** A closed link's last words have this long to leave; then the socket goes, whatever the peer does. */
  lingerMs: 10_000,
  connectMs: 5_000,
} as const

export type LinkFault = FrameFault | 'silent' | 'slow-start' | 'stalled'

export interface PeerLink extends Link {
  readonly remote: { readonly host: string; readonly port: number }
  /** Why the link was closed from this side, if it was for the peer's fault. */
  readonly fault: LinkFault | undefined
  /** Milliseconds since anything was heard, pings included. */
  silenceMs(): number
  /** While this answers true, it is no fault that no message moves: there is nothing to say. */
  mayIdleWhile(isIdle: () => boolean): void
}

export type LinkLimits = { readonly [Name in keyof typeof LINK_LIMITS]: number }

/** Speaks the link's framing over a connected socket. `onFirst` is called when the first message waits to be taken. */
export function createPeerLink(socket: Socket, limits: LinkLimits, onFirst: () => void = () => {}): PeerLink {
  const remote = { host: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''), port: socket.remotePort ?? 0 }
  const reader = createFrameReader()
  let fault: LinkFault | undefined
  let isClosed = false
  let hasFirst = false
  const waiting: Uint8Array[] = []
  let waitingBytes = 0
  let taker: ((message: Uint8Array | undefined) => void) | undefined
  let drained: (() => void)[] = []
  let heardMs = performance.now()
  let saidMs = heardMs
  let movedMs = heardMs
  let watchedMs = heardMs
  let isIdle = (): boolean => false

  const close = (reason?: LinkFault): void => {
    if (isClosed) return
    isClosed = true
    fault = reason
    clearInterval(watch)
    clearTimeout(firstTimer)
    if (reason === undefined) {
      // What was sent goes out; what still comes is thrown away: left unread, it would make the system reset the connection.
      socket.end()
      socket.resume()
      const linger = setTimeout(() => socket.destroy(), limits.lingerMs)
      linger.unref()
      socket.once('close', () => clearTimeout(linger))
    } else {
      socket.destroy()
    }
    taker?.(undefined)
    taker = undefined
    for (const wake of drained.splice(0)) wake()
  }

  const watch = setInterval(() => {
    const nowMs = performance.now()
    // Time in which this process stood still says nothing about the peer: its words are still to be read.
    const stoodStillMs = Math.max(0, nowMs - watchedMs - limits.pingMs)
    watchedMs = nowMs
    heardMs += stoodStillMs
    movedMs += stoodStillMs
    // Nor does a paused socket.
    if (socket.isPaused()) heardMs = nowMs
    if (nowMs - heardMs > limits.silenceMs) return close('silent')
    if (isIdle()) movedMs = nowMs
    if (nowMs - movedMs > limits.stallMs) return close('stalled')
    // What waits to go out is a sign of life too, as soon as it can leave.
    if (nowMs - saidMs >= limits.pingMs && socket.writableLength === 0) write(PING)
  }, limits.pingMs / 2)
  watch.unref()
  const firstTimer = setTimeout(() => close('slow-start'), limits.firstMessageMs)
  firstTimer.unref()

  const moved = (): void => {
    movedMs = performance.now()
  }

  const write = (bytes: Uint8Array): boolean => {
    saidMs = performance.now()
    return socket.write(bytes)
  }

  const first = (): void => {
    hasFirst = true
    clearTimeout(firstTimer)
  }
  // Until somebody has looked at the first message, nothing more is read.
  const isFull = (): boolean => waitingBytes > limits.waitingBytesMax || (!hasFirst && waiting.length > 0)

  const deliver = (message: Uint8Array): void => {
    moved()
    if (taker === undefined) {
      waiting.push(message)
      waitingBytes += message.length + MESSAGE_OVERHEAD_BYTES
      // Not from in here: whoever gets the link may close it.
      if (!hasFirst) queueMicrotask(onFirst)
      return
    }
    const take = taker
    taker = undefined
    first()
    take(message)
  }

  /** Delivers what has come, as far as there is room for it. */
  const pump = (): void => {
    if (isClosed) return
    while (!isFull()) {
      const message = reader.next(hasFirst ? limits.messageBytesMax : limits.firstMessageBytesMax)
      if (message === undefined) return
      if (typeof message === 'string') return close(message)
      deliver(message)
    }
    socket.pause()
  }

  socket.on('data', (chunk: Buffer) => {
    heardMs = performance.now()
    if (isClosed) return
    reader.push(chunk)
    pump()
  })
  socket.on('drain', () => {
    moved()
    for (const wake of drained.splice(0)) wake()
  })
  socket.on('error', () => close())
  socket.on('end', () => close())
  socket.on('close', () => close())
  socket.setNoDelay(true)
  write(PREAMBLE)

  return {
    remote,
    get fault() {
      return fault
    },
    silenceMs: () => performance.now() - heardMs,
    mayIdleWhile: idle => void (isIdle = idle),
    async send(bytes) {
      if (isClosed) return
      if (bytes.length > limits.messageBytesMax) {
        throw new RangeError(`a message of ${bytes.length} bytes is longer than a peer takes (${limits.messageBytesMax})`)
      }
      const head = Buffer.alloc(HEAD_BYTES)
      head.writeUInt32BE(bytes.length, 0)
      socket.cork()
      write(head)
      const hasRoom = write(bytes)
      socket.uncork()
      if (hasRoom) moved()
      else await new Promise<void>(resolve => void drained.push(resolve))
    },
    async receive() {
      const message = waiting.shift()
      if (message !== undefined) {
        moved()
        first()
        waitingBytes -= message.length + MESSAGE_OVERHEAD_BYTES
        if (!isClosed && socket.isPaused() && !isFull()) {
          socket.resume()
          pump()
        }
        return message
      }
      return isClosed ? undefined : new Promise(resolve => void (taker = resolve))
    },
    close: () => close(),
  }
}

export interface PeerListener {
  readonly port: number
  close(): Promise<void>
}

/**
 * Listens for peers; `onLink` gets each link when its first message is there, so that strangers who say nothing take up nobody's time.
 * Throws AgentError HS_BIND_FAILED.
 */
export async function listenForPeers(
  host: string,
  port: number,
  onLink: (link: PeerLink) => void,
  limits: LinkLimits = LINK_LIMITS,
  security?: LinkSecurity,
): Promise<PeerListener> {
  const hostBySocket = new Map<Socket, string | undefined>()
  const isFull = (host: string | undefined): boolean =>
    hostBySocket.size >= limits.inboundLinksMax ||
    [...hostBySocket.values()].filter(other => other === host).length >= limits.inboundLinksPerHostMax
  const take = (socket: Socket): void => {
    const link = createPeerLink(socket, limits, () => onLink(link))
  }
  const secure = security?.createAcceptor(take)
  const server: Server = createServer(socket => {
    const { remoteAddress } = socket
    if (isFull(remoteAddress)) {
      socket.destroy()
      return
    }
    hostBySocket.set(socket, remoteAddress)
    socket.on('close', () => hostBySocket.delete(socket))
    if (secure === undefined) take(socket)
    else secure(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(bindFailure(host, port, error)))
    server.listen({ host, port, exclusive: true }, resolve)
  })
  // A later error of the listening socket must not end the process: links that are open go on.
  server.on('error', () => {})
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    async close() {
      const closed = new Promise(resolve => server.close(resolve))
      for (const socket of hostBySocket.keys()) socket.destroy()
      await closed
    },
  }
}

function bindFailure(host: string, port: number, error: NodeJS.ErrnoException): AgentError {
  const reason =
    error.code === 'EADDRINUSE'
      ? 'the port is taken by another process (another agent? give each its own HS_GOSSIP_PORT)'
      : error.code === 'EADDRNOTAVAIL'
        ? 'this machine has no such address (see HS_GOSSIP_HOST)'
        : error.message
  return new AgentError('HS_BIND_FAILED', `the peer link cannot listen on ${host} port ${port}: ${reason}`, { cause: error })
}

/**
 * Opens a link to a peer; undefined when it cannot be reached, or holds none of our keys. `onOutcome` hears how it went: `open`, the system's
 * code (ECONNREFUSED, EHOSTUNREACH, ...), ETIMEDOUT, or `HANDSHAKE` for a connection that ended before it was secured.
 */
export async function dialPeer(
  host: string,
  port: number,
  limits: LinkLimits = LINK_LIMITS,
  security?: LinkSecurity,
  onOutcome: (outcome: string) => void = () => {},
): Promise<PeerLink | undefined> {
  return new Promise(resolve => {
    const socket = connect({ host, port })
    let isConnected = false
    let isOver = false
    const fail = (outcome: string): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      socket.destroy()
      onOutcome(isConnected ? 'HANDSHAKE' : outcome)
      resolve(undefined)
    }
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message)
    const onClose = (): void => fail('ECLOSED')
    const timer = setTimeout(() => fail('ETIMEDOUT'), limits.connectMs)
    const succeed = (ready: Socket): void => {
      clearTimeout(timer)
      socket.off('error', onError)
      socket.off('close', onClose)
      onOutcome('open')
      resolve(createPeerLink(ready, limits))
    }
    socket.once('error', onError)
    socket.once('close', onClose)
    socket.once('connect', () => {
      isConnected = true
      if (security === undefined) succeed(socket)
      else security.secure(socket, succeed)
    })
  })
}

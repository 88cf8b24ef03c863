/**
 * The peer link: sync messages over TCP, on the gossip port's number; with a swarm key inside of TLS (link-security.ts).
 *
 *   preamble   4    "HSL1", once, from both sides
 *   length     4    big-endian, of what follows the flags; 0: nothing follows
 *   flags      1    with a body: 1 it is packed (link-compression.ts), 2 the message goes on in the next frame
 *                   without: 0 a ping, 4 send plain frames, 8 send packed ones
 *   body       -    a message (CBOR, see sync/messages.ts), or 512 KiB of one that goes on
 *
 * Bounds: a frame's length is checked before anything is allocated, strictly until the peer has said who it is (P16), and so is the length
 * of what a packed one holds; a peer that says nothing for `silenceMs` is gone, whatever TCP believes (P4); one that only pings, or
 * trickles, though there is something to say is as good as gone after `stallMs`; reading stops while messages wait to be taken.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Link } from '../sync/channel.ts'
import { AgentError } from './errors.ts'
import type { LinkSecurity } from './link-security.ts'
import { createLinkWriter } from './link-writer.ts'
import { createMessageReader, type MessageFault, type NextMessage } from './message-reader.ts'

/** What a message costs in memory besides its bytes: many small ones must not count as nothing. */
const MESSAGE_OVERHEAD_BYTES = 256
const BATCH_BYTES_MIN = 4_096
/** Two seconds. */
const BATCH_BYTES_PER_KBPS = 250

export const LINK_LIMITS = {
  /** Before the peer's first message has been taken. */
  firstMessageBytesMax: 4 * 1024,
  /** An `open` with the vectors of 65,536 origins has 6 MB; a version of 1 MiB with its vector and context, which travels alone, 1.3. */
  messageBytesMax: 8 * 1024 * 1024,
  /** Bytes of messages that wait to be taken, 256 more for each; the socket is paused beyond them. */
  waitingBytesMax: 4 * 1024 * 1024,
  /** Links that peers may hold open at once, and those of one host; further ones are closed at once. */
  inboundLinksMax: 64,
  inboundLinksPerHostMax: 16,
  /** A link is closed when the first message has not come by then. */
  firstMessageMs: 10_000,
  pingMs: 5_000,
  silenceMs: 20_000,
  /** A link is closed when nothing at all has come of a second message by then: who says hello and no more takes up a session's place. */
  secondMessageMs: 15_000,
  /** Without progress in either direction: a message, a piece of one that the system took, or so many bytes of one that came. */
  stallMs: 120_000,
  /** In `stallMs` they are 4.4 kbit/s: slower links do not sync. */
  progressBytesMin: 64 * 1024,
  /** A closed link's last words have this long to leave; then the socket goes, whatever the peer does. */
  lingerMs: 10_000,
  connectMs: 5_000,
  /** Frames of fewer bytes are not packed; infinite: none is. */
  packBytesMin: 256,
  /** HS_SYNC_KBPS_MAX: what one link may send, in thousand bits a second; TCP's and IP's own bytes come on top. */
  sendKbpsMax: Number.POSITIVE_INFINITY,
}

export type LinkFault = MessageFault | 'silent' | 'slow-start' | 'stalled'

/** What all links together have carried since the start, in bytes: of messages, and of the frames that they travelled in. */
export interface LinkTraffic {
  sentMessageBytes: number
  sentFrameBytes: number
  receivedMessageBytes: number
  receivedFrameBytes: number
}

export const createLinkTraffic = (): LinkTraffic => ({
  sentMessageBytes: 0,
  sentFrameBytes: 0,
  receivedMessageBytes: 0,
  receivedFrameBytes: 0,
})

export interface PeerLink extends Link {
  readonly remote: { readonly host: string; readonly port: number }
  /** Why the link was closed from this side, if it was for the peer's fault. */
  readonly fault: LinkFault | undefined
  /** Milliseconds since anything was heard, pings included. */
  silenceMs(): number
  /** While this answers true, it is no fault that no message moves: there is nothing to say. */
  mayIdleWhile(isIdle: () => boolean): void
  /** What should travel in one message at most, so that it does not hold up others for more than two seconds; infinite without a cap. */
  readonly batchBytesMax: number
}

export type LinkLimits = { readonly [Name in keyof typeof LINK_LIMITS]: number }

/** Speaks the link's framing over a connected socket. `onFirst` is called when the first message waits to be taken. */
export function createPeerLink(
  socket: Socket,
  limits: LinkLimits,
  onFirst: () => void = () => {},
  traffic: LinkTraffic = createLinkTraffic(),
): PeerLink {
  const remote = { host: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''), port: socket.remotePort ?? 0 }
  let fault: LinkFault | undefined
  let isClosed = false
  let hasFirst = false
  const waiting: Uint8Array[] = []
  let waitingBytes = 0
  let isUnpacking = false
  let taker: ((message: Uint8Array | undefined) => void) | undefined
  let heardMs = performance.now()
  let movedMs = heardMs
  let movedBodyBytes = 0
  let watchedMs = heardMs
  let isIdle = (): boolean => false

  const moved = (): void => {
    movedMs = performance.now()
    movedBodyBytes = reader.bodyBytes
  }
  const writer = createLinkWriter(socket, {
    ...limits,
    onTaken(wireBytes) {
      traffic.sentFrameBytes += wireBytes
      moved()
    },
  })

  const reader = createMessageReader({ ...limits, onWish: wish => writer.heed(wish), tell: wish => writer.tell(wish) })

  const close = (reason?: LinkFault): void => {
    if (isClosed) return
    isClosed = true
    fault = reason
    clearInterval(watch)
    clearTimeout(firstTimer)
    if (reason === undefined) {
      // What was sent goes out; what still comes is thrown away: left unread, it would make the system reset the connection.
      void writer.finish().then(() => socket.end())
      socket.resume()
      const linger = setTimeout(() => socket.destroy(), limits.lingerMs)
      linger.unref()
      socket.once('close', () => clearTimeout(linger))
    } else {
      writer.stop()
      socket.destroy()
    }
    taker?.(undefined)
    taker = undefined
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
    if (reader.bodyBytes - movedBodyBytes >= limits.progressBytesMin) moved()
    if (nowMs - heardMs > limits.silenceMs) return close('silent')
    if (isIdle() && !writer.isBusy) movedMs = nowMs
    if (nowMs - movedMs > limits.stallMs) return close('stalled')
    // What waits to go out is a sign of life too, as soon as it can leave.
    if (nowMs - writer.saidMs >= limits.pingMs && !writer.isBusy) writer.ping()
  }, limits.pingMs / 2)
  watch.unref()
  let firstTimer = setTimeout(() => close('slow-start'), limits.firstMessageMs)
  firstTimer.unref()

  const first = (): void => {
    if (hasFirst || isClosed) return
    hasFirst = true
    clearTimeout(firstTimer)
    const bodyBytes = reader.bodyBytes
    firstTimer = setTimeout(() => reader.bodyBytes === bodyBytes && waiting.length === 0 && close('slow-start'), limits.secondMessageMs)
    firstTimer.unref()
  }
  // Until somebody has looked at the first message, nothing more is read.
  const isFull = (): boolean => waitingBytes > limits.waitingBytesMax || (!hasFirst && waiting.length > 0)

  const deliver = (message: Uint8Array): void => {
    moved()
    traffic.receivedMessageBytes += message.length
    if (taker === undefined) {
      waiting.push(message)
      waitingBytes += message.length + MESSAGE_OVERHEAD_BYTES
      // Not from in here: whoever gets the link may close it.
      if (!hasFirst) queueMicrotask(onFirst)
      return
    }
    const give = taker
    taker = undefined
    first()
    give(message)
  }

  /** Takes what the reader has; false when it has nothing more for now. */
  const take = (next: NextMessage): boolean => {
    if (typeof next === 'string') close(next)
    else if (next !== undefined) deliver(next)
    return typeof next === 'object'
  }

  /** Delivers what has come, as far as there is room for it. */
  const pump = (): void => {
    while (!isFull()) {
      if (isClosed) return
      const next = reader.next(!hasFirst)
      if (next instanceof Promise) {
        isUnpacking = true
        socket.pause()
        void next.then(message => {
          isUnpacking = false
          if (isClosed) return
          take(message)
          readOn()
        })
        return
      }
      if (!take(next)) return
    }
    if (!isClosed) socket.pause()
  }

  const readOn = (): void => {
    if (isClosed || isUnpacking || !socket.isPaused() || isFull()) return
    socket.resume()
    pump()
  }

  socket.on('data', (chunk: Buffer) => {
    heardMs = performance.now()
    traffic.receivedFrameBytes += chunk.length
    if (isClosed) return
    reader.push(chunk, heardMs)
    if (!isUnpacking) pump()
  })
  socket.on('error', () => close())
  socket.on('end', () => close())
  socket.on('close', () => {
    close()
    writer.stop()
  })
  socket.setNoDelay(true)

  return {
    remote,
    get fault() {
      return fault
    },
    silenceMs: () => performance.now() - heardMs,
    mayIdleWhile: idle => void (isIdle = idle),
    async send(bytes) {
      if (isClosed || bytes.length === 0) return
      if (bytes.length > limits.messageBytesMax) {
        throw new RangeError(`a message of ${bytes.length} bytes is longer than a peer takes (${limits.messageBytesMax})`)
      }
      traffic.sentMessageBytes += bytes.length
      await writer.send(bytes)
    },
    async receive() {
      const message = waiting.shift()
      if (message !== undefined) {
        moved()
        first()
        waitingBytes -= message.length + MESSAGE_OVERHEAD_BYTES
        readOn()
        return message
      }
      return isClosed ? undefined : new Promise(resolve => void (taker = resolve))
    },
    batchBytesMax: Math.max(BATCH_BYTES_MIN, limits.sendKbpsMax * BATCH_BYTES_PER_KBPS),
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
  traffic?: LinkTraffic,
): Promise<PeerListener> {
  const hostBySocket = new Map<Socket, string | undefined>()
  const isFull = (host: string | undefined): boolean =>
    hostBySocket.size >= limits.inboundLinksMax ||
    [...hostBySocket.values()].filter(other => other === host).length >= limits.inboundLinksPerHostMax
  const take = (socket: Socket): void => {
    const link = createPeerLink(socket, limits, () => onLink(link), traffic)
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
  traffic?: LinkTraffic,
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
      resolve(createPeerLink(ready, limits, undefined, traffic))
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

/**
 * The sockets of the gossip: a unicast one on HS_GOSSIP_HOST and the gossip port, and those of the discovery group.
 *
 * The unicast socket takes `reuseAddr` when there is a group: on Linux a socket bound to 0.0.0.0 without it keeps everybody on the
 * machine from binding group:port when the ports are equal, as they usually are. That a port is taken by another agent is found out
 * by the peer link, which binds the same number in TCP before this is called.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { canonicalHost } from '../swarm/address.ts'
import type { Address } from '../swarm/address.ts'
import { AgentError } from './errors.ts'
import { openMulticast } from './gossip-multicast.ts'
import type { MulticastInterface } from './gossip-multicast.ts'

/** The usual 208 KiB lose 11 % of a burst at full speed, 4 MiB 0.3 %; the kernel may grant less. */
const RECEIVE_BUFFER_BYTES = 4 * 2 ** 20
/** Bytes waiting to be sent; beyond it packets are dropped and counted, as the network would do it. */
const SEND_QUEUE_BYTES_MAX = 4 * 2 ** 20
/** How long a stop waits for what has been sent to leave the process. */
const FLUSH_MS = 250

/** Packets and bytes of one direction, by kind of socket. */
export interface Traffic {
  packets: number
  bytes: number
}

export interface UdpStats {
  readonly received: { readonly unicast: Readonly<Traffic>; readonly multicast: Readonly<Traffic> }
  readonly sent: { readonly unicast: Readonly<Traffic>; readonly multicast: Readonly<Traffic> }
  /** What the system refused, by its code: ENETUNREACH, EPERM, ...; `QUEUE_FULL` is our own. */
  readonly faultsByCode: ReadonlyMap<string, number>
  readonly interfaces: readonly MulticastInterface[]
}

export interface UdpOptions {
  readonly host: string
  readonly port: number
  readonly multicast: { readonly group: string; readonly port: number } | undefined
  readonly interfaces: readonly string[] | undefined
  readonly monotonicMs: () => number
  /** `bytes` is valid during the call. */
  readonly onPacket: (bytes: Uint8Array, from: Address, multicast: boolean) => void
  readonly onInterfacesChanged: () => void
  readonly onFault: (what: string, code: string) => void
}

export interface Udp {
  send(to: Address | 'multicast', bytes: Uint8Array): void
  stats(): UdpStats
  /** Waits a moment for what has been sent, then closes. */
  close(): Promise<void>
}

export async function openUdp(options: UdpOptions): Promise<Udp> {
  const { host, port } = options
  const ipv6 = host.includes(':')
  const faultsByCode = new Map<string, number>()
  const traffic = (): { unicast: Traffic; multicast: Traffic } => ({
    unicast: { packets: 0, bytes: 0 },
    multicast: { packets: 0, bytes: 0 },
  })
  const received = traffic()
  const sent = traffic()
  let underWay = 0

  const count = (one: Traffic, bytes: Uint8Array): void => {
    one.packets += 1
    one.bytes += bytes.length
  }
  const onFault = (what: string, code: string): void => {
    faultsByCode.set(code, (faultsByCode.get(code) ?? 0) + 1)
    options.onFault(what, code)
  }

  const socket = await bindUnicast(createSocket({ type: ipv6 ? 'udp6' : 'udp4', reuseAddr: options.multicast !== undefined }), host, port)
  socket.on('error', (error: NodeJS.ErrnoException) => onFault('unicast socket', error.code ?? error.message))
  socket.on('message', (bytes, from) => {
    count(received.unicast, bytes)
    options.onPacket(bytes, { host: ipv6 ? canonicalHost(from.address) : from.address, port: from.port }, false)
  })
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
  } catch {
    // The default then: more is lost in bursts, and asked for again.
  }

  const multicast =
    options.multicast &&
    (await openMulticast({
      ...options.multicast,
      boundHost: host,
      interfaces: options.interfaces,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      monotonicMs: options.monotonicMs,
      onPacket(bytes, from) {
        count(received.multicast, bytes)
        options.onPacket(bytes, from, true)
      },
      onSent: bytes => count(sent.multicast, bytes),
      onChange: options.onInterfacesChanged,
      onFault,
    }))

  return {
    send(to, bytes) {
      if (to === 'multicast') {
        multicast?.send(bytes)
        return
      }
      if (socket.getSendQueueSize() > SEND_QUEUE_BYTES_MAX) {
        onFault('send', 'QUEUE_FULL')
        return
      }
      underWay += 1
      const target = ipv6 && !to.host.includes(':') ? `::ffff:${to.host}` : to.host
      socket.send(bytes, to.port, target, error => {
        underWay -= 1
        if (error === null) count(sent.unicast, bytes)
        else onFault('send', 'code' in error ? String(error.code) : error.message)
      })
    },
    stats: () => ({ received, sent, faultsByCode, interfaces: multicast?.interfaces() ?? [] }),
    async close() {
      const untilMs = options.monotonicMs() + FLUSH_MS
      const isFlushing = (): boolean => underWay > 0 && options.monotonicMs() < untilMs
      do await nextTurn()
      while (isFlushing())
      multicast?.close()
      await new Promise<void>(resolve => {
        socket.close(() => resolve())
      })
    },
  }
}

function bindUnicast(socket: Socket, host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      socket.close()
      const why = error.code === 'EADDRINUSE' ? 'it is taken by another process' : (error.code ?? error.message)
      reject(new AgentError('HS_BIND_FAILED', `The gossip socket cannot be bound to UDP ${host}:${port}: ${why}.`, { cause: error }))
    }
    socket.once('error', onError)
    socket.bind({ address: host, port }, () => {
      socket.off('error', onError)
      resolve(socket)
    })
  })
}

/** After this the event loop has looked at the sockets once more. */
function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve)
  })
}

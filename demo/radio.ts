/**
 * The air between the robots, which can be cut: small relays on loopback that the demo owns.
 *
 * For each ordered pair there is one address, with UDP and TCP on one port number, under which the first robot finds the second. A
 * datagram that `a` sends to where it finds `b` leaves from where `b` finds `a`: so the address that an agent observes of its peer is a
 * relay's, never the peer's own, and a cut link is cut for what was learned as well as for what was configured. Robots know of no other
 * way to one another: multicast is off, and a datagram from anybody but the pair's own robot goes nowhere.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

const HOST = '127.0.0.1'
/** TCP and UDP need the same number, and UDP's may be taken. */
const BIND_TRIES = 20

export interface Traffic {
  /** Bytes of datagrams: gossip. */
  readonly gossipBytes: number
  /** Bytes over TCP: records on their way. */
  readonly syncBytes: number
  /** Bytes of datagrams that were sent into a cut link. */
  readonly lostBytes: number
}

export interface Link {
  readonly between: readonly [string, string]
  readonly isUp: boolean
}

export interface Radio {
  /** Where a robot finds the others, as HS_GOSSIP_PEERS has it. */
  peersOf(name: string): string
  /** Tells on which port a robot listens now; undefined while it does not run. */
  attach(name: string, port: number | undefined): void
  /** Cuts or mends the link between two robots: open connections end, datagrams are lost. */
  setLink(a: string, b: string, isUp: boolean): void
  setAll(isUp: boolean): void
  links(): readonly Link[]
  /** What has crossed the air so far. */
  traffic(): Traffic
  /** Whether this is the address of a relay. */
  owns(address: string): boolean
  close(): Promise<void>
}

interface Relay {
  readonly from: string
  readonly to: string
  readonly port: number
  readonly udp: UdpSocket
  readonly tcp: Server
}

export async function openRadio(names: readonly string[]): Promise<Radio> {
  const portByName = new Map<string, number>()
  const isUpByPair = new Map<string, boolean>()
  const socketsByPair = new Map<string, Set<Socket>>()
  const relayByDirection = new Map<string, Relay>()
  let gossipBytes = 0
  let syncBytes = 0
  let lostBytes = 0

  const pairOf = (a: string, b: string): string => [a, b].toSorted((x, y) => (x < y ? -1 : 1)).join(' ')
  const isUp = (a: string, b: string): boolean => isUpByPair.get(pairOf(a, b)) === true

  const forward = (relay: Relay, bytes: Buffer, fromPort: number): void => {
    const port = portByName.get(relay.to)
    const back = relayByDirection.get(`${relay.to} ${relay.from}`)
    if (port === undefined || back === undefined || fromPort !== portByName.get(relay.from)) return
    if (!isUp(relay.from, relay.to)) {
      lostBytes += bytes.length
      return
    }
    gossipBytes += bytes.length
    // Who has died meanwhile hears nothing; that is no fault of the air.
    back.udp.send(bytes, port, HOST, () => {})
  }

  const carry = (relay: Relay, near: Socket): void => {
    const port = portByName.get(relay.to)
    if (!isUp(relay.from, relay.to) || port === undefined) return void near.destroy()
    const far = connect({ port, host: HOST })
    const sockets = socketsByPair.get(pairOf(relay.from, relay.to))
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets?.add(socket)
      socket.on('data', (chunk: Buffer) => (syncBytes += chunk.length))
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets?.delete(socket)
        if (!socket.readableEnded) other.destroy()
      })
      socket.pipe(other)
    }
  }

  for (const from of names) {
    for (const to of names) {
      if (from === to) continue
      const relay = await openRelay(from, to)
      relayByDirection.set(`${from} ${to}`, relay)
      isUpByPair.set(pairOf(from, to), true)
      socketsByPair.set(pairOf(from, to), new Set())
      relay.udp.on('message', (bytes, { port }) => forward(relay, bytes, port))
      relay.tcp.on('connection', near => carry(relay, near))
    }
  }
  const relays = [...relayByDirection.values()]

  const setLink = (a: string, b: string, up: boolean): void => {
    isUpByPair.set(pairOf(a, b), up)
    if (up) return
    for (const socket of socketsByPair.get(pairOf(a, b)) ?? []) socket.destroy()
  }

  return {
    peersOf: name =>
      relays
        .filter(({ from }) => from === name)
        .map(({ port }) => `${HOST}:${port}`)
        .join(','),
    attach: (name, port) => void (port === undefined ? portByName.delete(name) : portByName.set(name, port)),
    setLink,
    setAll(up) {
      for (const { from, to } of relays) setLink(from, to, up)
    },
    links: () =>
      relays
        .filter(({ from, to }) => names.indexOf(from) < names.indexOf(to))
        .map(({ from, to }) => ({ between: [from, to], isUp: isUp(from, to) })),
    traffic: () => ({ gossipBytes, syncBytes, lostBytes }),
    owns: address => relays.some(({ port }) => address === `${HOST}:${port}`),
    async close() {
      for (const sockets of socketsByPair.values()) for (const socket of sockets) socket.destroy()
      await Promise.all(
        relays.map(async ({ udp, tcp }) => {
          const closed = [once(udp, 'close'), once(tcp, 'close')]
          udp.close()
          tcp.close()
          await Promise.all(closed)
        }),
      )
    },
  }
}

async function openRelay(from: string, to: string): Promise<Relay> {
  for (let tries = 1; ; tries += 1) {
    const tcp = createServer()
    tcp.listen(0, HOST)
    await once(tcp, 'listening')
    const address = tcp.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const udp = createSocket('udp4')
    try {
      udp.bind(port, HOST)
      await once(udp, 'listening')
      return { from, to, port, udp, tcp }
    } catch (error) {
      udp.close()
      tcp.close()
      if (tries === BIND_TRIES) throw error
    }
  }
}

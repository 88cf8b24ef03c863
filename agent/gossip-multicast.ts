/**
 * The discovery group: one socket that hears it on every chosen interface, and one socket per interface that speaks to it.
 *
 * Nothing here is ever fatal. A board may boot without a network, lose it, or change it: every 5 s the interfaces are read again
 * and what could not be bound or joined is tried again. Every 120 s the memberships are renewed, because switches that listen in
 * on them (IGMP snooping) forget a member that nobody asks about and then go deaf for it.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { canonicalHost } from '../swarm/address.ts'
import type { Address } from '../swarm/address.ts'
import { chooseInterfaces, familyOf } from './gossip-interfaces.ts'
import type { Interface } from './gossip-interfaces.ts'

const READ_INTERVAL_MS = 5_000
const REJOIN_INTERVAL_MS = 120_000

export interface MulticastOptions {
  readonly group: string
  readonly port: number
  /** What the unicast socket is bound to. */
  readonly boundHost: string
  readonly interfaces: readonly string[] | undefined
  readonly receiveBufferBytes: number
  readonly monotonicMs: () => number
  readonly onPacket: (bytes: Uint8Array, from: Address) => void
  /** A packet has gone out through one interface. */
  readonly onSent: (bytes: Uint8Array) => void
  /** An interface has come, gone or got another address. */
  readonly onChange: () => void
  /** Something failed that will be tried again: what, and the system's code. */
  readonly onFault: (what: string, code: string) => void
}

export interface Multicast {
  /** Sends once through every interface. */
  send(bytes: Uint8Array): void
  /** The interfaces that take part, or are to. */
  interfaces(): MulticastInterface[]
  close(): void
}

/** One interface and the group. */
export interface MulticastInterface extends Interface {
  /** The group is heard there. */
  readonly joined: boolean
  /** Beacons leave there. */
  readonly speaking: boolean
  /** Why not, as the system's code; of the last attempt. */
  readonly code: string | undefined
}

interface Link extends Interface {
  joined: boolean
  sender: Socket | undefined
  joinCode: string | undefined
  speakCode: string | undefined
}

export async function openMulticast(options: MulticastOptions): Promise<Multicast> {
  const { group, port, onFault } = options
  const family = familyOf(group)
  const type = family === 'IPv6' ? 'udp6' : 'udp4'
  /** How an interface is named to the system: by its address in IPv4, by its name in IPv6 (RFC 3493, section 5.2). */
  const scopeOf = ({ name, address }: Interface): string => (family === 'IPv6' ? `::%${name}` : address)
  const linkByName = new Map<string, Link>()
  let groupSocket: Socket | undefined
  /** Why there is none. */
  let groupCode: string | undefined
  let rejoinDueMs = options.monotonicMs() + REJOIN_INTERVAL_MS
  let closed = false

  let lastBindCode: string | undefined
  /** Binds a socket; undefined, and reported, when that fails now. A socket that fails later is closed and made again. */
  const bind = (what: string, socket: Socket, address: string, bindPort: number, onLost: () => void): Promise<Socket | undefined> =>
    new Promise(resolve => {
      let bound = false
      socket.on('error', (error: NodeJS.ErrnoException) => {
        lastBindCode = error.code ?? error.message
        onFault(what, lastBindCode)
        if (bound) onLost()
        closeQuietly(socket)
        resolve(undefined)
      })
      socket.bind({ address, port: bindPort }, () => {
        bound = true
        resolve(socket)
      })
    })

  const hear = async (): Promise<void> => {
    const socket = createSocket({ type, reuseAddr: true })
    socket.on('message', (bytes, { address, port: from }) => options.onPacket(bytes, { host: canonicalHost(address), port: from }))
    groupSocket = await bind('bind the group', socket, group, port, () => {
      groupSocket = undefined
      for (const link of linkByName.values()) link.joined = false
    })
    groupCode = groupSocket === undefined ? lastBindCode : undefined
    if (groupSocket !== undefined) attempt('receive buffer', () => socket.setRecvBufferSize(options.receiveBufferBytes))
  }

  const speak = async (link: Link): Promise<void> => {
    const socket = createSocket({ type })
    // Bound to the interface's address: that is what receivers see as ours. The port is any; heartbeats name the real one.
    const sender = await bind(`speak on ${link.name}`, socket, link.address, 0, () => {
      link.sender = undefined
    })
    link.speakCode = sender === undefined ? lastBindCode : undefined
    if (sender === undefined) return
    attempt(`speak on ${link.name}`, () => sender.setMulticastInterface(scopeOf(link)))
    attempt(`speak on ${link.name}`, () => sender.setMulticastTTL(1))
    // Other agents on this machine are peers as well.
    attempt(`speak on ${link.name}`, () => sender.setMulticastLoopback(true))
    if (linkByName.get(link.name) === link && !closed) link.sender = sender
    else closeQuietly(sender)
  }

  const join = (link: Link): void => {
    const socket = groupSocket
    if (socket === undefined) return
    // EADDRINUSE: joined already.
    const code = attempt(`join on ${link.name}`, () => socket.addMembership(group, scopeOf(link)), 'EADDRINUSE')
    link.joined = code === undefined || code === 'EADDRINUSE'
    link.joinCode = link.joined ? undefined : code
  }

  const leave = (link: Link): void => {
    const socket = groupSocket
    if (link.joined && socket !== undefined) attempt('', () => socket.dropMembership(group, scopeOf(link)), 'any')
    link.joined = false
  }

  const readInterfaces = (): Interface[] => {
    let chosen: Interface[] = []
    attempt('read the interfaces', () => {
      chosen = chooseInterfaces(networkInterfaces(), options.interfaces, options.boundHost, family)
    })
    // It may come later, as a radio does; it may also be a typing error, which nobody would find out otherwise.
    for (const wanted of options.interfaces ?? []) {
      const isThere = chosen.some(({ name, address }) => name === wanted || address === wanted)
      if (!isThere) onFault(`HS_GOSSIP_INTERFACE names ${wanted}, which is not there`, 'ENODEV')
    }
    return chosen
  }

  /** Runs a system call; its error code, reported unless it is the one expected. */
  function attempt(what: string, call: () => void, expected = ''): string | undefined {
    try {
      call()
      return undefined
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      if (expected !== 'any' && code !== expected) onFault(what, code)
      return code
    }
  }

  let underWay = false
  async function upkeep(): Promise<void> {
    if (underWay || closed) return
    underWay = true
    let changed = false
    const chosen = readInterfaces()
    for (const link of linkByName.values()) {
      if (chosen.some(({ name, address }) => name === link.name && address === link.address)) continue
      leave(link)
      if (link.sender !== undefined) closeQuietly(link.sender)
      linkByName.delete(link.name)
      changed = true
    }
    for (const { name, address } of chosen) {
      if (linkByName.has(name)) continue
      linkByName.set(name, { name, address, joined: false, sender: undefined, joinCode: undefined, speakCode: undefined })
      changed = true
    }
    if (groupSocket === undefined) await hear()
    const rejoin = options.monotonicMs() >= rejoinDueMs
    if (rejoin) rejoinDueMs = options.monotonicMs() + REJOIN_INTERVAL_MS
    for (const link of linkByName.values()) {
      if (rejoin) leave(link)
      if (!link.joined) join(link)
      if (link.sender === undefined) await speak(link)
    }
    underWay = false
    if (closed) closeAll()
    else if (changed) options.onChange()
  }

  function closeAll(): void {
    if (groupSocket !== undefined) closeQuietly(groupSocket)
    groupSocket = undefined
    for (const { sender } of linkByName.values()) if (sender !== undefined) closeQuietly(sender)
    linkByName.clear()
  }

  await upkeep()
  const timer = setInterval(() => void upkeep(), READ_INTERVAL_MS)
  return {
    send(bytes) {
      for (const { name, sender } of linkByName.values()) {
        sender?.send(bytes, port, group, error => {
          if (error === null) options.onSent(bytes)
          else onFault(`send on ${name}`, 'code' in error ? String(error.code) : error.message)
        })
      }
    },
    interfaces: () =>
      [...linkByName.values()].map(({ name, address, joined, sender, joinCode, speakCode }) => ({
        name,
        address,
        joined,
        speaking: sender !== undefined,
        code: joinCode ?? groupCode ?? speakCode,
      })),
    close() {
      closed = true
      clearInterval(timer)
      if (!underWay) closeAll()
    },
  }
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close()
  } catch {
    // It was closed already.
  }
}

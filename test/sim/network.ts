/** A seeded faulty network: datagrams that are lost, doubled, delayed and overtaken, links that are slow and break, cuts in one direction. */
import type { Link } from '../../sync/channel.ts'
import type { World } from './world.ts'

export interface NetworkFaults {
  /** Share of datagrams that are lost, 0 to 1. */
  readonly loss: number
  readonly duplicates: number
  readonly delayMinMs: number
  readonly delayMaxMs: number
  /** Bytes per second of a link. */
  readonly linkBytesPerSecond: number
}

export interface Endpoint {
  datagram(bytes: Uint8Array, from: string, isMulticast: boolean): void
  /** A link that somebody opened; undefined takes none. */
  accept(link: Link, from: string): void
}

export interface Network {
  faults: NetworkFaults
  attach(host: string, endpoint: Endpoint): void
  /** The host's process is gone: its links break. */
  detach(host: string): void
  /** `to`: a host, or `multicast`. */
  send(from: string, to: string, bytes: Uint8Array): void
  /** Resolves with an open link, or undefined when the host cannot be reached. */
  dial(from: string, to: string): Promise<Link | undefined>
  /** Nothing passes from `from` to `to` any more; links between the two break. */
  cut(from: string, to: string): void
  heal(): void
}

interface OpenLink {
  readonly a: string
  readonly b: string
  readonly close: () => void
}

export function createNetwork(world: World, faults: NetworkFaults): Network {
  const endpointByHost = new Map<string, Endpoint>()
  const cuts = new Set<string>()
  const links = new Set<OpenLink>()
  const { random } = world
  const network: Network = {
    faults,
    attach: (host, endpoint) => void endpointByHost.set(host, endpoint),
    detach(host) {
      endpointByHost.delete(host)
      for (const link of links) if (link.a === host || link.b === host) link.close()
    },
    send(from, to, bytes) {
      const isMulticast = to === 'multicast'
      const hosts = isMulticast ? [...endpointByHost.keys()] : [to]
      for (const host of hosts) {
        const copies = random.fraction() < network.faults.loss ? 0 : random.fraction() < network.faults.duplicates ? 2 : 1
        for (let i = 0; i < copies; i++) {
          world.after(delay(), () => {
            if (!cuts.has(`${from}>${host}`)) endpointByHost.get(host)?.datagram(bytes, from, isMulticast)
          })
        }
      }
    },
    async dial(from, to) {
      await new Promise<void>(resolve => void world.after(delay() * 2, resolve))
      const endpoint = endpointByHost.get(to)
      if (endpoint === undefined || !endpointByHost.has(from) || isCut(from, to)) return undefined
      const [near, far] = openLink(from, to)
      endpoint.accept(far, from)
      return near
    },
    cut(from, to) {
      cuts.add(`${from}>${to}`)
      for (const link of links) if ((link.a === from && link.b === to) || (link.a === to && link.b === from)) link.close()
    },
    heal: () => cuts.clear(),
  }

  const isCut = (a: string, b: string): boolean => cuts.has(`${a}>${b}`) || cuts.has(`${b}>${a}`)

  function delay(): number {
    const { delayMinMs, delayMaxMs } = network.faults
    return delayMinMs + random.fraction() * (delayMaxMs - delayMinMs)
  }

  function openLink(a: string, b: string): [Link, Link] {
    let isOpen = true
    const sides = [a, b].map(() => ({
      queue: [] as Uint8Array[],
      taker: undefined as ((bytes: Uint8Array | undefined) => void) | undefined,
      freeAtMs: 0,
    }))
    const close = (): void => {
      isOpen = false
      links.delete(handle)
      for (const side of sides) {
        side.taker?.(undefined)
        side.taker = undefined
      }
    }
    const handle: OpenLink = { a, b, close }
    links.add(handle)
    const end = (own: 0 | 1): Link => {
      const mine = sides[own]!
      const theirs = sides[own === 0 ? 1 : 0]!
      return {
        async send(bytes) {
          if (!isOpen) return
          // In order, one after another, as fast as the link is.
          const startMs = Math.max(world.nowMs(), theirs.freeAtMs)
          theirs.freeAtMs = startMs + (bytes.length / network.faults.linkBytesPerSecond) * 1000
          world.after(theirs.freeAtMs - world.nowMs() + network.faults.delayMinMs, () => {
            if (!isOpen) return
            const { taker } = theirs
            theirs.taker = undefined
            if (taker === undefined) theirs.queue.push(bytes)
            else taker(bytes)
          })
        },
        async receive() {
          const next = mine.queue.shift()
          if (next !== undefined) return next
          return isOpen ? new Promise(resolve => void (mine.taker = resolve)) : undefined
        },
        // What was sent before still arrives; the end comes behind it.
        close: () => void world.after(Math.max(0, theirs.freeAtMs - world.nowMs()) + network.faults.delayMinMs + 0.1, close),
      }
    }
    return [end(0), end(1)]
  }

  return network
}

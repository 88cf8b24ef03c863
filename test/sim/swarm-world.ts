/** Many swarm cores on one virtual clock: packets, timers, restarts, standstills. Everything follows from the seed. */
import { createCodec } from '../../agent/codec.ts'
import { systemCryptography, systemHash } from '../../agent/ports.ts'
import type { Random } from '../../base/ports.ts'
import type { Address } from '../../swarm/address.ts'
import type { SwarmEffect, SwarmEvent } from '../../swarm/events.ts'
import { LIMITS, PROFILES } from '../../swarm/options.ts'
import type { SwarmTimings } from '../../swarm/options.ts'
import { createSwarm } from '../../swarm/swarm.ts'
import type { Swarm } from '../../swarm/swarm.ts'
import { createSeededRandom } from '../seeded-random.ts'
import { createSwarmNetwork } from './swarm-network.ts'
import type { SwarmNetwork } from './swarm-network.ts'

const PORT = 7_946
/** What a socket keeps unless the options say otherwise. */
const SOCKET_PACKETS_MAX = 64
/** IPv4 and UDP headers. */
export const IP_UDP_BYTES = 28

export interface SimNode {
  readonly index: number
  readonly nodeId: string
  readonly address: Address
  /** Undefined while its process is not there. */
  swarm: Swarm | undefined
  /** The host is there, and refuses connections, when the process is not. */
  isHostUp: boolean
  stalledUntilMs: number
  /** Added to the wall clock. */
  wallOffsetMs: number
  bytesSent: number
  packetsSent: number
}

export interface SwarmWorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly timings?: SwarmTimings
  /** Addresses of these nodes stand in everybody's HS_GOSSIP_PEERS. */
  readonly seeds?: readonly number[]
  readonly multicast?: boolean
  /** HS_SWARM_KEY of all of them. */
  readonly keys?: readonly Uint8Array[]
  /** Datagrams that a socket of a process that stands still keeps; further ones are lost. None: the whole board sleeps. */
  readonly socketPacketsMax?: number | undefined
  readonly onEffect?: (node: SimNode, effect: SwarmEffect, nowMs: number) => void
}

export interface SwarmWorld {
  readonly nodes: readonly SimNode[]
  readonly network: SwarmNetwork
  readonly random: Random
  nowMs(): number
  start(index: number): void
  /** Ends a process without a word; with its host there is nobody left to refuse connections. */
  kill(index: number, withHost?: boolean): void
  leave(index: number): void
  /** Timers run late and packets queue up. */
  stall(index: number, forMs: number): void
  give(index: number, event: SwarmEvent): void
  /** Calls back at that time. */
  at(atMs: number, action: () => void): void
  run(untilMs: number): void
  multicastPackets(): number
  steps(): number
}

interface Timed {
  readonly atMs: number
  /** Order among events of one time. */
  readonly serial: number
  readonly node: SimNode | undefined
  /** Undefined: the node's deadline may have come. */
  readonly event: SwarmEvent | undefined
  readonly action: (() => void) | undefined
  /** The process that it is for. */
  readonly swarm: Swarm | undefined
}

export function createSwarmWorld(options: SwarmWorldOptions): SwarmWorld {
  const random = createSeededRandom(options.seed)
  const network = createSwarmNetwork(random)
  const codec = createCodec()
  const queue: Timed[] = []
  const waitingByNode = new Map<SimNode, SwarmEvent[]>()
  const timerMs = new Map<SimNode, number>()
  const nodeByHost = new Map<string, SimNode>()
  let nowMs = 1_000
  let serial = 0
  let boots = 0
  let steps = 0
  let multicastPackets = 0

  const nodes = Array.from({ length: options.nodes }, (_, index): SimNode => {
    const host = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`
    const hex = Array.from(random.bytes(16), byte => byte.toString(16).padStart(2, '0')).join('')
    const nodeId = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
    const node: SimNode = {
      index,
      nodeId,
      address: { host, port: PORT },
      swarm: undefined,
      isHostUp: true,
      stalledUntilMs: 0,
      wallOffsetMs: 0,
      bytesSent: 0,
      packetsSent: 0,
    }
    nodeByHost.set(host, node)
    return node
  })

  // --- A binary heap by time, then by order of entry ---

  const isBefore = (a: Timed, b: Timed): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.serial < b.serial)

  function push(entry: Omit<Timed, 'serial'>): void {
    const item: Timed = { ...entry, serial: ++serial }
    let at = queue.length
    queue.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(item, queue[parent]!)) break
      queue[at] = queue[parent]!
      at = parent
    }
    queue[at] = item
  }

  function pop(): Timed {
    const first = queue[0]!
    const last = queue.pop()!
    if (queue.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= queue.length) break
      if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child += 1
      if (!isBefore(queue[child]!, last)) break
      queue[at] = queue[child]!
      at = child
    }
    queue[at] = last
    return first
  }

  // --- Nodes ---

  function schedule(node: SimNode): void {
    const { swarm } = node
    if (swarm === undefined) return
    const dueMs = Math.max(swarm.deadline(), node.stalledUntilMs, nowMs)
    if (dueMs === Infinity || timerMs.get(node) === dueMs) return
    timerMs.set(node, dueMs)
    push({ atMs: dueMs, node, event: undefined, action: undefined, swarm })
  }

  function step(node: SimNode, event: SwarmEvent): void {
    const { swarm } = node
    if (swarm === undefined) return
    steps += 1
    for (const effect of swarm.step(event, nowMs)) carryOut(node, effect)
    schedule(node)
  }

  function deliver(from: SimNode, to: SimNode, bytes: Uint8Array, multicast: boolean): void {
    if (to.swarm === undefined) return
    for (const delayMs of network.fate(from.index, to.index, nowMs)) {
      // The group's packets come from a socket of their own.
      const source = multicast ? { host: from.address.host, port: 50_000 } : from.address
      push({
        atMs: nowMs + delayMs,
        node: to,
        event: { type: 'packet', bytes, from: source, multicast },
        action: undefined,
        swarm: to.swarm,
      })
    }
  }

  function carryOut(node: SimNode, effect: SwarmEffect): void {
    options.onEffect?.(node, effect, nowMs)
    if (effect.type === 'send') {
      node.packetsSent += 1
      node.bytesSent += effect.bytes.length
      if (effect.to === 'multicast') {
        multicastPackets += 1
        for (const other of nodes) if (other !== node) deliver(node, other, effect.bytes, true)
        return
      }
      const target = nodeByHost.get(effect.to.host)
      if (target !== undefined && target !== node) deliver(node, target, effect.bytes, false)
    } else if (effect.type === 'probe-tcp') {
      answerTcp(node, effect.nodeId, effect.address)
    } else if (effect.type === 'stopped') node.swarm = undefined
  }

  /** The handshake of one connection, without repetitions. The kernel accepts for a process that stands still. */
  function answerTcp(node: SimNode, nodeId: string, address: Address): void {
    const target = nodeByHost.get(address.host)
    if (target === undefined || !target.isHostUp) return
    const [there] = network.fate(node.index, target.index, nowMs)
    const [back] = network.fate(target.index, node.index, nowMs)
    if (there === undefined || back === undefined) return
    const outcome = target.swarm === undefined ? 'refused' : 'connected'
    push({
      atMs: nowMs + there + back,
      node,
      event: { type: 'tcp-probed', nodeId, outcome },
      action: undefined,
      swarm: node.swarm,
    })
  }

  function arrive(node: SimNode, event: SwarmEvent): void {
    if (node.stalledUntilMs <= nowMs) {
      step(node, event)
      return
    }
    const waiting = waitingByNode.get(node) ?? []
    waitingByNode.set(node, waiting)
    if (waiting.length < (options.socketPacketsMax ?? SOCKET_PACKETS_MAX)) waiting.push(event)
  }

  /** As the driver does it: the sockets are drained before the tick. */
  function drain(node: SimNode): void {
    const waiting = waitingByNode.get(node)
    if (waiting === undefined) return
    waitingByNode.delete(node)
    for (const event of waiting) step(node, event)
  }

  return {
    nodes,
    network,
    random,
    nowMs: () => nowMs,
    steps: () => steps,
    multicastPackets: () => multicastPackets,
    start(index) {
      const node = nodes[index]!
      boots += 1
      timerMs.delete(node)
      waitingByNode.delete(node)
      node.isHostUp = true
      node.stalledUntilMs = 0
      node.swarm = createSwarm(
        {
          nodeId: node.nodeId,
          nodeName: `robot-${index}`,
          bootCounter: boots,
          role: 'edge',
          httpPort: () => 50_050,
          httpReachable: false,
          gossipPort: PORT,
          multicast: options.multicast ?? true,
          swarmName: 'default',
          open: false,
          keys: options.keys ?? [],
          timings: options.timings ?? PROFILES.lan,
          limits: LIMITS,
        },
        {
          hash: systemHash,
          cryptography: systemCryptography,
          codec,
          random: createSeededRandom(options.seed * 100_003 + boots),
          wallMs: () => 1_700_000_000_000 + nowMs + node.wallOffsetMs,
        },
      )
      step(node, { type: 'start' })
      const addresses = (options.seeds ?? []).filter(seed => seed !== index).map(seed => nodes[seed]!.address)
      if (addresses.length > 0) step(node, { type: 'seeds-resolved', addresses })
    },
    kill(index, withHost = false) {
      const node = nodes[index]!
      node.swarm = undefined
      node.isHostUp = !withHost
    },
    leave(index) {
      step(nodes[index]!, { type: 'leave' })
    },
    stall(index, forMs) {
      const node = nodes[index]!
      node.stalledUntilMs = Math.max(node.stalledUntilMs, nowMs + forMs)
    },
    give(index, event) {
      step(nodes[index]!, event)
    },
    at(atMs, action) {
      push({ atMs, node: undefined, event: undefined, action, swarm: undefined })
    },
    run(untilMs) {
      while (queue.length > 0 && queue[0]!.atMs <= untilMs) {
        const { atMs, node, event, action, swarm } = pop()
        nowMs = Math.max(nowMs, atMs)
        if (node === undefined) {
          action?.()
          continue
        }
        // Meant for a process that is no more.
        if (swarm !== node.swarm || swarm === undefined) continue
        if (event !== undefined) {
          arrive(node, event)
          continue
        }
        if (timerMs.get(node) !== atMs) continue
        timerMs.delete(node)
        if (node.stalledUntilMs <= nowMs) {
          drain(node)
          if (node.swarm === swarm && swarm.deadline() <= nowMs) step(node, { type: 'tick' })
        }
        schedule(node)
      }
      nowMs = Math.max(nowMs, untilMs)
    },
  }
}

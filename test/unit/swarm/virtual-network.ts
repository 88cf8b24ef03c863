/** A few swarm cores on one virtual clock and one virtual network: seeded, without sockets or timers. */
import { createCodec } from '../../../agent/codec.ts'
import { systemHash } from '../../../agent/ports.ts'
import { addressKey } from '../../../swarm/address.ts'
import type { Address } from '../../../swarm/address.ts'
import type { SwarmEffect, SwarmEvent } from '../../../swarm/events.ts'
import { LIMITS, PROFILES } from '../../../swarm/options.ts'
import type { SwarmOptions } from '../../../swarm/options.ts'
import { createSwarm } from '../../../swarm/swarm.ts'
import type { Swarm } from '../../../swarm/swarm.ts'
import { createSeededRandom } from '../../seeded-random.ts'

export type EffectOf<T extends SwarmEffect['type']> = Extract<SwarmEffect, { type: T }>

export interface VirtualNode {
  readonly nodeId: string
  readonly address: Address
  readonly swarm: Swarm
  /** Everything it did apart from sending, with the time. */
  readonly log: { readonly atMs: number; readonly effect: SwarmEffect }[]
  readonly sent: { readonly atMs: number; readonly to: Address | 'multicast'; readonly bytes: Uint8Array }[]
  give: (event: SwarmEvent) => SwarmEffect[]
  effects<T extends SwarmEffect['type']>(type: T): EffectOf<T>[]
  /** Names of the members that it lists, in order. */
  lists(): string[]
  /** Ends without a word. */
  kill(): void
}

export interface NodeSettings extends Partial<SwarmOptions> {
  readonly seeds?: readonly Address[]
  readonly host?: string
  readonly port?: number
  readonly wallMs?: () => number
}

export interface VirtualNetwork {
  nowMs(): number
  /** Adds and starts node `index`; the same index again is the same node restarted or cloned. */
  add(index: number, settings?: NodeSettings): VirtualNode
  run(forMs: number): void
  /** Which packets get through; all of them by default. */
  setLink(passes: (from: string, to: string) => boolean): void
  /** Everything that was put on the wire, for replaying. */
  readonly wire: { readonly from: Address; readonly to: Address | 'multicast'; readonly bytes: Uint8Array }[]
}

export const NODE_ID = (index: number): string => `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`

export function createVirtualNetwork(seed = 1, latencyMs = 1): VirtualNetwork {
  let nowMs = 1_000
  let serial = 0
  let passes = (_from: string, _to: string): boolean => true
  const nodeByAddress = new Map<string, VirtualNode>()
  const flying: { atMs: number; to: string; event: SwarmEvent }[] = []
  const wire: VirtualNetwork['wire'] = []

  /** A host accepts connections for as long as the node lives, and refuses them afterwards. */
  function answerTcp(node: VirtualNode, { nodeId, address }: EffectOf<'probe-tcp'>): void {
    if (!passes(node.address.host, address.host) || !passes(address.host, node.address.host)) return
    const outcome = nodeByAddress.has(addressKey(address)) ? 'connected' : 'refused'
    flying.push({ atMs: nowMs + 2 * latencyMs, to: addressKey(node.address), event: { type: 'tcp-probed', nodeId, outcome } })
  }

  function carryOut(node: VirtualNode, effects: readonly SwarmEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'probe-tcp') answerTcp(node, effect)
      if (effect.type !== 'send') {
        node.log.push({ atMs: nowMs, effect })
        continue
      }
      const { to, bytes } = effect
      node.sent.push({ atMs: nowMs, to, bytes })
      wire.push({ from: node.address, to, bytes })
      for (const [key, receiver] of nodeByAddress) {
        const multicast = to === 'multicast'
        if (!multicast && key !== addressKey(to)) continue
        if (receiver !== node && !passes(node.address.host, receiver.address.host)) continue
        const from = multicast ? { host: node.address.host, port: 50_000 } : node.address
        flying.push({ atMs: nowMs + latencyMs, to: key, event: { type: 'packet', bytes, from, multicast } })
      }
    }
  }

  return {
    nowMs: () => nowMs,
    wire,
    setLink(rule) {
      passes = rule
    },
    add(index, settings = {}) {
      const { seeds, host = `10.0.0.${index}`, port = 7_946, wallMs = () => 1_700_000_000_000 + nowMs, ...options } = settings
      serial += 1
      const address = { host, port }
      const key = addressKey(address)
      const swarm = createSwarm(
        {
          nodeId: NODE_ID(index),
          nodeName: `robot-${index}`,
          bootCounter: serial,
          role: 'edge',
          httpPort: () => 50_050,
          httpReachable: false,
          gossipPort: port,
          multicast: true,
          swarmName: 'default',
          open: false,
          secured: false,
          timings: PROFILES.lan,
          limits: LIMITS,
          ...options,
        },
        { hash: systemHash, codec: createCodec(), random: createSeededRandom(seed * 1_000 + serial), wallMs },
      )
      const node: VirtualNode = {
        nodeId: NODE_ID(index),
        address,
        swarm,
        log: [],
        sent: [],
        give(event) {
          const effects = swarm.step(event, nowMs)
          carryOut(node, effects)
          return effects
        },
        effects<T extends SwarmEffect['type']>(type: T) {
          return node.log.map(({ effect }) => effect).filter((effect): effect is EffectOf<T> => effect.type === type)
        },
        lists: () =>
          swarm
            .members(nowMs)
            .map(member => member.nodeName)
            .sort(),
        kill() {
          if (nodeByAddress.get(key) === node) nodeByAddress.delete(key)
        },
      }
      nodeByAddress.set(key, node)
      node.give({ type: 'start' })
      if (seeds !== undefined) node.give({ type: 'seeds-resolved', addresses: seeds })
      return node
    },
    run(forMs) {
      const untilMs = nowMs + forMs
      for (;;) {
        let atMs = untilMs
        for (const packet of flying) atMs = Math.min(atMs, packet.atMs)
        for (const node of nodeByAddress.values()) atMs = Math.min(atMs, node.swarm.deadline())
        nowMs = Math.max(nowMs, atMs)
        // Packets first, then timers, as the driver does it.
        const index = flying.findIndex(packet => packet.atMs <= nowMs)
        const arrived = index < 0 ? undefined : flying.splice(index, 1)[0]
        if (arrived !== undefined) {
          nodeByAddress.get(arrived.to)?.give(arrived.event)
          continue
        }
        const due = [...nodeByAddress.values()].find(node => node.swarm.deadline() <= nowMs)
        if (due === undefined) return
        due.give({ type: 'tick' })
      }
    },
  }
}

/** A simulated swarm with a meter: what a stretch of time costs, and whom it takes for dead. */
import type { SwarmEffect } from '../swarm/events.ts'
import { createSwarmWorld, IP_UDP_BYTES } from '../test/sim/swarm-world.ts'
import type { SimNode, SwarmWorld } from '../test/sim/swarm-world.ts'

/** Of one stretch. */
export interface StretchFigures {
  /** Per second and node, as UDP payload and with the headers of IP and UDP. */
  readonly bytes: number
  readonly bytesWithHeaders: number
  /** Packets to the group per second, of all nodes together. */
  readonly multicast: number
  readonly suspicionsRaised: number
  /** Per node and hour, those learned from others included. */
  readonly suspicionsHeard: number
  readonly falseDeaths: number
  /** Seconds since the last evidence of a member's life, over all pairs that were looked at. */
  readonly ageP99: number
  readonly ageMax: number
}

export interface Drop {
  readonly by: number
  readonly about: string
  readonly atMs: number
}

export interface SwarmMeter {
  readonly world: SwarmWorld
  /** Whom anybody has dropped, for whatever reason; may be emptied. */
  readonly drops: Drop[]
  readonly start: (index: number) => void
  /** Everybody who is there lists everybody else. */
  readonly isComplete: () => boolean
  /** Seconds until it holds; Infinity after the limit. */
  readonly until: (holds: () => boolean, limitMs: number) => number
  readonly pass: (seconds: number) => void
  /** Lets a stretch pass; `say` hears of every minute. */
  readonly measure: (seconds: number, say?: (text: string) => void) => StretchFigures
}

const STEP_MS = 5
const AGES_EVERY_SECONDS = 5
/** Members whose ages are looked at in each table of a large swarm. */
const AGES_PER_NODE = 50
const AGE_UNIT_MS = 10
const AGE_UNITS = 6_000

export function createSwarmMeter(options: {
  readonly nodes: number
  readonly seed: number
  readonly onEffect?: (node: SimNode, effect: SwarmEffect) => void
}): SwarmMeter {
  const { nodes, seed } = options
  const drops: Drop[] = []
  /** Length of each node's list, as its effects tell: looking at a thousand lists is dear. */
  const listed = Array.from({ length: nodes }, () => 0)
  let suspicions = 0
  const world = createSwarmWorld({
    seed,
    nodes,
    onEffect(node, effect, atMs) {
      if (effect.type === 'member-joined') listed[node.index]! += 1
      else if (effect.type === 'member-dropped') {
        listed[node.index]! -= 1
        drops.push({ by: node.index, about: effect.view.nodeName, atMs })
      } else if (effect.type === 'member-updated' && effect.reason === 'status' && effect.view.status === 'suspect') suspicions += 1
      options.onEffect?.(node, effect)
    },
  })
  const total = (count: (node: SimNode) => number): number => world.nodes.reduce((sum, node) => sum + count(node), 0)
  const readCounts = (): Record<'bytes' | 'packets' | 'multicast' | 'raised' | 'heard' | 'drops', number> => ({
    bytes: total(node => node.bytesSent),
    packets: total(node => node.packetsSent),
    multicast: world.multicastPackets(),
    raised: total(node => node.swarm?.counters().suspicionsRaised ?? 0),
    heard: suspicions,
    drops: drops.length,
  })
  const pass = (seconds: number): void => world.run(world.nowMs() + seconds * 1_000)

  return {
    world,
    drops,
    start(index) {
      listed[index] = 0
      world.start(index)
    },
    isComplete() {
      const there = world.nodes.filter(node => node.swarm !== undefined)
      if (there.some(node => listed[node.index] !== there.length - 1)) return false
      return there.every(node => node.swarm!.members(world.nowMs()).length === there.length - 1)
    },
    until(holds, limitMs) {
      const fromMs = world.nowMs()
      const stepMs = Math.max(STEP_MS, nodes)
      while (!holds()) {
        if (world.nowMs() - fromMs > limitMs) return Infinity
        world.run(world.nowMs() + stepMs)
      }
      return (world.nowMs() - fromMs) / 1_000
    },
    pass,
    measure(seconds, say) {
      const before = readCounts()
      const ages = new Float64Array(AGE_UNITS)
      for (let second = 0; second < seconds; second++) {
        pass(1)
        if (second % AGES_EVERY_SECONDS === 0) collectAges(world, ages)
        if (second % 60 === 59) say?.(`${(second + 1) / 60} of ${seconds / 60} minutes, ${drops.length - before.drops} dropped`)
      }
      const after = readCounts()
      const share = 1 / (nodes * seconds)
      const bytes = after.bytes - before.bytes
      return {
        bytes: bytes * share,
        bytesWithHeaders: (bytes + IP_UDP_BYTES * (after.packets - before.packets)) * share,
        multicast: (after.multicast - before.multicast) / seconds,
        suspicionsRaised: after.raised - before.raised,
        suspicionsHeard: (after.heard - before.heard) * share * 3_600,
        falseDeaths: after.drops - before.drops,
        ageP99: ageAt(ages, 0.99),
        ageMax: ageAt(ages, 1),
      }
    },
  }
}

/** Of every member in a small swarm, of a few in a large one; counted by age, since an hour of a large one is millions. */
function collectAges(world: SwarmWorld, ages: Float64Array): void {
  const { nodes } = world
  const every = Math.max(1, Math.floor(nodes.length / AGES_PER_NODE))
  for (const node of nodes) {
    for (let other = node.index % every; other < nodes.length; other += every) {
      const view = node.swarm?.member(nodes[other]!.nodeId, world.nowMs())
      if (view !== undefined) ages[Math.min(AGE_UNITS - 1, Math.floor(view.heardAgoMs / AGE_UNIT_MS))]! += 1
    }
  }
}

/** Seconds below which this share of the ages is. */
function ageAt(ages: Float64Array, share: number): number {
  let left = share * ages.reduce((sum, count) => sum + count, 0)
  let unit = 0
  while (unit < AGE_UNITS && left > 0) left -= ages[unit++]!
  return (unit * AGE_UNIT_MS) / 1_000
}

/** What a simulated swarm does in a few scenes: how long it takes, what it costs, and whom it takes for dead. */
import type { SwarmEffect } from '../swarm/events.ts'
import { CLEAN } from '../test/sim/swarm-network.ts'
import { createSwarmWorld, IP_UDP_BYTES } from '../test/sim/swarm-world.ts'
import type { SimNode, SwarmWorld } from '../test/sim/swarm-world.ts'

/** Samples by name; several where one scene gives several. */
export type SceneSamples = Map<string, number[]>

export interface SceneOptions {
  readonly nodes: number
  readonly seed: number
  /** Simulated seconds of the quiet and of the lossy stretch. */
  readonly stretchSeconds: number
  readonly loss: number
  readonly say: (text: string) => void
}

interface Drop {
  readonly by: number
  readonly about: string
  readonly reason: string
  readonly atMs: number
}

const STEP_MS = 5

/** Runs all scenes in one swarm, one after the other, and returns what was measured. */
export function playScenes(options: SceneOptions): SceneSamples {
  const { nodes, seed, stretchSeconds, say } = options
  const samples: SceneSamples = new Map()
  const drops: Drop[] = []
  let suspicions = 0
  let differing = 0
  const onEffect = (node: SimNode, effect: SwarmEffect, atMs: number): void => {
    if (effect.type === 'member-dropped') drops.push({ by: node.index, about: effect.view.nodeName, reason: effect.reason, atMs })
    else if (effect.type === 'member-updated' && effect.reason === 'status' && effect.view.status === 'suspect') suspicions += 1
    else if (effect.type === 'digests' && node.index !== 0 && effect.differing.includes('news')) differing += 1
  }
  const world = createSwarmWorld({ seed, nodes, onEffect })
  const add = (name: string, value: number): void => {
    const known = samples.get(name)
    if (known === undefined) samples.set(name, [value])
    else known.push(value)
  }
  const total = (count: (node: SimNode) => number): number => world.nodes.reduce((sum, node) => sum + count(node), 0)
  const raised = (): number => total(node => node.swarm?.counters().suspicionsRaised ?? 0)

  const isComplete = (): boolean => {
    const there = total(node => (node.swarm === undefined ? 0 : 1))
    return world.nodes.every(node => node.swarm === undefined || node.swarm.members(world.nowMs()).length === there - 1)
  }
  /** Seconds until it holds; Infinity after the limit. */
  const until = (holds: () => boolean, limitMs: number): number => {
    const fromMs = world.nowMs()
    // Looking at everybody is dear in a large swarm.
    const stepMs = Math.max(STEP_MS, nodes)
    while (!holds()) {
      if (world.nowMs() - fromMs > limitMs) return Infinity
      world.run(world.nowMs() + stepMs)
    }
    return (world.nowMs() - fromMs) / 1_000
  }
  const pass = (seconds: number): void => world.run(world.nowMs() + seconds * 1_000)

  /** A stretch of time, and what it cost. */
  const measure = (name: string, seconds: number): void => {
    const before = { bytes: total(node => node.bytesSent), packets: total(node => node.packetsSent), multicast: world.multicastPackets() }
    const [raisedBefore, suspicionsBefore, dropsBefore] = [raised(), suspicions, drops.length]
    const ages: number[] = []
    for (let second = 0; second < seconds; second++) {
      pass(1)
      if (second % 5 === 0) collectAges(world, ages)
    }
    const share = 1 / (nodes * seconds)
    add(`${name}: bytes/s/node`, (total(node => node.bytesSent) - before.bytes) * share)
    add(`${name}: bytes/s/node with IP and UDP headers`, bytesWithHeaders(total, before) * share)
    add(`${name}: multicast/s, all nodes`, (world.multicastPackets() - before.multicast) / seconds)
    add(`${name}: suspicions raised`, raised() - raisedBefore)
    add(`${name}: suspicions heard per node-hour`, (suspicions - suspicionsBefore) * share * 3_600)
    add(`${name}: false deaths`, drops.length - dropsBefore)
    ages.sort((a, b) => a - b)
    add(`${name}: age of evidence, p99`, (ages[Math.floor(ages.length * 0.99)] ?? 0) / 1_000)
    add(`${name}: age of evidence, max`, (ages.at(-1) ?? 0) / 1_000)
  }

  say('join')
  for (let index = 0; index < nodes; index++) world.start(index)
  add('join of all at once', until(isComplete, 120_000))
  pass(nodes >= 500 ? 60 : 30)

  say('quiet')
  measure('quiet', stretchSeconds)

  say('death')
  pass(world.random.fraction())
  const victim = Math.floor(world.random.fraction() * nodes)
  const killedMs = world.nowMs()
  drops.length = 0
  world.kill(victim)
  until(() => drops.length >= nodes - 1, 60_000)
  add('kill -9, first', ((drops[0]?.atMs ?? Infinity) - killedMs) / 1_000)
  add('kill -9, all', drops.length < nodes - 1 ? Infinity : (drops.at(-1)!.atMs - killedMs) / 1_000)
  pass(5)
  world.start(victim)
  add('restart and rejoin', until(isComplete, 60_000))
  pass(10)

  say('digest')
  differing = 0
  world.give(0, {
    type: 'local-state',
    state: {
      logicalClock: 1,
      collections: [{ name: 'news', generation: 1, digest: new Uint8Array(16).fill(1), recordCount: 1, vectorCount: 0 }],
    },
  })
  add(
    'a changed digest, all others',
    until(() => differing >= nodes - 1, 60_000),
  )
  pass(10)

  if (nodes <= 100) {
    for (const seconds of [12, 25]) {
      say(`radio off for ${seconds} s`)
      drops.length = 0
      world.network.setRadio(1, false)
      pass(seconds)
      world.network.setRadio(1, true)
      add(`radio off for ${seconds} s: heal`, until(isComplete, 60_000))
      pass(20)
      add(`radio off for ${seconds} s: false deaths about healthy nodes`, drops.filter(({ about }) => about !== 'robot-1').length)
    }
    for (const seconds of [2, 5]) {
      say(`stopped for ${seconds} s`)
      drops.length = 0
      world.stall(2, seconds * 1_000)
      pass(seconds + 15)
      add(`stopped for ${seconds} s: deaths`, drops.length)
    }
    say('partition')
    world.network.setSides(node => (node * 2 < nodes ? 0 : 1))
    pass(60)
    world.network.setSides(undefined)
    add('halves apart for 60 s: heal', until(isComplete, 120_000))
    pass(20)
  }

  say(`${options.loss * 100} % loss`)
  drops.length = 0
  world.network.quality = { ...CLEAN, loss: options.loss }
  measure(`${options.loss * 100} % loss`, stretchSeconds)
  return samples
}

function bytesWithHeaders(
  total: (count: (node: SimNode) => number) => number,
  before: { readonly bytes: number; readonly packets: number },
): number {
  return total(node => node.bytesSent) - before.bytes + IP_UDP_BYTES * (total(node => node.packetsSent) - before.packets)
}

/** Of every member in a small swarm, of a few in a large one. */
function collectAges(world: SwarmWorld, ages: number[]): void {
  const every = Math.max(1, Math.floor(world.nodes.length / 50))
  for (const node of world.nodes) {
    const views = node.swarm?.members(world.nowMs()) ?? []
    for (let i = node.index % every; i < views.length; i += every) ages.push(views[i]!.heardAgoMs)
  }
}

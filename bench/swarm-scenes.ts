/** What a simulated swarm does in a few scenes: how long it takes, what it costs, and whom it takes for dead. */
import { CLEAN } from '../test/sim/swarm-network.ts'
import { createSwarmMeter } from './swarm-meter.ts'

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

/** Runs all scenes in one swarm, one after the other, and returns what was measured. */
export function playScenes(options: SceneOptions): SceneSamples {
  const { nodes, seed, stretchSeconds, say } = options
  const samples: SceneSamples = new Map()
  let differing = 0
  const meter = createSwarmMeter({
    nodes,
    seed,
    onEffect(node, effect) {
      if (effect.type === 'digests' && node.index !== 0 && effect.differing.includes('news')) differing += 1
    },
  })
  const { world, drops, until, isComplete, pass } = meter
  const add = (name: string, value: number): void => {
    const known = samples.get(name)
    if (known === undefined) samples.set(name, [value])
    else known.push(value)
  }
  /** A stretch of time, and what it cost. */
  const measure = (name: string, seconds: number): void => {
    const figures = meter.measure(seconds)
    add(`${name}: bytes/s/node`, figures.bytes)
    add(`${name}: bytes/s/node with IP and UDP headers`, figures.bytesWithHeaders)
    add(`${name}: multicast/s, all nodes`, figures.multicast)
    add(`${name}: suspicions raised`, figures.suspicionsRaised)
    add(`${name}: suspicions heard per node-hour`, figures.suspicionsHeard)
    add(`${name}: false deaths`, figures.falseDeaths)
    add(`${name}: age of evidence, p99`, figures.ageP99)
    add(`${name}: age of evidence, max`, figures.ageMax)
  }

  say('join')
  for (let index = 0; index < nodes; index++) meter.start(index)
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
  meter.start(victim)
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

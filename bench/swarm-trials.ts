/**
 * What is done to the two swarms, and what is measured. Faults of the network and of hosts meet both sides at one moment; where the two would
 * disturb one another (a start costs processor time), they take turns. A "death" is one node that comes to hold another one dead, or
 * drops it from its list without having been told that it left.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { NODES, type Side, type Sides } from './swarm-sides.ts'
import type { Sighting } from './swarm-watch.ts'

/** A figure for each side. */
export interface Pair {
  readonly serf: number
  readonly agents: number
}

export interface Trials extends Sides {
  readonly say: (text: string) => void
}

const all = Array.from({ length: NODES }, (_, number) => number)
const joinDeadlineMs = 60_000
const detectDeadlineMs = 60_000
const healDeadlineMs = 90_000
/** Lists that are complete for so long stay so. */
const quietMs = 8_000
/** What is wrong behind a pause shows by then. */
const afterPauseMs = 15_000
const settleMs = 3_000
const idleSettleMs = 10_000

const isDeath = ({ standing }: Sighting): boolean => standing === 'dead'

async function each(sides: Sides, measure: (side: Side) => number | Promise<number>): Promise<Pair> {
  const [serf, agents] = await Promise.all([measure(sides.serf), measure(sides.agents)])
  return { serf, agents }
}

async function inTurns(sides: Sides, measure: (side: Side) => Promise<number>): Promise<Pair> {
  const serf = await measure(sides.serf)
  return { serf, agents: await measure(sides.agents) }
}

/** Milliseconds from then until all lists are complete. */
async function untilComplete({ label, watch }: Side, sinceMs: number, deadlineMs: number): Promise<number> {
  const atMs = await watch.when(() => watch.isComplete(all), deadlineMs)
  if (atMs === undefined) throw new Error(`${label}: the lists were not complete within ${deadlineMs} ms`)
  return atMs - sinceMs
}

/** Nine that run already meet the tenth at one moment: ms until all ten list the nine others. Ends what ran before. */
export async function join(trials: Trials): Promise<Pair> {
  const { serf, agents } = trials
  for (const { nodes } of [serf, agents]) {
    await Promise.all(nodes.map(node => node.kill()))
    const [seed, ...others] = nodes
    await seed!.prepare()
    await seed!.join()
    await seed!.untilUp()
    await Promise.all(others.map(node => node.prepare()))
  }
  await delay(settleMs)
  return inTurns(trials, async side => {
    const startMs = performance.now()
    await Promise.all(side.nodes.slice(1).map(node => node.join()))
    const tookMs = await untilComplete(side, startMs, joinDeadlineMs)
    await Promise.all(side.nodes.map(node => node.untilUp()))
    return tookMs
  })
}

export interface Killed {
  /** Until the first of the others held it dead, and until all did. */
  readonly firstMs: Pair
  readonly allMs: Pair
  /** From when it asked to join again until all lists were complete. */
  readonly rejoinMs: Pair
  /** Deaths told of others than the victim. */
  readonly falseDeaths: Pair
}

export async function kill(trials: Trials, victim: number): Promise<Killed> {
  const startMs = performance.now()
  const deathsOf = (side: Side, isVictim: boolean): readonly Sighting[] =>
    side.watch.since(startMs, sighting => isDeath(sighting) && (sighting.subject === victim) === isVictim)
  await Promise.all([trials.serf, trials.agents].map(({ nodes }) => nodes[victim]!.kill()))
  const allMs = await each(trials, async side => {
    const observers = all.filter(number => number !== victim)
    const isKnown = (): boolean => observers.every(observer => side.watch.standing(observer, victim) === 'dead')
    const atMs = await side.watch.when(isKnown, detectDeadlineMs)
    if (atMs === undefined) throw new Error(`${side.label}: a killed node was not found out within ${detectDeadlineMs} ms`)
    return atMs - startMs
  })
  const firstMs = await each(trials, side => deathsOf(side, true)[0]!.atMs - startMs)
  await delay(settleMs)
  const rejoinMs = await inTurns(trials, async side => {
    const node = side.nodes[victim]!
    await node.prepare()
    await delay(settleMs / 3)
    const joinMs = performance.now()
    await node.join()
    const tookMs = await untilComplete(side, joinMs, joinDeadlineMs)
    await node.untilUp()
    return tookMs
  })
  await delay(settleMs)
  return { firstMs, allMs, rejoinMs, falseDeaths: await each(trials, side => deathsOf(side, false).length) }
}

/** Bytes that a node sends in a second while nothing happens: IP packets whole, TCP included. */
export async function idle({ air, serf, agents }: Trials, forMs: number): Promise<Pair> {
  await delay(idleSettleMs)
  const sum = async (port: number): Promise<number> => (await air.bytesSent(port)).reduce((total, bytes) => total + bytes, 0)
  const before = { serf: await sum(serf.port), agents: await sum(agents.port) }
  const startMs = performance.now()
  await delay(forMs)
  const seconds = (performance.now() - startMs) / 1000
  const rate = async (port: number, had: number): Promise<number> => ((await sum(port)) - had) / NODES / seconds
  return { serf: await rate(serf.port, before.serf), agents: await rate(agents.port, before.agents) }
}

/** The processes of one node stand still for so long: deaths told of any node. */
export async function pause(trials: Trials, victim: number, forMs: number): Promise<Pair> {
  const { serf, agents } = trials
  const startMs = performance.now()
  for (const { nodes } of [serf, agents]) nodes[victim]!.pause(true)
  await delay(forMs)
  for (const { nodes } of [serf, agents]) nodes[victim]!.pause(false)
  await delay(afterPauseMs)
  const deaths = await each(trials, side => side.watch.since(startMs, isDeath).length)
  await each(trials, side => untilComplete(side, 0, healDeadlineMs))
  return deaths
}

export interface Outage {
  /** Deaths that healthy nodes told of healthy ones. */
  readonly falseDeaths: Pair
  /** Deaths that the deaf node told of the others, and they of it. */
  readonly deathsByVictim: Pair
  readonly deathsOfVictim: Pair
  /** From the end of the outage until all lists were complete, for good. */
  readonly healMs: Pair
}

/** Nothing passes to or from one node for so long. */
export async function outage(trials: Trials, victim: number, forMs: number): Promise<Outage> {
  const { air, robots } = trials
  const startMs = performance.now()
  await air.silence(robots[victim]!)
  await delay(forMs)
  // Before the rule is taken away: that takes a moment, which is counted rather than given away.
  const endMs = performance.now()
  await air.clear()
  const healMs = await each(trials, async side => {
    const { watch } = side
    for (;;) {
      const tookMs = await untilComplete(side, endMs, healDeadlineMs)
      if ((await watch.when(() => !watch.isComplete(all), quietMs)) === undefined) return tookMs
    }
  })
  const deaths = (isSo: (sighting: Sighting) => boolean): Promise<Pair> =>
    each(trials, ({ watch }) => watch.since(startMs, sighting => isDeath(sighting) && isSo(sighting)).length)
  return {
    healMs,
    falseDeaths: await deaths(({ observer, subject }) => observer !== victim && subject !== victim),
    deathsByVictim: await deaths(({ observer }) => observer === victim),
    deathsOfVictim: await deaths(({ subject }) => subject === victim),
  }
}

export interface Lossy {
  readonly falseDeaths: Pair
  readonly suspicions: Pair
}

/** This share of all packets is lost for so long. */
export async function lose(trials: Trials, percent: number, forMs: number): Promise<Lossy> {
  const startMs = performance.now()
  await trials.air.lose(percent)
  await delay(forMs)
  const counted = {
    falseDeaths: await each(trials, ({ watch }) => watch.since(startMs, isDeath).length),
    suspicions: await each(trials, ({ watch }) => watch.since(startMs, ({ standing }) => standing === 'suspect').length),
  }
  await trials.air.clear()
  await each(trials, side => untilComplete(side, 0, healDeadlineMs))
  return counted
}

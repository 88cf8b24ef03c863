/** A swarm's life made from a seed: faults one after another and at once, then quiet, in which all must agree. */
import type { Random } from '../../base/ports.ts'
import { PROFILES } from '../../swarm/options.ts'
import { createSeededRandom } from '../seeded-random.ts'
import { createSwarmChecker } from './swarm-checker.ts'
import { CLEAN } from './swarm-network.ts'
import type { LinkQuality } from './swarm-network.ts'
import { createSwarmWorld } from './swarm-world.ts'
import type { SwarmWorld } from './swarm-world.ts'

export type SwarmFault =
  | { readonly kind: 'kill' | 'power-cut' | 'leave'; readonly node: number; readonly atMs: number; readonly backMs: number | undefined }
  | { readonly kind: 'radio' | 'stall' | 'deaf' | 'mute'; readonly node: number; readonly atMs: number; readonly untilMs: number }
  | { readonly kind: 'cut' | 'one-way-cut'; readonly node: number; readonly other: number; readonly atMs: number; readonly untilMs: number }
  | { readonly kind: 'partition'; readonly sides: number; readonly atMs: number; readonly untilMs: number }
  | { readonly kind: 'clock'; readonly node: number; readonly atMs: number; readonly byMs: number }

export interface SwarmScenario {
  readonly seed: number
  readonly nodes: number
  readonly multicast: boolean
  /** Under a swarm key: one seed in four, since sealing takes most of the time. */
  readonly sealed: boolean
  readonly seeds: readonly number[]
  readonly quality: LinkQuality
  readonly socketPacketsMax?: number | undefined
  readonly faults: readonly SwarmFault[]
  /** When the last fault is over. */
  readonly calmMs: number
  readonly endMs: number
}

type FaultKind = SwarmFault['kind']

const KINDS: readonly FaultKind[] = [
  'kill',
  'power-cut',
  'leave',
  'radio',
  'radio',
  'stall',
  'deaf',
  'mute',
  'cut',
  'one-way-cut',
  'partition',
  'clock',
]

const SWARM_KEY = new Uint8Array(32).fill(7)

/** All nodes start within the first second; faults begin after this. */
const SETTLED_MS = 12_000
/** After the last fault. */
const QUIET_MS = 45_000

export interface ScenarioShape {
  readonly kinds?: readonly FaultKind[]
  readonly nodesMin?: number
  readonly nodesMax?: number
  readonly quality?: LinkQuality
  readonly socketPacketsMax?: number
  readonly stallMaxMs?: number
  readonly faultsMax?: number
}

/** Boards that sleep, for longer than the 30 s rule: nothing waits in the socket that could clear anybody. */
export const SLEEP: ScenarioShape = { kinds: ['stall'], socketPacketsMax: 0, stallMaxMs: 60_000 }

export function makeSwarmScenario(seed: number, shape: ScenarioShape = {}): SwarmScenario {
  const { kinds = KINDS, nodesMin = 3, nodesMax = 7, faultsMax = 4, stallMaxMs = 20_000 } = shape
  const random = createSeededRandom(seed)
  const int = (min: number, max: number): number => min + Math.floor(random.fraction() * (max - min + 1))
  const nodes = int(nodesMin, nodesMax)
  const faults: SwarmFault[] = []
  for (let left = int(1, faultsMax); left > 0; left--) {
    const kind = kinds[int(0, kinds.length - 1)]!
    faults.push(makeFault(kind, { nodes, stallMaxMs }, random, int))
  }
  faults.sort((a, b) => a.atMs - b.atMs)
  const endOf = (fault: SwarmFault): number =>
    'untilMs' in fault ? fault.untilMs : 'backMs' in fault ? (fault.backMs ?? fault.atMs) : fault.atMs
  const calmMs = faults.reduce((last, fault) => Math.max(last, endOf(fault)), SETTLED_MS)
  const multicast = random.fraction() < 0.7
  return {
    seed,
    nodes,
    multicast,
    sealed: seed % 4 === 0,
    seeds: multicast ? [] : [0, 1],
    quality: shape.quality ?? makeQuality(random),
    socketPacketsMax: shape.socketPacketsMax,
    faults,
    calmMs,
    endMs: calmMs + QUIET_MS,
  }
}

function makeQuality(random: Random): LinkQuality {
  const drawn = random.fraction()
  const uneven = { duplication: 0.02, reordering: 0.05, lateMs: 80 }
  if (drawn < 0.4) return CLEAN
  if (drawn < 0.55) return { ...CLEAN, ...uneven }
  if (drawn < 0.75) return { ...CLEAN, ...uneven, loss: 0.05, latencyMs: 3, jitterMs: 10 }
  if (drawn < 0.9) return { ...CLEAN, ...uneven, loss: 0.2 }
  return { ...CLEAN, burstShare: 0.1, burstMs: 250, loss: 0.02 }
}

function makeFault(
  kind: FaultKind,
  { nodes, stallMaxMs }: { readonly nodes: number; readonly stallMaxMs: number },
  random: Random,
  int: (min: number, max: number) => number,
): SwarmFault {
  const atMs = SETTLED_MS + int(0, 15_000)
  const node = int(0, nodes - 1)
  switch (kind) {
    case 'kill':
    case 'power-cut':
    case 'leave':
      return { kind, node, atMs, backMs: random.fraction() < 0.7 ? atMs + int(500, 20_000) : undefined }
    case 'radio':
      return { kind, node, atMs, untilMs: atMs + int(1_000, 28_000) }
    case 'stall':
      return { kind, node, atMs, untilMs: atMs + int(200, stallMaxMs) }
    case 'deaf':
      // Longer than the 30 s after which it lists nobody any more.
      return { kind, node, atMs, untilMs: atMs + int(1_000, 60_000) }
    case 'mute':
      return { kind, node, atMs, untilMs: atMs + int(1_000, 25_000) }
    case 'cut':
    case 'one-way-cut':
      return { kind, node, other: (node + int(1, nodes - 1)) % nodes, atMs, untilMs: atMs + int(5_000, 40_000) }
    case 'partition':
      return { kind, sides: int(1, 2 ** nodes - 2), atMs, untilMs: atMs + int(2_000, 40_000) }
    case 'clock':
      return { kind, node, atMs, byMs: (random.fraction() - 0.5) * 1e12 }
  }
}

export interface SwarmOutcome {
  readonly failure: string | undefined
  readonly steps: number
  readonly trace: readonly string[]
}

export function runSwarmScenario(scenario: SwarmScenario): SwarmOutcome {
  const { quality, nodes } = scenario
  const trace: string[] = []
  const isQuiet =
    quality.loss === 0 && quality.burstShare === 0 && !scenario.faults.some(({ kind }) => kind.endsWith('cut') || kind === 'deaf')
  const note = (text: string): void => void trace.push(`${(world.nowMs() / 1_000).toFixed(3)} ${text}`)
  const checker = createSwarmChecker(() => world, isQuiet)
  const world: SwarmWorld = createSwarmWorld({
    seed: scenario.seed,
    nodes,
    timings: PROFILES.lan,
    multicast: scenario.multicast,
    keys: scenario.sealed ? [SWARM_KEY] : [],
    seeds: scenario.seeds,
    socketPacketsMax: scenario.socketPacketsMax,
    onEffect(node, effect, nowMs) {
      checker.onEffect(node, effect, nowMs)
      if (effect.type === 'member-joined' || effect.type === 'member-dropped') {
        note(`robot-${node.index} ${effect.type} ${effect.view.nodeName} ${effect.type === 'member-dropped' ? effect.reason : ''}`)
      } else if (effect.type === 'member-updated') {
        note(`robot-${node.index} ${effect.view.nodeName} ${effect.reason} ${effect.view.status} ${effect.view.incarnation}`)
      }
    },
  })
  world.network.quality = quality

  const start = (index: number): void => {
    if (world.nodes[index]!.swarm !== undefined) return
    note(`robot-${index} starts`)
    world.start(index)
    checker.started(index)
  }
  const stop = (index: number, how: 'kill' | 'power-cut' | 'leave'): void => {
    note(`robot-${index} ${how}`)
    if (how === 'leave') world.leave(index)
    else world.kill(index, how === 'power-cut')
    checker.stopped(index)
  }
  const during = (fault: { readonly atMs: number; readonly untilMs: number }, begin: () => void, finish: () => void): void => {
    world.at(fault.atMs, begin)
    world.at(fault.untilMs, finish)
  }
  const hindered = (fault: SwarmFault & { readonly node: number; readonly untilMs: number }, set: (on: boolean) => void): void =>
    during(
      fault,
      () => {
        note(`robot-${fault.node} ${fault.kind}`)
        checker.hinder(fault.node, fault.kind === 'stall')
        set(true)
      },
      () => {
        note(`robot-${fault.node} ${fault.kind} ends`)
        set(false)
        checker.release(fault.node, fault.kind === 'stall')
      },
    )

  for (let index = 0; index < nodes; index++) world.at(1_000 + world.random.fraction() * 1_000, () => start(index))
  for (const fault of scenario.faults) {
    switch (fault.kind) {
      case 'kill':
      case 'power-cut':
      case 'leave':
        world.at(fault.atMs, () => {
          if (world.nodes[fault.node]!.swarm !== undefined) stop(fault.node, fault.kind)
        })
        if (fault.backMs !== undefined) world.at(fault.backMs, () => start(fault.node))
        break
      case 'radio':
        hindered(fault, on => world.network.setRadio(fault.node, !on))
        break
      case 'stall':
        hindered(fault, on => {
          if (on) world.stall(fault.node, fault.untilMs - fault.atMs)
        })
        break
      case 'mute':
        hindered(fault, on => world.network.setOneWay(fault.node, 'out', on))
        break
      case 'deaf':
        // It is heard, so nobody may think it dead; what it thinks of others is its own affair.
        during(
          fault,
          () => {
            note(`robot-${fault.node} deaf`)
            checker.deafen(fault.node, true)
            world.network.setOneWay(fault.node, 'in', true)
          },
          () => {
            world.network.setOneWay(fault.node, 'in', false)
            checker.deafen(fault.node, false)
          },
        )
        break
      case 'cut':
      case 'one-way-cut':
        during(
          fault,
          () => {
            note(`robot-${fault.node} and robot-${fault.other} ${fault.kind}`)
            world.network.setCut(fault.node, fault.other, true, world.nowMs())
            if (fault.kind === 'cut') world.network.setCut(fault.other, fault.node, true, world.nowMs())
          },
          () => {
            world.network.setCut(fault.node, fault.other, false, world.nowMs())
            world.network.setCut(fault.other, fault.node, false, world.nowMs())
          },
        )
        break
      case 'partition':
        during(
          fault,
          () => {
            note(`partition ${fault.sides.toString(2)}`)
            checker.part()
            world.network.setSides(node => (fault.sides >> node) & 1)
          },
          () => {
            note('partition ends')
            world.network.setSides(undefined)
            checker.meet()
          },
        )
        break
      case 'clock':
        world.at(fault.atMs, () => {
          world.nodes[fault.node]!.wallOffsetMs += fault.byMs
        })
        break
    }
  }
  for (let atMs = 2_000; atMs <= scenario.endMs && checker.fault() === undefined; atMs += 500) {
    world.run(atMs)
    checker.look()
  }
  if (checker.fault() === undefined) checker.end()
  return { failure: checker.fault(), steps: world.steps(), trace }
}

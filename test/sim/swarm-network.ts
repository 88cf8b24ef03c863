/** What becomes of a packet between simulated nodes: lost, late, twice, or not let through. */
import type { Random } from '../../base/ports.ts'

export interface LinkQuality {
  /** Share of packets lost, each by itself. */
  readonly loss: number
  /** Share of the time that the way of a node is in a burst, in which nothing passes; bursts last `burstMs` on average. */
  readonly burstShare: number
  readonly burstMs: number
  readonly duplication: number
  /** Share of packets that are held back by up to `lateMs`, and so overtaken. */
  readonly reordering: number
  readonly lateMs: number
  readonly latencyMs: number
  readonly jitterMs: number
}

export const CLEAN: LinkQuality = {
  loss: 0,
  burstShare: 0,
  burstMs: 200,
  duplication: 0,
  reordering: 0,
  lateMs: 50,
  latencyMs: 0.3,
  jitterMs: 0.4,
}

export interface SwarmNetwork {
  quality: LinkQuality
  /** Delays of the copies that arrive; none when it is lost. */
  fate(from: number, to: number, nowMs: number): readonly number[]
  /** Whether a packet could get through at all, apart from loss. */
  isOpen(from: number, to: number): boolean
  /** When this direction was last cut: now, while it is; -Infinity when it never was. */
  cutMs(from: number, to: number): number
  /** Cuts one direction, or mends it. */
  setCut(from: number, to: number, cut: boolean, nowMs: number): void
  /** Nodes of different sides do not hear one another; undefined mends it. */
  setSides(sideOf: ((node: number) => number) | undefined): void
  setRadio(node: number, on: boolean): void
  /** Nothing of this node gets out, or nothing gets in. */
  setOneWay(node: number, way: 'out' | 'in', blocked: boolean): void
}

export function createSwarmNetwork(random: Random, quality: LinkQuality = CLEAN): SwarmNetwork {
  const cuts = new Set<number>()
  const mendedMs = new Map<number, number>()
  const radioOff = new Set<number>()
  const blockedOut = new Set<number>()
  const blockedIn = new Set<number>()
  const burstUntilMs = new Map<number, number>()
  const calmUntilMs = new Map<number, number>()
  let sideOf: ((node: number) => number) | undefined
  const pairOf = (from: number, to: number): number => from * 65_536 + to

  const isOpen = (from: number, to: number): boolean => {
    if (radioOff.size > 0 && (radioOff.has(from) || radioOff.has(to))) return false
    if (blockedOut.size > 0 && blockedOut.has(from)) return false
    if (blockedIn.size > 0 && blockedIn.has(to)) return false
    if (cuts.size > 0 && cuts.has(pairOf(from, to))) return false
    return sideOf === undefined || sideOf(from) === sideOf(to)
  }

  /** Gilbert's model: a node is in a burst or calm, for times that are exponentially distributed. */
  const isInBurst = (node: number, nowMs: number): boolean => {
    const { burstShare, burstMs } = network.quality
    if (burstShare === 0) return false
    if (nowMs < (burstUntilMs.get(node) ?? 0)) return true
    if (nowMs < (calmUntilMs.get(node) ?? -1)) return false
    const wasInBurst = (burstUntilMs.get(node) ?? -1) > (calmUntilMs.get(node) ?? 0)
    const drawn = -Math.log(1 - random.fraction())
    if (wasInBurst || !calmUntilMs.has(node)) calmUntilMs.set(node, nowMs + (drawn * burstMs * (1 - burstShare)) / burstShare)
    else burstUntilMs.set(node, nowMs + drawn * burstMs)
    return nowMs < (burstUntilMs.get(node) ?? 0)
  }

  const network: SwarmNetwork = {
    quality,
    isOpen,
    fate(from, to, nowMs) {
      const { loss, duplication, reordering, lateMs, latencyMs, jitterMs } = network.quality
      if (!isOpen(from, to) || isInBurst(from, nowMs) || isInBurst(to, nowMs)) return []
      if (loss > 0 && random.fraction() < loss) return []
      const delay = (): number =>
        latencyMs + jitterMs * random.fraction() + (reordering > 0 && random.fraction() < reordering ? lateMs * random.fraction() : 0)
      return duplication > 0 && random.fraction() < duplication ? [delay(), delay()] : [delay()]
    },
    cutMs: (from, to) => (cuts.has(pairOf(from, to)) ? Infinity : (mendedMs.get(pairOf(from, to)) ?? -Infinity)),
    setCut(from, to, cut, nowMs) {
      if (cut) cuts.add(pairOf(from, to))
      else if (cuts.delete(pairOf(from, to))) mendedMs.set(pairOf(from, to), nowMs)
    },
    setSides(sides) {
      sideOf = sides
    },
    setRadio(node, on) {
      if (on) radioOff.delete(node)
      else radioOff.add(node)
    },
    setOneWay(node, way, blocked) {
      const nodes = way === 'out' ? blockedOut : blockedIn
      if (blocked) nodes.add(node)
      else nodes.delete(node)
    },
  }
  return network
}

/**
 * What must hold after every step of a simulated swarm. A fault is a sentence; the first one ends the run.
 *
 * W1 nobody declares a healthy node dead that it could hear of; W2 nobody drops a healthy node for silence; W3 a departed node is listed by nobody
 * for longer than the 30 s rule allows; W4 what is known of a member's incarnation never falls within a boot, and is never beyond its own;
 * W5 a node never lists itself; W6 packets fit a datagram; W7 without loss no healthy node suspects a healthy one; W8 in the end all agree.
 */
import type { SwarmEffect } from '../../swarm/events.ts'
import { DATAGRAM_BYTES_MAX } from '../../swarm/packet.ts'
import type { SimNode, SwarmWorld } from './swarm-world.ts'

/** A node that was hindered is healthy again after so long. */
const RECOVERY_MS = 12_000
/** The 30 s rule, and what evidence takes to go round. */
const DEPARTED_MS = 45_000
/** Without evidence for 30 s, all of them undisturbed. */
const SILENCE_MS = 45_000

export interface SwarmChecker {
  onEffect(node: SimNode, effect: SwarmEffect, nowMs: number): void
  /** Something hinders this node: it may be suspected, and what it thinks of others may be wrong. */
  hinder(index: number, isStall: boolean): void
  release(index: number, isStall: boolean): void
  /** This node hears nobody and is heard: nobody may think it dead, and it can bear witness for nobody. */
  deafen(index: number, deaf: boolean): void
  /** The halves do not hear one another. */
  part(): void
  meet(): void
  started(index: number): void
  stopped(index: number): void
  /** Looks at every table. */
  look(): void
  /** All agree on who is there. */
  end(): void
  fault(): string | undefined
}

/** `isQuiet`: nothing is lost but by faults of nodes, so that no healthy one can be suspected. */
export function createSwarmChecker(world: () => SwarmWorld, isQuiet: boolean): SwarmChecker {
  let fault: string | undefined
  const hinderedBy = new Map<number, number>()
  /** When this node was last not healthy. */
  const hinderedMs = new Map<number, number>()
  /** By anything but a standstill: that is no reason to drop anybody for silence. */
  const cutOffBy = new Map<number, number>()
  const cutOffMs = new Map<number, number>()
  const startedMs = new Map<number, number>()
  const goneMs = new Map<string, number>()
  const deafFromMs = new Map<number, number>()
  const deafUntilMs = new Map<number, number>()
  const indexById = new Map<string, number>()
  const incarnationByPair = new Map<string, { readonly bootId: string; readonly incarnation: number }>()
  let parted = false
  let partedMs = -Infinity

  const say = (text: string): void => {
    fault ??= `at ${(world().nowMs() / 1_000).toFixed(3)} s: ${text}`
  }
  const add = (counts: Map<number, number>, index: number, by: number): void => void counts.set(index, (counts.get(index) ?? 0) + by)
  const isHealthy = (index: number, forMs: number, by = hinderedBy, ms = hinderedMs): boolean => {
    const nowMs = world().nowMs()
    if ((by.get(index) ?? 0) > 0 || parted) return false
    // Started deaf, it knows nobody to speak to.
    const startedDeaf = (startedMs.get(index) ?? -Infinity) > (deafFromMs.get(index) ?? Infinity)
    if (startedDeaf && nowMs - (deafUntilMs.get(index) ?? -Infinity) < forMs) return false
    return nowMs - Math.max(ms.get(index) ?? -Infinity, startedMs.get(index) ?? -Infinity, partedMs) > forMs
  }
  const indexOf = (nodeId: string): number => {
    if (indexById.size === 0) for (const node of world().nodes) indexById.set(node.nodeId, node.index)
    return indexById.get(nodeId) ?? -1
  }
  /** With a link cut nobody can tell who is dead, unless somebody hears both of its ends. */
  const isWitnessed = (index: number): boolean => {
    const { nodes, network } = world()
    const nowMs = world().nowMs()
    const isCut = (a: number, b: number): boolean => nowMs - network.cutMs(a, b) < RECOVERY_MS || nowMs - network.cutMs(b, a) < RECOVERY_MS
    const partners = nodes.filter(node => isCut(node.index, index))
    const witnesses = nodes.filter(({ index: third }) => third !== index && isHealthy(third, RECOVERY_MS) && isThere(third) && hears(third))
    return partners.every(partner => witnesses.some(({ index: third }) => !isCut(third, index) && !isCut(third, partner.index)))
  }
  const hears = (index: number): boolean => world().nowMs() - (deafUntilMs.get(index) ?? -Infinity) > RECOVERY_MS
  const isThere = (index: number): boolean => world().nodes[index]?.swarm !== undefined

  return {
    fault: () => fault,
    hinder(index, isStall) {
      add(hinderedBy, index, 1)
      if (!isStall) add(cutOffBy, index, 1)
    },
    release(index, isStall) {
      add(hinderedBy, index, -1)
      hinderedMs.set(index, world().nowMs())
      if (isStall) return
      add(cutOffBy, index, -1)
      cutOffMs.set(index, world().nowMs())
    },
    deafen(index, deaf) {
      if (deaf) deafFromMs.set(index, world().nowMs())
      deafUntilMs.set(index, deaf ? Infinity : world().nowMs())
    },
    part() {
      parted = true
    },
    meet() {
      parted = false
      partedMs = world().nowMs()
    },
    started(index) {
      startedMs.set(index, world().nowMs())
      goneMs.delete(world().nodes[index]!.nodeId)
    },
    stopped(index) {
      goneMs.set(world().nodes[index]!.nodeId, world().nowMs())
    },
    onEffect(node, effect, nowMs) {
      if (effect.type === 'send') {
        if (effect.bytes.length > DATAGRAM_BYTES_MAX) say(`W6 robot-${node.index} sends ${effect.bytes.length} bytes`)
        return
      }
      if (effect.type === 'member-dropped') {
        const about = indexOf(effect.view.nodeId)
        if (!isThere(about)) return
        const who = `robot-${node.index} drops ${effect.view.nodeName}`
        // Of an earlier boot it is true.
        if (goneMs.has(effect.view.nodeId) || effect.view.bootId !== world().nodes[about]!.swarm!.self().bootId) return
        if (effect.reason === 'left' && effect.view.bootId === world().nodes[about]!.swarm!.self().bootId)
          say(`W1 ${who}, which has not left`)
        if (effect.reason === 'dead' && isHealthy(about, RECOVERY_MS) && isWitnessed(about))
          say(`W1 ${who} as dead, which is alive and healthy`)
        const bothHealthy = isHealthy(about, SILENCE_MS) && isHealthy(node.index, SILENCE_MS, cutOffBy, cutOffMs)
        if (effect.reason === 'timeout' && bothHealthy && hears(node.index) && isWitnessed(about)) say(`W2 ${who} for silence`)
      }
      if (effect.type === 'member-updated' && effect.reason === 'status' && effect.view.status === 'suspect' && isQuiet) {
        const about = indexOf(effect.view.nodeId)
        const bothHealthy = isHealthy(about, RECOVERY_MS) && isHealthy(node.index, RECOVERY_MS)
        if (isThere(about) && bothHealthy) say(`W7 robot-${node.index} suspects ${effect.view.nodeName}, both healthy (${nowMs} ms)`)
      }
    },
    look() {
      const { nodes } = world()
      const nowMs = world().nowMs()
      for (const node of nodes) {
        if (node.swarm === undefined || node.stalledUntilMs > nowMs) continue
        for (const view of node.swarm.members(nowMs)) {
          if (view.nodeId === node.nodeId) say(`W5 robot-${node.index} lists itself`)
          const gone = goneMs.get(view.nodeId)
          const isAfflicted = !isHealthy(node.index, DEPARTED_MS)
          if (gone !== undefined && nowMs - gone > DEPARTED_MS && !isAfflicted) {
            say(`W3 robot-${node.index} lists ${view.nodeName}, gone for ${Math.round((nowMs - gone) / 1_000)} s`)
          }
          const about = nodes[indexOf(view.nodeId)]?.swarm?.self()
          if (about !== undefined && about.bootId === view.bootId && view.incarnation > about.incarnation) {
            say(`W4 robot-${node.index} holds ${view.nodeName} in incarnation ${view.incarnation}, it is in ${about.incarnation}`)
          }
          const pair = `${node.index} ${view.nodeId} ${node.swarm.self().bootId}`
          const before = incarnationByPair.get(pair)
          if (before !== undefined && before.bootId === view.bootId && view.incarnation < before.incarnation) {
            say(`W4 robot-${node.index} goes back to incarnation ${view.incarnation} of ${view.nodeName}`)
          }
          incarnationByPair.set(pair, view)
        }
      }
    },
    end() {
      const { nodes } = world()
      const there = nodes.filter(node => node.swarm !== undefined)
      for (const node of there) {
        const listed = node.swarm!.members(world().nowMs())
        const names = listed.map(({ nodeName, status }) => (status === 'alive' || !isQuiet ? nodeName : `${nodeName} (${status})`)).sort()
        const expected = there
          .filter(other => other !== node)
          .map(({ index }) => `robot-${index}`)
          .sort()
        if (names.join(' ') !== expected.join(' ')) say(`W8 robot-${node.index} lists ${names.join(' ')} and not ${expected.join(' ')}`)
      }
    },
  }
}

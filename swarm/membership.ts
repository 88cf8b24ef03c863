/**
 * Who is here, and who was: a bounded table of members, and bounded tombstones of those dropped.
 *
 * Invariants (docs/protocol.md):
 *   G3 a member is dropped 30 s after the last evidence by our monotonic clock, or when it says that it leaves, and for no other reason;
 *   G4 a rumour about a dropped node is believed only when it is news: a newer boot, or a newer heartbeat counter of a boot that has not left.
 */
import type { Random } from '../base/ports.ts'
import type { Address } from './address.ts'
import type { BootId, NodeId } from './identity.ts'
import type { Member } from './member.ts'
import type { Rumour } from './messages.ts'
import type { SwarmLimits } from './options.ts'
import type { ReplayWindow } from './replay-window.ts'

export interface Tombstone {
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly heartbeatCounter: number
  readonly left: boolean
  readonly address: Address
  readonly droppedAtMs: number
  readonly window: ReplayWindow
}

export interface Membership {
  get(nodeId: NodeId): Member | undefined
  tombstone(nodeId: NodeId): Tombstone | undefined
  /** Members in the order of their joining. */
  all(): readonly Member[]
  /** False when the table is full. Ends the tombstone. */
  add(member: Member): boolean
  drop(member: Member, left: boolean, nowMs: number): void
  /** Up to `count` different members at random that `accept` takes. */
  sample(count: number, accept: (member: Member) => boolean): Member[]
  /** The next members of a round through all of them, each round in a new random order (SWIM's round-robin selection). */
  nextInTurn(count: number): Member[]
  /** Whether a rumour says something new of a node that is no member. */
  isNews(rumour: Rumour): boolean
  randomTombstone(nowMs: number): Tombstone | undefined
}

export function createMembership(limits: SwarmLimits, random: Random): Membership {
  const memberById = new Map<NodeId, Member>()
  const tombstoneById = new Map<NodeId, Tombstone>()
  let members: Member[] = []
  let turn: Member[] = []
  const randomIndex = (length: number): number => Math.min(length - 1, Math.floor(random.fraction() * length))

  /** Moves a random choice of `count` to the end of the array and returns it (the end of a Fisher-Yates shuffle). */
  const drawAtEnd = <T>(values: T[], count: number): T[] => {
    const from = Math.max(0, values.length - count)
    for (let end = values.length - 1; end >= from; end--) {
      const at = randomIndex(end + 1)
      const drawn = values[at]!
      values[at] = values[end]!
      values[end] = drawn
    }
    return values.slice(from)
  }

  return {
    get: nodeId => memberById.get(nodeId),
    tombstone: nodeId => tombstoneById.get(nodeId),
    all: () => members,
    add(member) {
      if (!memberById.has(member.nodeId) && memberById.size >= limits.membersMax) return false
      memberById.set(member.nodeId, member)
      tombstoneById.delete(member.nodeId)
      members = [...memberById.values()]
      return true
    },
    drop(member, left, nowMs) {
      memberById.delete(member.nodeId)
      members = [...memberById.values()]
      const { nodeId, bootId, heartbeatCounter, address, window } = member
      tombstoneById.set(nodeId, { nodeId, bootId, heartbeatCounter, left, address, droppedAtMs: nowMs, window })
      for (const oldest of tombstoneById.keys()) {
        if (tombstoneById.size <= limits.tombstonesMax) break
        tombstoneById.delete(oldest)
      }
    },
    sample: (count, accept) => drawAtEnd(members.filter(accept), count),
    nextInTurn(count) {
      const chosen: Member[] = []
      const wanted = Math.min(count, members.length)
      while (chosen.length < wanted) {
        const next = turn.pop()
        if (next === undefined) turn = drawAtEnd([...members], members.length)
        else if (memberById.get(next.nodeId) === next && !chosen.includes(next)) chosen.push(next)
      }
      return chosen
    },
    isNews(rumour) {
      const tombstone = tombstoneById.get(rumour.nodeId)
      if (tombstone === undefined || rumour.bootId > tombstone.bootId) return true
      return rumour.bootId === tombstone.bootId && !tombstone.left && rumour.heartbeatCounter > tombstone.heartbeatCounter
    },
    randomTombstone(nowMs) {
      for (const tombstone of tombstoneById.values()) {
        if (nowMs - tombstone.droppedAtMs < limits.tombstoneMs) break
        tombstoneById.delete(tombstone.nodeId)
      }
      const all = [...tombstoneById.values()]
      return all[randomIndex(all.length)]
    },
  }
}

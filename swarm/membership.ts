/**
 * Who is here, and who was: a bounded table of members, and bounded tombstones of those dropped.
 *
 * Invariants (docs/protocol.md):
 *   G4 about a dropped node only news is believed: a newer boot, or a greater incarnation of a boot that has not left;
 *   G10 both tables are bounded: at the bound newcomers are refused, and the oldest tombstone goes.
 */
import type { Random } from '../base/ports.ts'
import type { Address } from './address.ts'
import { createEvidenceTable } from './evidence-table.ts'
import type { EvidenceTable } from './evidence-table.ts'
import type { BootId, NodeId } from './identity.ts'
import type { Member } from './member.ts'
import type { SwarmLimits } from './options.ts'
import type { ReplayWindow } from './replay-window.ts'

export interface Tombstone {
  readonly nodeId: NodeId
  readonly bootId: BootId
  readonly left: boolean
  /**
   * When the claim was formed that it is gone; others may hold it too, so a greater incarnation is needed to come back. Undefined when it was dropped
   * for its silence, which is nobody's business but ours: then any newer evidence will do.
   */
  readonly claimedMs: number | undefined
  readonly incarnation: number
  readonly address: Address
  readonly droppedAtMs: number
  /** Last evidence of its life. */
  readonly heardMs: number
  readonly window: ReplayWindow
  /** As it was, for showing and for coming back. */
  readonly member: Member
}

export interface Membership {
  readonly table: EvidenceTable
  get(nodeId: NodeId): Member | undefined
  tombstone(nodeId: NodeId): Tombstone | undefined
  tombstones(): Iterable<Tombstone>
  /** Members in the order of their joining. */
  all(): readonly Member[]
  /** Members and this node: N. */
  size(): number
  /** Replaces an earlier boot. False when the table is full. Ends the tombstone. */
  add(member: Member, evidenceMs: number): boolean
  drop(member: Member, how: { readonly left: boolean; readonly claimedMs: number | undefined }, nowMs: number): void
  evidenceMs(member: Member): number
  /** Takes newer evidence of life. */
  hear(member: Member, evidenceMs: number): void
  /** Up to `count` different members at random that `accept` takes. */
  sample(count: number, accept: (member: Member) => boolean): Member[]
  /** The next member that `accept` takes in a round through all of them, each round in a new random order (SWIM's round robin, section 4.3). */
  nextInTurn(accept: (member: Member) => boolean): Member | undefined
  /** Of those who have said that they leave, or of the others. */
  randomTombstone(nowMs: number, left: boolean): Tombstone | undefined
  hasAnyLeft(): boolean
}

/** Draws of a random member before looking through all of them. */
const DRAWS_MAX = 24

export function createMembership(limits: SwarmLimits, own: { readonly key: number; readonly tag: number }, random: Random): Membership {
  const memberById = new Map<NodeId, Member>()
  const tombstoneById = new Map<NodeId, Tombstone>()
  const table = createEvidenceTable(own)
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

  const isListed = (member: Member): boolean => memberById.get(member.nodeId) === member

  return {
    table,
    get: nodeId => memberById.get(nodeId),
    tombstone: nodeId => tombstoneById.get(nodeId),
    tombstones: () => tombstoneById.values(),
    all: () => members,
    size: () => members.length + 1,
    add(member, evidenceMs) {
      const earlier = memberById.get(member.nodeId)
      if (earlier === undefined && members.length >= limits.membersMax) return false
      if (earlier !== undefined) {
        table.remove(earlier)
        members = members.filter(one => one !== earlier)
      }
      memberById.set(member.nodeId, member)
      members.push(member)
      table.insert(member, evidenceMs)
      tombstoneById.delete(member.nodeId)
      return true
    },
    drop(member, { left, claimedMs }, nowMs) {
      const { nodeId, bootId, incarnation, address, window } = member
      const heardMs = table.evidenceMs(member.slot)
      memberById.delete(nodeId)
      members = members.filter(one => one !== member)
      table.remove(member)
      member.status = left ? 'left' : 'dead'
      member.suspicion = undefined
      tombstoneById.delete(nodeId)
      tombstoneById.set(nodeId, { nodeId, bootId, left, claimedMs, incarnation, address, droppedAtMs: nowMs, heardMs, window, member })
      for (const oldest of tombstoneById.keys()) {
        if (tombstoneById.size <= limits.tombstonesMax) break
        tombstoneById.delete(oldest)
      }
    },
    evidenceMs: member => table.evidenceMs(member.slot),
    hear: (member, evidenceMs) => table.hear(member.slot, evidenceMs),
    sample(count, accept) {
      const chosen: Member[] = []
      if (members.length > 4 * count) {
        for (let draw = 0; draw < DRAWS_MAX && chosen.length < count; draw++) {
          const drawn = members[randomIndex(members.length)]
          if (drawn !== undefined && accept(drawn) && !chosen.includes(drawn)) chosen.push(drawn)
        }
        if (chosen.length === count) return chosen
      }
      return drawAtEnd(members.filter(accept), count)
    },
    nextInTurn(accept) {
      // What is left of this round, its end, and one round more: nobody who can be taken is missed.
      let left = turn.length + 1 + members.length
      for (; left > 0; left--) {
        const next = turn.pop()
        if (next === undefined) turn = drawAtEnd([...members], members.length)
        else if (isListed(next) && accept(next)) return next
      }
      return undefined
    },
    hasAnyLeft: () => [...tombstoneById.values()].some(({ left }) => left),
    randomTombstone(nowMs, isLeft) {
      for (const tombstone of tombstoneById.values()) {
        if (nowMs - tombstone.droppedAtMs < limits.tombstoneMs) break
        tombstoneById.delete(tombstone.nodeId)
      }
      const all = [...tombstoneById.values()].filter(({ left }) => left === isLeft)
      return all[randomIndex(all.length)]
    },
  }
}

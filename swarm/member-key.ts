/**
 * Short names for members inside of messages: 32 bits made of the node id, and of node id and boot id.
 *
 * Keys order the table of every node alike, so that a list of ages needs no names (evidence-vector.ts), and say who accuses. They are no
 * identity: two nodes may share one, and anybody can make a node id with a key of his choice; nothing but efficiency depends on them.
 *
 * Source: FNV-1a (Fowler, Noll, Vo) with the finaliser of MurmurHash3 (Appleby), which spreads the bits of ids that differ little.
 */
import type { BootId, NodeId } from './identity.ts'

export const KEY_MAX = 0xffff_ffff

/** Spreads the bits of 32-bit integers; different integers stay different. */
export function mix(value: number): number {
  let mixed = value | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function hashText(text: string): number {
  let hash = 0x811c_9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  return mix(hash)
}

/** The place of a node in every table. */
export function keyOf(nodeId: NodeId): number {
  return hashText(nodeId)
}

/** One boot of a node: what tables are compared by. */
export function tagOf(nodeId: NodeId, bootId: BootId): number {
  return hashText(`${nodeId} ${bootId}`)
}

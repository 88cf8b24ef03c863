/**
 * When there was last evidence of each member's life, in an order that all nodes share.
 *
 * Members stand in ascending order of their keys (member-key.ts), this node among them, in flat arrays: a thousand members are looked
 * through in microseconds. A range of keys has a fingerprint, by which two nodes see that they hold the same boots of the same members there;
 * then position says who is meant.
 */
import type { Member } from './member.ts'

export interface EvidenceTable {
  /** Members and this node. */
  size(): number
  /** Adds a member, with evidence as of `evidenceMs`. */
  insert(member: Member, evidenceMs: number): void
  remove(member: Member): void
  at(slot: number): Member | undefined
  evidenceMs(slot: number): number
  /** Takes evidence that is newer than what is known. */
  hear(slot: number, evidenceMs: number): void
  /** First slot whose key is not below `key`. */
  lowerBound(key: number): number
  /** Sum of the tags of the slots from `from` up to, not including, `to`. */
  fingerprint(from: number, to: number): number
}

/** The slot of this node has no member and is always fresh. */
export function createEvidenceTable(own: { readonly key: number; readonly tag: number }): EvidenceTable {
  let keys = new Uint32Array(16)
  let tags = new Uint32Array(16)
  let evidence = new Float64Array(16)
  const members: (Member | undefined)[] = [undefined]
  keys[0] = own.key
  tags[0] = own.tag
  evidence[0] = Infinity

  const lowerBound = (key: number): number => {
    let low = 0
    let high = members.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  const renumber = (from: number): void => {
    for (let slot = from; slot < members.length; slot++) {
      const member = members[slot]
      if (member !== undefined) member.slot = slot
    }
  }

  const grow = (): void => {
    const length = keys.length * 2
    const [oldKeys, oldTags, oldEvidence] = [keys, tags, evidence]
    keys = new Uint32Array(length)
    tags = new Uint32Array(length)
    evidence = new Float64Array(length)
    keys.set(oldKeys)
    tags.set(oldTags)
    evidence.set(oldEvidence)
  }

  /** Equal keys stand in the order of the node ids; this node's own id is not compared, since equal keys are as rare as they are harmless. */
  const placeOf = (member: Member): number => {
    let slot = lowerBound(member.key)
    while (slot < members.length && keys[slot] === member.key && (members[slot]?.nodeId ?? '') < member.nodeId) slot += 1
    return slot
  }

  return {
    size: () => members.length,
    insert(member, evidenceMs) {
      if (members.length === keys.length) grow()
      const slot = placeOf(member)
      keys.copyWithin(slot + 1, slot, members.length)
      tags.copyWithin(slot + 1, slot, members.length)
      evidence.copyWithin(slot + 1, slot, members.length)
      members.splice(slot, 0, member)
      keys[slot] = member.key
      tags[slot] = member.tag
      evidence[slot] = evidenceMs
      renumber(slot)
    },
    remove(member) {
      const { slot } = member
      keys.copyWithin(slot, slot + 1, members.length)
      tags.copyWithin(slot, slot + 1, members.length)
      evidence.copyWithin(slot, slot + 1, members.length)
      members.splice(slot, 1)
      renumber(slot)
    },
    at: slot => members[slot],
    evidenceMs: slot => evidence[slot]!,
    hear(slot, evidenceMs) {
      if (evidenceMs > evidence[slot]!) evidence[slot] = evidenceMs
    },
    lowerBound,
    fingerprint(from, to) {
      let sum = 0
      for (let slot = from; slot < to; slot++) sum = (sum + tags[slot]!) >>> 0
      return sum
    },
  }
}

/**
 * Members that others describe: listed on their word, with the age of their evidence, so that a swarm of a thousand knows itself after a few
 * pages and not after a million greetings. Serf does the same.
 *
 * What hearsay cannot do: give permission to exchange data, move a member that has proven its address, make us connect anywhere by TCP, or bring
 * back somebody dropped in an incarnation that is known to be dead. Who does not exist is found out by the first probe.
 */
import { encodeHost, isUnicast } from './address.ts'
import { compareDigests } from './comparison.ts'
import { createMember } from './member.ts'
import { describe, isSameDescription } from './node-description.ts'
import type { MemberRecord } from './member-messages.ts'
import type { Tombstone } from './membership.ts'
import type { SwarmState } from './state.ts'
import { tellUpdated, viewOf } from './state.ts'
import type { Claims } from './claims.ts'
import { createTokenBucket } from './token-bucket.ts'
import type { TokenBucket } from './token-bucket.ts'

/** Of a member whose digests are not known. */
const NO_SUMMARY = '0000000000000000'
/** Somebody dropped for silence is listed again when others heard it so much later than we did. */
const FRESH_MS = 15_000

export interface Hearsay {
  /** Takes a description; `pass` says whether others are to hear of it from us. The tombstone that contradicts it, if there is one. */
  apply(record: MemberRecord, pass: boolean): Tombstone | undefined
}

export function createHearsay(state: SwarmState, claims: Claims, onDouble: (record: MemberRecord) => void): Hearsay {
  const { options, own, membership } = state
  const admissions: TokenBucket = createTokenBucket(options.limits.hearsayRate)

  function applyKnown(record: MemberRecord): void {
    const member = membership.get(record.nodeId)
    if (member === undefined) return
    membership.hear(member, state.nowMs - record.ageMs)
    if (record.incarnation <= member.incarnation) return
    const { nodeId, bootId, incarnation, ageMs } = record
    claims.apply({ nodeId, bootId, incarnation, status: 'alive', accuser: 0, listening: false, ageMs }, record.address)
    if (isSameDescription(member.description, record)) return
    member.description = describe(record)
    tellUpdated(state, member, 'described')
  }

  return {
    apply(record, pass) {
      if (record.ageMs >= options.timings.memberTimeoutMs) return undefined
      if (record.nodeId === options.nodeId) {
        if (record.bootId > own.bootId) onDouble(record)
        return undefined
      }
      const known = membership.get(record.nodeId)
      if (known !== undefined && record.bootId <= known.bootId) {
        if (record.bootId === known.bootId) applyKnown(record)
        return undefined
      }
      const tombstone = membership.tombstone(record.nodeId)
      if (tombstone !== undefined && record.bootId <= tombstone.bootId) {
        const isSameBoot = record.bootId === tombstone.bootId && !tombstone.left
        const isHeardLater = tombstone.claimedMs === undefined && record.ageMs < state.nowMs - tombstone.droppedAtMs + FRESH_MS
        const isNews = isSameBoot && (record.incarnation > tombstone.incarnation || isHeardLater)
        if (!isNews) return tombstone
      }
      if (!isUnicast(record.address.host) || encodeHost(record.address.host) === undefined || !admissions.take(state.nowMs))
        return undefined
      const member = createMember(record, record, record.address)
      member.incarnation = record.incarnation
      if (record.summary !== NO_SUMMARY) member.summary = record.summary
      if (!membership.add(member, state.nowMs - record.ageMs)) return undefined
      state.exchanges.forget(member.nodeId)
      if (known === undefined) state.effects.push({ type: 'member-joined', view: viewOf(state, member) })
      else tellUpdated(state, member, 'restarted')
      if (pass) claims.announce(member)
      if (state.exchanges.want(member, state.nowMs)) compareDigests(state, member)
      return undefined
    },
  }
}

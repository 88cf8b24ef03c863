/**
 * Exchanging the table of members, page by page: how a newcomer learns of everybody, and how two tables that differ become one.
 *
 * A node that has just started, or was isolated, asks somebody for the whole table. Later a difference shows in the fingerprints of evidence
 * (evidence-vector.ts); one that stays for longer than news needs to spread is repaired by exchanging that range alone. A page is one packet and
 * is answered with what the other side lacks or holds otherwise, so an exchange mends both tables.
 *
 * Source: the push/pull of memberlist, and the anti-entropy of Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (1987).
 * Departure: ranges by fingerprint and pages over UDP, instead of the whole table over TCP at fixed times.
 */
import type { Address } from './address.ts'
import type { Claims } from './claims.ts'
import type { Hearsay } from './hearsay.ts'
import type { Member } from './member.ts'
import { KEY_MAX } from './member-key.ts'
import { encodeMembersPage, encodeMembersRequest, PAGE_HEAD_BYTES, RECORDS_MAX } from './member-messages.ts'
import type { MemberRecord, MembersPage, MembersRequest } from './member-messages.ts'
import type { Tombstone } from './membership.ts'
import { listMessage } from './message-fields.ts'
import { encodeCore, KIND } from './messages.ts'
import { encodeMember } from './outbound.ts'
import { HEADER_BYTES, MESSAGES_BYTES_MAX } from './packet.ts'
import { sendMessages } from './state.ts'
import type { SwarmState } from './state.ts'

/** Unanswered requests for one page before the exchange ends. */
const TRIES_MAX = 4
/** Exchanges of the whole table after a start, or after an isolation; one when the table is large, since ranges repair what it misses. */
const FULL_EXCHANGES = 2
const LARGE_TABLE = 64
/** Exchanges that repair a range are at least this many periods apart, growing as long as they bring nothing. */
const REPAIR_PERIODS_MIN = 2
const REPAIR_PERIODS_MAX = 64
/** A difference to somebody who was held dead is one of two halves for this long. */
const DOUBT_PERIODS = 10
/** What is sent back of one page. */
const PUSHED_MAX = 16

export interface MemberExchange {
  /** The whole table is wanted, from the next two members that are heard. */
  hunger(): void
  /** This member was held dead: if its table is another one, two halves have met, and it is asked at once. */
  doubt(member: Member): void
  /** A member was heard: asks it if need be. */
  heard(member: Member): void
  /** A member's fingerprint of a range is the same as ours, or not. */
  compared(member: Member, from: number, until: number, same: boolean): void
  /** Answers a request, with at most so many bytes and with these messages beside the page. */
  serve(request: MembersRequest, to: Address, bytesMax: number, beside: readonly Uint8Array[]): void
  take(member: Member, page: MembersPage): void
  tick(): void
  deadline(): number
}

interface Exchange {
  readonly peer: Member
  readonly until: number
  readonly full: boolean
  from: number
  tries: number
  dueMs: number
  learned: boolean
}

export function createMemberExchange(state: SwarmState, hearsay: Hearsay, claims: Claims): MemberExchange {
  const { options, ports, membership, counters } = state
  const { timings } = options
  let current: Exchange | undefined
  let hungry = 0
  let nextFullMs = -Infinity
  let nextRepairMs = -Infinity
  let repairPeriods = REPAIR_PERIODS_MIN
  /** Who has just come back from the dead, and until when that matters. */
  let doubted: { readonly member: Member; readonly untilMs: number } | undefined
  /** Since when a range differs from somebody's, and when it last did, by its first key. */
  const differenceByKey = new Map<number, { sinceMs: number; lastMs: number }>()

  function ask(exchange: Exchange): void {
    const { trip, address } = exchange.peer
    const retryMs = trip.smoothedMs() === undefined ? 2 * timings.rtoMinMs : trip.timeoutMs(timings.rtoMinMs, timings.rtoMaxMs)
    exchange.dueMs = state.nowMs + retryMs * 2 ** exchange.tries
    exchange.tries += 1
    // The first one may come before we are known there.
    const isFirst = exchange.full && exchange.from === 0
    const introduction = { named: state.seeds.has(address), answerMe: false }
    const request = encodeMembersRequest(KIND['members-request'], exchange.from, exchange.until)
    sendMessages(state, address, [request], { gossip: false, ...(isFirst && { introduction }) })
  }

  function begin(peer: Member, from: number, until: number, full: boolean): void {
    counters.memberExchanges += 1
    current = { peer, from, until, full, tries: 0, dueMs: Infinity, learned: false }
    ask(current)
  }

  function end(exchange: Exchange): void {
    current = undefined
    if (exchange.full) {
      hungry = membership.size() > LARGE_TABLE ? 0 : Math.max(0, hungry - 1)
      nextFullMs = state.nowMs + timings.periodMs / 2
    } else repairPeriods = exchange.learned ? REPAIR_PERIODS_MIN : Math.min(REPAIR_PERIODS_MAX, repairPeriods * 2)
  }

  /** How long news of a member may be under way before a difference is one. */
  const graceMs = (): number => timings.periodMs * (2 + Math.log2(membership.size()))

  /** Sends back what the page lacks and what it holds otherwise. */
  function contradict(peer: Member, page: MembersPage, stale: readonly Tombstone[]): boolean {
    for (const tombstone of stale) claims.tellDead(tombstone, peer.address)
    const named = new Set(page.records.map(({ nodeId }) => nodeId))
    const records: Uint8Array[] = []
    const last = membership.table.lowerBound(page.through + 1)
    for (let slot = membership.table.lowerBound(page.from); slot < last && records.length < PUSHED_MAX; slot++) {
      const member = membership.table.at(slot)
      if (member === undefined || member === peer || named.has(member.nodeId)) continue
      const record = encodeMember(member, peer.address, state.nowMs - membership.evidenceMs(member), ports.codec)
      if (record !== undefined) records.push(record)
    }
    if (records.length === 0) return stale.length > 0
    const message = listMessage(KIND.records, records)
    if (message.length <= MESSAGES_BYTES_MAX - 64) sendMessages(state, peer.address, [message], { gossip: false })
    return true
  }

  return {
    hunger() {
      hungry = FULL_EXCHANGES
      nextFullMs = -Infinity
    },
    doubt(member) {
      doubted = { member, untilMs: state.nowMs + DOUBT_PERIODS * timings.periodMs }
    },
    heard(member) {
      if (hungry > 0 && current === undefined && state.nowMs >= nextFullMs) begin(member, 0, KEY_MAX, true)
    },
    compared(member, from, until, same) {
      if (same) return
      const known = differenceByKey.get(from)
      const goesOn = known !== undefined && state.nowMs - known.lastMs < 2 * graceMs()
      const sinceMs = goesOn ? known.sinceMs : state.nowMs
      differenceByKey.set(from, { sinceMs, lastMs: state.nowMs })
      if (doubted?.member === member && state.nowMs < doubted.untilMs && current === undefined) {
        doubted = undefined
        begin(member, 0, KEY_MAX, true)
        return
      }
      if (current !== undefined || state.nowMs < nextRepairMs || state.nowMs - sinceMs < graceMs()) return
      differenceByKey.delete(from)
      nextRepairMs = state.nowMs + repairPeriods * timings.periodMs
      begin(member, from, until, false)
    },
    serve(request, to, bytesMax, beside) {
      const records: Uint8Array[] = []
      let left = Math.min(bytesMax - HEADER_BYTES - 1, MESSAGES_BYTES_MAX) - PAGE_HEAD_BYTES - encodeCore(state.own).length
      for (const message of beside) left -= message.length
      let through = request.until
      const { table } = membership
      for (let slot = table.lowerBound(request.from); slot < table.size(); slot++) {
        const member = table.at(slot)
        if (member === undefined) continue
        if (member.key > request.until) break
        const record = encodeMember(member, to, state.nowMs - table.evidenceMs(slot), ports.codec)
        if (record === undefined) continue
        if (record.length > left || records.length === RECORDS_MAX) {
          through = Math.max(request.from, member.key) - 1
          break
        }
        left -= record.length
        records.push(record)
      }
      // Not even one fits what may be sent to an address that has not proven itself.
      if (through < request.from && beside.length === 0) return
      if (through < request.from) return sendMessages(state, to, beside, { gossip: false })
      sendMessages(state, to, [encodeMembersPage(KIND['members-page'], request.from, through, records), ...beside], { gossip: false })
    },
    take(member, page) {
      const before = membership.size()
      const stale = page.records.map((record: MemberRecord) => hearsay.apply(record, false)).filter(tombstone => tombstone !== undefined)
      const differed = contradict(member, page, stale)
      if (current === undefined || current.peer !== member || page.from !== current.from) return
      current.learned ||= differed || membership.size() !== before
      if (page.through >= current.until) {
        end(current)
        return
      }
      current.from = page.through + 1
      current.tries = 0
      ask(current)
    },
    tick() {
      if (current === undefined || current.dueMs > state.nowMs) return
      if (current.tries < TRIES_MAX && membership.get(current.peer.nodeId) === current.peer) ask(current)
      else {
        const wanted = current.full ? Math.max(1, hungry) : 0
        end(current)
        // Somebody else then.
        hungry = Math.max(hungry, wanted)
      }
    },
    deadline: () => current?.dueMs ?? Infinity,
  }
}

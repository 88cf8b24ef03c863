/**
 * Learning a member's digests page by page, and serving ours.
 *
 * A heartbeat carries the summary of its sender's digest list. Where that differs from the summary of what is held of the sender,
 * pages are asked for, one after another, by the summary and the last name received. The side that serves keeps a list for as
 * long as somebody reads its pages, so steady changes cannot keep a long exchange from ending; only when it no longer has the
 * list it answers with the first page of its present one, and the exchange starts again.
 *
 * Invariants (docs/protocol.md):
 *   G7 what is held of a member is always one complete list whose summary was checked, never a mixture of two;
 *   G8 no number of collections keeps an exchange from completing: every page brings at least one, and a lost one is asked for again.
 */
import type { Codec, Hash, Random } from '../base/ports.ts'
import type { Address } from './address.ts'
import { createDigestList, indexAfter, summarize } from './digest-list.ts'
import type { CollectionDigest, DigestList } from './digest-list.ts'
import type { RejectReason } from './events.ts'
import type { NodeId } from './identity.ts'
import type { Member } from './member.ts'
import { encodeDigestPage, encodeDigestRequest } from './digest-messages.ts'
import type { DigestPage, DigestRequest } from './digest-messages.ts'
import { KIND } from './messages.ts'
import type { SwarmLimits, SwarmTimings } from './options.ts'
import { MESSAGES_BYTES_MAX } from './packet.ts'

/** An own list that is no longer the present one is kept this long after its last page was asked for. */
const SNAPSHOT_MS = 10_000
/** Unanswered requests for one page before the exchange makes room for another member's. */
const TRIES_MAX = 8
/** Of a packet: what it says of its sender needs room too. */
const PAGE_BYTES_MAX = MESSAGES_BYTES_MAX - 32
/** In larger swarms not everybody asks at once for what has changed: so long per member, at random. */
const CROWD = 50
const CROWD_PAUSE_MS = 20

interface Exchange {
  readonly member: Member
  summary: string
  entries: CollectionDigest[]
  pages: number
  tries: number
  dueAtMs: number
}

interface Snapshot {
  readonly list: DigestList
  /** When a page that was not the only one was last asked for. */
  readAtMs: number
}

export interface DigestExchanges {
  local(): DigestList
  /** Ours have changed. */
  setLocal(list: DigestList, nowMs: number): void
  /** Looks at what a member claims and asks it for pages where needed; true when `member.held` has changed at once. */
  want(member: Member, nowMs: number): boolean
  /** Members whose digests are wanted and could not be asked for yet. */
  waiting(): readonly Member[]
  /** Its digests are known by other means. */
  adopt(member: Member, list: DigestList): void
  /** Answers a request with a page. */
  serve(request: DigestRequest, to: Address, nowMs: number): void
  /** Takes a page: `complete` when `member.held` has changed by it. */
  take(member: Member, page: DigestPage, packetCounter: number, nowMs: number): 'complete' | 'taken' | RejectReason
  /** Repeats what was not answered. */
  tick(nowMs: number): void
  deadline(): number
  forget(nodeId: NodeId): void
}

export function createDigestExchanges(
  timings: SwarmTimings,
  limits: SwarmLimits,
  ports: { readonly hash: Hash; readonly codec: Codec; readonly random: Random },
  send: (to: Address, message: Uint8Array) => void,
): DigestExchanges {
  const empty = createDigestList([], ports.hash)
  let present: Snapshot = { list: empty, readAtMs: -Infinity }
  const pastBySummary = new Map<string, Snapshot>()
  const exchangeById = new Map<NodeId, Exchange>()
  /** Not before this time is a member asked again: it has just been, at length or in vain. */
  const restUntilById = new Map<NodeId, number>()
  /** The summary of a list that was too long to take. */
  const refusedById = new Map<NodeId, string>()
  const heldCountById = new Map<NodeId, number>()
  const waiting = new Set<Member>()

  const entriesHeld = (): number => {
    let total = 0
    for (const count of heldCountById.values()) total += count
    for (const exchange of exchangeById.values()) total += exchange.entries.length
    return total
  }

  const hold = (member: Member, list: DigestList): void => {
    member.held = list
    // A list equal to ours is ours: it takes no memory.
    heldCountById.set(member.nodeId, list === present.list ? 0 : list.collections.length)
  }

  const ask = (exchange: Exchange, nowMs: number): void => {
    const after = exchange.entries.at(-1)?.name ?? ''
    const retryMs = exchange.member.trip.timeoutMs(timings.pageRetryMinMs, 8 * timings.pageRetryMinMs)
    exchange.dueAtMs = nowMs + Math.min(timings.pageRetryMaxMs, retryMs * 2 ** exchange.tries)
    exchange.tries += 1
    send(exchange.member.address, encodeDigestRequest(KIND['digest-request'], exchange.summary, after, ports.codec))
  }

  const end = (exchange: Exchange, restMs: number, nowMs: number): void => {
    exchangeById.delete(exchange.member.nodeId)
    restUntilById.set(exchange.member.nodeId, nowMs + restMs)
    // It may claim another list by now.
    if (exchange.member.held?.summary !== exchange.member.summary) waiting.add(exchange.member)
  }

  return {
    local: () => present.list,
    setLocal(list, nowMs) {
      if (nowMs - present.readAtMs < SNAPSHOT_MS) pastBySummary.set(present.list.summary, present)
      for (const [summary, past] of pastBySummary) {
        if (nowMs - past.readAtMs >= SNAPSHOT_MS || pastBySummary.size > limits.snapshotsMax) pastBySummary.delete(summary)
      }
      present = { list, readAtMs: -Infinity }
    },
    waiting: () => [...waiting],
    adopt(member, list) {
      waiting.delete(member)
      exchangeById.delete(member.nodeId)
      hold(member, list)
    },
    want(member, nowMs) {
      if (member.summary === '' || member.held?.summary === member.summary) {
        waiting.delete(member)
        return false
      }
      const known = [present.list, empty].find(list => list.summary === member.summary)
      if (known !== undefined) {
        waiting.delete(member)
        exchangeById.delete(member.nodeId)
        hold(member, known)
        return true
      }
      if (!waiting.has(member)) {
        waiting.add(member)
        const crowd = Math.max(0, heldCountById.size - CROWD)
        const pauseMs = crowd * CROWD_PAUSE_MS * ports.random.fraction()
        if (pauseMs > 0) restUntilById.set(member.nodeId, Math.max(restUntilById.get(member.nodeId) ?? 0, nowMs + pauseMs))
      }
      if (exchangeById.has(member.nodeId) || exchangeById.size >= limits.exchangesMax) return false
      if (refusedById.get(member.nodeId) === member.summary || nowMs < (restUntilById.get(member.nodeId) ?? 0)) return false
      waiting.delete(member)
      const exchange: Exchange = { member, summary: member.summary, entries: [], pages: 0, tries: 0, dueAtMs: nowMs }
      exchangeById.set(member.nodeId, exchange)
      ask(exchange, nowMs)
      return false
    },
    serve(request, to, nowMs) {
      const past = pastBySummary.get(request.summary)
      const snapshot = past ?? present
      const after = request.summary === snapshot.list.summary ? request.after : ''
      const from = indexAfter(snapshot.list, after)
      const page = encodeDigestPage(KIND['digest-page'], snapshot.list, after, from, PAGE_BYTES_MAX, ports.codec)
      // Whoever reads a single page has all of it and needs no snapshot.
      if (page.more || from > 0) snapshot.readAtMs = nowMs
      if (past !== undefined) {
        // Last read goes last: the first one is the one to give up.
        pastBySummary.delete(request.summary)
        pastBySummary.set(request.summary, past)
      }
      send(to, page.bytes)
    },
    take(member, page, packetCounter, nowMs) {
      const exchange = exchangeById.get(member.nodeId)
      if (exchange === undefined) return 'taken'
      if (page.summary !== exchange.summary) {
        // It has moved on and no longer has the list that we were reading: start again with what it sends.
        if (page.after !== '' || packetCounter < member.summaryBy) return 'taken'
        member.summary = page.summary
        member.summaryBy = packetCounter
        exchange.summary = page.summary
        exchange.entries = []
        exchange.pages = 0
      }
      // An answer to an earlier request that was repeated in the meantime.
      if (page.after !== (exchange.entries.at(-1)?.name ?? '')) return 'taken'
      const added = exchange.entries.length + page.entries.length
      if (added > limits.collectionsMax || entriesHeld() + page.entries.length > limits.collectionsTotalMax) {
        refusedById.set(member.nodeId, exchange.summary)
        end(exchange, timings.pageRetryMaxMs, nowMs)
        return 'too-many-collections'
      }
      exchange.entries.push(...page.entries)
      exchange.pages += 1
      exchange.tries = 0
      if (page.more) {
        ask(exchange, nowMs)
        return 'taken'
      }
      if (summarize(exchange.entries, ports.hash) !== exchange.summary) {
        end(exchange, timings.pageRetryMaxMs, nowMs)
        return 'digest-mismatch'
      }
      end(exchange, (exchange.pages - 1) * timings.pageIntervalMs, nowMs)
      refusedById.delete(member.nodeId)
      hold(member, { summary: exchange.summary, collections: exchange.entries })
      return 'complete'
    },
    tick(nowMs) {
      for (const exchange of exchangeById.values()) {
        if (exchange.dueAtMs > nowMs) continue
        if (exchange.tries < TRIES_MAX) ask(exchange, nowMs)
        else end(exchange, timings.pageRetryMaxMs, nowMs)
      }
    },
    deadline() {
      let earliestMs = Infinity
      for (const exchange of exchangeById.values()) earliestMs = Math.min(earliestMs, exchange.dueAtMs)
      return earliestMs
    },
    forget(nodeId) {
      for (const table of [exchangeById, restUntilById, refusedById, heldCountById]) table.delete(nodeId)
      for (const member of waiting) if (member.nodeId === nodeId) waiting.delete(member)
    },
  }
}

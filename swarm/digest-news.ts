/**
 * News of changed digests: the changed collections alone, instead of pages of all of them.
 *
 * A change is told at once, then at most once in `changeIntervalMs`, so a collection is told at most that often. An update says which list it
 * leads to from which list, by their summaries; whoever holds the former and gets the latter's summary by applying it has the list, and nobody
 * else believes it: the summary in every packet leads to pages then (digest-exchange.ts). In swarms of up to `changeFanout` nodes the one whose
 * digests changed tells everybody itself; in larger ones updates are passed on as well (broadcast.ts).
 */
import { EMPTY, equalBytes } from '../base/bytes.ts'
import { compareDigests, wantDigests } from './comparison.ts'
import { summarize } from './digest-list.ts'
import type { CollectionDigest, DigestList } from './digest-list.ts'
import { encodeDigestUpdate, UPDATE_ENTRIES_MAX } from './digest-messages.ts'
import type { DigestUpdate } from './digest-messages.ts'
import { listMessage } from './message-fields.ts'
import { KIND } from './messages.ts'
import { isReached, sendMessages } from './state.ts'
import type { SwarmState } from './state.ts'

export interface DigestNews {
  /** Ours have changed. */
  changed(): void
  /** Tells what is due. */
  tell(): void
  /** Takes an update of a member's digests, its own or passed on. */
  apply(update: DigestUpdate): void
  deadline(): number
}

export function createDigestNews(state: SwarmState): DigestNews {
  const { options, ports, own, membership, exchanges, outbound } = state
  const { timings } = options
  /** What the last update led to. */
  let told: DigestList = exchanges.local()
  let update: Uint8Array | undefined
  /** When changed digests are told next; Infinity when everybody has been told. */
  let tellDueMs = Infinity
  let toldAtMs = -Infinity
  /** Our digests have changed since they were last compared with everybody's. */
  let changedSince = false

  function encodeChange(): Uint8Array | undefined {
    const now = exchanges.local()
    const entries = changedEntries(told, now)
    const before = told.summary
    told = now
    if (entries === undefined) return undefined
    const { nodeId } = options
    const made = encodeDigestUpdate(
      { nodeId, bootId: own.bootId, counter: outbound.packetCounter() + 1, before, after: now.summary, entries },
      ports.codec,
    )
    if (membership.size() > timings.changeFanout) pass(`${nodeId} ${now.summary}`, made)
    return made
  }

  function pass(subject: string, item: Uint8Array): void {
    outbound.updates.enqueue({ subject, encode: () => item })
  }

  return {
    changed() {
      changedSince = true
      tellDueMs = Math.max(state.nowMs, toldAtMs + timings.changeIntervalMs)
    },
    tell() {
      if (tellDueMs > state.nowMs) return
      toldAtMs = state.nowMs
      if (changedSince) {
        changedSince = false
        update = encodeChange()
        for (const member of membership.all()) compareDigests(state, member)
        wantDigests(state)
      }
      const untold = membership.sample(timings.changeFanout + 1, member => member.toldSummary !== own.summary)
      for (const member of untold.slice(0, timings.changeFanout)) {
        member.toldSummary = own.summary
        // Who is not known to be there learns of it from our summary, and asks.
        const messages = update === undefined || !isReached(state, member) ? [] : [listMessage(KIND['digest-updates'], [update])]
        sendMessages(state, member.address, messages, { unasked: true })
      }
      tellDueMs = untold.length > timings.changeFanout ? state.nowMs + timings.changeIntervalMs : Infinity
    },
    apply(news) {
      const member = membership.get(news.nodeId)
      if (member === undefined || member.bootId !== news.bootId) return
      const isNewer = news.counter > member.summaryBy
      if (isNewer) {
        member.summary = news.after
        member.summaryBy = news.counter
      }
      if (member.summary === news.after && member.held?.summary === news.before) {
        const list = applyEntries(member.held, news.entries)
        if (summarize(list, ports.hash) === news.after) {
          exchanges.adopt(member, { summary: news.after, collections: list })
          compareDigests(state, member)
        }
      } else if (isNewer && exchanges.want(member, state.nowMs)) compareDigests(state, member)
      if (isNewer && membership.size() > timings.changeFanout) pass(`${news.nodeId} ${news.after}`, encodeDigestUpdate(news, ports.codec))
    },
    deadline: () => tellDueMs,
  }
}

/** What was added or changed; undefined when something is gone, or when it is too much for an update. */
function changedEntries(before: DigestList, now: DigestList): CollectionDigest[] | undefined {
  const formerByName = new Map(before.collections.map(entry => [entry.name, entry]))
  const changed: CollectionDigest[] = []
  for (const entry of now.collections) {
    const former = formerByName.get(entry.name)
    formerByName.delete(entry.name)
    if (former !== undefined && isSameEntry(former, entry)) continue
    changed.push(entry)
    if (changed.length > UPDATE_ENTRIES_MAX) return undefined
  }
  return formerByName.size === 0 ? changed : undefined
}

function isSameEntry(a: CollectionDigest, b: CollectionDigest): boolean {
  const sameCounts = a.recordCount === b.recordCount && a.vectorCount === b.vectorCount
  const samePartial = a.partial?.flags === b.partial?.flags && equalBytes(a.partial?.known ?? EMPTY, b.partial?.known ?? EMPTY)
  return sameCounts && samePartial && a.generation === b.generation && equalBytes(a.digest, b.digest)
}

/** Both ascending by name. */
function applyEntries(list: DigestList, entries: readonly CollectionDigest[]): CollectionDigest[] {
  const entryByName = new Map(list.collections.map(entry => [entry.name, entry]))
  for (const entry of entries) entryByName.set(entry.name, entry)
  return [...entryByName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

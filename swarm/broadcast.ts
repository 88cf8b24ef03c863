/**
 * What is to be passed on: claims and descriptions of members, and news of digests, each told a bounded number of times.
 *
 * Source: SWIM (claim-order.ts), section 4.1: updates ride on the failure detector's packets, each at most lambda * log N times, those told least
 * first. Here `4 * ceil(log10(N + 1))` times, as in memberlist.
 *
 * Departures: the newest goes first among equals; there are two queues, so that neither members nor digests can starve the other; while there
 * is something to tell, rounds of gossip go out between probes as well (swarm.ts).
 *
 * Invariant M6: an update is told at most that often by one node, and the queue is bounded; when it is full the one told most often goes.
 */
import type { Address } from './address.ts'

export interface Broadcast {
  /** What it is about: a later broadcast about the same takes its place. */
  readonly subject: string
  /** Its encoded item for this receiver; undefined when it means nothing there. */
  readonly encode: (to: Address, nowMs: number) => Uint8Array | undefined
}

export interface BroadcastQueue {
  enqueue(broadcast: Broadcast): void
  /** Takes back what is about this subject. */
  withdraw(subject: string): void
  withdrawAll(accept: (subject: string) => boolean): void
  /** Encoded items for one packet: those told least often first, the newest first among them. Each counts as told once more. */
  take(to: Address, bytesMax: number, itemsMax: number, timesMax: number, nowMs: number): Uint8Array[]
  size(): number
  /** How many broadcasts were ever put in. */
  enqueued(): number
}

interface Entry extends Broadcast {
  dropped: boolean
}

export function createBroadcastQueue(sizeMax: number): BroadcastQueue {
  const entryBySubject = new Map<string, Entry>()
  /** By the number of times told; each level oldest first. */
  const levels: Entry[][] = []
  let enqueued = 0

  const put = (level: number, entry: Entry): void => {
    while (levels.length <= level) levels.push([])
    levels[level]!.push(entry)
  }
  const remove = (entry: Entry): void => {
    entry.dropped = true
    entryBySubject.delete(entry.subject)
  }
  const removeMostTold = (): void => {
    for (let level = levels.length - 1; level >= 0; level--) {
      const entries = levels[level]!
      while (entries.length > 0) {
        const oldest = entries.shift()!
        if (oldest.dropped) continue
        remove(oldest)
        return
      }
    }
  }
  const withdraw = (subject: string): void => {
    const entry = entryBySubject.get(subject)
    if (entry !== undefined) remove(entry)
  }

  return {
    enqueue(broadcast) {
      enqueued += 1
      withdraw(broadcast.subject)
      if (entryBySubject.size >= sizeMax) removeMostTold()
      const entry: Entry = { ...broadcast, dropped: false }
      entryBySubject.set(entry.subject, entry)
      put(0, entry)
    },
    withdraw,
    withdrawAll(accept) {
      for (const subject of entryBySubject.keys()) if (accept(subject)) withdraw(subject)
    },
    take(to, bytesMax, itemsMax, timesMax, nowMs) {
      const taken: Uint8Array[] = []
      if (entryBySubject.size === 0) return taken
      const told: [number, Entry][] = []
      let left = bytesMax
      for (let level = 0; level < levels.length && taken.length < itemsMax; level++) {
        const entries = levels[level]!
        const passed: Entry[] = []
        while (entries.length > 0 && taken.length < itemsMax) {
          const entry = entries.pop()!
          if (entry.dropped) continue
          if (level >= timesMax) {
            remove(entry)
            continue
          }
          const item = entry.encode(to, nowMs)
          if (item !== undefined && item.length > left) {
            passed.push(entry)
            // The rest is no smaller, as a rule.
            if (passed.length > 4) break
            continue
          }
          // What means nothing to this receiver counts too, or it would wait for ever where it means nothing to anybody.
          told.push([level + 1, entry])
          if (item === undefined) continue
          left -= item.length
          taken.push(item)
        }
        for (const entry of passed.reverse()) entries.push(entry)
        if (left < 32) break
      }
      for (const [level, entry] of told) put(level, entry)
      return taken
    },
    size: () => entryBySubject.size,
    enqueued: () => enqueued,
  }
}

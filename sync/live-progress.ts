/** What is moved on a live link, by collection, since it was last reported. */
import type { Channel } from './channel.ts'
import type { ExchangeStats } from './exchange.ts'

export interface LiveProgress extends ExchangeStats {
  bytesSent: number
  bytesReceived: number
}

export interface LiveCounter {
  /** The link, counting what is sent over it for this collection, and what counts its entries. */
  of(name: string): { readonly channel: Channel; readonly stats: ExchangeStats }
  /** Something was received: for this collection, or for none. */
  received(name: string | undefined): void
  /** Names with something to report. */
  names(): readonly string[]
  /** What was moved until now; the next one begins anew, also in the middle of a tail. */
  take(name: string): LiveProgress | undefined
}

export function createLiveCounter(channel: Channel): LiveCounter {
  const progressByName = new Map<string, LiveProgress>()
  let bytesReceived = channel.bytesReceived
  const now = (name: string): LiveProgress => {
    let progress = progressByName.get(name)
    if (progress === undefined) {
      progress = { itemsSent: 0, itemsReceived: 0, malformed: 0, drifted: 0, bytesSent: 0, bytesReceived: 0 }
      progressByName.set(name, progress)
    }
    return progress
  }
  const statsOf = (name: string): ExchangeStats => {
    const stats = { itemsSent: 0, itemsReceived: 0, malformed: 0, drifted: 0 }
    for (const field of ['itemsSent', 'itemsReceived', 'malformed'] as const) {
      Object.defineProperty(stats, field, {
        get: () => now(name)[field],
        set(value: number) {
          now(name)[field] = value
        },
      })
    }
    return stats
  }
  const counted = (name: string): ReturnType<LiveCounter['of']> => ({
    stats: statsOf(name),
    channel: {
      ...channel,
      send(message) {
        const before = channel.bytesSent
        const sent = channel.send(message)
        now(name).bytesSent += channel.bytesSent - before
        return sent
      },
    },
  })
  const countedByName = new Map<string, ReturnType<LiveCounter['of']>>()
  return {
    of(name) {
      let known = countedByName.get(name)
      if (known === undefined) countedByName.set(name, (known = counted(name)))
      return known
    },
    received(name) {
      if (name !== undefined) now(name).bytesReceived += channel.bytesReceived - bytesReceived
      bytesReceived = channel.bytesReceived
    },
    names: () => [...progressByName.keys()],
    take(name) {
      const progress = progressByName.get(name)
      progressByName.delete(name)
      return progress
    },
  }
}

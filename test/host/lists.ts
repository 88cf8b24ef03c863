/** The peer lists of many agents, watched: what one must hold and for a moment does not, is found out. */
import { openEvents, type EventReader } from '../event-reader.ts'
import { until } from '../agent-process.ts'

/** An agent that can be asked. */
export interface Observer {
  /** Its HS_NODE_NAME. */
  readonly name: string
  ask(path: string): Promise<string>
  /** Where its HTTP is, or the socket file that leads there. */
  readonly url?: string
  readonly socketPath?: string
}

export interface ListedPeer {
  readonly node_id: string
  readonly node_name: string
  readonly addr: string
  readonly gossip_addr: string
  readonly status: 'alive' | 'suspect' | 'dead' | 'left'
  readonly healthy: boolean
  readonly clock_skew_ms: number | null
  readonly last_seen_secs: number
}

export async function listOf(observer: Observer): Promise<readonly ListedPeer[]> {
  return (JSON.parse(await observer.ask('/api/swarm/peers')) as { peers: readonly ListedPeer[] }).peers
}

/** Names of those that it holds not dead. */
async function namesHeld(observer: Observer): Promise<Set<string>> {
  const peers = await listOf(observer)
  return new Set(peers.filter(({ status }) => status === 'alive' || status === 'suspect').map(({ node_name }) => node_name))
}

/** Each of them holds each of `others` but itself, healthy, and nobody else. */
export async function untilListed(observers: readonly Observer[], others: readonly Observer[], deadlineMs: number): Promise<void> {
  const who = `${observers.map(({ name }) => name).join()} list ${others.map(({ name }) => name).join()} alone`
  await until(who, deadlineMs, async () => {
    const lists = await Promise.all(observers.map(async observer => [observer.name, await listOf(observer)] as const))
    const wrong = lists.filter(([name, peers]) => {
      const wanted = others.map(other => other.name).filter(other => other !== name)
      const held = peers.filter(({ status }) => status !== 'dead')
      return held.length !== wanted.length || !wanted.every(other => held.some(({ node_name, healthy }) => node_name === other && healthy))
    })
    if (wrong.length === 0) return undefined
    return wrong.map(([name, peers]) => `${name}: ${peers.map(peer => `${peer.node_name} ${peer.status}`).join(', ')}`).join('; ')
  })
}

export interface ListWatch {
  /** Answers that were looked at. */
  looks(): number
  /** What was missed, as sentences; empty is good. */
  end(): Promise<readonly string[]>
}

/**
 * Looks at all lists again and again, and hears their events, until `end`. `mustHold` says of each pair whether the observer's list has to
 * hold the subject now; an observer that holds for nobody may be dead, or stopped.
 */
export async function watchLists(
  observers: readonly Observer[],
  mustHold: (observer: string, subject: string) => boolean,
  intervalMs = 100,
): Promise<ListWatch> {
  const startMs = performance.now()
  const missed: string[] = []
  const readers: EventReader[] = []
  const state = { looks: 0, isOver: false }
  const names = observers.map(({ name }) => name)
  const seconds = (): string => `${((performance.now() - startMs) / 1000).toFixed(1)} s`

  const due = (observer: string): string[] => names.filter(subject => subject !== observer && mustHold(observer, subject))
  async function look(observer: Observer): Promise<void> {
    while (!state.isOver) {
      const before = due(observer.name)
      const held = before.length === 0 ? undefined : await namesHeld(observer).catch((error: unknown) => String(error))
      const after = new Set(due(observer.name))
      const both = before.filter(subject => after.has(subject))
      if (held instanceof Set) {
        state.looks += 1
        for (const subject of both) if (!held.has(subject)) missed.push(`${seconds()}: ${subject} is not in the list of ${observer.name}`)
      } else if (held !== undefined && both.length > 0) missed.push(`${seconds()}: ${observer.name} does not answer: ${held}`)
      const { promise, resolve } = Promise.withResolvers<void>()
      setTimeout(resolve, intervalMs)
      await promise
    }
  }
  async function hear(observer: Observer, reader: EventReader): Promise<void> {
    for (let block = await reader.next(); block !== undefined && !state.isOver; block = await reader.next()) {
      if (block.event !== 'peer') continue
      const { change, reason, status, node_name: subject } = block.data
      const isGone = change === 'dropped' || status === 'dead'
      if (isGone && mustHold(observer.name, String(subject)))
        missed.push(`${seconds()}: ${observer.name} gives up ${String(subject)} (${String(reason)})`)
    }
  }
  for (const observer of observers) {
    const path = '/api/events'
    // The name of the host is checked, whatever leads there.
    const reader = await openEvents(`${observer.url ?? 'http://127.0.0.1'}${path}`, hostOf(observer), observer.socketPath)
    readers.push(reader)
    void hear(observer, reader)
  }
  const looking = observers.map(look)
  return {
    looks: () => state.looks,
    async end() {
      state.isOver = true
      for (const reader of readers) reader.close()
      await Promise.all(looking)
      return missed
    },
  }
}

const hostOf = ({ socketPath }: Observer): Record<string, string> => (socketPath === undefined ? {} : { host: '127.0.0.1:50050' })

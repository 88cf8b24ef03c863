/**
 * Two agents, `home` and `away`, whose peer links go through counting relays. `away` can be stopped and started again: what has changed
 * meanwhile is then brought over, and the relays say for how many bytes.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ask, findFreePort, makeFolder, startAgentProcess, until, type AgentProcess } from '../test/agent-process.ts'
import { createAgentClient } from './agent-client.ts'
import { digestOf } from './agent-pair.ts'
import { COLLECTION } from './bench-replica.ts'
import { startCountingRelay } from './counting-relay.ts'
import { readHeapLine } from './heap-probe.ts'
import { detourText } from './link-detour.ts'

const syncDeadlineMs = 600_000
const pollMs = 20
/** Nothing has gone over the link for so long: the exchange is over. Links that stay open ping less often. */
const quietMs = 1_000

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

export type Side = 'home' | 'away'

export interface RelayedAgent extends AgentProcess {
  /** Bytes of objects and what they hold, behind a garbage collection. */
  heapBytes(): Promise<number>
}

export interface RelayedPair {
  agent(side: Side): RelayedAgent
  start(side: Side): Promise<void>
  stop(side: Side): Promise<void>
  /** Stores lines of NDJSON at one side. */
  post(side: Side, ndjson: readonly Uint8Array[], collection?: string): Promise<void>
  /** Something has gone over the link since the last `resetBytes`. */
  hasBegun(): boolean
  /** Bytes of both directions since the last `resetBytes`. */
  bytes(): number
  resetBytes(): void
  /**
   * Waits until both hold the same, see it, and the link is quiet; resolves to the milliseconds from the first byte since `resetBytes` until
   * they held the same. `onPoll` runs now and then meanwhile.
   */
  awaitAgreement(collection?: string, onPoll?: () => Promise<void>): Promise<number>
  close(): Promise<void>
}

/** Neither side is started yet. */
export async function createRelayedPair(): Promise<RelayedPair> {
  const sides = ['home', 'away'] as const
  const ports = { home: await findFreePort(), away: await findFreePort() }
  const folders = { home: await makeFolder('hs-bench-'), away: await makeFolder('hs-bench-') }
  const relays = { home: await startCountingRelay(ports.home), away: await startCountingRelay(ports.away) }
  const detour = detourText(new Map(sides.map(side => [ports[side], relays[side].port])))
  const agents: Partial<Record<Side, RelayedAgent>> = {}
  const bytes = (): number => relays.home.bytes() + relays.away.bytes()

  const agent = (side: Side): RelayedAgent => {
    const found = agents[side]
    if (found === undefined) throw new Error(`the agent "${side}" does not run`)
    return found
  }

  const stop = async (side: Side): Promise<void> => {
    await agent(side).kill()
    delete agents[side]
  }

  return {
    agent,
    async start(side) {
      const other = side === 'home' ? 'away' : 'home'
      let hearHeap: ((heapBytes: number) => void) | undefined
      const started = await startAgentProcess({
        env: {
          HS_LOG_LEVEL: 'warn',
          HS_DATA_DIR: folders[side],
          HS_GOSSIP_PORT: String(ports[side]),
          HS_GOSSIP_HOST: '127.0.0.1',
          HS_GOSSIP_MULTICAST: 'off',
          HS_GOSSIP_PEERS: `127.0.0.1:${ports[other]}`,
          LINK_DETOUR: detour,
          HEAP_PROBE: '1',
          NODE_OPTIONS: `--expose-gc --import=${pathOf('link-detour.ts')} --import=${pathOf('heap-probe.ts')}`,
        },
        onLine: line => {
          const heapBytes = readHeapLine(line)
          if (heapBytes !== undefined) hearHeap?.(heapBytes)
        },
      })
      agents[side] = {
        ...started,
        heapBytes: () =>
          new Promise(resolve => {
            hearHeap = resolve
            process.kill(started.pid, 'SIGUSR2')
          }),
      }
    },
    stop,
    async post(side, ndjson, collection = COLLECTION) {
      const client = createAgentClient(agent(side).url)
      await client.post(`/api/collections/${collection}/records`, ndjson)
      client.close()
    },
    hasBegun: () => sides.some(side => relays[side].firstMs() !== undefined),
    bytes,
    resetBytes() {
      for (const side of sides) relays[side].reset()
    },
    async awaitAgreement(collection = COLLECTION, onPoll = async () => {}) {
      const startMs = performance.now()
      let sameAtMs: number | undefined
      let counted = bytes()
      let movedMs = startMs
      for (;;) {
        const nowMs = performance.now()
        if (bytes() !== counted) {
          counted = bytes()
          movedMs = nowMs
        }
        // Asked in this order, and only of a link that is quiet once they agree: asking is not what is measured.
        if (sameAtMs === undefined) {
          const [home, away] = await Promise.all([digestOf(agent('home'), collection), digestOf(agent('away'), collection)])
          if (home !== undefined && home === away) sameAtMs = performance.now()
        } else if (nowMs - movedMs > quietMs && (await isInSync(agent('home'))) && (await isInSync(agent('away')))) {
          return sameAtMs - Math.min(...sides.map(side => relays[side].firstMs() ?? sameAtMs!))
        }
        if (nowMs - startMs > syncDeadlineMs) throw new Error(`the agents did not agree within ${syncDeadlineMs} ms`)
        await onPoll()
        await delay(pollMs)
      }
    },
    async close() {
      for (const side of sides) if (agents[side] !== undefined) await stop(side)
      for (const side of sides) await relays[side].close()
    },
  }
}

interface PeerRow {
  readonly healthy: boolean
  readonly collections: readonly { readonly in_sync: boolean }[]
}

/** The agent has heard of its peer what makes every collection the same. */
async function isInSync(agent: AgentProcess): Promise<boolean> {
  const { peers } = (await ask(agent, '/api/swarm/peers')) as { peers: readonly PeerRow[] }
  return peers.some(({ healthy, collections }) => healthy && collections.length > 0 && collections.every(({ in_sync }) => in_sync))
}

/** Waits until both know each other as members. */
export function awaitMeeting(pair: RelayedPair): Promise<void> {
  return until('the two agents list each other', 60_000, async () => {
    for (const side of ['home', 'away'] as const) {
      const { peer_count } = (await ask(pair.agent(side), '/api/swarm/peers')) as { peer_count: number }
      if (peer_count !== 1) return `"${side}" lists ${peer_count}`
    }
    return undefined
  })
}

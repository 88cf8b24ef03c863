/** Two agents on loopback of which the second one knows the first. */
import { setTimeout as delay } from 'node:timers/promises'
import { ask, findFreePort, startAgentProcess, type AgentProcess } from '../test/agent-process.ts'
import { COLLECTION } from './bench-replica.ts'

const pollMs = 20
const deadlineMs = 300_000

export interface GossipingAgent extends AgentProcess {
  readonly gossipPort: number
}

/** Starts an agent that gossips on loopback, with `peer` if there is one. */
export async function startGossipingAgent(peer?: GossipingAgent): Promise<GossipingAgent> {
  const gossipPort = await findFreePort()
  const agent = await startAgentProcess({
    env: {
      HS_LOG_LEVEL: 'warn',
      HS_GOSSIP_PORT: String(gossipPort),
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_MULTICAST: 'off',
      ...(peer !== undefined && { HS_GOSSIP_PEERS: `127.0.0.1:${peer.gossipPort}` }),
    },
  })
  return { ...agent, gossipPort }
}

export async function digestOf(agent: AgentProcess, collection = COLLECTION): Promise<string | undefined> {
  const collections = (await ask(agent, '/api/collections')) as { name: string; digest: string }[]
  return collections.find(({ name }) => name === collection)?.digest
}

export interface FirstSync {
  /** From the moment the second agent was up. */
  readonly totalMs: number
  /** From the beginning of the collection's exchange: without discovery. */
  readonly exchangeMs: number
}

/** Waits until `receiver`, which has just started, holds what has this digest. `onPoll` runs now and then meanwhile. */
export async function awaitFirstSync(
  receiver: AgentProcess,
  digest: string,
  onPoll: () => Promise<void> = async () => {},
): Promise<FirstSync> {
  const startMs = performance.now()
  let exchangeStartMs: number | undefined
  for (;;) {
    const rows = (await ask(receiver, '/api/sync')) as { collection: string }[]
    const nowMs = performance.now()
    if (rows.some(({ collection }) => collection === COLLECTION)) exchangeStartMs ??= nowMs
    if ((await digestOf(receiver)) === digest) {
      const endMs = performance.now()
      return { totalMs: endMs - startMs, exchangeMs: endMs - (exchangeStartMs ?? startMs) }
    }
    if (nowMs - startMs > deadlineMs) throw new Error(`the agents did not agree within ${deadlineMs} ms`)
    await onPoll()
    await delay(pollMs)
  }
}

/**
 * How much memory does an agent need: idle, behind a large ingest, at the height of an export, at the height of a sync? Anonymous memory
 * is what it has for itself; file memory (its program, LevelDB's tables) the kernel can take back.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createAgentClient } from './agent-client.ts'
import { awaitFirstSync, digestOf, startGossipingAgent } from './agent-pair.ts'
import type { Bench, Measure } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { makeRecords, toNdjson } from './made-records.ts'
import { larger, residentOf, type Resident } from './process-cost.ts'

const recordCount = 1_000_000
const recordsPerRequest = 100_000
const sampleMs = 50
/** Megabytes that anything may take above an idle agent. */
const aboveIdleMax = 64
/** A round takes long and differs little from the next. */
const roundsMax = 2

/** The most that a process has while `action` runs. */
async function peakDuring(pid: number, action: () => Promise<void>): Promise<Resident> {
  const running = { isDone: false }
  const done = action().finally(() => (running.isDone = true))
  let peak = await residentOf(pid)
  while (!running.isDone) {
    await delay(sampleMs)
    peak = larger(peak, await residentOf(pid))
  }
  await done
  return peak
}

/** A Node process that does nothing: what everybody pays. */
async function measureBareNode(): Promise<Resident> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6); console.log("up")'], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  const resident = await residentOf(child.pid ?? 0)
  child.kill()
  await once(child, 'exit')
  return resident
}

const states = [
  'idle',
  'during an ingest of 1,000,000 records',
  'behind it',
  'during an export',
  'during a sync, sender',
  'during a sync, receiver',
] as const

async function measureAgent(say: (text: string) => void): Promise<Record<(typeof states)[number], Resident>> {
  const agent = await startGossipingAgent()
  const client = createAgentClient(agent.url)
  const path = `/api/collections/${COLLECTION}/records`
  const idle = await residentOf(agent.pid)
  say('ingest')
  const ingest = await peakDuring(agent.pid, async () => {
    for (let done = 0; done < recordCount; done += recordsPerRequest) {
      await client.post(path, toNdjson(makeRecords(recordsPerRequest, `part${done}`, done + 1)))
    }
  })
  const behind = await residentOf(agent.pid)
  say('export')
  const exporting = await peakDuring(agent.pid, async () => void (await client.export(path)))
  client.close()
  say('sync')
  const digest = (await digestOf(agent)) ?? ''
  const receiver = await startGossipingAgent(agent)
  let sending = await residentOf(agent.pid)
  let receiving = await residentOf(receiver.pid)
  await awaitFirstSync(receiver, digest, async () => {
    sending = larger(sending, await residentOf(agent.pid))
    receiving = larger(receiving, await residentOf(receiver.pid))
  })
  await receiver.kill()
  await agent.kill()
  return {
    idle,
    'during an ingest of 1,000,000 records': ingest,
    'behind it': behind,
    'during an export': exporting,
    'during a sync, sender': sending,
    'during a sync, receiver': receiving,
  }
}

export const bench: Bench = {
  question:
    'Resident memory of an agent idle, in and behind an ingest of 1,000,000 records, in an export and in a sync, against a Node process that does nothing',
  async run({ rounds, say }) {
    const bare: Resident[] = []
    const agents: Record<(typeof states)[number], Resident>[] = []
    for (let round = 1; round <= Math.min(rounds, roundsMax); round++) {
      say(`round ${round}`)
      bare.push(await measureBareNode())
      agents.push(await measureAgent(say))
    }
    const compare = (kind: keyof Resident): Measure[] =>
      states.map(state => ({
        name: `${state}, ${kind === 'anonymous' ? 'RssAnon' : 'RssFile'}`,
        unit: 'MB',
        baseline: { label: 'bare Node', samples: bare.map(resident => resident[kind]) },
        candidate: { label: 'agent', samples: agents.map(resident => resident[state][kind]) },
      }))
    const aboveIdle = states.slice(1).map((state): Measure => ({
      name: `${state}, above idle`,
      unit: 'MB',
      baseline: { label: 'idle', samples: agents.map(({ idle }) => idle.anonymous) },
      candidate: { label: 'more', samples: agents.map(resident => resident[state].anonymous - resident.idle.anonymous) },
      target: { candidateMax: aboveIdleMax },
    }))
    return [...compare('anonymous'), ...aboveIdle, ...compare('file')]
  },
}

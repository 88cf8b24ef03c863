/**
 * How long does a robot with many new records need over a slow radio, against what that radio can carry? Two agents in network namespaces,
 * 1 Mbit/s each way and 300 ms there and back; every byte counts, those of Ethernet, IP and TCP too.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { stopEverything } from '../test/agent-process.ts'
import { obtain } from '../test/host/packages.ts'
import { createNetwork, findObstacle, type Robot } from '../test/host/robot-network.ts'
import { startSlowRadio } from '../test/host/slow-radio.ts'
import { NotRunError, type Bench } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { makeRecords, toNdjson } from './made-records.ts'

const recordCount = 20_000
const kbps = 1_000
const delayMs = 150
const pollMs = 50
const deadlineMs = 600_000

interface Passage {
  /** From the first moment that the collection is being exchanged until it is the same. */
  readonly ms: number
  /** Towards the receiver, of whatever protocol. */
  readonly wireBytes: number
  readonly payloadBytes: number
}

const digestOf = async (robot: Robot): Promise<string | undefined> =>
  (JSON.parse(await robot.ask('/api/collections')) as { name: string; digest: string }[]).find(({ name }) => name === COLLECTION)?.digest

async function measurePassage(compression: string, round: number): Promise<Passage> {
  const network = await createNetwork(2)
  const [sender, receiver] = network.robots as [Robot, Robot]
  const radio = await startSlowRadio(network, receiver, kbps, delayMs)
  try {
    const env = { HS_SWARM_NAME: 'bench', HS_GOSSIP_PROFILE: 'wifi', HS_SYNC_COMPRESSION: compression, HS_LOG_LEVEL: 'warn' }
    await sender.startAgent(env)
    const records = makeRecords(recordCount, 'slow', round)
    const body = Buffer.concat(toNdjson(records)).toString()
    await sender.ask(`/api/collections/${COLLECTION}/records`, { method: 'POST', body, type: 'application/x-ndjson' })
    const digest = await digestOf(sender)
    await receiver.startAgent(env)
    const startMs = performance.now()
    let begun: { readonly atMs: number; readonly bytes: number } | undefined
    for (;;) {
      const nowMs = performance.now()
      const rows = JSON.parse(await receiver.ask('/api/sync')) as { collection: string }[]
      if (rows.some(({ collection }) => collection === COLLECTION)) begun ??= { atMs: nowMs, bytes: (await radio.carried()).to }
      if (begun !== undefined && (await digestOf(receiver)) === digest) {
        const wireBytes = (await radio.carried()).to - begun.bytes
        const payloadBytes = records.reduce((sum, { key, payload }) => sum + Buffer.byteLength(key) + payload.length, 0)
        return { ms: performance.now() - begun.atMs, wireBytes, payloadBytes }
      }
      if (nowMs - startMs > deadlineMs) throw new Error(`the agents did not agree within ${deadlineMs} ms`)
      await delay(pollMs)
    }
  } finally {
    await stopEverything()
    await radio.stop()
    await network.remove()
  }
}

export const bench: Bench = {
  isSeparate: true,
  question: 'A robot with 20,000 new records over 1 Mbit/s with 300 ms there and back, against what that link can carry',
  async run({ rounds, say }) {
    const obstacle = (await findObstacle()) ?? (await obtain('python3'))
    if (obstacle !== undefined) throw new NotRunError(obstacle)
    const passages: Record<'off' | 'auto', Passage[]> = { off: [], auto: [] }
    for (let round = 1; round <= rounds; round++) {
      say(`round ${round} of ${rounds}`)
      for (const compression of ['off', 'auto'] as const) passages[compression].push(await measurePassage(compression, round))
    }
    const rate = (of: (passage: Passage) => number, list: readonly Passage[]): number[] =>
      list.map(passage => (of(passage) * 8) / passage.ms)
    const baseline = { label: 'the link', samples: passages.off.map(() => kbps) }
    const { off, auto } = passages
    return [
      {
        name: 'plain: bytes on the link',
        unit: 'kbit/s',
        baseline,
        candidate: { label: 'agents', samples: rate(({ wireBytes }) => wireBytes, off) },
        target: { ratioMin: 0.85 },
      },
      {
        name: 'plain: keys and payloads alone',
        unit: 'kbit/s',
        baseline,
        candidate: { label: 'agents', samples: rate(({ payloadBytes }) => payloadBytes, off) },
      },
      {
        name: 'packed: bytes on the link',
        unit: 'kbit/s',
        baseline,
        candidate: { label: 'agents', samples: rate(({ wireBytes }) => wireBytes, auto) },
      },
      {
        name: 'packed: keys and payloads alone',
        unit: 'kbit/s',
        baseline,
        candidate: { label: 'agents', samples: rate(({ payloadBytes }) => payloadBytes, auto) },
        target: { ratioMin: 0.85 },
      },
    ]
  },
}

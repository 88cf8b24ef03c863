/**
 * A robot with little room beside one that keeps everything, as real agents: the small one stays at its bound, the full one keeps all, nothing
 * acknowledged is lost, and when all is told nothing is exchanged any more (R8).
 */
import { afterEach, expect, it } from 'vitest'
import { ask, findFreePort, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { runCli } from './cli-process.ts'

const DEADLINE_MS = 120_000
const BOUND = 50
/** Longer than a pair waits that differs and has just been synced. */
const QUIET_MS = 4_000

afterEach(stopEverything)

interface Collection {
  readonly record_count: number
  readonly partial: boolean
  readonly dropped: Readonly<Record<string, number>>
  readonly voided: number
}

const imuOf = async (agent: AgentProcess): Promise<Collection> => (await ask(agent, '/api/collections/imu')) as Collection

async function write(agent: AgentProcess, prefix: string, count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, i) => ({ key: `${prefix}/${String(i).padStart(4, '0')}`, payload: { i } }))
  const answer = await ask(agent, '/api/collections/imu/records', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(records),
  })
  expect(answer).toMatchObject({ accepted: count })
}

/** Undefined when the agent holds so many. */
async function missing(agent: AgentProcess, records: number): Promise<string | undefined> {
  const held = await imuOf(agent).catch(() => undefined)
  return held?.record_count === records ? undefined : `it holds ${held?.record_count ?? 'none'} of ${records}`
}

/** Bytes that an agent has exchanged with its peers, and sessions that it had. */
async function trafficOf(agent: AgentProcess): Promise<string> {
  const metrics = await (await fetch(`${agent.url}/metrics`)).text()
  const lines = metrics.split('\n').filter(line => /^hs_sync_(bytes|entries|sessions)_total/.test(line))
  expect(lines.length).toBeGreaterThan(4)
  return lines.join('\n')
}

async function untilQuiet(agents: readonly AgentProcess[]): Promise<void> {
  let traffic = ''
  let sinceMs = performance.now()
  await until('links come to rest', DEADLINE_MS, async () => {
    const now = (await Promise.all(agents.map(trafficOf))).join('\n')
    if (now !== traffic) sinceMs = performance.now()
    traffic = now
    return performance.now() - sinceMs > QUIET_MS ? undefined : traffic
  })
}

it('R8 P3 a robot with max_records stays at its bound, a full one keeps all, and both come to rest', async () => {
  const ports = [await findFreePort(), await findFreePort()]
  const start = (own: number, other: number): Promise<AgentProcess> =>
    startAgentProcess({
      env: {
        HS_GOSSIP_PORT: String(ports[own]),
        HS_GOSSIP_PEERS: `127.0.0.1:${ports[other]}`,
        HS_GOSSIP_HOST: '127.0.0.1',
        HS_GOSSIP_MULTICAST: 'off',
        HS_LOG_LEVEL: 'warn',
      },
    })
  const [small, full] = [await start(0, 1), await start(1, 0)]
  const created = await runCli(['collections', 'create', 'imu', '--max-records', String(BOUND)], {
    env: { HS_URL: small.url },
    workingDirectory: small.dataDir,
  })
  expect(created).toMatchObject({ status: 0, stdout: 'created imu\n' })

  // Each load is more than half of what the small one holds, and comes when the one before is safe.
  for (let round = 0; round < 8; round++) {
    await write(small, `small-${round}`, 30)
    const all = 30 * (round + 1)
    await until(`the full one has ${all}`, DEADLINE_MS, () => missing(full, all))
    await untilQuiet([small, full])
    expect((await imuOf(small)).record_count).toBeLessThanOrEqual(BOUND)
  }
  await write(full, 'full', 100)
  await until('the small one gets what is new', DEADLINE_MS, async () => {
    const { records } = (await ask(small, '/api/collections/imu/records?prefix=full/0099')) as { records: unknown[] }
    return records.length === 1 ? undefined : 'it is not there'
  })
  await untilQuiet([small, full])

  expect(await imuOf(full)).toMatchObject({ record_count: 340, partial: false, dropped: {}, voided: 0 })
  const held = await imuOf(small)
  expect(held.record_count).toBeLessThanOrEqual(BOUND)
  expect(held).toMatchObject({ partial: true, voided: 0, dropped: { max_records: 340 - held.record_count } })

  // Its bound and what it counted are there after a power cut, and it goes on from there.
  await small.kill('SIGKILL')
  const again = await startAgentProcess({
    env: {
      HS_DATA_DIR: small.dataDir,
      HS_GOSSIP_PORT: String(ports[0]),
      HS_GOSSIP_PEERS: `127.0.0.1:${ports[1]}`,
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_MULTICAST: 'off',
      HS_LOG_LEVEL: 'warn',
    },
  })
  await write(again, 'later', 10)
  await until('what was written behind the restart comes', DEADLINE_MS, () => missing(full, 350))
  await untilQuiet([again, full])
  const after = await imuOf(again)
  expect(after.record_count).toBeLessThanOrEqual(BOUND)
  expect(after).toMatchObject({ voided: 0, dropped: { max_records: 350 - after.record_count } })
})

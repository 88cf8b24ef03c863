/**
 * First flight: five robots record offline, gossip is switched on, one is killed with -9 in the middle of syncing, and all end with
 * the same data. On the real log where it is there, else on made-up data of the same shape.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, expect, it } from 'vitest'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { createSeededRandom } from '../seeded-random.ts'

const ROBOTS = [1, 2, 3, 4, 5] as const
const KINDS = ['odometry', 'measurement', 'landmarks'] as const
const REAL = fileURLToPath(new URL('../../../shared/data/', import.meta.url))
const hasReal = existsSync(join(REAL, 'mrclam1'))
// Half a million records in five copies, on whatever machine this is.
const AGREE_DEADLINE_MS = 500_000

afterEach(stopEverything)

interface Log {
  readonly kind: (typeof KINDS)[number]
  readonly robot: number
  readonly lines: string
}

/** What robot N recorded, as lines of JSON. */
async function readRealLog(robot: number, kind: Log['kind']): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(REAL, 'to-ndjson.mjs'), join(REAL, 'mrclam1'), String(robot), kind],
    {
      maxBuffer: 64 * 1024 * 1024,
    },
  )
  return stdout
}

function makeUpLog(robot: number, kind: Log['kind']): string {
  const random = createSeededRandom(robot)
  const six = (n: number): string => String(n).padStart(6, '0')
  const count = kind === 'odometry' ? 4_000 : kind === 'measurement' ? 400 : 60
  return Array.from({ length: count }, (_, i) => {
    const t = 1_248_272_272 + i / 67
    const key = kind === 'landmarks' ? `landmark/${6 + Math.floor(random.fraction() * 15)}` : `robot${robot}/${kind}/${six(i + 1)}`
    return `${JSON.stringify({ key, payload: { seen_by: robot, t, range: random.fraction() } })}\n`
  }).join('')
}

interface Digest {
  readonly name: string
  readonly digest: string
  readonly record_count: number
}

const collectionsOf = async (agent: AgentProcess): Promise<Digest[]> => (await ask(agent, '/api/collections')) as Digest[]

async function exportOf(agent: AgentProcess, collection: string): Promise<string[]> {
  const response = await fetch(`${agent.url}/api/collections/${collection}/records`, { headers: { accept: 'application/x-ndjson' } })
  return (await response.text()).trimEnd().split('\n')
}

/** Returns what was measured, as a line of text. */
async function flyFirst(logOf: (robot: number, kind: Log['kind']) => Promise<string>): Promise<string> {
  const folders = await Promise.all(ROBOTS.map(() => makeFolder('hs-flight-')))
  const start = (i: number, env: Record<string, string>): Promise<AgentProcess> =>
    startAgentProcess({ env: { HS_DATA_DIR: folders[i]!, HS_NODE_NAME: `robot${i + 1}`, HS_LOG_LEVEL: 'warn', ...env } })
  const startedMs = performance.now()
  const seconds = (): string => ((performance.now() - startedMs) / 1000).toFixed(1)

  // Offline: each robot imports its own log, gossip off.
  const expectedKeys = new Map<string, Set<string>>(KINDS.map(kind => [kind, new Set()]))
  for (const i of ROBOTS.keys()) {
    const agent = await start(i, {})
    for (const kind of KINDS) {
      const lines = await logOf(i + 1, kind)
      for (const [, key] of lines.matchAll(/"key":"([^"]+)"/g)) expectedKeys.get(kind)!.add(key!)
      const answer = await ask(agent, `/api/collections/${kind}/records`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: lines,
      })
      expect(answer).toMatchObject({ accepted: lines.trimEnd().split('\n').length, rejected_count: 0 })
    }
    expect(await ask(agent, '/api/swarm/peers')).toMatchObject({ gossip_enabled: false, peer_count: 0 })
    await agent.kill()
  }
  const importedAfter = seconds()

  // Gossip on: they find one another by name.
  const ports = await Promise.all(ROBOTS.map(() => findFreePort()))
  const peers = ports.map(port => `127.0.0.1:${port}`).join(',')
  const gossip = (i: number) => ({
    HS_GOSSIP_PORT: String(ports[i]),
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PEERS: peers,
  })
  const agents = await Promise.all(ROBOTS.map((_, i) => start(i, gossip(i))))
  const total = [...expectedKeys.values()].reduce((sum, keys) => sum + keys.size, 0)

  // kill -9 while the third robot is receiving.
  const victim = 2
  const held = async (agent: AgentProcess): Promise<number> =>
    (await collectionsOf(agent)).reduce((sum, { record_count }) => sum + record_count, 0)
  const heldBefore = await held(agents[victim]!)
  await until('the third robot is in the middle of syncing', AGREE_DEADLINE_MS, async () => {
    const now = await held(agents[victim]!)
    return now > heldBefore && now < total ? undefined : `it holds ${now} of ${total}, ${heldBefore} at first`
  })
  await agents[victim]!.kill('SIGKILL')
  agents[victim] = await start(victim, gossip(victim))

  await until('all five robots agree', AGREE_DEADLINE_MS, async () => {
    const all = await Promise.all(agents.map(collectionsOf))
    const states = all.map(collections =>
      collections.map(({ name, digest, record_count }) => `${name} ${record_count} ${digest}`).join(', '),
    )
    const isComplete = all[0]!.reduce((sum, { record_count }) => sum + record_count, 0) === total
    return isComplete && new Set(states).size === 1 ? undefined : `wanted ${total} records; ${states.join(' | ')}`
  })
  const agreedAfter = seconds()

  for (const kind of KINDS) {
    const exports = await Promise.all(agents.map(agent => exportOf(agent, kind)))
    const keys = exports[0]!.map(line => (JSON.parse(line) as { key: string }).key)
    expect(new Set(keys)).toEqual(expectedKeys.get(kind))
    for (const other of exports) expect(other).toEqual(exports[0])
  }
  for (const agent of agents) {
    const { peers: seen } = (await ask(agent, '/api/swarm/peers')) as { peers: { collections: { in_sync: boolean }[] }[] }
    expect(seen).toHaveLength(4)
    await until('every peer is shown in sync', 30_000, async () => {
      const answer = (await ask(agent, '/api/swarm/peers')) as { peers: { collections: { in_sync: boolean }[] }[] }
      return answer.peers.every(({ collections }) => collections.length === 3 && collections.every(({ in_sync }) => in_sync))
        ? undefined
        : JSON.stringify(answer)
    })
  }
  const received = await Promise.all(
    agents
      .filter((_, i) => i !== victim)
      .map(async agent => {
        const rows = (await ask(agent, '/api/sync')) as { entries_received: number }[]
        return rows.reduce((sum, { entries_received }) => sum + entries_received, 0)
      }),
  )
  const rss = await Promise.all(agents.map(async ({ pid }) => /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]))
  return `${total} records: imported after ${importedAfter} s, agreed after ${agreedAfter} s, received ${received.join(' ')}, resident ${rss.map(kb => `${Math.round(Number(kb) / 1024)} MB`).join(' ')}`
}

// The real log is not part of the repository: where it is absent, made-up logs of its shape stand in for it.
const sources: readonly (readonly [name: string, logOf: (robot: number, kind: Log['kind']) => Promise<string>])[] = [
  ['made-up logs', (robot, kind) => Promise.resolve(makeUpLog(robot, kind))],
  ...(hasReal ? [['real logs', readRealLog] as const] : []),
]

it.each(sources)(
  'five robots record %s offline, meet, lose one to kill -9 in the middle of syncing, and agree',
  async (_name, logOf) => {
    const report = await flyFirst(logOf)
    expect(report).toMatch(/agreed after/)
    process.stdout.write(`five robots: ${report}\n`)
  },
  900_000,
)

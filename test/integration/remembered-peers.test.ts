/** Agents that remember each other over a restart: no seed, no multicast. */
import { spawn } from 'node:child_process'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, it } from 'vitest'
import {
  ask,
  cleanEnvironment,
  findFreePort,
  makeFolder,
  startAgentProcess,
  stopEverything,
  until,
  type AgentProcess,
} from '../agent-process.ts'
import { createSeededRandom } from '../seeded-random.ts'

const DEADLINE_MS = 60_000
const WRITER = fileURLToPath(new URL('memory-writer.ts', import.meta.url))
/** Two sets of 256 peers, by their port. */
const PORTS = new Set([1_000, 2_000])
const KILLS = 25

afterEach(stopEverything)

interface Robot {
  readonly port: number
  readonly dataDir: string
}

const makeRobot = async (): Promise<Robot> => ({ port: await findFreePort(), dataDir: await makeFolder() })

const start = ({ port, dataDir }: Robot, ...seeds: readonly Robot[]): Promise<AgentProcess> =>
  startAgentProcess({
    env: {
      HS_DATA_DIR: dataDir,
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_PORT: String(port),
      HS_GOSSIP_MULTICAST: 'off',
      HS_GOSSIP_PEERS: seeds.map(seed => `127.0.0.1:${seed.port}`).join(','),
      HS_SWARM_NAME: 'remembered',
    },
  })

const recordOf = ({ dataDir }: Robot): string => join(dataDir, 'peers.json')

async function listOf(agent: AgentProcess): Promise<string[]> {
  const { peers } = (await ask(agent, '/api/swarm/peers')) as { peers: { gossip_addr: string }[] }
  return peers.map(({ gossip_addr: address }) => address)
}

async function meet(agent: AgentProcess, other: Robot, withinMs = DEADLINE_MS): Promise<void> {
  const address = `127.0.0.1:${other.port}`
  await until(`${address} is listed`, withinMs, async () => ((await listOf(agent)).includes(address) ? undefined : 'not yet'))
}

it('a robot that was switched off without a word meets its swarm again within seconds, and syncs, without seeds and without multicast', async () => {
  const [a, b] = [await makeRobot(), await makeRobot()]
  const first = [await start(a, b), await start(b)] as const
  await meet(first[1], a)
  await until('b has recorded a', DEADLINE_MS, async () => {
    const text = await readFile(recordOf(b), 'utf8').catch(() => '')
    return text.includes(`"port":${a.port}`) ? undefined : text
  })
  await Promise.all(first.map(agent => agent.kill('SIGKILL')))

  // Only b remembers: a is as on its first day, but for its identity.
  await rm(recordOf(a), { force: true })
  const [again, back] = [await start(a), await start(b)]
  await meet(back, a, 10_000)
  await meet(again, b, 10_000)
  await ask(again, '/api/collections/notes/records/x', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: '{"payload":1}',
  })
  await until('the record came over', DEADLINE_MS, async () => {
    const response = await fetch(`${back.url}/api/collections/notes/records/x`)
    return response.ok ? undefined : String(response.status)
  })

  // A clean stop forgets nobody either, and writes nothing that has not changed.
  const before = (await stat(recordOf(b))).ino
  await back.kill('SIGTERM')
  expect((await stat(recordOf(b))).ino).toBe(before)
  await until('a shows who left, when it is asked for all', DEADLINE_MS, async () => {
    const { peers } = (await ask(again, '/api/swarm/peers?all=1')) as { peers: { status: string; departed_ago_ms?: number }[] }
    return peers.length === 1 && peers[0]!.status === 'left' && peers[0]!.departed_ago_ms !== undefined ? undefined : JSON.stringify(peers)
  })
  expect(await listOf(again)).toEqual([])
  await again.kill('SIGTERM')
  const last = [await start(a), await start(b)] as const
  await meet(last[0], b, 10_000)
})

it(`P2 killed with -9 at ${KILLS} random moments while it records its peers, the record is whole each time`, async () => {
  const seed = Date.now() % 1_000_000
  const random = createSeededRandom(seed)
  const dataDir = await makeFolder()
  const path = join(dataDir, 'peers.json')
  const seen = new Set<number>()
  let isInTheMiddle = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const before = await readFile(path, 'utf8').catch(() => '')
    const child = spawn(process.execPath, [WRITER, dataDir], { stdio: 'ignore', env: cleanEnvironment() })
    const exited = new Promise(resolve => child.once('exit', resolve))
    await until('it writes', DEADLINE_MS, async () => {
      if (child.exitCode !== null) throw new Error(`the writer ended with ${child.exitCode}`)
      return (await readFile(path, 'utf8').catch(() => before)) === before ? 'not yet' : undefined
    })
    await new Promise<void>(resolve => setTimeout(resolve, random.fraction() * 20))
    child.kill('SIGKILL')
    await exited
    const { peers } = JSON.parse(await readFile(path, 'utf8')) as { peers: { port: number }[] }
    const ports = new Set(peers.map(({ port }) => port))
    expect({ seed, kill, count: peers.length, sets: ports.size }).toEqual({ seed, kill, count: 256, sets: 1 })
    for (const port of ports) seen.add(port)
    if (await stat(`${path}.new`).catch(() => undefined)) isInTheMiddle += 1
  }
  expect(seen).toEqual(PORTS)
  // The kills did hit writes, or this test shows nothing.
  expect(isInTheMiddle).toBeGreaterThan(0)
})

it('an agent whose record of peers is damaged starts, says so in one line, and records anew', async () => {
  const [a, b] = [await makeRobot(), await makeRobot()]
  await writeFile(recordOf(a), '\0'.repeat(5_000))
  const agent = await start(a, b)
  const other = await start(b)
  await meet(agent, b)
  expect(await ask(agent, '/readyz')).toMatchObject({ status: 'ready' })
  expect(agent.output().match(/the record of peers is not usable/g)).toHaveLength(1)
  await agent.kill('SIGTERM')
  expect(await readFile(recordOf(a), 'utf8')).toContain(`"port":${b.port}`)
  await other.kill('SIGTERM')
})

/** Real agents whose database is damaged or gone come back by themselves, say so everywhere, and hold everything again. */
import { execFile } from 'node:child_process'
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, it } from 'vitest'
import {
  ask,
  cleanEnvironment,
  findFreePort,
  LAUNCHER,
  makeFolder,
  startAgentProcess,
  stopEverything,
  until,
  type AgentProcess,
} from '../agent-process.ts'
import { openEvents } from '../event-reader.ts'
import { reportFault } from '../fault-report.ts'

const DEADLINE_MS = 60_000
const JSON_TYPE = { 'content-type': 'application/json' }

afterEach(stopEverything)

const put = (agent: AgentProcess, key: string, value: unknown): Promise<unknown> =>
  ask(agent, `/api/collections/log/records/${key}`, { method: 'PUT', headers: JSON_TYPE, body: JSON.stringify({ payload: value }) })

async function contentOf(agent: AgentProcess): Promise<Record<string, unknown>> {
  const response = await fetch(`${agent.url}/api/collections/log/records`, { headers: { accept: 'application/x-ndjson' } })
  const lines = (await response.text()).split('\n').filter(line => line !== '')
  return Object.fromEntries(
    lines.map(line => JSON.parse(line) as { key: string; payload: unknown }).map(({ key, payload }) => [key, payload]),
  )
}

const textOf = (content: Record<string, unknown>): string => JSON.stringify(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1)))

interface Status {
  readonly node_id: string
  readonly warnings: readonly string[]
  readonly recovery: { readonly kind: string; readonly quarantines: readonly string[] } | null
  readonly outage_log: { readonly bytes: number }
}
const statusOf = async (agent: AgentProcess): Promise<Status> => (await ask(agent, '/api/cluster/status')) as Status

async function makePair() {
  const ports = [await findFreePort(), await findFreePort()]
  const gossip = (own: number, other: number, dataDir: string) => ({
    HS_DATA_DIR: dataDir,
    HS_GOSSIP_PORT: String(ports[own]),
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PEERS: `127.0.0.1:${ports[other]}`,
  })
  return [gossip(0, 1, await makeFolder()), gossip(1, 0, await makeFolder())] as const
}

it('P2 a database that was deleted while the robot was off: the same node says so, and holds everything again, with what nobody else had', async () => {
  const [env, peerEnv] = await makePair()
  const peer = await startAgentProcess({ env: peerEnv })
  const first = await startAgentProcess({ env })
  const { node_id: nodeId } = await statusOf(first)
  for (let i = 0; i < 20; i++) await put(first, `shared ${i}`, i)
  await put(peer, 'theirs', 1)
  await until('both hold the same', DEADLINE_MS, async () => {
    const [ours, theirs] = [await contentOf(first), await contentOf(peer)]
    return Object.keys(ours).length === 21 && Object.keys(theirs).length === 21 ? undefined : 'not yet'
  })
  await until('the outage log lets go of what the peer has', DEADLINE_MS, async () => {
    const { bytes } = (await statusOf(first)).outage_log
    return bytes === 0 ? undefined : `${bytes} bytes`
  })
  await peer.kill()
  await put(first, 'alone', 'nobody else has it')
  await put(first, 'shared 3', 'newer')
  await first.kill('SIGKILL')
  await rm(join(env.HS_DATA_DIR, 'store'), { recursive: true })

  const again = await startAgentProcess({ env })
  const status = await statusOf(again)
  expect(status).toMatchObject({ node_id: nodeId, recovery: { kind: 'missing' } })
  expect(status.warnings).toEqual([expect.stringContaining('the database was gone')])
  expect(await ask(again, '/readyz')).toEqual({ status: 'ready', warnings: status.warnings })
  expect(again.output()).toContain('the database was gone')
  const told = await promisify(execFile)(LAUNCHER, ['status', '--url', again.url], { env: cleanEnvironment() })
  expect(told.stdout).toContain('the database was gone')
  // Alone, it has what was in the outage log.
  expect(await contentOf(again)).toEqual({ alone: 'nobody else has it', 'shared 3': 'newer' })

  const peerAgain = await startAgentProcess({ env: peerEnv })
  const everything = {
    ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`shared ${i}`, i])),
    theirs: 1,
    alone: 'nobody else has it',
    'shared 3': 'newer',
  }
  await until('everybody holds everything', DEADLINE_MS, async () => {
    const texts = await Promise.all([again, peerAgain].map(async agent => textOf(await contentOf(agent))))
    return texts.every(text => text === textOf(everything)) ? undefined : texts.join('\n')
  })
  const found = await contentOf(again)
  const lost = Object.entries(everything).filter(([key, value]) => found[key] !== value).length
  await reportFault({ fault: 'the database deleted while the robot is off', cycles: 1, checked: Object.keys(everything).length, lost })
  const [ours, theirs] = await Promise.all([again, peerAgain].map(agent => ask(agent, '/api/collections/log/digest')))
  expect(ours).toMatchObject({ digest: (theirs as { digest: string }).digest })
})

it('P2 a database that is damaged beyond repair is moved aside, and another one is in its place', async () => {
  const env = { HS_DATA_DIR: await makeFolder() }
  const first = await startAgentProcess({ env })
  for (let i = 0; i < 10; i++) await put(first, `key ${i}`, i)
  await first.kill()
  const store = join(env.HS_DATA_DIR, 'store')
  for (const name of await readdir(store)) if (/^(MANIFEST|\d+\.)/.test(name)) await writeFile(join(store, name), 'not what it was')
  const again = await startAgentProcess({ env })
  expect(await contentOf(again)).toEqual(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`key ${i}`, i])))
  const { recovery } = await statusOf(again)
  expect(recovery?.kind).toBe('rebuilt')
  expect(await readdir(env.HS_DATA_DIR)).toEqual(expect.arrayContaining([...(recovery?.quarantines ?? ['?'])]))
  const metrics = await (await fetch(`${again.url}/metrics`)).text()
  expect(metrics).toContain('hs_store_recovered{kind="rebuilt"} 1')
  await again.kill()
  // It is told once; the next start is as ever.
  const third = await startAgentProcess({ env })
  expect(await ask(third, '/readyz')).toEqual({ status: 'ready' })
})

it('P2 whoever listens to events is told that the database came back', async () => {
  const env = { HS_DATA_DIR: await makeFolder() }
  const first = await startAgentProcess({ env })
  await put(first, 'a', 1)
  await first.kill()
  await truncate(join(env.HS_DATA_DIR, 'store', 'CURRENT'), 0)
  const again = await startAgentProcess({ env })
  const events = await openEvents(`${again.url}/api/events`)
  try {
    expect((await events.nextEvent('store')).data).toMatchObject({ kind: 'store', recovery: 'repaired' })
  } finally {
    events.close()
  }
})

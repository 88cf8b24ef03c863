/** Backup, restore, verify and repair by the real command line, of a real agent and its data directory. */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { listTables } from '../../agent/table-check.ts'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { runCli, startCli, type CliResult } from './cli-process.ts'

const DEADLINE_MS = 60_000

afterEach(stopEverything)

const cli = async (words: readonly string[], env: Readonly<Record<string, string>>): Promise<CliResult> =>
  runCli(words, { env, workingDirectory: await makeFolder() })

async function write(agent: AgentProcess, prefix: string, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, i) => `${prefix}/${String(i).padStart(5, '0')}`)
  const records = keys.map(key => ({ key, payload: { of: key, noise: crypto.randomUUID().repeat(4) } }))
  const answer = await ask(agent, '/api/collections/imu/records', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(records),
  })
  expect(answer).toMatchObject({ accepted: count })
  return keys
}

async function keysOf(agent: AgentProcess): Promise<string[]> {
  const response = await fetch(`${agent.url}/api/collections/imu/records`, { headers: { accept: 'application/x-ndjson' } })
  return (await response.text()).split('\n').flatMap(line => (line === '' ? [] : [(JSON.parse(line) as { readonly key: string }).key]))
}

const digestOf = async (agent: AgentProcess): Promise<string> =>
  ((await ask(agent, '/api/collections/imu/digest')) as { readonly digest: string }).digest

interface Status {
  readonly node_id: string
}

const nodeOf = async (agent: AgentProcess): Promise<string> => ((await ask(agent, '/api/cluster/status')) as Status).node_id

it('a backup of an agent that is being written to is of one moment, and a new robot starts from it', async () => {
  const agent = await startAgentProcess({ env: {} })
  const before = await write(agent, 'before', 5_000)
  const file = join(await makeFolder(), 'robot.hsbackup')
  const over = new AbortController()
  const during: string[] = []
  const writing = (async () => {
    for (let i = 0; !over.signal.aborted; i++) during.push(...(await write(agent, `during${i}`, 50)))
  })()
  const made = await cli(['backup', file], { HS_URL: agent.url })
  over.abort()
  await writing
  expect([made.status, made.stderr]).toEqual([0, ''])
  expect(made.stdout).toMatch(/^backed up [\d,]+ rows to /)
  expect(await cli(['verify', file], {})).toMatchObject({ status: 0, stdout: expect.stringContaining('a whole backup of ') as string })
  const original = await nodeOf(agent)
  const { version } = (await ask(agent, `/api/collections/imu/records/${encodeURIComponent(before[0]!)}`)) as { readonly version: object }

  const dataDir = join(await makeFolder(), 'data')
  const restored = await cli(['restore', file], { HS_DATA_DIR: dataDir })
  expect([restored.status, restored.stderr]).toEqual([0, ''])
  expect(await cli(['verify'], { HS_DATA_DIR: dataDir })).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('everything matches') as string,
  })
  const copy = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  const kept = new Set(await keysOf(copy))
  expect(before.filter(key => !kept.has(key))).toEqual([])
  // As of one moment: of what was written meanwhile, everything up to some point and nothing behind it.
  const missing = during.findIndex(key => !kept.has(key))
  expect(missing === -1 ? [] : during.slice(missing).filter(key => kept.has(key))).toEqual([])
  expect(await nodeOf(copy)).not.toBe(original)
  // Versions are as they were, and new ones are of another origin: no dot is given twice (P15).
  expect(await ask(copy, `/api/collections/imu/records/${encodeURIComponent(before[0]!)}`)).toMatchObject({ version })
  await write(copy, 'copy', 1)
  const { version: own } = (await ask(copy, '/api/collections/imu/records/copy%2F00000')) as {
    readonly version: { readonly origin: string }
  }
  expect(own.origin).not.toBe((version as { readonly origin: string }).origin)
})

it('P15 a robot that is restored keeps its id, and gets from a peer what is newer than its backup', async () => {
  const ports = [await findFreePort(), await findFreePort()]
  const gossip = (own: number, other: number): Record<string, string> => ({
    HS_GOSSIP_PORT: String(ports[own]),
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PEERS: `127.0.0.1:${ports[other]}`,
    HS_GOSSIP_PROFILE: 'local',
  })
  const dataDir = await makeFolder()
  let robot = await startAgentProcess({ env: { HS_DATA_DIR: dataDir, ...gossip(0, 1) } })
  const peer = await startAgentProcess({ env: gossip(1, 0) })
  await write(robot, 'old', 300)
  const file = join(await makeFolder(), 'robot.hsbackup')
  expect((await cli(['backup', file], { HS_URL: robot.url })).status).toBe(0)
  await write(robot, 'newer', 200)
  const nodeId = await nodeOf(robot)
  const bothHold = (count: number) =>
    until(`both hold ${count}`, DEADLINE_MS, async () => {
      const held = [(await keysOf(robot)).length, (await keysOf(peer).catch(() => [])).length]
      return held.every(one => one === count) && (await digestOf(robot)) === (await digestOf(peer)) ? undefined : held.join()
    })
  await bothHold(500)

  // Neither while an agent has it open, nor over a database, nor from a file that is not whole.
  expect(await cli(['restore', '--replace', file], { HS_DATA_DIR: dataDir })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HS_STORE_LOCKED') as string,
  })
  await robot.kill()
  expect(await cli(['restore', file], { HS_DATA_DIR: dataDir })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HS_STORE_EXISTS') as string,
  })
  const damaged = `${file}.damaged`
  const bytes = await readFile(file)
  bytes[bytes.length >> 1]! ^= 1
  await writeFile(damaged, bytes)
  expect(await cli(['restore', '--replace', damaged], { HS_DATA_DIR: dataDir })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HS_BACKUP_INVALID: the backup cannot be used: it is damaged') as string,
  })
  expect((await readdir(dataDir)).filter(name => /restoring|quarantine/.test(name))).toEqual([])
  const salted = { HS_DATA_DIR: dataDir, HS_DIGEST_SALT: '00112233445566778899aabbccddeeff' }
  expect(await cli(['restore', '--replace', file], salted)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HS_DIGEST_SALT') as string,
  })

  const restored = await cli(['restore', '--replace', file], { HS_DATA_DIR: dataDir })
  expect([restored.status, restored.stderr]).toEqual([0, ''])
  expect(restored.stdout).toContain('quarantine-')
  robot = await startAgentProcess({ env: { HS_DATA_DIR: dataDir, ...gossip(0, 1) } })
  expect(await nodeOf(robot)).toBe(nodeId)
  await write(robot, 'again', 100)
  await bothHold(600)
})

it('P2 what a robot alone had acknowledged behind its backup comes back from its outage log', async () => {
  const dataDir = await makeFolder()
  const agent = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  const old = await write(agent, 'old', 100)
  const file = join(await makeFolder(), 'robot.hsbackup')
  expect((await cli(['backup', file], { HS_URL: agent.url })).status).toBe(0)
  const alone = await write(agent, 'alone', 100)
  await agent.kill()
  expect((await cli(['restore', '--replace', file], { HS_DATA_DIR: dataDir })).status).toBe(0)
  const again = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  expect((await keysOf(again)).sort()).toEqual([...old, ...alone].sort())
})

it('a backup that breaks off leaves no file, and the one before it as it was', async () => {
  const agent = await startAgentProcess({ env: {} })
  // So much that it does not fit into the buffers between the two.
  for (let i = 0; i < 20; i++) await write(agent, `part${i}`, 5_000)
  const folder = await makeFolder()
  const file = join(folder, 'robot.hsbackup')
  await writeFile(file, 'the one before')
  const child = startCli(['backup', file], { env: { HS_URL: agent.url }, workingDirectory: folder })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  await until('the backup has begun', DEADLINE_MS, async () =>
    (await readdir(folder)).some(name => name.includes('.part-')) ? undefined : 'it has not',
  )
  await agent.kill('SIGKILL')
  expect([await ended, stderr]).toEqual([69, expect.stringContaining('HS_AGENT_UNREACHABLE')])
  expect(await readdir(folder)).toEqual(['robot.hsbackup'])
  expect(await readFile(file, 'utf8')).toBe('the one before')
})

it('P2 P14 verify names what is damaged in a data directory, repair mends it, and all that was acknowledged is there', async () => {
  const whole = await makeFolder()
  const agent = await startAgentProcess({ env: { HS_DATA_DIR: whole } })
  const keys: string[] = []
  for (let i = 0; i < 6; i++) keys.push(...(await write(agent, `part${i}`, 5_000)))
  expect(await cli(['verify'], { HS_DATA_DIR: whole })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HS_STORE_LOCKED') as string,
  })
  await agent.kill()
  expect(await cli(['verify'], { HS_DATA_DIR: whole })).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('everything matches: 30,000 records in 1 collection,') as string,
  })
  expect(await cli(['repair'], { HS_DATA_DIR: whole })).toMatchObject({
    status: 0,
    stdout: 'everything matches: there is nothing to repair\n',
  })

  const elsewhere = await makeFolder()
  expect(await cli(['repair'], { HS_DATA_DIR: elsewhere })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HS_NOT_FOUND') as string,
  })
  expect(await readdir(elsewhere)).toEqual([])

  const dataDir = await makeFolder()
  await cp(whole, dataDir, { recursive: true })
  const [table] = await listTables(join(dataDir, 'store'))
  const path = join(dataDir, 'store', table!.name)
  const bytes = await readFile(path)
  bytes.fill(0xff, bytes.length >> 2, bytes.length >> 1)
  await writeFile(path, bytes)
  const found = await cli(['verify'], { HS_DATA_DIR: dataDir })
  expect(found).toMatchObject({ status: 1, stdout: expect.stringContaining(`table ${table!.name}`) as string })
  const mended = await cli(['repair'], { HS_DATA_DIR: dataDir })
  expect([mended.status, mended.stderr]).toEqual([0, ''])
  expect(mended.stdout).toContain('another one is in its place')
  expect((await cli(['verify'], { HS_DATA_DIR: dataDir })).stdout).toContain('everything matches')
  const again = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  expect((await keysOf(again)).sort()).toEqual(keys.sort())

  const outage = join(whole, 'outage')
  const [segment] = (await readdir(outage)).sort()
  await writeFile(join(outage, segment!), Buffer.alloc(500, 0x55), { flag: 'a' })
  expect(await cli(['verify'], { HS_DATA_DIR: whole })).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(/^\d+ bytes of the outage log cannot be read\n$/) as string,
  })
  await rm(join(whole, 'store'), { recursive: true })
  expect(await cli(['verify'], { HS_DATA_DIR: whole })).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('there is no database') as string,
  })
})

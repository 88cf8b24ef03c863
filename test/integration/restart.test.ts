/** An agent that is killed at any moment starts again by itself, and what it had acknowledged is there. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { createSeededRandom } from '../seeded-random.ts'

const CYCLES = 15
const WRITERS = 4
const KEYS_PER_WRITER = 12
/** Records of one bulk write. */
const BULK = 20
/** How long the writers are left at it. */
const KILL_AFTER_MS = { min: 5, max: 400 }
const DEADLINE_MS = 60_000
const JSON_TYPE = { 'content-type': 'application/json' }

afterEach(stopEverything)

/** What a record may be after a crash: as acknowledged last, or as the write says that nobody has answered. `undefined`: not there. */
interface Expected {
  acknowledged: number | undefined
  underWay: { readonly value: number | undefined } | undefined
}

interface Version {
  readonly origin: string
  readonly counter: number
}

interface Ledger {
  readonly byKey: Map<string, Expected>
  /** Every (origin, counter) that was acknowledged. */
  readonly dots: Set<string>
  writes: number
}

const recordPath = (key: string): string => `/api/collections/log/records/${key}`

/** Writes one thing after the other until the agent is gone. */
async function writeOn(agent: AgentProcess, writer: number, ledger: Ledger, random: () => number): Promise<void> {
  const attempt = async (keys: readonly string[], value: number | undefined, write: () => Promise<unknown>): Promise<boolean> => {
    const expected = keys.map(key => ledger.byKey.get(key) ?? { acknowledged: undefined, underWay: undefined })
    for (const [i, key] of keys.entries()) ledger.byKey.set(key, Object.assign(expected[i]!, { underWay: { value } }))
    try {
      await write()
    } catch (error) {
      // The connection broke; an answer that is an error would be one.
      if (error instanceof TypeError) return false
      throw error
    }
    for (const one of expected) Object.assign(one, { acknowledged: value, underWay: undefined })
    return true
  }
  const put = async (key: string, value: number): Promise<void> => {
    const answer = (await ask(agent, recordPath(key), { method: 'PUT', headers: JSON_TYPE, body: JSON.stringify({ payload: value }) })) as {
      version: Version
    }
    const dot = `${answer.version.origin}:${answer.version.counter}`
    if (ledger.dots.has(dot)) throw new Error(`${dot} was given to two writes`)
    ledger.dots.add(dot)
  }
  for (;;) {
    ledger.writes += 1
    const value = ledger.writes
    const key = `writer${writer}/${Math.floor(random() * KEYS_PER_WRITER)}`
    const dice = random()
    let isAlive: boolean
    if (dice < 0.2) {
      isAlive = await attempt([key], undefined, () => ask(agent, recordPath(key), { method: 'DELETE' }))
    } else if (dice < 0.3) {
      const keys = Array.from({ length: BULK }, (_, i) => `writer${writer}/bulk/${i}`)
      const body = keys.map(bulkKey => `${JSON.stringify({ key: bulkKey, payload: value })}\n`).join('')
      isAlive = await attempt(keys, value, () =>
        ask(agent, '/api/collections/log/records', { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body }),
      )
    } else {
      isAlive = await attempt([key], value, () => put(key, value))
    }
    if (!isAlive) return
  }
}

async function exportOf(agent: AgentProcess, collection: string): Promise<string> {
  const response = await fetch(`${agent.url}/api/collections/${collection}/records`, { headers: { accept: 'application/x-ndjson' } })
  return response.status === 404 ? '' : response.text()
}

/** Compares what is there with what may be there, and takes what is there for what is known. */
async function settle(agent: AgentProcess, ledger: Ledger): Promise<string[]> {
  const lines = (await exportOf(agent, 'log')).split('\n').filter(line => line !== '')
  const found = new Map(lines.map(line => JSON.parse(line) as { key: string; payload: number }).map(({ key, payload }) => [key, payload]))
  const faults: string[] = []
  for (const [key, expected] of ledger.byKey) {
    const value = found.get(key)
    const isUnderWay = expected.underWay !== undefined && expected.underWay.value === value
    if (value !== expected.acknowledged && !isUnderWay) faults.push(`${key} is ${value}, ${JSON.stringify(expected)}`)
    Object.assign(expected, { acknowledged: value, underWay: undefined })
  }
  for (const key of found.keys()) if (!ledger.byKey.has(key)) faults.push(`${key} was never written`)
  return faults
}

const statusOf = async (agent: AgentProcess): Promise<{ node_id: string; logical_clock: number }> =>
  (await ask(agent, '/api/cluster/status')) as { node_id: string; logical_clock: number }
const collectionsOf = async (agent: AgentProcess): Promise<string> => JSON.stringify(await ask(agent, '/api/collections'))

it(`P2 P14 killed with -9 at ${CYCLES} random moments under concurrent writes, it starts by itself each time, all that was acknowledged is there, and counters, clocks and digests go on`, async () => {
  const seed = Date.now() % 1_000_000
  const source = createSeededRandom(seed)
  const random = (): number => source.fraction()
  const dataDir = await makeFolder('hs-restart-')
  const ledger: Ledger = { byKey: new Map(), dots: new Set(), writes: 0 }
  const first = { nodeId: undefined as string | undefined, clock: 0 }
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    const agent = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
    expect(await settle(agent, ledger), `seed ${seed}, cycle ${cycle}`).toEqual([])
    const status = await statusOf(agent)
    first.nodeId ??= status.node_id
    expect(status.node_id).toBe(first.nodeId)
    expect(status.logical_clock).toBeGreaterThanOrEqual(first.clock)
    const writing = Promise.all(Array.from({ length: WRITERS }, (_, writer) => writeOn(agent, writer, ledger, random)))
    const { promise: moment, resolve } = Promise.withResolvers<void>()
    setTimeout(resolve, KILL_AFTER_MS.min + random() * (KILL_AFTER_MS.max - KILL_AFTER_MS.min))
    await Promise.race([moment, writing])
    // What the clock was told to be is durable too: it may not fall behind this.
    first.clock = (await statusOf(agent)).logical_clock
    await agent.kill('SIGKILL')
    await writing
  }

  // Another agent that starts from nothing and gets all of it comes to the same digest by its own reckoning.
  const ports = [await findFreePort(), await findFreePort()]
  const gossip = (own: number, other: number) => ({
    HS_GOSSIP_PORT: String(ports[own]),
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PEERS: `127.0.0.1:${ports[other]}`,
  })
  const agent = await startAgentProcess({ env: { HS_DATA_DIR: dataDir, ...gossip(0, 1) } })
  expect(await settle(agent, ledger), `seed ${seed}, at the end`).toEqual([])
  expect(JSON.parse(await readFile(join(dataDir, 'identity.json'), 'utf8'))).toMatchObject({
    node_id: first.nodeId,
    boot_counter: CYCLES + 1,
  })
  const fresh = await startAgentProcess({ env: gossip(1, 0) })
  await until('the fresh agent holds the same', DEADLINE_MS, async () => {
    const [ours, theirs] = [await collectionsOf(agent), await collectionsOf(fresh)]
    return ours === theirs && ours !== '[]' ? undefined : `${ours}\n${theirs}`
  })
  expect(await exportOf(fresh, 'log')).toBe(await exportOf(agent, 'log'))
  expect(ledger.dots.size).toBeGreaterThan(CYCLES * WRITERS)
})

it.each(['fsync', 'batch', 'async'])(
  'with HS_DURABILITY=%s it serves, and a clean stop loses nothing of what was acknowledged',
  async durability => {
    const env = { HS_DATA_DIR: await makeFolder('hs-stop-'), HS_DURABILITY: durability }
    const ledger: Ledger = { byKey: new Map(), dots: new Set(), writes: 0 }
    const source = createSeededRandom(1)
    const agent = await startAgentProcess({ env })
    const writing = Promise.all(
      Array.from({ length: WRITERS }, (_, writer) => stopped(writeOn(agent, writer, ledger, () => source.fraction()))),
    )
    await until('some writes were acknowledged', DEADLINE_MS, async () => (ledger.dots.size >= 200 ? undefined : `${ledger.dots.size}`))
    // In the middle of writing.
    await agent.kill('SIGTERM')
    await writing
    const again = await startAgentProcess({ env })
    expect(await settle(again, ledger)).toEqual([])
    expect(await ask(again, recordPath('after'), { method: 'PUT', headers: JSON_TYPE, body: '{"payload":1}' })).toMatchObject({
      key: 'after',
    })
  },
)

/** While it stops, an agent refuses: nothing of that is acknowledged. */
async function stopped(writing: Promise<void>): Promise<void> {
  try {
    await writing
  } catch (error) {
    if (!String(error).includes('503')) throw error
  }
}

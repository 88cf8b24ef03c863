/** Changes and events of real agents: what was acknowledged is told, whatever happens to the agent, the connection or the consumer. */
import { once } from 'node:events'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, type AgentProcess } from '../agent-process.ts'
import { openEvents, type EventReader } from '../event-reader.ts'
import { startCli } from './cli-process.ts'

afterEach(stopEverything)

interface Changes {
  readonly changes: readonly { readonly key: string; readonly kind: string }[]
  readonly next: string
  readonly more: boolean
  readonly reset: boolean
}

const six = (n: number): string => String(n).padStart(6, '0')
const put = (agent: Pick<AgentProcess, 'url'>, collection: string, key: string, payload: unknown = 1): Promise<unknown> =>
  ask(agent, `/api/collections/${collection}/records/${key}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload }),
  })
const pull = async (agent: Pick<AgentProcess, 'url'>, query: string): Promise<Changes> =>
  (await ask(agent, `/api/changes?${query}`)) as Changes
const putMany = (agent: AgentProcess, collection: string, count: number, payload: unknown): Promise<unknown> =>
  ask(agent, `/api/collections/${collection}/records`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: Array.from({ length: count }, (_, i) => `${JSON.stringify({ key: six(i), payload })}\n`).join(''),
  })

async function open(agent: Pick<AgentProcess, 'url'>, query: string, lastEventId = ''): Promise<EventReader> {
  const reader = await openEvents(`${agent.url}/api/events${query}`, { 'last-event-id': lastEventId })
  onTestFinished(() => reader.close())
  expect(reader.status).toBe(200)
  return reader
}

/** Writes one record after another until the agent is gone; resolves to the number of the last that was acknowledged. */
async function writeUntilGone(agent: AgentProcess, from: number): Promise<number> {
  for (let n = from; ; n++) {
    try {
      await put(agent, 'log', six(n), n)
    } catch {
      return n - 1
    }
  }
}

/** Reads until the stream ends; what was read goes into `seen`. Resolves to the last id. */
async function readUntilGone(events: EventReader, seen: Set<string>, place: string, onSeen: () => void = () => {}): Promise<string> {
  let last = place
  for (let block = await events.next(); block !== undefined; block = await events.next()) {
    if (block.event === 'put') seen.add(String(block.data['key']))
    last = block.id ?? last
    onSeen()
  }
  return last
}

describe('nothing acknowledged is missed', () => {
  it('P4 across kill -9 of the agent, again and again', async () => {
    const env = { HS_DATA_DIR: await makeFolder() }
    const seen = new Set<string>()
    let place = ''
    let next = 0
    for (let round = 0; round < 4; round++) {
      const agent = await startAgentProcess({ env })
      const events = await open(agent, '?collection=log&since=0', place)
      const writing = writeUntilGone(agent, next)
      let left = 60
      place = await readUntilGone(events, seen, place, () => {
        left -= 1
        if (left === 0) void agent.kill('SIGKILL')
      })
      // What was not acknowledged may be there or not; the next round writes it again.
      next = (await writing) + 1
    }
    const agent = await startAgentProcess({ env })
    const events = await open(agent, '?collection=log', place)
    await put(agent, 'log', 'end')
    for (;;) {
      const key = String((await events.nextEvent('put', 'reset')).data['key'])
      if (key === 'end') break
      seen.add(key)
    }
    expect(next).toBeGreaterThan(200)
    expect(Array.from({ length: next }, (_, n) => six(n)).filter(key => !seen.has(key))).toEqual([])
  })

  it('P4 across connections that break while it is written', async () => {
    const agent = await startAgentProcess({ env: {} })
    const total = 2000
    const seen: string[] = []
    let place = ''
    const writing = (async () => {
      for (let n = 0; n < total; n += 1) await put(agent, 'log', six(n))
    })()
    while (seen.length < total) {
      const events = await open(agent, '?since=0', place)
      for (let n = 0; n < 150 && seen.length < total; n++) {
        const block = await events.nextEvent('put')
        seen.push(String(block.data['key']))
        place = block.id ?? place
      }
      events.close()
    }
    await writing
    expect(seen).toEqual(Array.from({ length: total }, (_, n) => six(n)))
  })

  it('P8 by a consumer that takes its time: the agent holds little of what waits for it', async () => {
    const agent = await startAgentProcess({ env: {} })
    const residentMib = async (): Promise<number> =>
      Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${agent.pid}/status`, 'utf8'))?.[1]) / 1024
    const events = await Promise.all(Array.from({ length: 8 }, () => open(agent, '?since=0')))
    for (const reader of events) reader.pause()
    await putMany(agent, 'frames', 10, 'x'.repeat(100_000))
    const before = await residentMib()
    const total = 600
    await putMany(agent, 'frames', total, 'x'.repeat(100_000))
    // 8 consumers have 60 MB each before them; held at once that would be 480 MB.
    expect((await residentMib()) - before).toBeLessThan(300)
    for (const reader of events) reader.resume()
    for (const reader of events) {
      const keys = new Set<unknown>()
      while (keys.size < total) keys.add((await reader.nextEvent('put')).data['key'])
    }
  })

  it('by 50 streams at once, and by those who look for one collection', async () => {
    const agent = await startAgentProcess({ env: {} })
    const all = await Promise.all(Array.from({ length: 50 }, () => open(agent, '')))
    const some = await open(agent, '?collection=map')
    for (const reader of [...all, some]) await reader.next()
    await Promise.all([putMany(agent, 'log', 500, 'x'), put(agent, 'map', 'door', 'open')])
    for (const reader of all) {
      const keys = new Set<unknown>()
      while (keys.size < 501) keys.add((await reader.nextEvent('put')).data['key'])
    }
    expect((await some.nextEvent('put')).data).toMatchObject({ collection: 'map', key: 'door', payload: 'open' })
  })
})

describe('asking for changes', () => {
  it('a long poll waits for a change; a cursor holds across a restart', async () => {
    const env = { HS_DATA_DIR: await makeFolder() }
    const agent = await startAgentProcess({ env })
    const begin = await pull(agent, 'limit=1')
    const waiting = pull(agent, `since=${begin.next}&wait_ms=60000`)
    await put(agent, 'map', 'door')
    const told = await waiting
    expect(told).toMatchObject({ changes: [{ kind: 'put', key: 'door' }], reset: false })
    await agent.kill('SIGKILL')
    const again = await startAgentProcess({ env })
    await put(again, 'map', 'window')
    expect(await pull(again, `since=${told.next}&wait_ms=60000`)).toMatchObject({ changes: [{ key: 'window' }], more: false })
    const late = pull(again, 'wait_ms=60000')
    await ask(again, '/healthz')
    await again.kill('SIGTERM')
    // Told that there is nothing, or cut off while it was still on its way: at once in any case.
    await late.catch(() => undefined)
  })

  it('a store that was removed and built anew says so, and tells all that it has', async () => {
    const env = { HS_DATA_DIR: await makeFolder() }
    const agent = await startAgentProcess({ env })
    await put(agent, 'map', 'old')
    const { next } = await pull(agent, 'since=0')
    await agent.kill()
    await rm(env.HS_DATA_DIR, { recursive: true })
    await mkdir(env.HS_DATA_DIR)
    const fresh = await startAgentProcess({ env })
    await put(fresh, 'map', 'new')
    expect(await pull(fresh, `since=${next}`)).toMatchObject({ changes: [{ key: 'new' }], reset: true })
    const events = await open(fresh, `?since=${next}`)
    const reset = await events.nextEvent('reset', 'put')
    expect(reset).toMatchObject({ event: 'reset', data: { kind: 'reset', cursor: reset.id } })
    expect((await events.nextEvent('put')).data).toMatchObject({ key: 'new' })
  })
})

describe('a collection that is deleted', () => {
  it('is told to whoever was away, also after kill -9, and before what a new one of its name gets', async () => {
    const env = { HS_DATA_DIR: await makeFolder() }
    const agent = await startAgentProcess({ env })
    await putMany(agent, 'map', 500, 'x')
    const { next } = await pull(agent, 'collection=map&since=0&limit=1000')
    await fetch(`${agent.url}/api/collections/map`, { method: 'DELETE' })
    await agent.kill('SIGKILL')
    const again = await startAgentProcess({ env })
    await put(again, 'map', 'new')
    const { changes } = await pull(again, `collection=map&since=${next}`)
    expect(changes).toMatchObject([
      { kind: 'delete', collection: 'map', generation: 1 },
      { kind: 'put', collection: 'map', key: 'new' },
    ])
    expect(changes[0]).not.toHaveProperty('key')
  })
})

describe('two agents', () => {
  it('tell of each other, of what was exchanged, and of what the exchange brought', async () => {
    const swarm = {
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_MULTICAST: 'off',
      HS_GOSSIP_PROFILE: 'local',
      HS_SWARM_NAME: `events-${process.pid}`,
    }
    const port = await findFreePort()
    const one = await startAgentProcess({ env: { ...swarm, HS_NODE_NAME: 'one', HS_GOSSIP_PORT: String(port) } })
    const events = await open(one, '?since=0')
    const two = await startAgentProcess({
      env: { ...swarm, HS_NODE_NAME: 'two', HS_GOSSIP_PORT: '0', HS_GOSSIP_PEERS: `127.0.0.1:${port}` },
    })
    expect((await events.nextEvent('peer')).data).toMatchObject({ kind: 'peer', change: 'joined', node_name: 'two', status: 'alive' })
    await put(two, 'map', 'door', 'open')
    const told = [await events.nextEvent('put', 'sync'), await events.nextEvent('put', 'sync')]
    expect(told.map(({ data }) => data)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'put', collection: 'map', key: 'door', payload: 'open' }),
        expect.objectContaining({ kind: 'sync', collection: 'map', in_sync: true, entries_received: 1 }),
      ]),
    )
    await two.kill('SIGTERM')
    const gone = await events.nextEvent('peer').then(async block => (block.data['change'] === 'dropped' ? block : events.nextEvent('peer')))
    expect(gone.data).toMatchObject({ change: 'dropped', reason: 'left', node_name: 'two' })
  })
})

describe('hs-agent watch', () => {
  it('goes on by itself when the agent was killed and comes back, and ends well on SIGINT', async () => {
    const env = { HS_DATA_DIR: await makeFolder(), HS_HTTP_PORT: String(await findFreePort()) }
    const agent = await startAgentProcess({ env })
    await put(agent, 'map', 'before')
    const child = startCli(['watch', 'map', '--since', '0', '--json', '--url', agent.url], { workingDirectory: await makeFolder() })
    onTestFinished(() => void child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const nextKey = async (): Promise<unknown> => (JSON.parse(String((await lines.next()).value)) as { key: unknown }).key
    expect(await nextKey()).toBe('before')
    await agent.kill('SIGKILL')
    const again = await startAgentProcess({ env })
    await put(again, 'map', 'after')
    expect(await nextKey()).toBe('after')
    const exit = once(child, 'close')
    child.kill('SIGINT')
    expect(await exit).toEqual([0, null])
  })
})

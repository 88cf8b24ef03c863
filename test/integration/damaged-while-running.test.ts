/**
 * A table that is damaged under a running agent, so that merging fails and writes with it: the agent ends by itself, its next start mends the
 * database, and everything that was acknowledged is there (P2).
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { listTables } from '../../agent/table-check.ts'
import { ask, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'

const DEADLINE_MS = 120_000
const RECORDS_PER_REQUEST = 2_000
const PAYLOAD_CHARACTERS = 500
/** Enough for LevelDB to merge several times over, in requests. */
const REQUESTS_MAX = 200

afterEach(stopEverything)

/** Records in one request; keys in no order, so that every table overlaps all others. Undefined when the agent does not answer. */
async function write(agent: AgentProcess, request: number): Promise<{ readonly keys: string[]; readonly status: number } | undefined> {
  const keys = Array.from(
    { length: RECORDS_PER_REQUEST },
    (_, i) => `${((i * 7_919 + request * 104_729) * 2_654_435_761) % 2 ** 32}/${request}`,
  )
  const body = keys.map(key => JSON.stringify({ key, payload: crypto.randomUUID().repeat(PAYLOAD_CHARACTERS / 36) })).join('\n')
  try {
    const response = await fetch(`${agent.url}/api/collections/c/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    })
    await response.arrayBuffer()
    return { keys, status: response.status }
  } catch {
    return undefined
  }
}

async function keysOf(agent: AgentProcess): Promise<Set<string>> {
  const response = await fetch(`${agent.url}/api/collections/c/records`, { headers: { accept: 'application/x-ndjson' } })
  const lines = (await response.text()).split('\n').filter(line => line !== '')
  return new Set(lines.map(line => (JSON.parse(line) as { readonly key: string }).key))
}

it('P2 merging that fails while the agent runs ends it, and the next start has mended the database', async () => {
  const dataDir = await makeFolder()
  const env = { HS_DATA_DIR: dataDir, HS_LOG_LEVEL: 'info', HS_OUTAGE_LOG_MIB: '512' }
  const agent = await startAgentProcess({ env })
  const acknowledged: string[] = []
  let requests = 0
  await until('there is a table', DEADLINE_MS, async () => {
    const written = await write(agent, requests++)
    if (written?.status !== 200) return `a write ended with ${written?.status}`
    acknowledged.push(...written.keys)
    return (await listTables(join(dataDir, 'store'))).length > 1 ? undefined : 'there is none yet'
  })

  // LevelDB has them mapped: what is written over them here is what it reads. Their ends, where the indexes are, stay.
  for (const { name, bytes } of await listTables(join(dataDir, 'store'))) {
    const file = await open(join(dataDir, 'store', name), 'r+')
    await file.write(Buffer.alloc(Math.floor(bytes / 3), 0xff), 0, undefined, 0)
    await file.close()
  }
  const statuses: number[] = []
  for (let written = await write(agent, requests++); written !== undefined; written = await write(agent, requests++)) {
    statuses.push(written.status)
    if (written.status === 200) acknowledged.push(...written.keys)
    expect(requests, `statuses ${statuses.join()}; ${agent.output()}`).toBeLessThan(REQUESTS_MAX)
  }
  await until('the agent has ended', DEADLINE_MS, () =>
    Promise.resolve(
      /HS_STORE_WRITE_FAILED: the database is damaged .* the next start mends it/.test(agent.output()) ? undefined : agent.output(),
    ),
  )

  const again = await startAgentProcess({ env })
  expect(await ask(again, '/api/cluster/status')).toMatchObject({ recovery: { kind: expect.stringMatching(/rebuilt|repaired/) as string } })
  const kept = await keysOf(again)
  expect(acknowledged.filter(key => !kept.has(key))).toEqual([])
  expect((await write(again, requests))?.status).toBe(200)
})

/** Reads while as much is being written as an agent takes: each is answered before much more has been written. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startAgentProcess, stopEverything, type AgentProcess } from '../agent-process.ts'

const STREAMS = 4
const LINES = 40_000
const READS_MIN = 20
/** Written while one read is under way: each stream may have two groups of 1,000 in front of it, and some are told in one go. */
const WRITTEN_PER_READ_MAX = 8 * STREAMS * 1_000

let agent: AgentProcess
beforeAll(async () => {
  agent = await startAgentProcess({ env: { HS_GOSSIP_PORT: '0' } })
})
afterAll(stopEverything)

const records = (name: string): string => `${agent.url}/api/collections/${name}/records`

it('P8 writes never starve reads: every read ends while the streams of writes go on, whichever way it reads', async () => {
  const ready = await fetch(`${records('map')}/home`, {
    method: 'PUT',
    body: '{"payload":1}',
    headers: { 'content-type': 'application/json' },
  })
  expect(ready.status).toBe(201)

  let written = 0
  const under = new Set<number>(Array.from({ length: STREAMS }, (_, i) => i))
  const write = async (stream: number): Promise<void> => {
    const lines = Array.from({ length: LINES }, (_, i) => `{"key":"${stream}/${i}","payload":{"range":${i / 7},"seen_by":${stream}}}\n`)
    const answer = await fetch(records('log'), {
      method: 'POST',
      body: lines.join(''),
      headers: { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' },
    })
    let last = ''
    const decoder = new TextDecoder()
    for await (const chunk of answer.body!) {
      const parts = (last + decoder.decode(chunk, { stream: true })).split('\n')
      last = parts.pop() ?? ''
      written += parts.length
    }
    under.delete(stream)
  }
  const writing = Promise.all(Array.from({ length: STREAMS }, (_, i) => write(i)))

  const paths = ['map/records/home', 'log/records?limit=10', 'map', 'log/records/0%2F0']
  let reads = 0
  let mostPerRead = 0
  while (under.size === STREAMS) {
    const before = written
    const answer = await fetch(`${agent.url}/api/collections/${paths[reads % paths.length]}`)
    await answer.arrayBuffer()
    reads += 1
    if (written > 0) mostPerRead = Math.max(mostPerRead, written - before)
  }
  await writing
  expect(written).toBe(STREAMS * (LINES + 1))
  expect(reads).toBeGreaterThan(READS_MIN)
  expect(mostPerRead).toBeLessThan(WRITTEN_PER_READ_MAX)
}, 240_000)

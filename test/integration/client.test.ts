/** The typed client against a real agent, and that it is the one that the description gives. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLIENT_PATH, generateClient } from '../../client/generate.ts'
import { createHsAgentClient, type HsAgentClient, type StoredRecord } from '../../client/hs-agent-client.ts'
import { createTransport, HsAgentError } from '../../client/transport.ts'
import { makeFolder, startAgentProcess, stopEverything, type AgentProcess } from '../agent-process.ts'

const TOKEN = 'a-token-of-ours'
let agent: AgentProcess
let client: HsAgentClient
beforeAll(async () => {
  agent = await startAgentProcess({ env: { HS_API_TOKEN: TOKEN, HS_DATA_DIR: await makeFolder() } })
  client = createHsAgentClient({ url: agent.url, token: TOKEN })
})
afterAll(stopEverything)

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = []
  for await (const item of items) collected.push(item)
  return collected
}

describe('the typed client', () => {
  it('is up to date: otherwise run `npm run client`', async () => {
    expect(readFileSync(CLIENT_PATH, 'utf8')).toBe(await generateClient())
  })

  it('writes, reads, lists and deletes records', async () => {
    const name = 'imu'
    const key = 'robot 1/ünï?#%2F'
    const written = await client.putRecord({ name, key, body: { payload: { yaw: 0.25 }, vector: [1, 2] } })
    expect(written).toMatchObject({ key, version: { counter: 1 } })
    const record = await client.getRecord({ name, key })
    expect(record).toMatchObject({ key, payload: { yaw: 0.25 }, vector: [1, 2], version: written.version })
    expect((await client.listRecords({ name, prefix: 'robot 1/', limit: 1 })).records).toEqual([record])
    expect(await client.getCollection({ name })).toMatchObject({ name, record_count: 1, vector_count: 1, dimension: 2 })
    expect(await client.deleteRecord({ name, key })).toBeUndefined()
    expect((await client.getDigest({ name })).record_count).toBe(0)
  })

  it('a condition that does not hold is an error with its code, and a 304 is undefined', async () => {
    const name = 'jobs'
    const { version } = await client.putRecord({ name, key: '1', body: { payload: 'mine' }, ifNoneMatch: '*' })
    const refused = client.putRecord({ name, key: '1', body: { payload: 'yours' }, ifNoneMatch: '*' })
    await expect(refused).rejects.toThrow(HsAgentError)
    await expect(refused).rejects.toMatchObject({ status: 412, code: 'HS_PRECONDITION_FAILED' })
    expect(await client.getRecord({ name, key: '1', ifNoneMatch: `"${version.origin}:${version.counter}"` })).toBeUndefined()
    await expect(client.getCollection({ name: 'nothing' })).rejects.toMatchObject({ status: 404, code: 'HS_NOT_FOUND' })
    await expect(createHsAgentClient({ url: agent.url }).getStatus()).rejects.toMatchObject({ status: 401, code: 'HS_UNAUTHORIZED' })
  })

  it('streams in and out, line by line', async () => {
    const name = 'odometry'
    const body = Array.from({ length: 2500 }, (_, i) => ({ key: String(i).padStart(5, '0'), payload: i }))
    const acknowledged = await collect(client.putRecordsStream({ name, body }))
    expect(acknowledged).toHaveLength(2501)
    expect(acknowledged.at(-1)).toEqual({ accepted: 2500, rejected_count: 0 })
    const records: StoredRecord[] = await collect(client.listRecordsStream({ name, reverse: '1' }))
    expect(records.map(({ payload }) => payload)).toEqual(body.map(({ payload }) => payload).toReversed())
    expect(await client.putRecords({ name, body: [{ payload: 1 }, { key: '..', payload: 2 }] })).toMatchObject({
      accepted: 1,
      rejected: [{ line: 2, code: 'HS_INVALID_KEY' }],
    })
  })

  it('asks for what is no record', async () => {
    expect(await client.getHealth()).toEqual({ status: 'ok' })
    expect(await client.getReadiness()).toEqual({ status: 'ready' })
    expect(await client.getStatus()).toMatchObject({ role: 'Edge', secured: false })
    expect(await client.listPeers()).toEqual({ gossip_enabled: false, peer_count: 0, peers: [] })
    expect(await client.getMetrics()).toContain('hs_records{collection="odometry"}')
    await expect(client.startSync()).rejects.toMatchObject({ code: 'HS_GOSSIP_DISABLED' })
  })

  it('reads events: an id that stays, data of several lines, comments, and no event that was cut off', async () => {
    const text = ': hello\n\nid: 7\nevent: put\ndata: {"a":\ndata: 1}\n\r\ndata: x\r\n\r\nevent: put\ndata: cut'
    const transport = createTransport({ url: 'http://agent', fetch: async () => new Response(text) })
    expect(await collect(transport.events({ method: 'GET', path: '/', accept: 'text/event-stream' }))).toEqual([
      { id: '7', event: 'put', data: '{"a":\n1}' },
      { id: '7', event: 'message', data: 'x' },
    ])
  })

  it('says so when something else than an agent answers', async () => {
    const transport = createTransport({ url: 'http://agent', fetch: async () => new Response('<html>', { status: 502 }) })
    await expect(transport.call({ method: 'GET', path: '/', accept: '*/*' })).rejects.toMatchObject({ status: 502, code: 'HS_UNKNOWN' })
  })
})

/**
 * Two agents and nodes that speak HyperspaceDB's gossip alone: real datagrams on loopback, in the form and from the kind of socket that
 * its source has (heartbeats leave from another port than the one that listens).
 */
import { execFile } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ask, cleanEnvironment, findFreePort, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { createSeededRandom } from '../seeded-random.ts'

const LAUNCHER = fileURLToPath(new URL('../../bin/hs-agent', import.meta.url))
const DEADLINE_MS = 60_000
const U64_MAX = '18446744073709551615'
const UUID = 'a92f0000-1111-4222-8333-444455556666'

interface FakeNode {
  readonly port: number
  /** Texts of the heartbeats that it has received. */
  readonly heard: string[]
  send(text: string | Uint8Array): Promise<void>
  heartbeat(changed?: { nodeId?: string; clock?: string; hash?: string; timestampSecs?: string }): string
  close(): void
}

const fakes: FakeNode[] = []

async function bindUdp(address: string): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(0, address, resolve))
  return socket
}

async function startFake(targetPort: number, address = '127.0.0.1'): Promise<FakeNode> {
  const [listener, sender] = [await bindUdp(address), await bindUdp(address)]
  const heard: string[] = []
  // Its buffer takes 4,096 bytes; it understands no other protocol.
  listener.on('message', bytes => void (bytes[0] === 0x7b && heard.push(bytes.subarray(0, 4_096).toString())))
  const { port } = listener.address()
  const fake: FakeNode = {
    port,
    heard,
    send: bytes => new Promise(resolve => sender.send(bytes, targetPort, '127.0.0.1', () => resolve())),
    heartbeat: ({ nodeId = UUID, clock = U64_MAX, hash = U64_MAX, timestampSecs = '12' } = {}) =>
      `{"type":"Heartbeat","node_id":"${nodeId}","role":"Leader","http_port":50051,"gossip_port":${port},"logical_clock":${clock},` +
      `"digests":[{"name":"vision","state_hash":${hash},"vector_count":9007199254740993,"logical_clock":${clock}}],"timestamp_secs":${timestampSecs}}`,
    close() {
      listener.close()
      sender.close()
    },
  }
  fakes.push(fake)
  return fake
}

let agent: AgentProcess
let neighbour: AgentProcess
let agentPort: number
let named: FakeNode

beforeAll(async () => {
  agentPort = await findFreePort()
  const neighbourPort = await findFreePort()
  named = await startFake(agentPort)
  const env = (own: number, peers: readonly number[]) => ({
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_PORT: String(own),
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PROFILE: 'local',
    HS_GOSSIP_PEERS: peers.map(port => `127.0.0.1:${port}`).join(','),
  })
  ;[agent, neighbour] = await Promise.all([
    startAgentProcess({ env: { ...env(agentPort, [named.port, neighbourPort]), HS_GOSSIP_COMPAT: 'hyperspace' } }),
    startAgentProcess({ env: env(neighbourPort, [agentPort]) }),
  ])
}, 120_000)

afterAll(async () => {
  for (const fake of fakes) fake.close()
  await stopEverything()
})

interface Peer {
  readonly node_id: string
  readonly compat?: string
  readonly [field: string]: unknown
}

const peersOf = async (of: AgentProcess): Promise<Peer[]> => ((await ask(of, '/api/swarm/peers')) as { peers: Peer[] }).peers
const compatOf = async (of: AgentProcess): Promise<Peer[]> => (await peersOf(of)).filter(({ compat }) => compat !== undefined)

async function rejects(): Promise<Record<string, number>> {
  const text = await (await fetch(`${agent.url}/metrics`)).text()
  const found = text.matchAll(/^hs_gossip_compat_rejects_total\{[^}]*reason="([^"]+)"[^}]*\} (\d+)$/gm)
  return Object.fromEntries([...found].map(([, reason, count]) => [reason, Number(count)]))
}

it('P12 a HyperspaceDB node is told of collections by whole u64 numbers, and listed with each bit of its own', async () => {
  const put = { method: 'PUT', headers: { 'content-type': 'application/json' } }
  await ask(agent, '/api/collections/imu/records/a', { ...put, body: '{"vector":[1,2,3]}' })
  const digest = (await ask(agent, '/api/collections/imu/digest')) as { digest: string; state_hash: number }
  await until('it hears of the collection', DEADLINE_MS, async () =>
    named.heard.at(-1)?.includes('"imu"') === true ? undefined : `${named.heard.at(-1)}`,
  )
  const heard = named.heard.at(-1)!
  const status = (await ask(agent, '/api/cluster/status')) as { node_id: string }
  const secs = Math.floor(Date.now() / 1_000)
  expect(heard).toContain(`"name":"imu","state_hash":${BigInt(`0x${digest.digest.slice(0, 16)}`)},"vector_count":1,"logical_clock":`)
  expect(JSON.parse(heard)).toMatchObject({ type: 'Heartbeat', node_id: status.node_id, role: 'Edge', gossip_port: agentPort })
  expect(Math.abs(secs - (JSON.parse(heard) as { timestamp_secs: number }).timestamp_secs)).toBeLessThan(30)
  expect(heard).not.toContain('_system')

  await named.send(named.heartbeat())
  await until('it is listed', DEADLINE_MS, async () => ((await compatOf(agent)).length === 1 ? undefined : 'not yet'))
  expect(await compatOf(agent)).toMatchObject([
    {
      node_id: UUID,
      compat: 'hyperspace',
      role: 'Leader',
      addr: '127.0.0.1:50051',
      gossip_addr: `127.0.0.1:${named.port}`,
      // Half a century behind, and heard all the same.
      healthy: true,
      logical_clock: Number.MAX_SAFE_INTEGER,
      logical_clock_exact: U64_MAX,
      collections: [
        {
          name: 'vision',
          state_hash: 2 ** 53 - 1,
          state_hash_hex: 'ffffffffffffffff',
          vector_count_exact: '9007199254740993',
          logical_clock_exact: U64_MAX,
          in_sync: false,
        },
      ],
    },
  ])
  const odd = '9007199254740995'
  await named.send(named.heartbeat({ clock: odd, hash: odd }))
  await until('its odd numbers are listed', DEADLINE_MS, async () => {
    const [peer] = await compatOf(agent)
    return peer?.['logical_clock_exact'] === odd ? undefined : JSON.stringify(peer)
  })
  expect(await compatOf(agent)).toMatchObject([{ collections: [{ state_hash_hex: '0020000000000003', logical_clock_exact: odd }] }])
})

it('on the command line it is marked', async () => {
  await named.send(named.heartbeat())
  const { stdout } = await promisify(execFile)(LAUNCHER, ['peers'], { env: { ...cleanEnvironment(), HS_URL: agent.url } })
  expect(stdout).toMatch(/a92f.*compat: hyperspace/)
})

it('P16 it is trusted for nothing: not synced with, no rumour to others, no clock, no evidence for a native member', async () => {
  const native = (await ask(neighbour, '/api/cluster/status')) as { node_id: string; logical_clock: number }
  await until('the agents know each other', DEADLINE_MS, async () =>
    (await peersOf(agent)).some(({ node_id: id }) => id === native.node_id) && (await peersOf(neighbour)).length > 0
      ? undefined
      : 'not yet',
  )
  const before = (await rejects())['native-id'] ?? 0
  await named.send(named.heartbeat({ nodeId: native.node_id }))
  await until('it is counted', DEADLINE_MS, async () =>
    (await rejects())['native-id'] === before + 1 ? undefined : JSON.stringify(await rejects()),
  )
  const listed = await peersOf(agent)
  expect(listed.filter(({ node_id: id }) => id === native.node_id).map(({ compat, addr }) => ({ compat, addr }))).toEqual([
    { compat: undefined, addr: neighbour.url.replace('http://', '') },
  ])
  expect((await compatOf(agent)).map(({ node_id: id }) => id)).toEqual([UUID])
  expect(await ask(agent, '/api/sync', { method: 'POST' })).toEqual({ peers: 1 })
  expect((await peersOf(neighbour)).map(({ node_id: id }) => id)).not.toContain(UUID)
  expect(((await ask(agent, '/api/cluster/status')) as { logical_clock: number }).logical_clock).toBeLessThan(1_000)
})

it('P16 who is not named in HS_GOSSIP_PEERS gets at most three times the bytes that came from it', async () => {
  const stranger = await startFake(agentPort, '127.0.0.7')
  const text = stranger.heartbeat({ nodeId: 'stranger' })
  await stranger.send(text)
  await until('it gets an answer', DEADLINE_MS, async () => (stranger.heard.length > 0 ? undefined : 'not yet'))
  expect(stranger.heard.join('').length).toBeLessThanOrEqual(3 * text.length)
})

it('P16 garbage in that form is counted, and changes nothing', async () => {
  const random = createSeededRandom(20_260_302)
  const thrower = await startFake(agentPort, '127.0.0.8')
  const genuine = Buffer.from(thrower.heartbeat())
  const before = JSON.stringify((await compatOf(agent)).map(({ node_id: id, collections }) => [id, collections]))
  const sumOf = async (): Promise<number> => Object.values(await rejects()).reduce((sum, count) => sum + count, 0)
  const sumBefore = await sumOf()
  const garbage = [
    Buffer.from('{'),
    Buffer.alloc(4_096, '{'),
    Buffer.alloc(4_096, '{"a":'),
    Buffer.concat([Buffer.from('{"type":'), Buffer.alloc(4_000, '[')]),
    Buffer.concat([genuine, Buffer.alloc(5_000, ' ')]),
    Buffer.alloc(60_000, '{'),
    Buffer.from('{"type":"SyncRequest","from_node_id":"x","collection":"imu","bucket_hashes":[1]}'),
    Buffer.from('{"__proto__":{"type":"Heartbeat"}}'),
    ...Array.from({ length: 40 }, () => {
      const mutated = Buffer.from(genuine)
      for (let flips = 0; flips < 5; flips++) mutated[1 + Math.floor(random.fraction() * (mutated.length - 1))]! ^= 0x80
      return mutated
    }),
  ]
  for (const bytes of garbage) await thrower.send(bytes)
  await until('all of it is counted', DEADLINE_MS, async () => {
    const counted = (await sumOf()) - sumBefore
    return counted >= garbage.length ? undefined : String(counted)
  })
  expect(JSON.stringify((await compatOf(agent)).map(({ node_id: id, collections }) => [id, collections]))).toBe(before)
  expect(await ask(agent, '/readyz')).toMatchObject({ status: 'ready' })
  expect(agent.output()).not.toMatch(/^ +at |"stack"|uncaught/m)
})

it('without the setting such datagrams are refused, and none is sent', async () => {
  const port = await findFreePort()
  const fake = await startFake(port)
  const plain = await startAgentProcess({
    env: {
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_PORT: String(port),
      HS_GOSSIP_MULTICAST: 'off',
      HS_GOSSIP_PEERS: `127.0.0.1:${fake.port}`,
    },
  })
  await fake.send(fake.heartbeat())
  await until('it is counted', DEADLINE_MS, async () => {
    const text = await (await fetch(`${plain.url}/metrics`)).text()
    return /^hs_gossip_rejects_total\{[^}]*reason="not-a-packet"[^}]*\} 1$/m.test(text) ? undefined : 'not yet'
  })
  expect(await peersOf(plain)).toEqual([])
  expect(fake.heard).toEqual([])
})

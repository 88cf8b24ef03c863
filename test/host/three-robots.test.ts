/** Three agents on three hosts: real sockets, real multicast, real cables. */
import { afterEach, describe, expect, it } from 'vitest'
import { startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { askInside, makeHosts, namespacesFault, type HostNetwork, type RobotHost } from './namespaces.ts'

interface Robot {
  readonly host: RobotHost
  agent: AgentProcess
  ask(path: string, method?: string, body?: unknown): Promise<unknown>
}

interface Peer {
  readonly node_name: string
  readonly addr: string
  readonly healthy: boolean
  readonly collections: readonly { readonly name: string; readonly in_sync: boolean; readonly record_count: number }[]
}

const fault = await namespacesFault()
const MEET_MS = 30_000
const AGREE_MS = 60_000

let network: HostNetwork | undefined
afterEach(async () => {
  await stopEverything()
  await network?.remove()
  network = undefined
})

const settings = (host: RobotHost, env: Record<string, string>) => ({
  env: { HS_GOSSIP_PORT: '7946', HS_LOG_LEVEL: 'info', HS_NODE_NAME: host.address, ...env },
  namespace: host.namespace,
})

async function startRobots(count: number, env: (i: number) => Record<string, string>): Promise<Robot[]> {
  network = await makeHosts(count)
  return Promise.all(
    network.hosts.map(async (host, i) => {
      const agent = await startAgentProcess(settings(host, env(i)))
      const robot: Robot = { host, agent, ask: (path, method, body) => askInside(host, robot.agent.url + path, method, body) }
      return robot
    }),
  )
}

const peersOf = async (robot: Robot): Promise<readonly Peer[]> => ((await robot.ask('/api/swarm/peers')) as { peers: Peer[] }).peers

async function untilEachLists(robots: readonly Robot[], count: number): Promise<void> {
  await until(`each of ${robots.length} robots lists ${count} peers`, MEET_MS, async () => {
    const lists = await Promise.all(robots.map(peersOf))
    return lists.every(peers => peers.length === count && peers.every(({ healthy }) => healthy)) ? undefined : JSON.stringify(lists)
  })
}

const put = (robot: Robot, key: string, value: unknown) => robot.ask(`/api/collections/map/records/${key}`, 'PUT', { payload: value })
const digestOf = async (robot: Robot): Promise<string> => ((await robot.ask('/api/collections/map/digest')) as { digest: string }).digest
/** Empty while the collection has not come. */
const contentOf = async (robot: Robot): Promise<Record<string, unknown>> => {
  const names = ((await robot.ask('/api/collections')) as { name: string }[]).map(({ name }) => name)
  if (!names.includes('map')) return {}
  const { records } = (await robot.ask('/api/collections/map/records?limit=1000')) as { records: { key: string; payload: unknown }[] }
  return Object.fromEntries(records.map(({ key, payload }) => [key, payload]))
}

async function untilEqual(robots: readonly Robot[], hasAll: (content: Record<string, unknown>) => boolean): Promise<void> {
  await until('all hold the same', AGREE_MS, async () => {
    const contents = await Promise.all(robots.map(contentOf))
    if (!contents.every(hasAll)) return `content ${JSON.stringify(contents)}`
    const digests = await Promise.all(robots.map(digestOf))
    return new Set(digests).size === 1 ? undefined : `digests ${digests.join(' ')}`
  })
  const contents = await Promise.all(robots.map(contentOf))
  for (const content of contents) expect(content).toEqual(contents[0])
}

describe.skipIf(fault !== undefined)(`three hosts${fault === undefined ? '' : ` (skipped: ${fault})`}`, () => {
  it('meet by multicast alone; one is cut off, all write, it returns: equal', async () => {
    const robots = await startRobots(3, () => ({ HS_SWARM_NAME: 'flight' }))
    await untilEachLists(robots, 2)
    for (const robot of robots) {
      const others = robots.filter(other => other !== robot).map(({ host }) => host.address)
      expect((await peersOf(robot)).map(({ addr }) => addr.split(':')[0])).toEqual(expect.arrayContaining(others))
    }
    const [a, b, c] = robots as [Robot, Robot, Robot]
    await put(a, 'first', 1)
    await put(b, 'gone', 2)
    await untilEqual(robots, content => 'first' in content && 'gone' in content)

    await c.host.unplug()
    await put(a, 'shared', 'from a')
    await put(b, 'b', 1)
    await b.ask('/api/collections/map/records/gone', 'DELETE')
    await put(c, 'shared', 'from c')
    await put(c, 'c', 1)
    expect(await contentOf(c)).toHaveProperty('gone')
    await c.host.plug()
    await untilEqual(robots, content => 'b' in content && 'c' in content && !('gone' in content))
  })

  it('of the default swarm are listed and not synced, until one names another', async () => {
    const robots = await startRobots(2, () => ({}))
    const [a, b] = robots as [Robot, Robot]
    await put(a, 'k', 1)
    await until('gossip has told of the difference', MEET_MS, async () => {
      const peers = await peersOf(b)
      return peers[0]?.collections.some(({ name, in_sync }) => name === 'map' && !in_sync) === true ? undefined : JSON.stringify(peers)
    })
    expect(await b.ask('/api/sync', 'POST')).toBeDefined()
    expect(await b.ask('/api/sync')).toEqual([])
    expect(await b.ask('/api/collections')).toEqual([])

    await b.agent.kill()
    b.agent = await startAgentProcess(settings(b.host, { HS_DATA_DIR: b.agent.dataDir, HS_GOSSIP_PEERS: `${a.host.address}:7946` }))
    await untilEqual(robots, content => 'k' in content)
  })

  it('P7 P18 work without a network, live through its loss, and meet when it comes', async () => {
    const robots = await startRobots(2, () => ({ HS_SWARM_NAME: 'flight' }))
    const [a, b] = robots as [Robot, Robot]
    await untilEachLists(robots, 1)
    await b.agent.kill()
    await b.host.linkDown()
    b.agent = await startAgentProcess(settings(b.host, { HS_DATA_DIR: b.agent.dataDir, HS_SWARM_NAME: 'flight' }))
    await put(b, 'offline', 1)
    await put(a, 'meanwhile', 1)
    await b.host.linkUp()
    await untilEqual(robots, content => 'offline' in content && 'meanwhile' in content)

    await a.host.linkDown()
    await put(a, 'down', 1)
    await put(b, 'up', 1)
    await a.host.linkUp()
    await untilEqual(robots, content => 'down' in content && 'up' in content)
  })

  it('come through a pause of one and a kill -9 of another', async () => {
    const robots = await startRobots(3, () => ({ HS_SWARM_NAME: 'flight' }))
    const [a, b, c] = robots as [Robot, Robot, Robot]
    await untilEachLists(robots, 2)
    process.kill(b.agent.pid, 'SIGSTOP')
    await c.agent.kill('SIGKILL')
    await put(a, 'k', 1)
    await until('the heartbeats of the paused one stay away', MEET_MS, async () => {
      const response = (await a.ask('/api/swarm/peers')) as { peers: { node_name: string; last_seen_ago_ms: number }[] }
      const paused = response.peers.find(({ node_name }) => node_name === b.host.address)
      return paused !== undefined && paused.last_seen_ago_ms > 3_000 ? undefined : JSON.stringify(response)
    })
    process.kill(b.agent.pid, 'SIGCONT')
    c.agent = await startAgentProcess(settings(c.host, { HS_DATA_DIR: c.agent.dataDir, HS_SWARM_NAME: 'flight' }))
    await untilEqual(robots, content => 'k' in content)
    await untilEachLists(robots, 2)
  })
})

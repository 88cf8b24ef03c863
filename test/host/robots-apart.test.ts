/** Agents on hosts of their own: they meet by multicast, lose one another, and agree. */
import { afterEach, describe, expect, it } from 'vitest'
import { stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { createNetwork, findObstacle, GOSSIP_PORT, type Network, type Robot } from './robot-network.ts'

const DEADLINE_MS = 60_000
const TOGETHER = { HS_SWARM_NAME: 'three-robots' }
const obstacle = await findObstacle()

let network: Network | undefined
afterEach(async () => {
  await stopEverything()
  await network?.remove()
  network = undefined
})

async function makeRobots(count: number): Promise<Robot[]> {
  network = await createNetwork(count)
  return [...network.robots]
}

interface PeerJson {
  readonly node_id: string
  readonly node_name: string
  readonly addr: string
  readonly gossip_addr: string
  readonly healthy: boolean
  readonly last_seen_ago_ms: number
  readonly collections: readonly { readonly name: string; readonly record_count: number; readonly in_sync: boolean }[]
}

const askJson = async (robot: Robot, path: string): Promise<unknown> => JSON.parse(await robot.ask(path))
const peersOf = async (robot: Robot): Promise<readonly PeerJson[]> =>
  ((await askJson(robot, '/api/swarm/peers')) as { peers: readonly PeerJson[] }).peers
const pathOf = (key: string): string => `/api/collections/notes/records/${key}`
const write = (robot: Robot, key: string, payload: unknown): Promise<string> =>
  robot.ask(pathOf(key), { method: 'PUT', body: JSON.stringify({ payload }) })
const remove = (robot: Robot, key: string): Promise<string> => robot.ask(pathOf(key), { method: 'DELETE' })
const read = async (robot: Robot, key: string): Promise<unknown> => ((await askJson(robot, pathOf(key))) as { payload: unknown }).payload
/** All records as lines; empty where the collection is not known yet. */
const exportOf = async (robot: Robot): Promise<string> => {
  if (!(await robot.ask('/api/collections')).includes('"notes"')) return ''
  return robot.ask('/api/collections/notes/records', { accept: 'application/x-ndjson' })
}
const keysIn = (exported: string): string[] => [...exported.matchAll(/"key":"([^"]+)"/g)].map(([, key]) => key!)
const holds = async (robot: Robot, key: string): Promise<boolean> => keysIn(await exportOf(robot)).includes(key)

async function untilListed(robots: readonly Robot[]): Promise<void> {
  await until('all list one another', DEADLINE_MS, async () => {
    const lists = await Promise.all(robots.map(peersOf))
    const isComplete = lists.every(peers => peers.length === robots.length - 1 && peers.every(({ healthy }) => healthy))
    return isComplete ? undefined : JSON.stringify(lists)
  })
}

/** Until all hold exactly these keys, with one digest and one content. */
async function untilEqual(robots: readonly Robot[], keys: readonly string[]): Promise<void> {
  await until('all hold the same', DEADLINE_MS, async () => {
    const contents = await Promise.all(robots.map(exportOf))
    const states = await Promise.all(robots.map(robot => robot.ask('/api/collections')))
    const isEqual = new Set(states).size === 1 && new Set(contents).size === 1
    return isEqual && keysIn(contents[0]!).join() === [...keys].sort().join() ? undefined : `${states.join('\n')}\n${contents.join('\n')}`
  })
}

/** A counter of /metrics, summed over the lines whose labels contain `label`. */
async function metricOf(robot: Robot, name: string, label = ''): Promise<number> {
  const lines = (await robot.ask('/metrics')).split('\n').filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return lines.filter(line => line.includes(label)).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

const stackLines = (agent: AgentProcess): string[] =>
  agent
    .output()
    .split('\n')
    .filter(line => /^ +at |"stack"/.test(line))

describe.skipIf(obstacle !== undefined)(
  `robots on hosts of their own${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`,
  () => {
    it('three meet by multicast alone, one is cut off, all write and delete, it returns: all hold the same, and what was deleted stays so', async () => {
      const robots = await makeRobots(3)
      const [one, two, three] = robots as [Robot, Robot, Robot]
      const agents = await Promise.all(robots.map(robot => robot.startAgent(TOGETHER)))
      await untilListed(robots)
      const ids = new Map<string, string>()
      for (const robot of robots) ids.set(robot.name, ((await askJson(robot, '/api/cluster/status')) as { node_id: string }).node_id)
      for (const robot of robots) {
        const expected = robots
          .filter(other => other !== robot)
          .map(({ name, address }) => ({
            node_id: ids.get(name),
            node_name: name,
            addr: `${address}:50050`,
            gossip_addr: `${address}:${GOSSIP_PORT}`,
          }))
        const listed = [...(await peersOf(robot))].sort((a, b) => a.node_name.localeCompare(b.node_name))
        expect(listed).toMatchObject(expected)
      }

      await write(one, 'shared', 'before')
      await write(two, 'doomed-here', 'before')
      await write(three, 'doomed-there', 'before')
      await untilEqual(robots, ['shared', 'doomed-here', 'doomed-there'])

      await three.plug(false)
      await Promise.all(robots.map(robot => write(robot, `own-${robot.name}`, robot.name)))
      await Promise.all(robots.map(robot => write(robot, 'shared', `by ${robot.name}`)))
      await Promise.all(robots.map(robot => write(robot, 'contested', `by ${robot.name}`)))
      await remove(one, 'doomed-here')
      await remove(three, 'doomed-there')
      await untilEqual([one, two], ['shared', 'contested', 'doomed-there', 'own-robot1', 'own-robot2'])
      // The cut is a cut.
      expect(await holds(three, 'doomed-here')).toBe(true)
      expect(await holds(three, 'own-robot1')).toBe(false)

      await three.plug(true)
      const kept = ['shared', 'contested', 'own-robot1', 'own-robot2', 'own-robot3']
      await untilEqual(robots, kept)
      for (const key of ['shared', 'contested']) expect(await read(one, key)).toMatch(/^by robot[123]$/)

      // Another round and a restart bring nothing back.
      await write(two, 'later', 1)
      await untilEqual(robots, [...kept, 'later'])
      await agents[2]!.kill('SIGKILL')
      await three.startAgent(TOGETHER)
      await write(three, 'last', 1)
      await untilEqual(robots, [...kept, 'later', 'last'])
      for (const robot of robots) {
        await expect(robot.ask(pathOf('doomed-here'))).rejects.toThrow('404')
        await expect(robot.ask(pathOf('doomed-there'))).rejects.toThrow('404')
      }
    })

    it('under the default swarm name, peers met by multicast alone are listed and not synced, until one of the two names the other', async () => {
      const robots = await makeRobots(2)
      const [one, two] = robots as [Robot, Robot]
      await one.startAgent()
      const stranger = await two.startAgent()
      await untilListed(robots)
      await write(one, 'a', 'from one')
      await write(two, 'b', 'from two')
      const untilKnown = (robot: Robot, count: number): Promise<void> =>
        until('the difference is known', DEADLINE_MS, async () => {
          const [peer] = await peersOf(robot)
          const isTold = peer?.collections.length === 1 && peer.collections.every(one => one.record_count === count && !one.in_sync)
          return isTold ? undefined : JSON.stringify(peer)
        })
      // Gossip has told each that the other holds something else, which is what starts a session where there may be one.
      for (const robot of robots) await untilKnown(robot, 1)
      for (const robot of robots) expect(JSON.parse(await robot.ask('/api/sync', { method: 'POST' }))).toEqual({ peers: 0 })
      // Another change is heard of as well, and is no reason either.
      await write(one, 'a2', 'from one')
      await untilKnown(two, 2)
      for (const robot of robots) {
        expect(await askJson(robot, '/api/sync')).toEqual([])
        expect(await metricOf(robot, 'hs_sync_sessions_total')).toBe(0)
      }
      expect(await holds(two, 'a')).toBe(false)
      expect(await holds(one, 'b')).toBe(false)

      await stranger.kill()
      await two.startAgent({ HS_GOSSIP_PEERS: `${one.address}:${GOSSIP_PORT}` })
      await untilEqual(robots, ['a', 'a2', 'b'])
      await write(one, 'c', 'from the one that names nobody')
      await untilEqual(robots, ['a', 'a2', 'b', 'c'])
    })

    it('P18 an agent that boots without a network works alone, and joins when the link comes up', async () => {
      const robots = await makeRobots(2)
      const [one, two] = robots as [Robot, Robot]
      await two.setLink(false)
      await one.startAgent(TOGETHER)
      await two.startAgent(TOGETHER)
      await write(one, 'a', 1)
      await write(two, 'b', 2)
      expect(await two.ask('/readyz')).toContain('ready')
      expect(await peersOf(two)).toEqual([])
      await two.setLink(true)
      await untilEqual(robots, ['a', 'b'])
      await untilListed(robots)
    })

    it('P18 an agent lives through the loss of its own link, though sending fails, and joins again', async () => {
      const robots = await makeRobots(2)
      const [one, two] = robots as [Robot, Robot]
      const agents = await Promise.all(robots.map(robot => robot.startAgent(TOGETHER)))
      await untilListed(robots)
      await write(one, 'a', 1)
      await untilEqual(robots, ['a'])
      await two.setLink(false)
      await until('sending fails', DEADLINE_MS, async () => {
        const faults = await metricOf(two, 'hs_gossip_send_faults_total', 'ENETUNREACH')
        return faults >= 3 ? undefined : `${faults} faults`
      })
      await write(one, 'b', 2)
      await write(two, 'c', 3)
      await remove(two, 'a')
      await two.setLink(true)
      await untilEqual(robots, ['b', 'c'])
      await untilListed(robots)
      expect(agents.flatMap(stackLines)).toEqual([])
    })

    it('an agent that is stopped for 5 s, as by a hanging disk, stays listed, and catches up', async () => {
      const robots = await makeRobots(3)
      const [one, two, three] = robots as [Robot, Robot, Robot]
      const agents = await Promise.all(robots.map(robot => robot.startAgent(TOGETHER)))
      await untilListed(robots)
      await write(one, 'a', 1)
      await untilEqual(robots, ['a'])
      process.kill(agents[2]!.pid, 'SIGSTOP')
      await write(one, 'b', 2)
      await untilEqual([one, two], ['a', 'b'])
      await until('robot 3 has been silent for 5 s', DEADLINE_MS, async () => {
        const peer = (await peersOf(one)).find(({ node_name }) => node_name === three.name)
        if (peer === undefined) throw new Error('robot 3 is no longer listed')
        return peer.last_seen_ago_ms >= 5_000 ? undefined : `${peer.last_seen_ago_ms} ms`
      })
      process.kill(agents[2]!.pid, 'SIGCONT')
      await untilEqual(robots, ['a', 'b'])
      await write(three, 'c', 3)
      await untilEqual(robots, ['a', 'b', 'c'])
      await untilListed(robots)
      for (const agent of agents) expect(agent.output()).not.toContain('a peer is gone')
      expect(agents.flatMap(stackLines)).toEqual([])
    })

    it('an agent that leaves is gone from the lists at once, and one that is back, however it ended, is listed and catches up', async () => {
      const robots = await makeRobots(2)
      const [one, two] = robots as [Robot, Robot]
      await one.startAgent(TOGETHER)
      let agent = await two.startAgent(TOGETHER)
      await untilListed(robots)
      await write(one, 'a', 1)
      await untilEqual(robots, ['a'])

      await agent.kill('SIGTERM')
      // Well before the 30 s after which it would be dropped for its silence.
      await until('the farewell is heard', 10_000, async () => {
        const peers = await peersOf(one)
        return peers.length === 0 ? undefined : JSON.stringify(peers)
      })
      await write(one, 'b', 2)
      agent = await two.startAgent(TOGETHER)
      await untilListed(robots)
      await untilEqual(robots, ['a', 'b'])

      await agent.kill('SIGKILL')
      await write(one, 'c', 3)
      await two.startAgent(TOGETHER)
      await untilEqual(robots, ['a', 'b', 'c'])
      await write(two, 'd', 4)
      await untilEqual(robots, ['a', 'b', 'c', 'd'])
      await untilListed(robots)
      expect(await read(two, 'c')).toBe(3)
    })

    it('three meet and agree on links that lose every fifth packet', async () => {
      const robots = await makeRobots(3)
      for (const robot of robots) await robot.losePackets(20)
      const agents = await Promise.all(robots.map(robot => robot.startAgent(TOGETHER)))
      await untilListed(robots)
      const keys = robots.flatMap(({ name }) => ['x', 'y', 'z'].map(key => `${name}-${key}`))
      for (const robot of robots)
        for (const key of keys.filter(key => key.startsWith(robot.name))) await write(robot, key, 'a'.repeat(20_000))
      await untilEqual(robots, keys)
      expect(agents.flatMap(stackLines)).toEqual([])
    })
  },
)

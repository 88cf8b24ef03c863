/** A swarm under a key, as real processes: who is let in, and the walk from one key to the next while it works. */
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { makeSwarmKey, readSwarmKeys } from '../../agent/swarm-keys.ts'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { openEvents } from '../event-reader.ts'

const ROBOTS = 4
const PEERS = ROBOTS - 1
const DEADLINE_MS = 60_000
const [OLD, NEW] = [makeSwarmKey(), makeSwarmKey()] as const
const idOf = (key: string): string => readSwarmKeys([key])[0]!.id

afterEach(stopEverything)

interface Robot extends AgentProcess {
  /** What it hears of its peers coming and going. */
  readonly heard: string[]
  setKeys(...keys: readonly string[]): Promise<void>
}

async function startRobots(key: string): Promise<Robot[]> {
  const ports = await Promise.all(Array.from({ length: ROBOTS }, () => findFreePort()))
  const peers = ports.map(port => `127.0.0.1:${port}`).join(',')
  return Promise.all(ports.map((port, i) => startRobot(`robot${i + 1}`, port, peers, key)))
}

async function startRobot(name: string, port: number, peers: string, key: string, copyOf?: string): Promise<Robot> {
  const folder = await makeFolder('hs-key-')
  if (copyOf !== undefined) await cp(copyOf, folder, { recursive: true })
  const env = join(folder, '.env')
  await writeFile(env, `HS_SWARM_KEY=${key}\n`)
  const agent = await startAgentProcess({
    env: {
      HS_DATA_DIR: folder,
      HS_NODE_NAME: name,
      HS_GOSSIP_PORT: String(port),
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_MULTICAST: 'off',
      HS_GOSSIP_PEERS: peers,
    },
  })
  const heard: string[] = []
  void follow(agent, heard)
  return {
    ...agent,
    heard,
    async setKeys(...keys) {
      await writeFile(env, `HS_SWARM_KEY=${keys.join(',')}\n`)
      process.kill(agent.pid, 'SIGHUP')
    },
  }
}

/** Keeps what the agent tells of its peers, until it ends. */
async function follow(agent: AgentProcess, heard: string[]): Promise<void> {
  const events = await openEvents(`${agent.url}/api/events`)
  for (let block = await events.next(); block !== undefined; block = await events.next()) {
    if (block.event === 'peer' || block.event === 'identity') heard.push(block.text ?? '')
  }
}

interface KeyUse {
  readonly id: string
  readonly seals: boolean
  readonly peers: number
  readonly peers_sealing: number
  readonly peers_holding: number
}

const keysOf = async (robot: AgentProcess): Promise<KeyUse[]> =>
  ((await ask(robot, '/api/cluster/status')) as { swarm_keys: KeyUse[] }).swarm_keys
const peersOf = async (agent: AgentProcess): Promise<number> =>
  ((await ask(agent, '/api/swarm/peers')) as { peer_count: number }).peer_count

/** Waits until every robot says this of its keys: id, and how many peers seal with it and hold it; the first one seals here too. */
async function untilKeys(what: string, robots: readonly Robot[], expected: readonly (readonly [string, number, number])[]): Promise<void> {
  const wanted = JSON.stringify(
    expected.map(([key, sealing, holding], i) => ({
      id: idOf(key),
      seals: i === 0,
      peers: PEERS,
      peers_sealing: sealing,
      peers_holding: holding,
    })),
  )
  await until(what, DEADLINE_MS, async () => {
    const seen = await Promise.all(robots.map(async robot => JSON.stringify(await keysOf(robot))))
    return seen.every(keys => keys === wanted) ? undefined : `${seen.find(keys => keys !== wanted)} is not ${wanted}`
  })
}

/** A record written on one robot reaches all: gossip tells of it, and a link carries it. */
async function untilShared(key: string, robots: readonly Robot[]): Promise<void> {
  const path = `/api/collections/walk/records/${key}`
  await ask(robots[0]!, path, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"payload": 1}' })
  for (const robot of robots) {
    await until(`${key} is everywhere`, DEADLINE_MS, async () => {
      const response = await fetch(robot.url + path)
      await response.arrayBuffer()
      return response.ok ? undefined : `${robot.banner} answers ${response.status}`
    })
  }
}

it('P16 the key is changed in three steps while the swarm works: install, use, remove; no peer is dropped and nothing refused', async () => {
  const robots = await startRobots(OLD)
  await untilKeys('all meet under the old key', robots, [[OLD, PEERS, PEERS]])
  await untilShared('before', robots)

  const steps: readonly (readonly [string, readonly string[], readonly (readonly [string, number, number])[]])[] = [
    [
      'install',
      [OLD, NEW],
      [
        [OLD, PEERS, PEERS],
        [NEW, 0, PEERS],
      ],
    ],
    [
      'use',
      [NEW, OLD],
      [
        [NEW, PEERS, PEERS],
        [OLD, 0, PEERS],
      ],
    ],
    ['remove', [NEW], [[NEW, PEERS, PEERS]]],
  ]
  for (const [step, keys, expected] of steps) {
    for (const [i, robot] of robots.entries()) {
      await robot.setKeys(...keys)
      // Half of them are a step ahead of the others.
      if (i === ROBOTS / 2 - 1) await untilShared(`in-the-middle-of-${step}`, [robots[0]!, robots[ROBOTS - 1]!])
    }
    await untilKeys(`${step} is done everywhere`, robots, expected)
    await untilShared(`after-${step}`, robots)
  }

  for (const robot of robots) {
    expect(robot.heard.filter(text => text.includes('dropped'))).toEqual([])
    const metrics = await (await fetch(`${robot.url}/metrics`)).text()
    expect(metrics).not.toMatch(/hs_gossip_rejects_total\{reason="(unknown-key|bad-seal|not-sealed)"\}/)
    expect(await ask(robot, '/api/cluster/status')).toMatchObject({ secured: true, duplicate_identity: null })
  }
  // One that goes would have been heard.
  await robots[ROBOTS - 1]!.kill()
  await until('the others hear of a farewell', DEADLINE_MS, async () => {
    const deaf = robots.slice(0, -1).find(({ heard }) => !heard.some(text => text.includes('dropped')))
    return deaf === undefined ? undefined : `${deaf.banner} has heard nothing`
  })
})

it('P16 an agent without the key, or with another one, is not let in, and both sides say why', async () => {
  const [port, plainPort, otherPort] = [await findFreePort(), await findFreePort(), await findFreePort()]
  const peers = [port, plainPort, otherPort].map(port => `127.0.0.1:${port}`).join(',')
  const sealed = await startRobot('sealed', port, peers, OLD)
  const plain = await startRobot('plain', plainPort, peers, '')
  const other = await startRobot('other', otherPort, peers, NEW)
  const says = async (agent: AgentProcess, words: string): Promise<void> =>
    until(words, DEADLINE_MS, async () => (agent.output().includes(words) ? undefined : agent.output()))
  await says(sealed, 'it is not sealed, and this agent has a swarm key')
  await says(sealed, 'it is sealed with a swarm key that this agent does not have')
  await says(plain, 'it is sealed, and this agent has no swarm key')
  await says(plain, 'no swarm key: whoever is on this network can read and change what is synced')
  await says(other, 'it is sealed with a swarm key that this agent does not have')
  for (const agent of [sealed, plain, other]) expect(await peersOf(agent)).toBe(0)
  expect(await ask(plain, '/api/cluster/status')).toMatchObject({ secured: false, swarm_keys: [] })

  await plain.setKeys(OLD)
  await says(plain, 'HS_SWARM_KEY cannot be set or taken away while the agent runs')
  expect(await ask(plain, '/api/cluster/status')).toMatchObject({ secured: false })
})

it('P15 two agents on copies of one data directory both report it, in the log, the events and the status', async () => {
  const [port, copyPort] = [await findFreePort(), await findFreePort()]
  const peers = [port, copyPort].map(port => `127.0.0.1:${port}`).join(',')
  const template = await startRobot('card', port, peers, OLD)
  await template.kill()
  const copies = [
    await startRobot('card', port, peers, OLD, template.dataDir),
    await startRobot('card', copyPort, peers, OLD, template.dataDir),
  ] as const
  for (const [i, copy] of copies.entries()) {
    const addr = `127.0.0.1:${[copyPort, port][i]}`
    await until('a copy reports the other', DEADLINE_MS, async () => {
      const status = await ask(copy, '/api/cluster/status')
      const { duplicate_identity: duplicate } = status as { duplicate_identity: { addr: string } | null }
      const isTold = copy.heard.some(text => text.includes(addr)) && copy.output().includes('another process uses this node id')
      return duplicate?.addr === addr && isTold ? undefined : JSON.stringify({ duplicate, heard: copy.heard })
    })
    expect(await peersOf(copy)).toBe(0)
  }
})

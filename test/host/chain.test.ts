/** Three robots in a chain, on hosts of their own: the first and the third never hear one another, and what one writes reaches the other live. */
import { afterEach, describe, expect, it } from 'vitest'
import { stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { createNetwork, findObstacle, type Network, type Robot } from './robot-network.ts'

const DEADLINE_MS = 120_000
const TOGETHER = { HS_SWARM_NAME: 'chain' }
const CUTS = 10
const obstacle = await findObstacle()

let network: Network | undefined
afterEach(async () => {
  await stopEverything()
  await network?.remove()
  network = undefined
})

interface CollectionJson {
  readonly name: string
  readonly record_count: number
  readonly digest: string
}
interface SyncJson {
  readonly peer: string
  readonly collection: string
  readonly state: string
  readonly in_sync: boolean
  readonly entries_sent: number
}

const askJson = async <T>(robot: Robot, path: string): Promise<T> => JSON.parse(await robot.ask(path)) as T
const nodeIdOf = async (robot: Robot): Promise<string> => (await askJson<{ node_id: string }>(robot, '/api/cluster/status')).node_id
const pathOf = (key: string): string => `/api/collections/log/records/${key}`
const write = (robot: Robot, key: string): Promise<string> =>
  robot.ask(pathOf(key), { method: 'PUT', body: JSON.stringify({ payload: key }) })
const importMany = (robot: Robot, prefix: string, count: number): Promise<string> => {
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify({ key: `${prefix}-${i}`, payload: 'x'.repeat(200) }))
  return robot.ask('/api/collections/log/records', { method: 'POST', type: 'application/x-ndjson', body: lines.join('\n') })
}
const stateOf = async (robot: Robot): Promise<CollectionJson | undefined> =>
  (await askJson<CollectionJson[]>(robot, '/api/collections')).find(({ name }) => name === 'log')

async function untilEqual(robots: readonly Robot[], count: number): Promise<void> {
  await until('all hold the same', DEADLINE_MS, async () => {
    const states = await Promise.all(robots.map(stateOf))
    const isEqual = states.every(state => state?.record_count === count && state.digest === states[0]?.digest)
    return isEqual ? undefined : JSON.stringify(states)
  })
}

/** Until every link of the chain is live and in sync, as the one in the middle shows it. */
async function untilLive(middle: Robot, ends: readonly Robot[]): Promise<void> {
  const ids = await Promise.all(ends.map(nodeIdOf))
  await until('both links are live', DEADLINE_MS, async () => {
    const rows = (await askJson<SyncJson[]>(middle, '/api/sync')).filter(({ collection }) => collection === 'log')
    const isLive = ids.every(id => rows.some(({ peer, state, in_sync }) => peer === id && state === 'live' && in_sync))
    return isLive ? undefined : JSON.stringify(rows)
  })
}

/** The first and the last do not hear one another. */
async function makeChain(): Promise<{ robots: [Robot, Robot, Robot]; agents: AgentProcess[] }> {
  network = await createNetwork(3)
  const robots = [...network.robots] as [Robot, Robot, Robot]
  const [one, , three] = robots
  await one.dropIncoming(`ip saddr ${three.address}`)
  await three.dropIncoming(`ip saddr ${one.address}`)
  const agents = await Promise.all(robots.map(robot => robot.startAgent(TOGETHER)))
  return { robots, agents }
}

const entriesSent = async (robot: Robot): Promise<number> =>
  (await askJson<SyncJson[]>(robot, '/api/sync')).reduce((sum, row) => sum + row.entries_sent, 0)

describe.skipIf(obstacle !== undefined)(`robots in a chain${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`, () => {
  it('live, what one end writes is at the other end, both ways, by the links that are open, and nothing comes back', async () => {
    const { robots } = await makeChain()
    const [one, two, three] = robots
    await write(one, 'first')
    await untilEqual(robots, 1)
    await untilLive(two, [one, three])
    const ids = await Promise.all([nodeIdOf(one), nodeIdOf(three)])
    expect(new Set((await askJson<{ downstream_peers: string[] }>(two, '/api/cluster/status')).downstream_peers)).toEqual(new Set(ids))

    const receivedBack = await entriesSent(three)
    for (let i = 0; i < 20; i++) await write(one, `from-one-${i}`)
    await untilEqual(robots, 21)
    // Rows are brought up to date a second later; the one in the middle has passed on all 21, each once.
    await until('what was sent is counted', DEADLINE_MS, async () => {
      const sent = await entriesSent(two)
      return sent >= 21 ? undefined : `${sent} entries`
    })
    expect(await entriesSent(two)).toBe(21)
    expect((await entriesSent(three)) - receivedBack).toBe(0)
    await write(three, 'from-three')
    await untilEqual(robots, 22)

    await three.ask('/api/collections/log', { method: 'DELETE' })
    await until('the collection is gone everywhere', DEADLINE_MS, async () => {
      const states = await Promise.all(robots.map(stateOf))
      return states.every(state => state === undefined) ? undefined : JSON.stringify(states)
    })
    await write(one, 'again')
    await untilEqual(robots, 1)
  })

  it(`P4 agrees after ${CUTS} cuts in the midst of sessions, and kill -9 of either side`, async () => {
    const { robots, agents } = await makeChain()
    const [one, two, three] = robots
    await write(one, 'first')
    await untilEqual(robots, 1)
    let count = 1
    for (let cut = 0; cut < CUTS; cut++) {
      const heldBefore = (await stateOf(three))?.record_count ?? 0
      const imported = importMany(one, `one-${cut}`, 2_000)
      await until('the third robot is receiving', DEADLINE_MS, async () => {
        const held = (await stateOf(three))?.record_count ?? 0
        return held > heldBefore ? undefined : `it holds ${held}`
      })
      await (cut % 2 === 0 ? three : one).plug(false)
      await imported
      await write(three, `three-${cut}`)
      count += 2_001
      if (cut === 3 || cut === 6) {
        const victim = cut === 3 ? 1 : 2
        await agents[victim]!.kill('SIGKILL')
        agents[victim] = await robots[victim].startAgent(TOGETHER)
      }
      await (cut % 2 === 0 ? three : one).plug(true)
    }
    await untilEqual(robots, count)
    for (const agent of agents) expect(agent.output()).not.toMatch(/"level":(50|60)/)
    await untilLive(two, [one, three])
  })

  it('P4 a link that was cut so long that TCP waits is replaced as soon as gossip gets through again', async () => {
    const { robots } = await makeChain()
    const [one, two, three] = robots
    await write(one, 'first')
    await untilEqual(robots, 1)
    await untilLive(two, [one, three])
    await three.plug(false)
    await write(one, 'meanwhile')
    await until('robot 3 has been silent for 10 s', DEADLINE_MS, async () => {
      const { peers } = await askJson<{ peers: { node_name: string; last_seen_ago_ms: number }[] }>(two, '/api/swarm/peers?all=1')
      const ago = peers.find(({ node_name }) => node_name === three.name)?.last_seen_ago_ms ?? 0
      return ago > 10_000 ? undefined : `${ago} ms`
    })
    const healedMs = performance.now()
    await three.plug(true)
    await untilEqual(robots, 2)
    process.stdout.write(`chain: agreed ${Math.round(performance.now() - healedMs)} ms after the link was back\n`)
    await untilLive(two, [one, three])
  })
})

/** Robots that have IPv6 alone: found by an IPv6 group, synced over it, and back after a cut. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { stopEverything, until } from '../agent-process.ts'
import { createNetwork, findObstacle, GOSSIP_PORT, type Network, type Robot } from './robot-network.ts'

const run = promisify(execFile)
const DEADLINE_MS = 60_000
const obstacle = await findObstacle()

let network: Network | undefined
afterEach(async () => {
  await stopEverything()
  await network?.remove()
  network = undefined
})

const addressOf = (index: number): string => `fd00:77::${index + 1}`

async function giveIpv6Alone(robot: Robot, index: number): Promise<void> {
  const inside = (...args: string[]): Promise<unknown> => run('ip', ['-n', robot.namespace, ...args])
  await inside('addr', 'flush', 'dev', 'e0', 'scope', 'global')
  await inside('addr', 'add', `${addressOf(index)}/64`, 'dev', 'e0', 'nodad')
}

const path = '/api/collections/notes/records/k'
/** A record that is not there yet is asked for in vain. */
const holds = async (robot: Robot, payload: string): Promise<boolean> => (await robot.ask(path).catch(() => '')).includes(payload)

describe.skipIf(obstacle !== undefined)(`IPv6${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`, () => {
  it('P7 three robots without IPv4 meet by an IPv6 group, sync, and agree again after a cut', async () => {
    network = await createNetwork(3)
    const { robots } = network
    await Promise.all(robots.map(giveIpv6Alone))
    const env = { HS_SWARM_NAME: 'ipv6', HS_GOSSIP_HOST: '::', HS_GOSSIP_MULTICAST: '[ff05::5341:5347]:7946' }
    await Promise.all(robots.map(robot => robot.startAgent(env)))
    const untilListed = async (): Promise<void> => {
      for (const [index, robot] of robots.entries()) {
        await until(`${robot.name} lists the others at their addresses`, DEADLINE_MS, async () => {
          const { peers } = JSON.parse(await robot.ask('/api/swarm/peers')) as { peers: { gossip_addr: string; healthy: boolean }[] }
          const expected = [0, 1, 2].filter(other => other !== index).map(other => `[${addressOf(other)}]:${GOSSIP_PORT}`)
          const listed = peers.filter(({ healthy }) => healthy).map(({ gossip_addr: address }) => address)
          return listed.sort().join() === expected.join() ? undefined : JSON.stringify(peers)
        })
      }
    }
    await untilListed()

    const [one, , three] = robots as [Robot, Robot, Robot]
    await one.ask(path, { method: 'PUT', body: '{"payload":"before"}' })
    for (const robot of robots) {
      await until(`${robot.name} holds the record`, DEADLINE_MS, async () => ((await holds(robot, 'before')) ? undefined : 'not yet'))
    }
    await three.plug(false)
    await one.ask(path, { method: 'PUT', body: '{"payload":"behind the cut"}' })
    expect(await holds(three, 'before')).toBe(true)
    await three.plug(true)
    await until('the one that was cut off holds it', DEADLINE_MS, async () =>
      (await holds(three, 'behind the cut')) ? undefined : 'not yet',
    )
    await untilListed()
  })
})

/** Ten agents on one host, each with a port of its own, that nobody has told of one another; then five of them are killed. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { findFreePort, startAgentProcess, stopEverything, type AgentProcess } from '../agent-process.ts'
import { untilListed, watchLists, type Observer } from '../host/lists.ts'

const COUNT = 10
const KILLED = 5
const MEETING_MS = 2_000
const DETECTION_MS = 10_000
/** After the killed have left the lists, these stay as they are. */
const QUIET_MS = 10_000

afterEach(stopEverything)

interface Node extends Observer {
  readonly agent: AgentProcess
}

async function startNode(number: number, port: number): Promise<Node> {
  const name = `agent${number}`
  const agent = await startAgentProcess({
    env: {
      HS_NODE_NAME: name,
      HS_LOG_LEVEL: 'warn',
      HS_GOSSIP_PORT: String(port),
      HS_GOSSIP_INTERFACE: 'lo',
      HS_SWARM_NAME: 'ten-on-one-host',
    },
  })
  const ask = async (path: string): Promise<string> => (await fetch(agent.url + path)).text()
  return { name, agent, url: agent.url, ask }
}

it('P7 ten agents on loopback meet without being told of one another within 2 s; five are killed, and each of the rest lists the four others within 10 s and never anything else', async () => {
  const ports: number[] = []
  while (ports.length < COUNT) {
    const port = await findFreePort()
    if (!ports.includes(port)) ports.push(port)
  }
  const nodes = await Promise.all(ports.map((port, number) => startNode(number, port)))
  // All are up: the last one a moment ago.
  await untilListed(nodes, nodes, MEETING_MS)

  const survivors = nodes.slice(KILLED)
  const isSurvivor = (name: string): boolean => survivors.some(survivor => survivor.name === name)
  const watch = await watchLists(survivors, (observer, subject) => isSurvivor(observer) && isSurvivor(subject))
  await Promise.all(nodes.slice(0, KILLED).map(({ agent }) => agent.kill('SIGKILL')))
  await untilListed(survivors, survivors, DETECTION_MS)
  const startMs = performance.now()
  while (performance.now() - startMs < QUIET_MS) {
    await untilListed(survivors, survivors, 0)
    await delay(200)
  }
  expect(await watch.end()).toEqual([])
  expect(watch.looks()).toBeGreaterThan(survivors.length * 20)
})

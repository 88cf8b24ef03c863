/** Two swarms of ten on the same ten hosts: a node of either side in the namespace of each robot, so that every fault meets both alike. */
import { atStop } from '../test/agent-process.ts'
import { openAir, type Air } from '../test/host/air.ts'
import { createNetwork, findObstacle, GOSSIP_PORT, type Robot } from '../test/host/robot-network.ts'
import { obtain } from '../test/host/packages.ts'
import { NotRunError } from './bench.ts'
import { createAgentNode } from './swarm-agent-node.ts'
import type { SwarmNode } from './swarm-node.ts'
import { createSerfNode, SERF_PORT } from './swarm-serf-node.ts'
import { createWatch, type Watch } from './swarm-watch.ts'

export const NODES = 10
const rpcPort = 7373

export interface Side {
  readonly label: string
  /** UDP and TCP port of its nodes. */
  readonly port: number
  readonly nodes: readonly SwarmNode[]
  readonly watch: Watch
}

export interface Sides {
  readonly serf: Side
  readonly agents: Side
  readonly robots: readonly Robot[]
  readonly air: Air
}

/** Makes the hosts and the nodes, none of which runs yet. Throws NotRunError where that cannot be done. */
export async function openSides(): Promise<Sides> {
  const obstacle = (await findObstacle()) ?? (await findSerfObstacle())
  if (obstacle !== undefined) throw new NotRunError(obstacle)
  const network = await createNetwork(NODES)
  atStop(() => network.remove())
  const air = await openAir(network)
  const { robots } = network
  const seed = robots[0]!
  const numberByName = new Map(robots.map(({ name }, number) => [name, number]))
  const numberOf = (name: string): number | undefined => numberByName.get(name)

  const agentWatch = createWatch()
  const env = {
    HS_LOG_LEVEL: 'warn',
    HS_SWARM_NAME: 'swarm-vs-serf',
    HS_GOSSIP_PEERS: `${seed.address}:${GOSSIP_PORT}`,
  }
  const agentNodes = robots.map((robot, number) => createAgentNode({ robot, number, watch: agentWatch, env, numberOf }))

  const serfWatch = createWatch()
  const serfNodes: SwarmNode[] = []
  for (const [number, robot] of robots.entries()) {
    const rpcPath = await robot.relay(rpcPort)
    const options = { robot, number, watch: serfWatch, numberOf, rpcPath, rpcPort, seed: number === 0 ? undefined : seed.address }
    serfNodes.push(createSerfNode(options))
  }
  // What watches a node ends with it.
  atStop(async () => void (await Promise.all([...serfNodes, ...agentNodes].map(node => node.kill()))))
  await air.count(GOSSIP_PORT)
  await air.count(SERF_PORT)
  return {
    serf: { label: 'Serf', port: SERF_PORT, nodes: serfNodes, watch: serfWatch },
    agents: { label: 'agents', port: GOSSIP_PORT, nodes: agentNodes, watch: agentWatch },
    robots,
    air,
  }
}

async function findSerfObstacle(): Promise<string | undefined> {
  const missing = (await obtain('serf')) ?? (await obtain('setpriv', 'util-linux'))
  return missing === undefined ? undefined : `Serf cannot be run: ${missing}`
}

/** A swarm on hosts of their own that many tests share: its agents, what they must hold of one another, and the faults between them. */
import { stopEverything, type AgentProcess } from '../agent-process.ts'
import { openAir, type Air } from './air.ts'
import { untilListed, watchLists, type ListWatch } from './lists.ts'
import { createNetwork, type Robot } from './robot-network.ts'

const MEETING_DEADLINE_MS = 30_000

export interface RobotSwarm {
  readonly robots: readonly Robot[]
  readonly air: Air
  /** Starts a robot's agent, again if it has ended. */
  start(robot: Robot, env?: Readonly<Record<string, string>>): Promise<AgentProcess>
  agent(robot: Robot): AgentProcess
  /** Starts the agents that a failed test has left dead. */
  mend(): Promise<void>
  /** From now on until `end`: every one of `observers` has to hold every one of `subjects`. */
  require(observers: readonly Robot[], subjects: readonly Robot[]): Promise<Requirement>
  remove(): Promise<void>
}

export interface Requirement extends ListWatch {
  /** For a while nothing is asked of this one: it is stopped. */
  excuse(robot: Robot, isExcused: boolean): void
}

/** Starts an agent on each of so many robots and waits until all list one another. */
export async function startRobotSwarm(count: number, env: Readonly<Record<string, string>>): Promise<RobotSwarm> {
  const network = await createNetwork(count)
  const { robots } = network
  const remove = async (): Promise<void> => {
    await stopEverything()
    await network.remove()
  }
  const agents = new Map<Robot, AgentProcess>()
  const start = async (robot: Robot, more: Readonly<Record<string, string>> = {}): Promise<AgentProcess> => {
    const agent = await robot.startAgent({ ...env, ...more })
    agents.set(robot, agent)
    return agent
  }
  try {
    const air = await openAir(network)
    await Promise.all(robots.map(robot => start(robot)))
    await untilListed(robots, robots, MEETING_DEADLINE_MS)
    return {
      robots,
      air,
      start,
      agent: robot => agents.get(robot)!,
      async mend() {
        for (const robot of robots) {
          const isUp = await robot.ask('/healthz').then(
            () => true,
            () => false,
          )
          if (!isUp) await start(robot)
        }
      },
      async require(observers, subjects) {
        const excused = new Set<string>()
        const observing = new Set(observers.map(({ name }) => name))
        const observed = new Set(subjects.map(({ name }) => name))
        const mustHold = (observer: string, subject: string): boolean =>
          observing.has(observer) && observed.has(subject) && !excused.has(observer)
        const all = robots.filter(robot => observers.includes(robot) || subjects.includes(robot))
        const watch = await watchLists(all, mustHold)
        return {
          ...watch,
          excuse(robot, isExcused) {
            if (isExcused) excused.add(robot.name)
            else excused.delete(robot.name)
          },
        }
      },
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/**
 * Who is there, on links that fail in every way: a healthy node within reach is never missing from a list, and what is wrong in a list is
 * right again in time. Five agents on hosts of their own.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../agent-process.ts'
import { listOf, untilListed } from './lists.ts'
import { findObstacle, GOSSIP_PORT, type Robot } from './robot-network.ts'
import { startRobotSwarm, type RobotSwarm } from './swarm-of-robots.ts'

const COUNT = 5
/** Beyond the 30 s after which silence alone is enough to be dropped. */
const LONG_MS = 40_000
/** Dropped for silence, and a little. */
const SILENCE_DEADLINE_MS = 35_000
const DETECTION_DEADLINE_MS = 15_000
const HEAL_DEADLINE_MS = 10_000
/** Addresses are read again every 5 s. */
const MOVE_DEADLINE_MS = 15_000
const obstacle = await findObstacle()

describe.skipIf(obstacle !== undefined)(
  `who is there, on links that fail${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`,
  () => {
    let swarm: RobotSwarm
    let robots: readonly Robot[]
    beforeAll(async () => {
      swarm = await startRobotSwarm(COUNT, { HS_SWARM_NAME: 'links-that-fail' })
      robots = swarm.robots
    })
    afterAll(() => swarm.remove())
    afterEach(async () => {
      await swarm.air.clear()
      await swarm.mend()
      await untilListed(robots, robots, 2 * SILENCE_DEADLINE_MS)
    })

    const untilWhole = (): Promise<void> => untilListed(robots, robots, HEAL_DEADLINE_MS)
    const without = (...some: readonly (Robot | undefined)[]): Robot[] => robots.filter(robot => !some.includes(robot))
    /** The agents are as they were started: none has ended, and none has logged a stack trace. */
    const expectSound = (): void => {
      for (const robot of robots) expect(swarm.agent(robot).output()).not.toMatch(/^ +at |"stack"/m)
    }

    it('two pairs that hear one another one way only, or not at all, go on listing one another: the others vouch for them', async () => {
      const [one, two, three, four] = robots as [Robot, Robot, Robot, Robot]
      const watch = await swarm.require(robots, robots)
      await swarm.air.cut([one], [two])
      await swarm.air.cut([three], [four])
      await swarm.air.cut([four], [three])
      await delay(LONG_MS)
      await swarm.air.clear()
      await untilWhole()
      expect(await watch.end()).toEqual([])
      expect(watch.looks()).toBeGreaterThan(COUNT * 50)
    })

    it('a node that hears nobody is listed as long as it is heard, and does not talk the others out of one another', async () => {
      const deaf = robots[1]!
      const others = without(deaf)
      const watch = await swarm.require(others, robots)
      await swarm.air.cut(others, [deaf])
      await delay(LONG_MS)
      await swarm.air.clear()
      await untilWhole()
      expect(await watch.end()).toEqual([])
    })

    it('a node that nobody hears goes on listing all whom it hears, is given up by them in time, and comes back', async () => {
      const mute = robots[2]!
      const others = without(mute)
      const ofMute = await swarm.require([mute], robots)
      const ofOthers = await swarm.require(others, others)
      await swarm.air.cut([mute], others)
      await untilListed(others, others, SILENCE_DEADLINE_MS)
      await delay(5_000)
      await swarm.air.clear()
      await untilWhole()
      expect([...(await ofMute.end()), ...(await ofOthers.end())]).toEqual([])
    })

    it('either side of a partition lists its own alone, and all list all when it ends', async () => {
      const [few, many] = [robots.slice(0, 2), robots.slice(2)]
      const watches = [await swarm.require(few, few), await swarm.require(many, many)]
      await swarm.air.cut(few, many)
      await swarm.air.cut(many, few)
      await Promise.all([untilListed(few, few, SILENCE_DEADLINE_MS), untilListed(many, many, SILENCE_DEADLINE_MS)])
      // Long enough that those given up have been dropped for good.
      await delay(LONG_MS)
      await swarm.air.clear()
      await untilWhole()
      expect((await Promise.all(watches.map(watch => watch.end()))).flat()).toEqual([])
    })

    it('nobody is missing for a moment while every fifth packet is lost', async () => {
      const watch = await swarm.require(robots, robots)
      await swarm.air.lose(20)
      await delay(60_000)
      await swarm.air.clear()
      expect(await watch.end()).toEqual([])
    })

    it('P18 an agent whose link goes down and up lives through it; the others miss none of those that are there', async () => {
      const cut = robots[3]!
      const others = without(cut)
      const watch = await swarm.require(others, others)
      await cut.setLink(false)
      await delay(12_000)
      await cut.setLink(true)
      await untilWhole()
      expect(await watch.end()).toEqual([])
      expectSound()
    })

    it.each([12, 25])('a radio that is off for %i s makes no healthy node doubt a healthy one, then or afterwards', async seconds => {
      const silent = robots[4]!
      const others = without(silent)
      const watch = await swarm.require(others, others)
      await swarm.air.silence(silent)
      await delay(seconds * 1_000)
      await swarm.air.clear()
      await untilWhole()
      // False rumours would come now, from the one that believed all others dead.
      await delay(10_000)
      expect(await watch.end()).toEqual([])
    })

    it('P18 an agent that stands still for 5 s is not given up, and gives up nobody', async () => {
      const stopped = robots[1]!
      const requirement = await swarm.require(robots, robots)
      requirement.excuse(stopped, true)
      process.kill(swarm.agent(stopped).pid, 'SIGSTOP')
      await delay(5_000)
      requirement.excuse(stopped, false)
      process.kill(swarm.agent(stopped).pid, 'SIGCONT')
      await delay(15_000)
      expect(await requirement.end()).toEqual([])
    })

    it('kill -9 is found out in time, and who is back is listed at once, whether or not it was missed', async () => {
      const victim = robots[2]!
      const others = without(victim)
      const watch = await swarm.require(others, others)
      await swarm.agent(victim).kill('SIGKILL')
      await untilListed(others, others, DETECTION_DEADLINE_MS)
      await swarm.start(victim)
      await untilWhole()
      await swarm.agent(victim).kill('SIGKILL')
      await swarm.start(victim)
      await untilWhole()
      expect(await watch.end()).toEqual([])
    })

    it('P7 who comes back with another address is listed there, and so is one whose address changes while it runs', async () => {
      const [one, two] = [robots[0]!, robots[3]!]
      const watch = await swarm.require(without(one, two), without(one, two))
      const untilThere = (robot: Robot): Promise<void> =>
        until(`${robot.name} is listed at ${robot.address}`, MOVE_DEADLINE_MS, async () => {
          const lists = await Promise.all(without(robot).map(listOf))
          const found = lists.map(peers => peers.find(({ node_name }) => node_name === robot.name)?.gossip_addr)
          return found.every(address => address === `${robot.address}:${GOSSIP_PORT}`) ? undefined : found.join()
        })
      await swarm.agent(one).kill('SIGKILL')
      await one.moveTo('10.77.0.101')
      await swarm.start(one)
      await untilThere(one)
      await two.moveTo('10.77.0.104')
      await untilThere(two)
      await untilWhole()
      expect(await watch.end()).toEqual([])
    })
  },
)

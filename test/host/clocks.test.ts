/** P6 No clock, however wrong, hides a peer: wall clocks are set forward and back, also from the start, in agents on hosts of their own. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../agent-process.ts'
import { listOf, untilListed } from './lists.ts'
import { findObstacle, type Robot } from './robot-network.ts'
import { createShiftedClock, findClockObstacle, type ShiftedClock } from './shifted-clock.ts'
import { startRobotSwarm, type RobotSwarm } from './swarm-of-robots.ts'

const HOUR_SECONDS = 3_600
const DEADLINE_MS = 10_000
/** Beyond the 30 s after which silence would drop somebody. */
const LONG_MS = 35_000
const obstacle = (await findObstacle()) ?? (await findClockObstacle())

describe.skipIf(obstacle !== undefined)(`clocks that are wrong${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`, () => {
  let swarm: RobotSwarm
  let robots: readonly Robot[]
  beforeAll(async () => {
    swarm = await startRobotSwarm(3, { HS_SWARM_NAME: 'clocks-that-are-wrong' })
    robots = swarm.robots
  })
  afterAll(() => swarm.remove())

  /** What the others say of its clock: as far ahead as this, give or take a minute. */
  const untilSeenAhead = (robot: Robot, seconds: number): Promise<void> =>
    until(`${robot.name} is seen ${seconds} s ahead`, DEADLINE_MS, async () => {
      const lists = await Promise.all(robots.filter(other => other !== robot).map(listOf))
      const skews = lists.map(peers => peers.find(({ node_name }) => node_name === robot.name)?.clock_skew_ms ?? Number.NaN)
      return skews.every(skew => Math.abs(skew / 1_000 - seconds) < 60) ? undefined : skews.join()
    })

  /** What it writes reaches the others, and what they write reaches it. */
  async function untilShared(key: string): Promise<void> {
    const path = `/api/collections/notes/records/${key}`
    for (const robot of robots) await robot.ask(`${path}-${robot.name}`, { method: 'PUT', body: '{"payload":1}' })
    await until('all hold what all wrote', DEADLINE_MS, async () => {
      const answers = await Promise.allSettled(robots.flatMap(robot => robots.map(({ name }) => robot.ask(`${path}-${name}`))))
      const failed = answers.filter(({ status }) => status === 'rejected')
      return failed.length === 0 ? undefined : `${failed.length} are missing`
    })
  }

  /** What its own list says the time is: of when it last heard a peer. */
  async function untilItIs(robot: Robot, aheadSeconds: number): Promise<void> {
    await until(`${robot.name} is ${aheadSeconds} s ahead`, DEADLINE_MS, async () => {
      const seen = (await listOf(robot)).map(({ last_seen_secs }) => last_seen_secs - Date.now() / 1_000)
      return seen.length > 0 && seen.every(ahead => Math.abs(ahead - aheadSeconds) < 60) ? undefined : seen.join()
    })
  }

  async function startWithClock(robot: Robot, seconds: number): Promise<ShiftedClock> {
    const clock = await createShiftedClock(seconds)
    await swarm.agent(robot).kill('SIGKILL')
    await swarm.start(robot, clock.env)
    await untilListed(robots, robots, DEADLINE_MS)
    // The control: its clock is what the test means it to be.
    await untilItIs(robot, seconds)
    return clock
  }

  it('P6 an agent whose clock is set an hour forward, then two back, misses nobody and is missed by nobody', async () => {
    const odd = robots[1]!
    const clock = await startWithClock(odd, 0)
    const watch = await swarm.require(robots, robots)
    for (const seconds of [HOUR_SECONDS, -HOUR_SECONDS]) {
      await clock.set(seconds)
      await untilItIs(odd, seconds)
      await delay(LONG_MS)
      await untilShared(`at${seconds}`)
    }
    expect(await watch.end()).toEqual([])
    // Right again, for those who measure their own clocks by it.
    await clock.set(0)
  })

  it('P6 an agent that boots in 1970, as a board without a clock does, is listed and lists all, also when its clock is set', async () => {
    const odd = robots[2]!
    const clock = await startWithClock(odd, -Math.floor(Date.now() / 1_000) + 10)
    const watch = await swarm.require(robots, robots)
    await delay(LONG_MS)
    await untilShared('in-1970')
    // Half a century at once.
    await clock.set(0)
    await untilItIs(odd, 0)
    await delay(LONG_MS)
    await untilShared('today')
    expect(await watch.end()).toEqual([])
  })

  it('P6 the others soon see how far off a clock is, and that it has been set right', async () => {
    const odd = robots[0]!
    const clock = await startWithClock(odd, HOUR_SECONDS)
    await untilSeenAhead(odd, HOUR_SECONDS)
    // Nothing else is new by now, and nobody introduces himself.
    await delay(LONG_MS)
    await clock.set(0)
    await untilSeenAhead(odd, 0)
  })
})

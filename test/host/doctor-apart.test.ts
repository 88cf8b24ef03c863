/** What the doctor says of networks that fail as real ones do: one direction alone, no multicast, no network. */
import { afterEach, describe, expect, it } from 'vitest'
import { stopEverything, until } from '../agent-process.ts'
import { createNetwork, findObstacle, GOSSIP_PORT, type Network, type Robot } from './robot-network.ts'

const DEADLINE_MS = 60_000
const YARD = { HS_SWARM_NAME: 'yard' }
const obstacle = await findObstacle()

let network: Network | undefined
afterEach(async () => {
  await stopEverything()
  await network?.remove()
  network = undefined
})

async function makePair(): Promise<[Robot, Robot]> {
  network = await createNetwork(2)
  return [...network.robots] as [Robot, Robot]
}

interface Finding {
  readonly severity: string
  readonly code: string
  readonly about: string
  readonly seen: string
}

async function examine(robot: Robot, ...words: readonly string[]): Promise<Finding[]> {
  const { stdout } = await robot.runCli(['doctor', ...words, '--json'])
  return (JSON.parse(stdout) as { findings: Finding[] }).findings
}

async function untilFaults(
  robot: Robot,
  codes: readonly string[],
  words: readonly string[] = [],
  deadlineMs = DEADLINE_MS,
): Promise<Finding[]> {
  let findings: Finding[] = []
  await until(`${robot.name} finds ${codes.join()}`, deadlineMs, async () => {
    findings = await examine(robot, ...words)
    const found = findings.filter(({ severity }) => severity === 'fault').map(({ code }) => code)
    return found.join() === codes.join() ? undefined : JSON.stringify(findings)
  })
  return findings
}

describe.skipIf(obstacle !== undefined)(
  `the doctor on hosts of their own${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`,
  () => {
    it('P7 a link that is one-way from the start: the one that hears says that it is not answered, the deaf one that it hears nobody', async () => {
      const [one, two] = await makePair()
      await two.dropIncoming(`ip saddr ${one.address}`)
      await one.startAgent(YARD)
      await two.startAgent(YARD)
      const findings = await untilFaults(one, ['one-way'])
      expect(findings.find(({ code }) => code === 'one-way')!.about).toContain(two.address)
      await untilFaults(two, ['nobody-heard'])
      // TCP takes both directions.
      await untilFaults(one, ['host-unreachable', 'one-way'], [two.address])
      const told = await untilFaults(two, ['host-unreachable'], [one.address])
      expect(JSON.stringify(told)).toContain('ETIMEDOUT')
    })

    it('P7 UDP that does not pass where TCP does, without anybody named: the pair is told what to set', async () => {
      const [one, two] = await makePair()
      for (const robot of [one, two]) await robot.dropIncoming(`ip daddr 224.0.0.0/4`)
      await one.startAgent(YARD)
      await two.startAgent(YARD)
      await untilFaults(one, ['nobody-heard'])
      const findings = await untilFaults(one, ['host-unheard'], [two.address])
      expect(JSON.stringify(findings)).toContain(`HS_GOSSIP_PEERS=${two.address}:${GOSSIP_PORT}`)
    })

    it('P7 multicast that is mute while peers answer by unicast is told, in the metrics too', async () => {
      const [one, two] = await makePair()
      for (const robot of [one, two]) await robot.dropIncoming(`ip daddr 224.0.0.0/4`)
      // The silence of the group counts after three of the longest pauses between beacons: 90 s in this profile, 180 s in the others.
      const env = { ...YARD, HS_GOSSIP_PROFILE: 'local' }
      await one.startAgent({ ...env, HS_GOSSIP_PEERS: `${two.address}:${GOSSIP_PORT}` })
      await two.startAgent(env)
      await untilFaults(one, ['multicast-mute'], [], 180_000)
      expect(await one.ask('/metrics')).toMatch(/^hs_gossip_multicast_mute 1$/m)
    })

    it('P7 a link that becomes one-way between two that knew one another', async () => {
      const [one, two] = await makePair()
      await one.startAgent(YARD)
      await two.startAgent(YARD)
      await untilFaults(one, [])
      await two.dropIncoming(`ip saddr ${one.address}`)
      const findings = await untilFaults(one, ['one-way'])
      expect(findings.find(({ code }) => code === 'one-way')!.about).toContain(two.address)
    })

    it('P18 a robot without a network says so, and is well when it comes back', async () => {
      const [one, two] = await makePair()
      await one.startAgent(YARD)
      await two.startAgent(YARD)
      await untilFaults(two, [])
      await two.setLink(false)
      await untilFaults(two, ['no-interface'])
      const asked = await untilFaults(two, ['no-interface', 'host-unreachable'], [one.address])
      expect(JSON.stringify(asked)).toContain('ENETUNREACH')
      await two.setLink(true)
      await untilFaults(two, [])
      expect((await examine(two)).map(({ code }) => code)).toContain('peer')
    })

    it('a host that is not there is unreachable', async () => {
      const [one] = await makePair()
      await one.startAgent(YARD)
      const findings = await untilFaults(one, ['host-unreachable'], ['10.77.0.99'])
      expect(JSON.stringify(findings)).toContain('EHOSTUNREACH')
    })
  },
)

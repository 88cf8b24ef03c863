/** Two robots with 1 Mbit/s and 300 ms there and back between them: a person can see how far they are, and neither takes the other for dead. */
import { afterEach, describe, expect, it } from 'vitest'
import { stopEverything, until } from '../agent-process.ts'
import { obtain } from './packages.ts'
import { createNetwork, findObstacle, type Network, type Robot } from './robot-network.ts'
import { startSlowRadio, type SlowRadio } from './slow-radio.ts'

const DEADLINE_MS = 120_000
const RECORDS = 8_000
const KBPS = 1_000
const DELAY_MS = 150
const TOGETHER = { HS_SWARM_NAME: 'slow', HS_GOSSIP_PROFILE: 'wifi' }
const obstacle = (await findObstacle()) ?? (await obtain('python3'))

let network: Network | undefined
let radio: SlowRadio | undefined
afterEach(async () => {
  await stopEverything()
  await radio?.stop()
  await network?.remove()
  network = radio = undefined
})

interface SyncRowJson {
  readonly collection: string
  readonly state: string
  readonly in_sync: boolean
  readonly remaining_records: number | null
  readonly remaining_bytes: number | null
  readonly rate: { readonly records_per_sec: number; readonly bytes_per_sec: number }
}

const rowOf = async (robot: Robot): Promise<SyncRowJson | undefined> =>
  (JSON.parse(await robot.ask('/api/sync')) as SyncRowJson[]).find(({ collection }) => collection === 'imu')
const digestOf = async (robot: Robot): Promise<string | undefined> =>
  (JSON.parse(await robot.ask('/api/collections')) as { name: string; digest: string }[]).find(({ name }) => name === 'imu')?.digest
const metricOf = async (robot: Robot, name: string): Promise<number> =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await robot.ask('/metrics'))?.[1])

const lines = Array.from({ length: RECORDS }, (_, i) => {
  const payload = { seq: i, acceleration: [Math.sin(i), Math.cos(i), Math.sin(i * i)], state: 'driving' }
  return `${JSON.stringify({ key: `robot1/${String(i).padStart(8, '0')}`, payload })}\n`
}).join('')

describe.skipIf(obstacle !== undefined)(`a slow link${obstacle === undefined ? '' : ` (cannot run here: ${obstacle})`}`, () => {
  it('P4 shows what is left while it carries what is new, and both robots stay healthy', async () => {
    network = await createNetwork(2)
    const [one, two] = network.robots as [Robot, Robot]
    radio = await startSlowRadio(network, two, KBPS, DELAY_MS)
    // Unpacked, so that there is something to see for a while.
    const env = { ...TOGETHER, HS_SYNC_COMPRESSION: 'off' }
    await one.startAgent(env)
    await one.ask('/api/collections/imu/records', { method: 'POST', body: lines, type: 'application/x-ndjson' })
    const digest = await digestOf(one)
    await two.startAgent(env)

    const left: number[][] = [[], []]
    const rates: number[] = []
    const health = new Set<string>()
    let metric = 0
    await until('both hold the same', DEADLINE_MS, async () => {
      for (const [i, robot] of [one, two].entries()) {
        expect(await robot.ask('/healthz')).toBeDefined()
        const row = await rowOf(robot)
        if (row?.state === 'syncing' && row.remaining_records !== null) {
          left[i]!.push(row.remaining_records)
          rates.push(row.rate.bytes_per_sec)
          metric = Math.max(metric, await metricOf(robot, 'hs_sync_remaining_records'))
        }
      }
      const peers = (await Promise.all([one, two].map(robot => robot.ask('/api/swarm/peers')))).map(
        text => (JSON.parse(text) as { peers: { healthy: boolean }[] }).peers,
      )
      // Once they have met, each holds the other for alive all the time.
      if (left[0]!.length > 0) health.add(JSON.stringify(peers.map(list => list.map(({ healthy }) => healthy))))
      return (await digestOf(two)) === digest ? undefined : `left: ${left.map(list => list.at(-1)).join(', ')}`
    })

    for (const list of left) {
      expect(list[0]).toBeLessThanOrEqual(RECORDS)
      expect(list).toEqual(list.toSorted((a, b) => b - a))
      expect(new Set(list).size).toBeGreaterThan(3)
    }
    expect([...health]).toEqual(['[[true],[true]]'])
    expect(metric).toBeGreaterThan(0)
    expect(Math.max(...rates)).toBeGreaterThan(0)
    await until('nothing is left', DEADLINE_MS, async () => {
      const rows = await Promise.all([one, two].map(rowOf))
      return rows.every(row => row?.in_sync === true && row.remaining_records === 0) ? undefined : JSON.stringify(rows)
    })
    // One session did it: none was given up and begun again.
    for (const robot of [one, two]) expect(await metricOf(robot, 'hs_sync_failures_total')).toBe(0)
  })
})

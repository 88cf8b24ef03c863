/**
 * What happens to packets between robots of one network: dropped at the switch that joins them (nftables, bridge family), so that
 * neither end is told, as with a radio. Every fault meets whatever the robots run alike.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Network, Robot } from './robot-network.ts'

export interface Air {
  /** This share of all packets is lost, 0 to 100. */
  lose(percent: number): Promise<void>
  /** Nothing at all passes to or from this robot: its radio is off, or it is out of reach. */
  silence(robot: Robot): Promise<void>
  /**
   * No IP packet passes from these robots to those. Their questions for hardware addresses do: a cut in one direction would otherwise
   * become one in both as soon as an address is forgotten.
   */
  cut(from: readonly Robot[], to: readonly Robot[]): Promise<void>
  /** Everything passes again. */
  clear(): Promise<void>
  /** Starts to count what is sent from and to this UDP and TCP port, from zero. */
  count(port: number): Promise<void>
  /** Bytes of IP that each robot has sent of that since `count`, in the order of the robots; lost ones included. */
  bytesSent(port: number): Promise<number[]>
}

const run = promisify(execFile)

const nameOf = (robot: Robot, port: number): string => `${robot.port}-${port}`

export async function openAir(network: Network): Promise<Air> {
  const { robots, hub } = network
  const rules: string[] = []
  /** All of the commands take effect at one moment. */
  const nft = async (commands: string, ...args: string[]): Promise<string> =>
    (await run('ip', ['netns', 'exec', hub, 'nft', ...args, commands])).stdout
  const apply = (): Promise<string> =>
    nft(`flush chain bridge air pass\n${rules.map(rule => `add rule bridge air pass ${rule}\n`).join('')}`)
  const portSet = (some: readonly Robot[]): string => `{ ${some.map(({ port }) => `"${port}"`).join(', ')} }`
  await nft(`
    add table bridge air
    add chain bridge air pass { type filter hook forward priority 0; }
    add chain bridge air sent { type filter hook prerouting priority -300; }
  `)
  return {
    async lose(percent) {
      if (percent > 0) rules.push(`numgen random mod 100 < ${percent} drop`)
      await apply()
    },
    async silence(robot) {
      rules.push(`iifname "${robot.port}" drop`, `oifname "${robot.port}" drop`)
      await apply()
    },
    async cut(from, to) {
      rules.push(`ether type ip iifname ${portSet(from)} oifname ${portSet(to)} drop`)
      await apply()
    },
    async clear() {
      rules.length = 0
      await apply()
    },
    async count(port) {
      const lines = robots.flatMap(robot => {
        const of = `add rule bridge air sent iifname "${robot.port}" ether type ip meta l4proto { tcp, udp }`
        const then = `counter name "${nameOf(robot, port)}" return`
        return [`add counter bridge air ${nameOf(robot, port)}`, `${of} th dport ${port} ${then}`, `${of} th sport ${port} ${then}`]
      })
      await nft(lines.join('\n'))
    },
    async bytesSent(port) {
      const listed = JSON.parse(await nft('list counters table bridge air', '--json')) as {
        nftables: readonly { readonly counter?: { readonly name: string; readonly bytes: number } }[]
      }
      const bytesByName = new Map(listed.nftables.flatMap(({ counter }) => (counter === undefined ? [] : [[counter.name, counter.bytes]])))
      return robots.map(robot => bytesByName.get(nameOf(robot, port)) ?? Number.NaN)
    },
  }
}

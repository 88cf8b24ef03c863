/**
 * Several hosts on one machine: a bridge in a network namespace of its own, and one namespace per robot, joined by veth pairs.
 * Names are unique to the run; `remove` takes everything away again, also after a failed test.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = async (command: string, ...words: string[]): Promise<string> => (await promisify(execFile)(command, words)).stdout

export interface RobotHost {
  readonly namespace: string
  readonly address: string
  /** Cuts the cable at the switch: the robot's own interface stays up. */
  unplug(): Promise<void>
  plug(): Promise<void>
  /** Takes the robot's own interface down, or up again. */
  linkDown(): Promise<void>
  linkUp(): Promise<void>
}

export interface HostNetwork {
  readonly hosts: readonly RobotHost[]
  remove(): Promise<void>
}

/** Why namespaces cannot be made here; undefined when they can. */
export async function namespacesFault(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const name = `hst${process.pid}`
  try {
    await ensureIproute()
    await run('ip', 'netns', 'add', name)
    await run('ip', 'netns', 'del', name)
    return undefined
  } catch (error) {
    return `network namespaces cannot be made here: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
  }
}

async function ensureIproute(): Promise<void> {
  try {
    await run('ip', '-V')
  } catch {
    await run('apt-get', 'update')
    await run('apt-get', 'install', '-y', '--no-install-recommends', 'iproute2')
  }
}

/** Makes `count` hosts, 10.77.0.1 and on, that reach one another over a switch. */
export async function makeHosts(count: number): Promise<HostNetwork> {
  const prefix = `hs${process.pid % 10_000}${Math.floor(performance.now()) % 10_000}`
  const bridge = `${prefix}sw`
  const made: string[] = []
  const remove = async (): Promise<void> => {
    for (const name of made.splice(0)) await run('ip', 'netns', 'del', name)
  }
  const add = async (name: string): Promise<void> => {
    await run('ip', 'netns', 'add', name)
    made.push(name)
    await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  }
  try {
    await add(bridge)
    await run('ip', '-n', bridge, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0')
    await run('ip', '-n', bridge, 'link', 'set', 'br0', 'up')
    const hosts: RobotHost[] = []
    for (let i = 1; i <= count; i++) {
      const namespace = `${prefix}r${i}`
      const address = `10.77.0.${i}`
      await add(namespace)
      await run('ip', 'link', 'add', 'e0', 'netns', namespace, 'type', 'veth', 'peer', 'name', `p${i}`, 'netns', bridge)
      await run('ip', '-n', bridge, 'link', 'set', `p${i}`, 'master', 'br0', 'up')
      await run('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'e0')
      await run('ip', '-n', namespace, 'link', 'set', 'e0', 'up')
      const set = (name: string, device: string, state: 'up' | 'down') => async (): Promise<void> => {
        await run('ip', '-n', name, 'link', 'set', device, state)
      }
      hosts.push({
        namespace,
        address,
        unplug: set(bridge, `p${i}`, 'down'),
        plug: set(bridge, `p${i}`, 'up'),
        linkDown: set(namespace, 'e0', 'down'),
        linkUp: set(namespace, 'e0', 'up'),
      })
    }
    return { hosts, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Asks an agent inside of a namespace; the HTTP API listens on loopback there. Throws on an error status. */
export async function askInside(host: RobotHost, url: string, method = 'GET', body?: unknown): Promise<unknown> {
  const words = ['netns', 'exec', host.namespace, 'curl', '-sS', '--fail-with-body', '-X', method, url]
  if (body !== undefined) words.push('-H', 'content-type: application/json', '-d', JSON.stringify(body))
  const answer = await run('ip', ...words)
  return answer === '' ? undefined : JSON.parse(answer)
}

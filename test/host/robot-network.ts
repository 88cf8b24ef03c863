/**
 * Robots with a network of their own: a network namespace each, joined by a bridge in one more. What happens in there is invisible
 * to this machine's network, and all of it is removed with the namespaces.
 *
 * The agents' HTTP listens on the loopback of their namespace; a small relay in there passes it on over a socket file, which any
 * namespace can reach.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { LAUNCHER, makeFolder, startAgentProcess, type AgentProcess } from '../agent-process.ts'
import { obtain } from './packages.ts'

const run = promisify(execFile)
const PREFIX = 'hs-test'
/** Its own in every namespace, so it may as well be the usual one. */
const HTTP_PORT = 50050
export const GOSSIP_PORT = 7946
const ASK_TIMEOUT_MS = 10_000

export interface Robot {
  /** `robot1` and so on: also its agent's HS_NODE_NAME. */
  readonly name: string
  readonly namespace: string
  /** As of now: see `moveTo`. */
  readonly address: string
  /** The switch's end of the robot's cable. */
  readonly port: string
  readonly dataDir: string
  /** A socket file that leads to its agent's HTTP, from any namespace. */
  readonly socketPath: string
  /** Plugs the robot's cable into the switch, or pulls it out: its own interface stays up. */
  plug(isIn: boolean): Promise<void>
  /** The robot's own interface: down, nothing can be sent from it (ENETUNREACH). */
  setLink(isUp: boolean): Promise<void>
  /** This share of the packets that come in is lost, 0 to 100. */
  losePackets(percent: number): Promise<void>
  /** Packets that come in and match (nftables, such as `ip saddr 10.77.0.1`) are lost. */
  dropIncoming(match: string): Promise<void>
  /** Runs the command line inside of the robot, on its agent's HTTP. */
  runCli(words: readonly string[]): Promise<{ readonly status: number; readonly stdout: string }>
  /** Gives it this address instead of the one it has: 10.77.0.N. */
  moveTo(address: string): Promise<void>
  /** A socket file that leads to a port of its loopback. */
  relay(port: number): Promise<string>
  /** Starts the robot's agent on the robot's data directory, which outlives it. */
  startAgent(env?: Readonly<Record<string, string>>, onLine?: (line: string) => void): Promise<AgentProcess>
  /** Asks its agent; throws with the problem's text on an error status. */
  ask(
    path: string,
    init?: { readonly method?: string; readonly body?: string; readonly type?: string; readonly accept?: string },
  ): Promise<string>
}

export interface Network {
  readonly robots: readonly Robot[]
  /** The switch's namespace. */
  readonly hub: string
  /** Removes the namespaces with all that is in them. */
  remove(): Promise<void>
}

/** Why network namespaces cannot be made here; undefined when they can. Installs the tools that are missing, as root on Debian. */
export async function findObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
  if (process.getuid?.() !== 0) return 'making network namespaces takes root'
  const missing = (await obtain('ip', 'iproute2')) ?? (await obtain('nft', 'nftables'))
  if (missing !== undefined) return missing
  const name = `${PREFIX}-${process.pid}-probe`
  try {
    await removeAbandoned()
    await run('ip', ['netns', 'add', name])
    await run('ip', ['netns', 'del', name])
    return undefined
  } catch (error) {
    return `network namespaces cannot be made: ${error instanceof Error ? error.message.trim() : String(error)}`
  }
}

/** A run that was killed could not remove its namespaces and what runs in them: their names say which process made them. */
async function removeAbandoned(): Promise<void> {
  const names = await readdir('/run/netns').catch(() => [])
  for (const name of names) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1]
    if (pid === undefined || isRunning(Number(pid))) continue
    try {
      const { stdout } = await run('ip', ['netns', 'pids', name])
      for (const left of stdout.split('\n').filter(line => line !== '')) killQuietly(Number(left))
      await run('ip', ['netns', 'del', name])
    } catch {
      // Another suite was faster.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

let networksMade = 0

/** Makes a switch and `count` robots on it, at 10.77.0.1 and up. */
export async function createNetwork(count: number): Promise<Network> {
  networksMade += 1
  const prefix = `${PREFIX}-${process.pid}-${networksMade}`
  const hub = `${prefix}-hub`
  const namespaces: string[] = []
  const relays: ChildProcess[] = []
  const add = async (name: string): Promise<void> => {
    await run('ip', ['netns', 'add', name])
    namespaces.push(name)
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  }
  const remove = async (): Promise<void> => {
    await Promise.all(relays.splice(0).map(endRelay))
    for (const name of namespaces.splice(0)) await run('ip', ['netns', 'del', name])
  }
  try {
    await add(hub)
    await run('ip', ['-n', hub, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0'])
    await run('ip', ['-n', hub, 'link', 'set', 'br0', 'up'])
    const robots: Robot[] = []
    for (let i = 1; i <= count; i++) {
      await add(`${prefix}-${i}`)
      robots.push(await addRobot(`${prefix}-${i}`, hub, i, relays))
    }
    return { robots, hub, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function addRobot(namespace: string, hub: string, number: number, relays: ChildProcess[]): Promise<Robot> {
  const name = `robot${number}`
  const port = `port${number}`
  let address = `10.77.0.${number}`
  const inside = (...args: string[]): Promise<unknown> => run('ip', ['-n', namespace, ...args])
  const onHub = (...args: string[]): Promise<unknown> => run('ip', ['-n', hub, ...args])
  const setLink = async (isUp: boolean): Promise<void> => void (await inside('link', 'set', 'e0', isUp ? 'up' : 'down'))
  await inside('link', 'add', 'e0', 'type', 'veth', 'peer', 'name', port, 'netns', hub)
  await onHub('link', 'set', port, 'master', 'br0', 'up')
  await inside('addr', 'add', `${address}/24`, 'dev', 'e0')
  await setLink(true)
  const dropIncoming = async (match: string): Promise<void> => {
    const nft = (rules: string): Promise<unknown> => run('ip', ['netns', 'exec', namespace, 'nft', rules])
    await nft('add table inet loss; flush table inet loss')
    // Dropped where they come in: a drop on the way out would show to the sender as an error.
    await nft('add chain inet loss input { type filter hook input priority 0; }')
    await nft(`add rule inet loss input iifname e0 ${match} drop`)
  }
  const dataDir = await makeFolder(`hs-${name}-`)
  const relay = async (to: number): Promise<string> => {
    const socketPath = join(await makeFolder('hs-relay-'), 'socket')
    relays.push(await startRelay(namespace, socketPath, to))
    return socketPath
  }
  const socketPath = await relay(HTTP_PORT)
  return {
    name,
    namespace,
    get address() {
      return address
    },
    port,
    dataDir,
    socketPath,
    relay,
    setLink,
    async moveTo(next) {
      // In this order: the second address of a network goes with the first.
      await inside('addr', 'del', `${address}/24`, 'dev', 'e0')
      await inside('addr', 'add', `${next}/24`, 'dev', 'e0')
      address = next
    },
    plug: async isIn => void (await onHub('link', 'set', port, isIn ? 'up' : 'down')),
    losePackets: percent => dropIncoming(`numgen random mod 100 < ${percent}`),
    dropIncoming,
    async runCli(words) {
      const { PATH = '' } = process.env
      try {
        const { stdout } = await run('ip', ['netns', 'exec', namespace, LAUNCHER, ...words], { cwd: dataDir, env: { PATH } })
        return { status: 0, stdout }
      } catch (error) {
        const { code, stdout } = error as { code: number; stdout: string }
        return { status: code, stdout }
      }
    },
    startAgent: (env, onLine) =>
      startAgentProcess({
        namespace,
        ...(onLine === undefined ? {} : { onLine }),
        env: { HS_DATA_DIR: dataDir, HS_NODE_NAME: name, HS_HTTP_PORT: String(HTTP_PORT), HS_GOSSIP_PORT: String(GOSSIP_PORT), ...env },
      }),
    ask: (path, init) => askThrough(socketPath, path, init),
  }
}

const RELAY = `
const { connect, createServer } = require('node:net')
createServer({ allowHalfOpen: true }, near => {
  const far = connect({ host: '127.0.0.1', port: Number(process.argv[2]), allowHalfOpen: true })
  near.pipe(far).pipe(near)
  for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => other.destroy()).on('close', () => other.destroy())
}).listen(process.argv[1], () => console.log('ready'))
`

async function startRelay(namespace: string, socketPath: string, port: number): Promise<ChildProcess> {
  const relay = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', RELAY, socketPath, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    relay.stdout.once('data', () => resolve())
    relay.once('exit', code => reject(new Error(`the relay ended with ${code}`)))
    relay.once('error', reject)
  })
  return relay
}

async function endRelay(relay: ChildProcess): Promise<void> {
  if (relay.exitCode !== null || relay.signalCode !== null) return
  const exited = new Promise(resolve => relay.once('exit', resolve))
  relay.kill('SIGKILL')
  await exited
}

const askThrough: (socketPath: string, ...args: Parameters<Robot['ask']>) => Promise<string> = (socketPath, path, init = {}) =>
  new Promise((resolve, reject) => {
    const { method = 'GET', body, type = 'application/json', accept } = init
    const headers = {
      host: `127.0.0.1:${HTTP_PORT}`,
      ...(body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) }),
      ...(accept === undefined ? {} : { accept }),
    }
    const asked = request({ socketPath, path, method, headers, agent: false, timeout: ASK_TIMEOUT_MS }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const status = response.statusCode ?? 0
        if (status < 300) resolve(text)
        else reject(new Error(`${method} ${path}: ${status} ${text}`))
      })
    })
    asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer within ${ASK_TIMEOUT_MS} ms`)))
    asked.on('error', reject)
    asked.end(body)
  })

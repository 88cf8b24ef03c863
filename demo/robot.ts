/** One robot of the demo: a real agent as a process of its own, in a folder of its own, that can be killed and started again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createHsAgentClient, type HsAgentClient } from '../client/hs-agent-client.ts'

const LAUNCHER = fileURLToPath(new URL('../bin/hs-agent', import.meta.url))
/** A robot that has not stopped by then is killed. */
const STOP_MS = 8000
/** Lines of output kept, for when something goes wrong. */
const LINES_MAX = 20

export interface Robot {
  readonly name: string
  /** Starts the agent, and resolves when it is up. Throws with its last words when it ends before that. */
  start(): Promise<void>
  /** kill -9, and resolves when the process is gone. */
  kill(): Promise<void>
  /** Asks it to stop, and insists. */
  stop(): Promise<void>
  /** The last resort, when this process must end at once. */
  killNow(): void
  /** While it is up. */
  readonly running: Running | undefined
}

export interface Running {
  readonly pid: number
  readonly url: string
  readonly client: HsAgentClient
}

export interface RobotOptions {
  readonly name: string
  readonly folder: string
  readonly swarmName: string
  readonly peers: string
  /** Called with the gossip port when it is up, and with undefined when it has gone. */
  readonly onPort: (port: number | undefined) => void
}

export function createRobot({ name, folder, swarmName, peers, onPort }: RobotOptions): Robot {
  const inherited = Object.entries(process.env).filter(([variable]) => !variable.startsWith('HS_'))
  const env = {
    ...Object.fromEntries(inherited),
    HS_NODE_NAME: name,
    HS_DATA_DIR: folder,
    HS_HTTP_PORT: '0',
    HS_DISK_RESERVE: '0',
    HS_SWARM_NAME: swarmName,
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_PORT: '0',
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PEERS: peers,
    HS_GOSSIP_PROFILE: 'local',
  }
  let child: ChildProcess | undefined
  let running: Running | undefined

  const signal = async (kind: NodeJS.Signals): Promise<void> => {
    if (child === undefined) return
    const gone = new Promise(resolve => child?.once('exit', resolve))
    child.kill(kind)
    await gone
  }

  return {
    name,
    get running() {
      return running
    },
    async start() {
      mkdirSync(folder, { recursive: true })
      // A group of its own: Ctrl-C in the terminal is for the demo, which then stops its robots in order.
      const started = spawn(LAUNCHER, ['run'], { env, cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
      child = started
      const words: string[] = []
      const up = Promise.withResolvers<void>()
      const listen = (line: string): void => {
        words.push(line)
        if (words.length > LINES_MAX) words.shift()
        const log = parseStarted(line)
        if (log === undefined || started.pid === undefined) return
        running = { pid: started.pid, url: log.url, client: createHsAgentClient({ url: log.url }) }
        onPort(log.port)
        up.resolve()
      }
      createInterface({ input: started.stdout }).on('line', listen)
      createInterface({ input: started.stderr }).on('line', listen)
      started.once('error', error => up.reject(error))
      started.once('exit', (status, kind) => {
        child = undefined
        running = undefined
        onPort(undefined)
        up.reject(new Error(`${name} ended with ${kind ?? status} before it was up:\n${words.join('\n')}`))
      })
      await up.promise
    },
    kill: () => signal('SIGKILL'),
    async stop() {
      const late = setTimeout(() => child?.kill('SIGKILL'), STOP_MS)
      await signal('SIGTERM')
      clearTimeout(late)
    },
    killNow: () => void child?.kill('SIGKILL'),
  }
}

/** The log line that says where the agent listens. */
function parseStarted(line: string): { readonly url: string; readonly port: number } | undefined {
  if (!line.startsWith('{')) return undefined
  const { msg, http_url: url, gossip_port: port } = JSON.parse(line) as Record<string, unknown>
  return msg === 'started' && typeof url === 'string' && typeof port === 'number' ? { url, port } : undefined
}

/**
 * A Serf agent (https://www.serf.io) as a node of the comparison: what it holds of the others is told by its log, and it is asked to join
 * through its RPC protocol: a handshake, then the command, each a header and a body in MessagePack.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import type { Robot } from '../test/host/robot-network.ts'
import type { SwarmNode } from './swarm-node.ts'
import type { Standing, Watch } from './swarm-watch.ts'

/** Beside the agents', which have 7946 in the same namespaces. */
export const SERF_PORT = 7947
const startDeadlineMs = 10_000

export interface SerfNodeOptions {
  readonly robot: Robot
  readonly number: number
  readonly watch: Watch
  readonly numberOf: (name: string) => number | undefined
  /** Address of the node to join; undefined for that node itself. */
  readonly seed: string | undefined
  /** On its loopback, and a socket file that leads there. */
  readonly rpcPort: number
  readonly rpcPath: string
}

/** What is run in the namespace must end with this process, however that ends. */
const leash = ['setpriv', '--pdeathsig', 'KILL', '--']

const standingByEvent: Readonly<Record<string, Standing>> = {
  EventMemberJoin: 'alive',
  EventMemberFailed: 'dead',
  EventMemberLeave: 'left',
}

export function createSerfNode({ robot, number, watch, numberOf, seed, rpcPort, rpcPath }: SerfNodeOptions): SwarmNode {
  let child: ChildProcess | undefined
  let rpc: Socket | undefined

  const read = (line: string): void => {
    const event = /serf: (EventMember\w+): (\S+)/.exec(line)
    const [, kind = '', name = ''] = event ?? /memberlist: (Suspect) (\S+) has failed/.exec(line) ?? []
    const subject = numberOf(name)
    const standing = kind === 'Suspect' ? 'suspect' : standingByEvent[kind]
    if (subject === undefined || standing === undefined) return
    // Its own probe of somebody may fail after others have told it of the death.
    if (standing === 'suspect' && watch.standing(number, subject) !== 'alive') return
    watch.note(number, subject, standing, true)
    // The log does not say when a suspicion ends without a death: to Serf's users the member was never anything but alive.
    if (standing === 'suspect') watch.note(number, subject, 'alive', true)
  }

  return {
    async prepare() {
      const words = ['agent', `-node=${robot.name}`, `-bind=${robot.address}:${SERF_PORT}`, `-rpc-addr=127.0.0.1:${rpcPort}`]
      const command = ['netns', 'exec', robot.namespace, ...leash, 'serf', ...words, '-profile=lan', '-log-level=info']
      const started = spawn('ip', command, { stdio: ['ignore', 'pipe', 'pipe'] })
      child = started
      await new Promise<void>((resolve, reject) => {
        let output = ''
        const fail = (): void => reject(new Error(`serf did not start on ${robot.name}:\n${output}`))
        const deadline = setTimeout(fail, startDeadlineMs)
        started.once('error', reject)
        started.once('exit', fail)
        const isUp = (line: string): boolean => line.includes('Serf agent running')
        readLines(started, line => {
          if (output.length < 4_000) output += `${line}\n`
          if (isUp(line)) resolve()
          if (isUp(line)) clearTimeout(deadline)
          if (started === child) read(line)
        })
      })
      const socket = connect(rpcPath)
      socket.on('error', () => {})
      socket.resume()
      await new Promise(resolve => socket.once('connect', resolve))
      socket.write(Buffer.concat([packMap({ Command: 'handshake', Seq: 0 }), packMap({ Version: 1 })]))
      rpc = socket
    },
    async join() {
      if (seed === undefined) return
      rpc?.write(Buffer.concat([packMap({ Command: 'join', Seq: 1 }), packMap({ Existing: [`${seed}:${SERF_PORT}`], Replay: false })]))
    },
    untilUp: async () => {},
    pause(isPaused) {
      child?.kill(isPaused ? 'SIGSTOP' : 'SIGCONT')
    },
    async kill() {
      const ending = child
      child = undefined
      watch.forget(number)
      rpc?.destroy()
      if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return
      const exited = new Promise(resolve => ending.once('exit', resolve))
      ending.kill('SIGKILL')
      await exited
    },
  }
}

function readLines(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    let partial = ''
    stream?.on('data', (chunk: Buffer) => {
      const lines = (partial + chunk.toString()).split('\n')
      partial = lines.pop() ?? ''
      for (const line of lines) onLine(line)
    })
  }
}

type Packable = string | number | boolean | readonly string[]

/** A small map in MessagePack: texts and lists are shorter than 16 and 32, numbers from 0 to 127. */
function packMap(fields: Readonly<Record<string, Packable>>): Buffer {
  const entries = Object.entries(fields)
  return Buffer.concat([Buffer.of(0x80 + entries.length), ...entries.flatMap(([name, value]) => [pack(name), pack(value)])])
}

function pack(value: Packable): Buffer {
  if (typeof value === 'string') return Buffer.concat([Buffer.of(0xa0 + Buffer.byteLength(value)), Buffer.from(value)])
  if (typeof value === 'number') return Buffer.of(value)
  if (typeof value === 'boolean') return Buffer.of(value ? 0xc3 : 0xc2)
  return Buffer.concat([Buffer.of(0x90 + value.length), ...value.map(pack)])
}

/**
 * A slow radio to one robot of a network: what passes between it and the others is bound in its rate, and comes late (slow-radio.py).
 * The kernels that these suites run on often cannot do that themselves (netem).
 */
import { execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Network, Robot } from './robot-network.ts'

const run = promisify(execFile)
const SCRIPT = fileURLToPath(new URL('slow-radio.py', import.meta.url))
/** What may wait in front of the radio: a queue as access points have them. */
const QUEUE_MS = 400

export interface SlowRadio {
  /** Bytes of Ethernet packets so far, to the robot and from it. */
  carried(): Promise<{ readonly to: number; readonly from: number }>
  /** Ends it: nothing passes any more. Before the network is removed. */
  stop(): Promise<void>
}

/** Puts it between the robot and all others. `delayMs`: one way. */
export async function startSlowRadio({ hub }: Network, robot: Robot, kbps: number, delayMs: number): Promise<SlowRadio> {
  const onHub = (...args: string[]): Promise<unknown> => run('ip', ['-n', hub, ...args])
  await onHub('link', 'add', 'br1', 'type', 'bridge', 'mcast_snooping', '0')
  await onHub('link', 'set', 'br1', 'up')
  const child = spawn('ip', ['netns', 'exec', hub, 'python3', SCRIPT, 'air0', 'air1', String(kbps), String(delayMs), String(QUEUE_MS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  const waiting: ((line: string) => void)[] = []
  lines.on('line', line => waiting.shift()?.(line))
  const nextLine = (): Promise<string> => new Promise(resolve => void waiting.push(resolve))
  await Promise.race([
    nextLine(),
    new Promise((_, reject) => child.once('exit', code => reject(new Error(`the radio ended with ${code}`)))),
  ])
  await onHub('link', 'set', 'air0', 'master', 'br0', 'up')
  await onHub('link', 'set', 'air1', 'master', 'br1', 'up')
  await onHub('link', 'set', robot.port, 'master', 'br1')
  return {
    async carried() {
      const line = nextLine()
      child.stdin.write('\n')
      const [to = 0, from = 0] = (await line).split(' ').map(Number)
      return { to, from }
    },
    async stop() {
      const exited = new Promise(resolve => child.once('exit', resolve))
      child.stdin.end()
      await exited
    },
  }
}

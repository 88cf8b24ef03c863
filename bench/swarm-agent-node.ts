/** An agent as a node of the comparison: what it holds of the others is told by its stream of events, and checked against its list. */
import { execFile } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { AgentProcess } from '../test/agent-process.ts'
import { openEvents, type EventReader } from '../test/event-reader.ts'
import type { Robot } from '../test/host/robot-network.ts'
import { HELD } from './start-gate.ts'
import type { SwarmNode } from './swarm-node.ts'
import type { Standing, Watch } from './swarm-watch.ts'

const gatePath = fileURLToPath(new URL('start-gate.ts', import.meta.url))
const retryMs = 10
const checkMs = 1_000
const gateDeadlineMs = 5_000

export interface AgentNodeOptions {
  readonly robot: Robot
  /** Its number in the watch. */
  readonly number: number
  readonly watch: Watch
  readonly env: Readonly<Record<string, string>>
  /** The number of the node with this HS_NODE_NAME. */
  readonly numberOf: (name: string) => number | undefined
}

export function createAgentNode({ robot, number, watch, env, numberOf }: AgentNodeOptions): SwarmNode {
  const gate = join(robot.dataDir, 'gate')
  let starting: Promise<AgentProcess> | undefined
  let agent: AgentProcess | undefined
  let stream: EventReader | undefined
  /** Raised with every process: what an earlier one still has to say is not heard. */
  let run = 0

  const note = (name: unknown, standing: Standing, isOwn = false): void => {
    const subject = numberOf(String(name))
    if (subject !== undefined) watch.note(number, subject, standing, isOwn)
  }

  async function openStream(isCurrent: () => boolean): Promise<EventReader> {
    for (;;) {
      try {
        return await openEvents('http://127.0.0.1/api/events', { host: '127.0.0.1:50050' }, robot.socketPath)
      } catch (error) {
        if (!isCurrent()) throw error
        await delay(retryMs)
      }
    }
  }

  async function follow(mine: number): Promise<void> {
    const isCurrent = (): boolean => mine === run
    const reader = await openStream(isCurrent)
    stream = reader
    void readEvents(reader, isCurrent)
    for (const [name, standing] of await readList()) if (isCurrent()) note(name, standing)
    void checkList(isCurrent)
  }

  async function readEvents(reader: EventReader, isCurrent: () => boolean): Promise<void> {
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      if (block.event !== 'peer' || !isCurrent()) continue
      const { change, reason, status, node_name } = block.data
      note(node_name, change === 'dropped' ? (reason === 'left' ? 'left' : 'dead') : (status as Standing), reason === 'probe-failed')
    }
  }

  async function readList(): Promise<Map<string, Standing>> {
    const { peers } = JSON.parse(await robot.ask('/api/swarm/peers')) as { peers: { node_name: string; status: Standing }[] }
    return new Map(peers.map(({ node_name, status }) => [node_name, status]))
  }

  /** What the list has lost without an event, twice in a row, counts as well. */
  async function checkList(isCurrent: () => boolean): Promise<void> {
    let missing = new Set<string>()
    while (isCurrent()) {
      await delay(checkMs)
      const listed = await readList().catch(() => undefined)
      if (listed === undefined || !isCurrent()) continue
      const gone = new Set<string>()
      for (let subject = 0; ; subject++) {
        const name = `robot${subject + 1}`
        if (numberOf(name) === undefined) break
        const held = watch.standing(number, subject)
        if ((held === 'alive' || held === 'suspect') && (listed.get(name) ?? 'dead') === 'dead') gone.add(name)
      }
      for (const name of gone) if (missing.has(name)) note(name, 'dead')
      missing = gone
    }
  }

  return {
    async prepare() {
      run += 1
      const mine = run
      const held = Promise.withResolvers<void>()
      await rm(gate, { force: true })
      await promisify(execFile)('mkfifo', [gate])
      starting = robot.startAgent({ ...env, START_GATE: gate, NODE_OPTIONS: `--import=${gatePath}` }, line => {
        if (line === HELD) held.resolve()
      })
      starting.catch(held.reject)
      await held.promise
      // Its HTTP is up already: what it learns first is seen, and the first request's cost is not part of a measure.
      await follow(mine)
    },
    async join() {
      const untilMs = performance.now() + gateDeadlineMs
      while (!openGate(gate)) {
        if (performance.now() > untilMs) throw new Error(`nobody waits at ${gate}`)
        await delay(1)
      }
    },
    async untilUp() {
      agent = await starting
    },
    pause(isPaused) {
      if (agent === undefined) throw new Error('only what is up can be paused')
      process.kill(agent.pid, isPaused ? 'SIGSTOP' : 'SIGCONT')
    },
    async kill() {
      run += 1
      watch.forget(number)
      stream?.close()
      await agent?.kill('SIGKILL')
    },
  }
}

/** False while nobody waits at its other end: a process says that it is held just before it is. */
function openGate(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENXIO') return false
    throw error
  }
}

/** Real agents as processes: started with the launcher, watched by their output, stopped by their process id. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const LAUNCHER = fileURLToPath(new URL('../bin/hs-agent', import.meta.url))
const START_DEADLINE_MS = 60_000
/** Lines of output kept for the message of a failing test. */
const OUTPUT_LINES_MAX = 40

export interface AgentProcess {
  readonly pid: number
  readonly url: string
  readonly banner: string
  readonly dataDir: string
  /** Resolves when the process has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>
  output(): string
}

export interface AgentSettings {
  readonly env: Readonly<Record<string, string>>
  /** In place of the launcher's `run`. */
  readonly command?: readonly string[]
  /** Runs the agent inside of a network namespace. */
  readonly namespace?: string
  /** Hears every line of its output as it comes. */
  readonly onLine?: (line: string) => void
}

const running = new Set<ChildProcess>()
const folders: string[] = []

/** A folder that `stopEverything` removes. */
export async function makeFolder(name = 'hs-test-'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), name))
  folders.push(folder)
  return folder
}

const undoings: (() => Promise<void>)[] = []

/** `stopEverything` will also do this, the latest first. */
export function atStop(undo: () => Promise<void>): void {
  undoings.push(undo)
}

let stopping: Promise<void> | undefined

/** Ends what tests of this file have left: processes by id, then what was asked for with `atStop`, then folders. */
export function stopEverything(): Promise<void> {
  // Asked again meanwhile - by a signal, and by whoever finds its agents dead - all wait for the same.
  stopping ??= stop().finally(() => (stopping = undefined))
  return stopping
}

async function stop(): Promise<void> {
  await Promise.all([...running].map(child => end(child, 'SIGKILL')))
  for (const undo of undoings.splice(0).reverse()) await undo()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise(resolve => child.once('exit', resolve))
  child.kill(signal)
  await exited
}

/** The environment of this process without its own HS_* variables. */
export function cleanEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] => !entry[0].startsWith('HS_') && entry[1] !== undefined,
  )
  return Object.fromEntries(entries)
}

/** Starts an agent and waits for its first line. */
export async function startAgentProcess(settings: AgentSettings): Promise<AgentProcess> {
  const dataDir = settings.env['HS_DATA_DIR'] ?? (await makeFolder())
  const env = { ...cleanEnvironment(), HS_HTTP_PORT: '0', HS_DATA_DIR: dataDir, HS_DISK_RESERVE: '0', ...settings.env }
  const { namespace, command: own = [LAUNCHER, 'run'] } = settings
  const command = namespace === undefined ? own : ['ip', 'netns', 'exec', namespace, ...own]
  const child = spawn(command[0]!, command.slice(1), { env, cwd: dataDir, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const lines: string[] = []
  const banner = Promise.withResolvers<string>()
  let partial = ''
  const take = (chunk: Buffer): void => {
    partial += chunk.toString()
    const complete = partial.split('\n')
    partial = complete.pop() ?? ''
    for (const line of complete) {
      lines.push(line)
      if (lines.length > OUTPUT_LINES_MAX) lines.shift()
      settings.onLine?.(line)
      if (line.startsWith('hs-agent ')) banner.resolve(line)
    }
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  child.once('exit', (code, signal) => {
    running.delete(child)
    banner.reject(new Error(`the agent ended with ${signal ?? code} before it was up:\n${lines.join('\n')}\n${partial}`))
  })
  const deadline = setTimeout(() => banner.reject(new Error(`the agent was not up in time:\n${lines.join('\n')}`)), START_DEADLINE_MS)
  try {
    const line = await banner.promise
    const url = /http:\/\/\S+?(?=,|\s|$)/.exec(line)?.[0]
    if (url === undefined || child.pid === undefined) throw new Error(`no URL in the first line: ${line}`)
    return { pid: child.pid, url, banner: line, dataDir, kill: (signal = 'SIGTERM') => end(child, signal), output: () => lines.join('\n') }
  } finally {
    clearTimeout(deadline)
    banner.promise.catch(() => {})
  }
}

/** Where no system gives out ports of itself: a socket of a test beside this one cannot be given the port before it is bound. */
const PORTS = { first: 10_000, end: 32_000 }
const PORT_TRIES_MAX = 100

/** A port of loopback that was free a moment ago, for TCP and for UDP. */
export async function findFreePort(): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = randomInt(PORTS.first, PORTS.end)
    const [server, socket] = [createServer(), createSocket('udp4')]
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening')
      socket.bind(port, '127.0.0.1')
      await once(socket, 'listening')
      return port
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') || tries === PORT_TRIES_MAX) throw error
    } finally {
      await Promise.all([new Promise(resolve => server.close(resolve)), new Promise<void>(resolve => socket.close(resolve))])
    }
  }
}

/** Asks an agent; throws with the problem's text on an error status. */
export async function ask(agent: Pick<AgentProcess, 'url'>, path: string, init?: RequestInit): Promise<unknown> {
  const response = await fetch(agent.url + path, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`${init?.method ?? 'GET'} ${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** Waits until `condition` holds, asking again and again; at the deadline fails with what it said last. */
export async function until(what: string, deadlineMs: number, condition: () => Promise<string | undefined>): Promise<void> {
  const startMs = performance.now()
  for (;;) {
    const missing = await condition()
    if (missing === undefined) return
    if (performance.now() - startMs > deadlineMs) throw new Error(`${what}: not within ${deadlineMs} ms: ${missing}`)
    const { promise, resolve } = Promise.withResolvers<void>()
    setTimeout(resolve, 50)
    await promise
  }
}

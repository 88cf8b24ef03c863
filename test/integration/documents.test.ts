/**
 * The examples in README.md and docs are run as they are printed: every line of every block that is marked `sh`, in its order, in a
 * folder that looks like a fresh checkout. Blocks marked otherwise (`console`, `text`, `json`) change the machine, or are no commands.
 *
 * Port numbers are replaced by free ones, the same one everywhere in a document; programs that run until they are stopped are started
 * and left running. A command may fail for a while: robots take a moment to meet.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { cleanEnvironment, findFreePort, makeFolder, stopEverything } from '../agent-process.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMMAND_MS = 60_000
const RETRY_MS = 20_000
/** A program that watches is as it should be when it still does after this time, or has said something. */
const WATCH_MS = 3000
/** What examples read. */
const FILES: Readonly<Record<string, string>> = {
  'log.ndjson': Array.from({ length: 20 }, (_, i) => `{"key":"robot1/${String(i).padStart(6, '0')}","payload":{"x":${i}}}\n`).join(''),
}
/** Not part of what a checkout has. The packages stay where they are: `bin/node24` finds its own folder. */
const NOT_LINKED = new Set(['node_modules', 'data', '.env', '.git', 'package-lock.json'])

/** Those that the pages use: HTTP and gossip. */
const PORT = /\b(5005\d|79[45]\d)\b/g
const ANY_AGENT = 'HS_GOSSIP_PORT=0 HS_GOSSIP_HOST=127.0.0.1 HS_GOSSIP_MULTICAST=off ./bin/hs-agent run'

const isAssignment = (line: string): boolean => /^(export )?[A-Z_]+=\S*$/.test(line)
const isServer = (line: string): boolean => /^npm start$|\bhs-agent run\b/.test(line)
const isWatcher = (line: string): boolean => /\bhs-agent watch\b| --watch\b|\/api\/events\b/.test(line)
/** Scripts that test the tree, measure it or write into it: that they exist is enough here. */
const isOwnScript = (line: string): boolean => /^npm (test|run (check|check:static|bench|sim|client|format))\b/.test(line)

function commandsOf(path: string): string[] {
  const blocks = [...readFileSync(join(ROOT, path), 'utf8').matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, text]) => text ?? '')
  const lines = blocks.flatMap(text => text.replaceAll(/\\\n\s*/g, '').split('\n'))
  return lines.filter(line => line.trim() !== '' && !line.trim().startsWith('#'))
}

const documents = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map(name => `docs/${name}`),
].filter(path => path.endsWith('.md') && commandsOf(path).length > 0)

const children = new Set<ChildProcess>()

interface Running {
  readonly child: ChildProcess
  readonly output: () => string
  readonly exit: Promise<number | null>
}

/** Each in a group of its own, so that what it starts ends with it. */
function start(command: string, cwd: string, env: Record<string, string>): Running {
  const child = spawn('sh', ['-c', command], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exit = new Promise<number | null>(resolve => child.once('close', resolve))
  void exit.then(() => children.delete(child))
  return { child, output: () => output, exit }
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = once(child, 'close')
  process.kill(-child.pid, signal)
  await gone
}

afterEach(async () => {
  await Promise.all([...children].map(child => stop(child, 'SIGKILL')))
  await stopEverything()
})

/** Whether a program says this; false when it ends before. */
async function says({ output, exit }: Running, text: RegExp): Promise<boolean> {
  const ended = exit.then(() => true)
  while (!text.test(output())) if (await Promise.race([ended, delay(50, false)])) return text.test(output())
  return true
}

/** Runs commands as a person would who follows a page from its top; each call returns what was wrong, if anything. */
async function createReader(): Promise<(command: string) => Promise<string | undefined>> {
  const folder = await makeFolder('hs-docs-')
  for (const name of readdirSync(ROOT)) if (!NOT_LINKED.has(name)) await symlink(join(ROOT, name), join(folder, name))
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, name), text)
  const portByPrinted = new Map<string, number>()
  const swarmName = `docs-${process.pid}-${Math.floor(performance.now())}`
  let assignments = ''

  const replacePorts = async (text: string): Promise<string> => {
    for (const [number] of text.matchAll(PORT)) if (!portByPrinted.has(number)) portByPrinted.set(number, await findFreePort())
    return text.replaceAll(PORT, number => String(portByPrinted.get(number)))
  }
  const env = { ...cleanEnvironment(), HS_HTTP_PORT: await replacePorts('50050') }

  return async printed => {
    const command = (await replacePorts(printed))
      .replace('HS_SWARM_NAME=demo', `HS_SWARM_NAME=${swarmName}`)
      .replaceAll(/\bcurl /g, 'curl --silent --show-error --fail ')
    const run = (): Running => start(assignments + command, folder, env)
    const fault = (status: number | null, { output }: Running): string => `${command}\nexit status ${status}\n${output()}`

    if (isAssignment(command)) {
      assignments += `${command}\n`
      return undefined
    }
    if (isOwnScript(command)) {
      const [, script = ''] = /^npm (?:run )?(\S+)/.exec(command) ?? []
      return Object.hasOwn(manifest.scripts, script) ? undefined : `${command}: there is no such script`
    }
    if (isServer(command)) {
      const server = run()
      return (await says(server, /^hs-agent .*node /m)) ? undefined : fault(await server.exit, server)
    }
    if (isWatcher(command)) {
      const watcher = run()
      const status = await Promise.race([watcher.exit, says(watcher, /./).then(() => 0), delay(WATCH_MS, 0)])
      await stop(watcher.child, 'SIGTERM')
      return status === 0 ? undefined : fault(status, watcher)
    }
    for (const startMs = performance.now(); ; await delay(250)) {
      const running = run()
      const late = setTimeout(() => void stop(running.child, 'SIGKILL'), COMMAND_MS)
      const status = await running.exit
      clearTimeout(late)
      const isGood = status === 0 && !running.output().includes('"code":"HS_INVALID_REQUEST"')
      if (isGood) return undefined
      if (performance.now() - startMs > RETRY_MS) return fault(status, running)
    }
  }
}

describe('the examples that are printed in', () => {
  it.each(documents)('%s work', async path => {
    const read = await createReader()
    const commands = commandsOf(path)
    // A page that starts no agent is about one that runs.
    const before = commands.some(isServer) ? [] : [ANY_AGENT]
    for (const command of [...before, ...commands]) expect(await read(command)).toBeUndefined()
  })
})

it('the pages that must have examples have them', () => {
  expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/http.md', 'docs/operating.md', 'docs/demo.md']))
  expect(commandsOf('docs/http.md').filter(line => /\bcurl\b/.test(line)).length).toBeGreaterThan(12)
})

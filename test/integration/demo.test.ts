/** `npm run demo` from outside: it ends in time, everybody agrees at its end, and nothing of it is left. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, it } from 'vitest'
import { ask, cleanEnvironment, makeFolder, stopEverything, until } from '../agent-process.ts'

const NODE = fileURLToPath(new URL('../../bin/node24', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../../demo/run.ts', import.meta.url))
const DEMO_MS = 60_000

interface Demo {
  readonly process: ChildProcess
  /** Where its temporary folder is made. */
  readonly folder: string
  readonly output: () => string
  readonly exit: Promise<number | null>
}

async function startDemo(words: readonly string[] = []): Promise<Demo> {
  const folder = await makeFolder()
  const child = spawn(NODE, ['node', PROGRAM, ...words], {
    cwd: folder,
    env: { ...cleanEnvironment(), TMPDIR: folder },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exit = new Promise<number | null>(resolve => child.once('close', resolve))
  return { process: child, folder, output: () => text, exit }
}

const demos: Demo[] = []
afterEach(async () => {
  // By SIGTERM, so that a demo takes its robots along.
  for (const demo of demos.splice(0)) {
    if (demo.process.exitCode === null) demo.process.kill('SIGTERM')
    await demo.exit
  }
  await stopEverything()
})

/** What a demo has left behind: files, processes, ports. */
async function leftovers({ folder, output }: Demo): Promise<string[]> {
  const pids = [...output().matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid))
  const urls = [...output().matchAll(/http:\/\/127\.0\.0\.1:\d+/g)].map(([url]) => url)
  expect(pids.length).toBeGreaterThanOrEqual(3)
  const alive = pids.filter(pid => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  })
  const answering: string[] = []
  for (const url of new Set(urls)) {
    const answer = await fetch(url).catch(() => undefined)
    if (answer !== undefined) answering.push(url)
  }
  return [...readdirSync(folder), ...alive.map(String), ...answering]
}

it('the demo ends within a minute with exit status 0, equal digests, two sentences, and nothing left', async () => {
  const startMs = performance.now()
  const demo = await startDemo()
  demos.push(demo)
  expect({ status: await demo.exit, output: demo.output() }).toMatchObject({ status: 0 })
  expect(performance.now() - startMs).toBeLessThan(DEMO_MS)
  const text = demo.output()
  const verdicts = [...text.matchAll(/^ {2}same\? .*$/gm)].map(([line]) => line.replaceAll(/\s+/g, ' ').trim())
  const agreed = 'same? ✓ yes ✓ yes ✓ yes ✓ yes'
  const differs = 'same? ✗ no ✗ no ✗ no ✗ no'
  // Met, written, cut, killed, back, met again, checked.
  expect(verdicts).toEqual(['same? - - - -', agreed, differs, differs, differs, agreed, agreed])
  const [digests] = [...text.matchAll(/^ {2}(?:wren|otter|newt) .*$/gm)]
    .slice(-3)
    .reduce<[Set<string>]>(([seen], [line]) => [seen.add(line.replaceAll(/^.*?(?=\d)/g, '').trim())], [new Set()])
  expect([...digests]).toEqual([expect.stringMatching(/^840 \w{6} +2 \w{6} +3 \w{6} "(open|locked)"$/)])
  expect(text).toMatch(/848 writes were acknowledged; every robot has them all/)
  expect(text).toMatch(/killed with -9 in\s+the middle\.[^]*all three held the same 848[^]*kept both\.\n$/)
  // A pipe gets neither colours nor cursor movements.
  expect(text).not.toContain('\u001b')
  expect(await leftovers(demo)).toEqual([])
})

it('a demo that is interrupted in the middle leaves nothing either', async () => {
  const demo = await startDemo()
  demos.push(demo)
  await until('the robots are up', DEMO_MS, async () => (demo.output().includes('records written') ? undefined : demo.output()))
  demo.process.kill('SIGINT')
  expect({ status: await demo.exit, output: demo.output() }).toMatchObject({ status: 130 })
  expect(await leftovers(demo)).toEqual([])
})

it('--keep leaves the robots to a person: its lines work, the radio obeys, Ctrl-C ends it', async () => {
  const demo = await startDemo(['--keep'])
  demos.push(demo)
  await until('the story is over', DEMO_MS, async () => (demo.output().includes('Or type here') ? undefined : demo.output()))
  const [put = '', get = ''] = [...demo.output().matchAll(/^ {2}curl .*?(http:\S+)/gm)].map(([, url]) => url)
  const write = (payload: string): Promise<unknown> =>
    ask({ url: put }, '', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ payload }) })
  const payloadThere = async (): Promise<unknown> => {
    const answer = await fetch(get)
    return answer.ok ? ((await answer.json()) as { payload: unknown }).payload : undefined
  }
  await write('ajar')
  await until('the other robot has it', 20_000, async () => ((await payloadThere()) === 'ajar' ? undefined : 'not yet'))
  demo.process.stdin?.write('cut\n')
  await until('the radio is cut', 5000, async () => (demo.output().includes('cut: done') ? undefined : demo.output()))
  await write('shut')
  demo.process.stdin?.write('kill newt\n')
  await until('newt is killed', 5000, async () => (demo.output().includes('kill newt: done') ? undefined : demo.output()))
  expect(await payloadThere()).toBe('ajar')
  demo.process.stdin?.write('start newt\nheal\n')
  await until('the other robot has the later word', 20_000, async () => ((await payloadThere()) === 'shut' ? undefined : 'not yet'))
  await until('newt is back', 20_000, async () => (demo.output().includes('start newt: done') ? undefined : demo.output()))
  demo.process.kill('SIGINT')
  expect(await demo.exit).toBe(0)
  expect(await leftovers(demo)).toEqual([])
})

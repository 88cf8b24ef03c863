/** Commands that go on until they are ended, search, settings and completion, against a small server that answers what each test says. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli, startCli } from './cli-process.ts'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { CliResult } from './cli-process.ts'

const PROGRAM = join(import.meta.dirname, '../../bin/hs-agent')

interface Asked {
  readonly method: string | undefined
  readonly url: string
  readonly body: string
}

let folder: string
let server: Server
let url: string
let asked: Asked[]
let answer: (request: Asked, response: ServerResponse) => void
const running = new Set<ChildProcessWithoutNullStreams>()

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Uint8Array[] = []
  for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk)
  const taken = { method: request.method, url: request.url ?? '', body: Buffer.concat(chunks).toString() }
  asked.push(taken)
  answer(taken, response)
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-cli-'))
  asked = []
  server = createServer((request, response) => void take(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})

afterEach(async () => {
  const exits = [...running].map(child => once(child, 'exit'))
  for (const child of running) child.kill('SIGKILL')
  await Promise.all(exits)
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
  await rm(folder, { recursive: true })
})

const json = (response: ServerResponse, body: unknown, status = 200): void =>
  void response
    .writeHead(status, { 'content-type': status < 300 ? 'application/json' : 'application/problem+json' })
    .end(JSON.stringify(body))

const cli = (words: readonly string[], input = ''): Promise<CliResult> =>
  runCli(words, { env: { HS_URL: url }, workingDirectory: folder, input })

interface Running {
  /** The next line of standard output. */
  line(): Promise<string>
  errors(): string
  /** Sends SIGINT; resolves to the exit status. */
  interrupt(): Promise<number | null>
}

function start(words: readonly string[]): Running {
  const child = startCli(words, { env: { HS_URL: url }, workingDirectory: folder })
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.stdin.end()
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async line() {
      const next = await lines.next()
      if (next.done === true) throw new Error(`there are no more lines; standard error: ${errors}`)
      return next.value
    },
    errors: () => errors,
    async interrupt() {
      const exit = once(child, 'close')
      child.kill('SIGINT')
      const [status] = (await exit) as [number | null]
      return status
    },
  }
}

const F = 'e8b37fde6c60427f'
const put = (sequence: number, key: string): string =>
  `event: put\nid: ${F}.${sequence}\ndata: {"cursor":"${F}.${sequence}","kind":"put","collection":"map","key":"${key}","payload":{"n":1.0}}\n\n`
const stream = (response: ServerResponse, ...blocks: readonly string[]): void => {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(blocks.join(''))
}

describe('watch', () => {
  it('shows each event on a line, tells where it was, and Ctrl-C ends it well', async () => {
    const others = [
      `event: delete\nid: ${F}.2\ndata: {"kind":"delete","collection":"map","key":"a\\u001b[2J"}\n\n`,
      `event: delete\nid: ${F}.2\ndata: {"kind":"delete","collection":"map","generation":1}\n\n`,
      `event: conflict\nid: ${F}.3\ndata: {"kind":"conflict","collection":"map","key":"b","payload":"lost"}\n\n`,
      'event: peer\ndata: {"kind":"peer","change":"dropped","reason":"timeout","node_id":"a92f001122","node_name":"rover-2","addr":"10.0.0.2:1"}\n\n',
      'event: sync\ndata: {"kind":"sync","peer":"a92f001122","collection":"map","in_sync":true,"entries_sent":0,"entries_received":1200}\n\n',
      'event: role\ndata: {"kind":"role","role":"Leader","epoch":2}\n\n',
      `event: reset\nid: ${F}.0\ndata: {"kind":"reset","reason":"the cursor is of another store"}\n\n`,
    ]
    answer = (_, response) => stream(response, 'retry: 1000\nid: x.0\n\n', put(1, 'door'), ': keep-alive\n\n', ...others)
    const watch = start(['watch', 'map', '--since', '0'])
    const lines = [
      'put       map  door  {"n":1}',
      'delete    map  a\\x1b[2J',
      'delete    map  the whole collection',
      'conflict  map  b  dropped: "lost"',
      'peer      rover-2 a92f0011 at 10.0.0.2:1 dropped (timeout)',
      'sync      map with a92f0011: in sync, 1,200 received, 0 sent',
      'role      Leader, epoch 2',
      'reset     the cursor is of another store; from the beginning',
    ]
    for (const line of lines) expect(await watch.line()).toBe(line)
    expect(asked[0]?.url).toBe('/api/events?collection=map&since=0')
    expect(await watch.interrupt()).toBe(0)
    expect(watch.errors()).toBe(`To go on from here: --since ${F}.0\n`)
  })

  it('P12 --json prints what the agent wrote, byte for byte', async () => {
    answer = (_, response) => stream(response, put(1, 'door'))
    const watch = start(['watch', '--json'])
    expect(await watch.line()).toBe(`{"cursor":"${F}.1","kind":"put","collection":"map","key":"door","payload":{"n":1.0}}`)
    expect(await watch.interrupt()).toBe(0)
    expect(watch.errors()).toBe('')
  })

  it('P4 comes back by itself and goes on where it was, whether the stream breaks, ends, or the agent is busy', async () => {
    const ends: ((response: ServerResponse) => void)[] = [
      response => {
        stream(response, put(1, 'a'))
        response.write(`event: put\nid: ${F}.2\ndata: {"cut`, () => response.destroy())
      },
      response => json(response, { code: 'HS_BUSY', detail: 'try again' }, 429),
      response => {
        stream(response, put(2, 'b'), 'event: end\ndata: {"kind":"end","code":"HS_SHUTTING_DOWN","detail":"stopping"}\n\n')
        response.end()
      },
      response => stream(response, put(3, 'c')),
    ]
    answer = (_, response) => ends.shift()?.(response)
    const watch = start(['watch'])
    for (const key of ['a', 'b', 'c']) expect(await watch.line()).toContain(`map  ${key}`)
    expect(asked.map(({ url }) => url)).toEqual(['/api/events', ...[1, 1, 2].map(at => `/api/events?since=${F}.${at}`)])
    expect(watch.errors().split('\n').slice(0, 4)).toEqual([
      `hs-agent: HS_AGENT_UNREACHABLE: ${url}: the answer broke off; trying again`,
      'hs-agent: the agent answers again',
      'hs-agent: HS_SHUTTING_DOWN: stopping; trying again',
      'hs-agent: the agent answers again',
    ])
    expect(await watch.interrupt()).toBe(0)
  })

  it('no agent is exit status 69, a refusal 1, a cursor that is none 2', async () => {
    answer = (_, response) => json(response, { code: 'HS_UNAUTHORIZED', detail: 'send a token' }, 401)
    expect(await cli(['watch'])).toMatchObject({ status: 1, stderr: 'hs-agent: HS_UNAUTHORIZED: send a token\n' })
    answer = (_, response) => json(response, {})
    expect(await cli(['watch'])).toMatchObject({ status: 69 })
    expect(await cli(['watch', '--since', 'yesterday'])).toMatchObject({ status: 2 })
    expect(await cli(['watch', '--url', 'http://127.0.0.1:1'])).toMatchObject({ status: 69 })
  })
})

describe('live tables', () => {
  const row = { peer: 'a92f0011', collection: 'map', state: 'idle', in_sync: false, entries_sent: 0 }

  it('on a pipe, peers --watch prints a block for each change, and ages are none', async () => {
    let asks = 0
    const peer = { node_name: 'rover-2', status: 'alive', collections: [] }
    answer = (_, response) => {
      asks += 1
      const status = asks < 4 ? 'alive' : 'suspect'
      json(response, { gossip_enabled: true, peers: [{ ...peer, status, last_seen_ago_ms: asks * 100, rtt_ms: asks }] })
    }
    const watch = start(['peers', '--watch'])
    expect([await watch.line(), await watch.line(), await watch.line()]).toEqual([
      expect.stringMatching(/^PEER/),
      expect.stringMatching(/rover-2 .*alive .* 0\.1s/),
      '',
    ])
    expect([await watch.line(), await watch.line()]).toEqual([expect.stringMatching(/^PEER/), expect.stringMatching(/suspect .* 0\.4s/)])
    expect(await watch.interrupt()).toBe(0)
  })

  it('sync --watch starts a sync; --json prints a line for each change, also over a time without an agent', async () => {
    let reads = 0
    answer = ({ method }, response) => {
      if (method === 'POST') return json(response, { peers: 1 }, 202)
      reads += 1
      if (reads === 3) return json(response, { code: 'HS_SHUTTING_DOWN', detail: 'stopping' }, 503)
      return json(response, [{ ...row, in_sync: reads > 3 }])
    }
    const watch = start(['sync', '--watch', '--json'])
    expect(JSON.parse(await watch.line())).toEqual([row])
    expect(JSON.parse(await watch.line())).toEqual([{ ...row, in_sync: true }])
    expect(asked.filter(({ method }) => method === 'POST')).toHaveLength(1)
    expect(await watch.interrupt()).toBe(0)
    expect(watch.errors()).toBe('hs-agent: HS_SHUTTING_DOWN: stopping; trying again\nhs-agent: the agent answers again\n')
    expect((await cli(['sync', '--watch', '--wait'])).status).toBe(2)
  })

  /** What a terminal shows until the table has been drawn three times and somebody presses Ctrl-C. */
  async function onTerminal(words: string, env: Readonly<Record<string, string>>): Promise<string> {
    const child = spawn('sh', ['-c', `exec script -qec 'exec "${PROGRAM}" ${words}' /dev/null`], {
      env: { PATH: process.env['PATH'], TERM: 'xterm', HS_URL: url, ...env },
      cwd: folder,
    })
    running.add(child)
    let shown = ''
    let isPressed = false
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString()
      if (isPressed || shown.split('rover-2').length <= 3) return
      isPressed = true
      child.stdin.write('\u0003')
    })
    const [status] = (await once(child, 'close')) as [number | null]
    running.delete(child)
    return `${shown}\nstatus ${status}`
  }

  it('on a terminal the table is drawn in its place, in colours unless NO_COLOR says otherwise', async () => {
    answer = (_, response) => json(response, { gossip_enabled: true, peers: [{ node_name: 'rover-2', status: 'alive', collections: [] }] })
    const shown = await onTerminal('peers --watch', {})
    expect(shown.split('\u001b[2A').length).toBeGreaterThan(2)
    expect(shown).toContain('\u001b[32malive')
    expect(shown).toMatch(/\nstatus 0$/)
    const plain = await onTerminal('peers --watch', { NO_COLOR: '1' })
    expect(plain).toContain('rover-2')
    expect(plain).not.toMatch(/\[3\dm/)
  })
})

describe('search', () => {
  it('sends the vector and shows what is nearest', async () => {
    const results = [
      { key: 'frame-1', distance: 0, payload: { label: 'door' } },
      { key: 'frame-2', distance: 0.123456789, payload: 2 },
    ]
    answer = (_, response) => json(response, { results })
    const { status, stdout } = await cli(['search', 'vision', '--k', '2', '--prefix', 'frame-', '--', '-0.5,1e-3'])
    expect({ status, lines: stdout.split('\n') }).toEqual({
      status: 0,
      lines: ['DISTANCE  KEY      CONTENT', ' 0.00000  frame-1  {"label":"door"}', '0.123457  frame-2  2', ''],
    })
    expect(asked[0]).toMatchObject({ method: 'POST', url: '/api/collections/vision/search' })
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({ vector: [-0.5, 0.001], k: 2, prefix: 'frame-' })
    expect(JSON.parse((await cli(['search', 'vision', '-', '--json'], '[1, 2]\n')).stdout)).toEqual({ results })
    expect(JSON.parse(asked[1]?.body ?? '')).toEqual({ vector: [1, 2], k: 10 })
  })

  it('refuses what is no vector before it asks anybody', async () => {
    answer = (_, response) => json(response, { results: [] })
    for (const words of [
      ['search', 'v'],
      ['search', 'v', '1,x'],
      ['search', 'v', ''],
      ['search', 'v', '1', '--k', '0'],
      ['search', 'v', '-'],
    ]) {
      expect(await cli(words)).toMatchObject({ status: 2 })
    }
    expect(asked).toEqual([])
    expect((await cli(['search', 'v', '1'])).stdout).toBe('Nothing found.\n')
  })
})

describe('collections set', () => {
  it('sets what is there, and creates nothing', async () => {
    answer = ({ method, url }, response) => {
      if (method === 'GET' && url.endsWith('/none'))
        return json(response, { code: 'HS_NOT_FOUND', detail: 'there is no collection none' }, 404)
      return json(response, { name: 'imu', conflict: 'append' })
    }
    expect(await cli(['collections', 'set', 'imu', '--conflict', 'append'])).toMatchObject({
      status: 0,
      stdout: 'imu has these settings\n',
    })
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual(['GET /api/collections/imu', 'POST /api/collections'])
    expect(JSON.parse(asked[1]?.body ?? '')).toEqual({ name: 'imu', conflict: 'append' })
    expect(await cli(['collections', 'set', 'none', '--dimension', '3'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('HS_NOT_FOUND'),
    })
    expect(asked.filter(({ method }) => method === 'POST')).toHaveLength(1)
    expect((await cli(['collections', 'set', 'imu'])).status).toBe(2)
    expect((await cli(['collections', 'delete', 'imu', '--metric', 'l2'])).status).toBe(2)
  })
})

describe('completion', () => {
  /** What bash offers for the last of these words. */
  async function complete(...words: readonly string[]): Promise<string[]> {
    const script = `
      source <("$0" completion bash)
      compopt() { :; }
      COMP_WORDS=("$0" "$@") COMP_CWORD=$#
      _hs_agent
      printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout } = await promisify(execFile)('bash', ['-c', script, PROGRAM, ...words], {
      env: { PATH: process.env['PATH'], HS_URL: url },
      cwd: folder,
    })
    return stdout.split('\n').filter(word => word !== '')
  }

  it('in bash offers commands, options, values, and the collections of the agent', async () => {
    answer = (_, response) => json(response, [{ name: 'imu' }, { name: 'map' }, { name: 'images' }])
    expect(await complete('ex')).toEqual(['export'])
    expect(await complete('get', 'im')).toEqual(['imu', 'images'])
    expect(await complete('--url', 'http', 'get', 'imu', '')).toEqual([])
    expect(await complete('list', 'imu', '--re')).toEqual(['--reverse'])
    expect(await complete('collections', 'set', 'm')).toEqual(['map'])
    expect(await complete('collections', 'create', 'new', '--metric', 'c')).toEqual(['cosine'])
    expect(await complete('collections', 'create', 'new', '--metric', '=', 'd')).toEqual(['dot'])
    expect(await complete('help', 'wat')).toEqual(['watch'])
    expect(await complete('--v')).toEqual(['--version'])
  })

  it('offers no collection, and says nothing, when no agent answers', async () => {
    answer = () => {}
    expect(await cli(['completion', 'collections'])).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(await cli(['completion', 'collections', '--url', 'http://127.0.0.1:1'])).toEqual({ status: 0, stdout: '', stderr: '' })
    expect((await cli(['completion', 'tcsh'])).status).toBe(2)
  })
})

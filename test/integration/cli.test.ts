/** The command line and a real agent that it starts: the way of a newcomer, and of bad starts. */
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runCli, startCli } from './cli-process.ts'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { CliResult } from './cli-process.ts'

interface RunningAgent {
  readonly url: string
  /** The first line that it printed. */
  readonly banner: string
  /** Ends it with a signal; resolves to its exit status. */
  stop(signal: NodeJS.Signals): Promise<number | null>
}

let folder: string
const running = new Set<ChildProcessWithoutNullStreams>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-cli-agent-'))
})

afterEach(async () => {
  const exits = [...running].map(child => once(child, 'exit'))
  for (const child of running) child.kill('SIGKILL')
  await Promise.all(exits)
})

afterAll(() => rm(folder, { recursive: true }))

/** Starts an agent and waits for its line. */
async function startAgent(env: Readonly<Record<string, string>> = {}): Promise<RunningAgent> {
  const child = startCli(['run'], {
    env: { HS_HTTP_PORT: '0', HS_DATA_DIR: 'data', HS_LOG_LEVEL: 'warn', ...env },
    workingDirectory: folder,
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const errors: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  const exited = once(child, 'exit').then(([status]) => {
    throw new Error(`the agent left with ${String(status)}: ${Buffer.concat(errors).toString()}`)
  })
  const lines = createInterface({ input: child.stdout })
  const [banner] = (await Promise.race([once(lines, 'line'), exited])) as [string]
  exited.catch(() => {})
  const url = /http:\/\/[^\s,]+:\d+/.exec(banner)?.[0]
  if (url === undefined) throw new Error(`no URL in the first line: ${banner}`)
  return {
    url,
    banner,
    async stop(signal) {
      const exit = once(child, 'exit')
      child.kill(signal)
      const [status] = (await exit) as [number | null]
      return status
    },
  }
}

const cli = (agent: RunningAgent, words: readonly string[], input = '', env: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
  runCli(words, { env: { HS_URL: agent.url, ...env }, workingDirectory: folder, input })

async function json(agent: RunningAgent, ...words: string[]): Promise<unknown> {
  const { status, stdout, stderr } = await cli(agent, [...words, '--json'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return JSON.parse(stdout) as unknown
}

describe('an agent and its command line', () => {
  it('every command does its part, and what was written outlives SIGTERM', async () => {
    const agent = await startAgent()
    expect(agent.banner).toContain(join(folder, 'data'))
    expect(await json(agent, 'status')).toMatchObject({ role: 'Edge', downstream_peers: [], upstream_peer: null })
    expect(await json(agent, 'peers')).toEqual({ gossip_enabled: false, peer_count: 0, peers: [] })
    expect(await json(agent, 'collections')).toEqual([])

    const put = await cli(agent, ['put', 'rovers', 'r/1 é', '{"battery":87}', '--vector', '1,2'])
    expect(put).toMatchObject({ status: 0, stdout: expect.stringMatching(/^created r\/1 é \S+:1\n$/), stderr: '' })
    const etag = put.stdout.trim().split(' ').at(-1) ?? ''
    expect((await cli(agent, ['get', 'rovers', 'r/1 é'])).stdout).toBe('{"battery":87}\n')
    expect(await json(agent, 'get', 'rovers', 'r/1 é')).toMatchObject({ key: 'r/1 é', payload: { battery: 87 }, vector: [1, 2] })
    expect((await cli(agent, ['put', 'rovers', 'r/1 é', '1', '--if-absent'])).stderr).toContain('HS_PRECONDITION_FAILED')
    expect((await cli(agent, ['put', 'rovers', 'r/1 é', '2', '--if-match', etag])).status).toBe(0)
    expect((await cli(agent, ['put', 'rovers', 'r/1 é', '3', '--if-match', etag])).status).toBe(1)
    expect((await cli(agent, ['put', 'rovers', 'n', '12345678901234567890'])).stderr).toContain('HS_INVALID_PAYLOAD')

    expect((await cli(agent, ['put', 'rovers', 'frame', '--data', '-', '--content-type', 'text/plain'], 'raw')).status).toBe(0)
    expect((await cli(agent, ['get', 'rovers', 'frame'])).stdout).toBe('raw')
    expect(await json(agent, 'list', 'rovers', '--prefix', 'r/')).toMatchObject({ records: [{ key: 'r/1 é', payload: 2 }], cursor: null })
    expect((await cli(agent, ['delete', 'rovers', 'frame'])).status).toBe(0)
    expect((await cli(agent, ['delete', 'rovers', 'frame'])).status).toBe(0)
    expect((await cli(agent, ['get', 'rovers', 'frame'])).stderr).toContain('HS_NOT_FOUND')

    expect((await cli(agent, ['collections', 'create', 'vision', '--dimension', '3', '--metric', 'l2'])).stdout).toBe('created vision\n')
    expect((await cli(agent, ['collections', 'create', 'vision', '--dimension', '4'])).stderr).toContain('HS_COLLECTION_EXISTS')
    expect((await cli(agent, ['put', 'vision', 'a', '--vector', '1,2'])).stderr).toContain('HS_INVALID_VECTOR')
    expect((await cli(agent, ['collections', 'delete', 'vision'])).status).toBe(0)
    expect(await json(agent, 'collections')).toMatchObject([{ name: 'rovers', record_count: 1 }])

    expect(await agent.stop('SIGTERM')).toBe(0)
    const again = await startAgent()
    expect((await cli(again, ['get', 'rovers', 'r/1 é'])).stdout).toBe('2\n')
    expect(await again.stop('SIGINT')).toBe(0)
  })

  it('import keeps good lines and reports bad ones by number; export gives back what import takes', async () => {
    const agent = await startAgent()
    const lines = Array.from({ length: 3000 }, (_, i) =>
      i % 1000 === 499 ? `{"key":"k${i}"` : JSON.stringify({ key: `k${i}`, payload: { i } }),
    )
    await writeFile(join(folder, 'in.ndjson'), `${lines.join('\n')}\n`)
    const imported = await cli(agent, ['import', 'odometry', 'in.ndjson'])
    expect(imported.stdout).toMatch(/^accepted 2,997, rejected 3 \(/)
    expect(imported.stderr.split('\n').map(line => line.split(': ').slice(0, 2).join(' '))).toEqual([
      'line 500 HS_INVALID_JSON',
      'line 1500 HS_INVALID_JSON',
      'line 2500 HS_INVALID_JSON',
      '',
    ])
    expect(imported.status).toBe(1)

    expect(await json(agent, 'export', 'odometry', 'out.ndjson')).toMatchObject({ records: 2997 })
    const exported = await readFile(join(folder, 'out.ndjson'), 'utf8')
    const again = await cli(agent, ['import', 'copy', 'out.ndjson', '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ accepted: 2997, rejected_count: 0 })
    const withoutVersion = (text: string): string => text.replaceAll(/,"version":\{[^}]*\}/g, '')
    expect(withoutVersion((await cli(agent, ['export', 'copy'])).stdout)).toBe(withoutVersion(exported))

    const array = JSON.stringify([{ key: 'a', payload: 1 }, { payload: 2 }, 3], undefined, 2)
    const fromArray = await cli(agent, ['import', 'array', '-', '--json'], array)
    expect(JSON.parse(fromArray.stdout)).toMatchObject({ accepted: 2, rejected_count: 1, rejected: [{ line: 3 }] })
    expect(await agent.stop('SIGTERM')).toBe(0)
  })

  it('with a token, commands need it', async () => {
    const agent = await startAgent({ HS_API_TOKEN: 'a-long-token' })
    expect(await cli(agent, ['status'])).toMatchObject({ status: 1, stderr: expect.stringContaining('HS_UNAUTHORIZED') })
    expect((await cli(agent, ['import', 'a'], '{"key":"a"}\n')).stderr).toContain('HS_UNAUTHORIZED')
    expect((await cli(agent, ['status'], '', { HS_API_TOKEN: 'a-long-token' })).status).toBe(0)
    expect(await agent.stop('SIGTERM')).toBe(0)
  })
})

describe('a start that cannot be', () => {
  const run = (env: Readonly<Record<string, string>>): Promise<CliResult> =>
    runCli(['run'], { env: { HS_HTTP_PORT: '0', HS_DATA_DIR: 'other', ...env }, workingDirectory: folder })

  it('bad configuration prints all faults and exits with 78', async () => {
    const { status, stdout, stderr } = await run({ HS_GOSSIP_PEERS: 'nowhere', HS_DURABILITY: 'never', HS_HTTP_HOST: '0.0.0.0' })
    expect({ status, stdout }).toEqual({ status: 78, stdout: '' })
    for (const variable of ['HS_GOSSIP_PEERS', 'HS_DURABILITY', 'HS_HTTP_HOST']) expect(stderr).toContain(`  ${variable}=`)
  })

  it('a port that is taken is one sentence', async () => {
    const other = createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = String(typeof address === 'object' ? address?.port : '')
    const { status, stderr } = await run({ HS_HTTP_PORT: port })
    await new Promise(resolve => other.close(resolve))
    expect(status).toBe(1)
    expect(stderr).toMatch(new RegExp(`^hs-agent: HS_BIND_FAILED: .*${port}.*\n$`))
  })

  it('a data directory that is open in another process is one sentence', async () => {
    const agent = await startAgent()
    const { status, stderr } = await run({ HS_DATA_DIR: 'data' })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^hs-agent: HS_STORE_LOCKED: .*\n$/)
    expect(await agent.stop('SIGTERM')).toBe(0)
  })

  it('a data directory that cannot be made is one sentence', async () => {
    await writeFile(join(folder, 'file'), '')
    const { status, stderr } = await run({ HS_DATA_DIR: 'file/data' })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^hs-agent: HS_STORE_OPEN_FAILED: .*\n$/)
  })
})

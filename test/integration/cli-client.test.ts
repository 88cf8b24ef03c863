/** The command line against a small server that answers what each test says, and keeps what was asked. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApiClient } from '../../bin/api-client.ts'
import { PROGRAM, runCli } from './cli-process.ts'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { CliResult } from './cli-process.ts'

interface Asked {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

let folder: string
let server: Server
let url: string
let asked: Asked[]
let answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-cli-'))
  asked = []
  server = createServer((request, response) => void answer(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})

afterEach(async () => {
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
  await rm(folder, { recursive: true })
})

const cli = (words: readonly string[], env: Readonly<Record<string, string>> = {}, input = ''): Promise<CliResult> =>
  runCli(words, { env: { HS_URL: url, ...env }, workingDirectory: folder, input })

/** Reads the whole request, keeps it, and answers. */
const answerWith =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk)
    asked.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() })
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body))
  }

const ndjson = { 'content-type': 'application/x-ndjson' }
const problem = {
  type: 'about:blank',
  title: 'There is no such thing here.',
  status: 404,
  code: 'HS_NOT_FOUND',
  detail: 'there is no record "x"',
}

describe('asking', () => {
  it('--json prints what the agent answers', async () => {
    const status = { node_id: 'e8b37fde', role: 'Edge', upstream_peer: null, downstream_peers: [], logical_clock: 1234 }
    answer = answerWith(200, status)
    const { status: exit, stdout, stderr } = await cli(['status', '--json'])
    expect({ exit, stderr, body: JSON.parse(stdout) as unknown }).toEqual({ exit: 0, stderr: '', body: status })
    expect(asked[0]).toMatchObject({ method: 'GET', url: '/api/cluster/status' })
  })

  it('status, peers, collections and sync print tables without colours into a pipe', async () => {
    answer = answerWith(200, {
      node_id: 'e8b37fde',
      node_name: 'rover-1',
      role: 'Edge',
      logical_clock: 1234,
      uptime_secs: 61,
      downstream_peers: [],
    })
    expect((await cli(['status'])).stdout).toMatch(/node +rover-1 \(e8b37fde\)\nrole +Edge\n[\s\S]*up for +1m 1s\nclock +1,234/)
    const collections = [
      { name: 'a', in_sync: true },
      { name: 'b', in_sync: false },
    ]
    answer = answerWith(200, {
      gossip_enabled: true,
      peer_count: 1,
      peers: [{ node_id: 'a92f00112233', node_name: 'rover\u001b[2J', status: 'alive', collections, last_seen_ago_ms: 400 }],
    })
    const peers = (await cli(['peers'])).stdout
    expect(peers).toMatch(/^PEER +ID +STATUS/)
    expect(peers).toMatch(/rover\\x1b\[2J +a92f0011 +alive .* 0\.4s .*1 of 2/)
    answer = answerWith(200, [{ name: 'odometry', record_count: 490_805, digest: '00112233445566778899aabbccddeeff' }])
    expect((await cli(['collections'])).stdout).toMatch(/odometry +490,805 .*00112233/)
    answer = async (request, response) =>
      answerWith(
        request.method === 'POST' ? 202 : 200,
        request.method === 'POST'
          ? { peers: 1 }
          : [{ peer: 'a92f00112233', collection: 'odometry', state: 'idle', in_sync: true, entries_sent: 5 }],
      )(request, response)
    const sync = await cli(['sync'])
    expect(sync.stdout).toMatch(/a92f0011 +odometry +in sync +5/)
    expect(sync.stdout + peers).not.toContain('\u001b')
  })

  it('says so when there is nothing to list', async () => {
    answer = answerWith(200, { gossip_enabled: false, peer_count: 0, peers: [] })
    expect((await cli(['peers'])).stdout).toContain('Gossip is off')
    answer = answerWith(200, [])
    expect((await cli(['collections'])).stdout).toContain('No collections yet')
    answer = answerWith(200, { records: [], cursor: null })
    expect((await cli(['list', 'a'])).stdout).toBe('No records.\n')
  })

  it('list asks for the range and says how to go on', async () => {
    answer = answerWith(200, { records: [{ key: 'k/1', payload: { b: 1 }, version: { time: 0 } }], cursor: 'abc' })
    const { stdout, stderr } = await cli(['list', 'a', '--prefix', 'k/', '--limit', '1', '--reverse'])
    expect(asked[0]?.url).toBe('/api/collections/a/records?prefix=k%2F&limit=1&reverse=true')
    expect(stdout).toMatch(/k\/1 +1970-01-01 00:00:00\.000Z +\{"b":1\}/)
    expect(stderr).toContain('--cursor abc')
  })

  it('output that cannot be written is a failure with its reason; a reader that has seen enough is none', async () => {
    answer = answerWith(200, { key: 'k', payload: 'x'.repeat(1_000_000), version: {} })
    const shell = async (line: string): Promise<CliResult> => {
      const run = promisify(execFile)('bash', ['--norc', '-c', line, PROGRAM], {
        env: { PATH: process.env['PATH'], HS_URL: url },
        cwd: folder,
      })
      const failed = (error: unknown): CliResult => {
        const { code, stdout, stderr } = error as { readonly code: number; readonly stdout: string; readonly stderr: string }
        return { status: code, stdout, stderr }
      }
      return run.then(output => ({ status: 0, ...output }), failed)
    }
    const full = { status: 1, stdout: '', stderr: 'hs-agent: HS_FILE_FAILED: standard output: no space left on device\n' }
    expect(await shell('"$0" get a k > /dev/full')).toEqual(full)
    expect(await shell('"$0" version > /dev/full')).toEqual(full)
    expect(await shell('set -o pipefail; "$0" get a k | head -c 2')).toEqual({ status: 0, stdout: '"x', stderr: '' })
  })

  it('get prints the payload, or the bytes of a record that holds data', async () => {
    answer = answerWith(200, { key: 'k', payload: { b: [1, 'é'] }, version: {} })
    expect((await cli(['get', 'a', 'k'])).stdout).toBe('{"b":[1,"é"]}\n')
    answer = answerWith(200, { key: 'k', data: Buffer.from('raw\n').toString('base64'), content_type: 'text/plain', version: {} })
    expect((await cli(['get', 'a', 'k'])).stdout).toBe('raw\n')
    answer = answerWith(200, { key: 'k', payload: 1, version: {}, conflicts: [{ payload: 2 }] })
    expect((await cli(['get', 'a', 'k'])).stderr).toContain('1 more concurrent versions')
  })

  it('the token comes from the environment, a file, .env or the command line, the first of several', async () => {
    answer = answerWith(200, [])
    await writeFile(join(folder, '.env'), 'HS_API_TOKEN=from-dotenv-file\n')
    await writeFile(join(folder, 'robot.env'), 'HS_API_TOKEN="from-env-file,second-token"\n')
    await cli(['collections'])
    await cli(['collections', '--env-file', 'robot.env'])
    await cli(['collections', '--env-file', 'robot.env'], { HS_API_TOKEN: 'from-environment' })
    await cli(['collections', '--token', 'from-words'], { HS_API_TOKEN: 'from-environment' })
    const tokens = ['from-dotenv-file', 'from-env-file', 'from-environment', 'from-words']
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(tokens.map(token => `Bearer ${token}`))
  })
})

describe('writing', () => {
  it('P12 put sends the JSON as it was given, keys percent-encoded', async () => {
    answer = answerWith(201, { key: 'x', version: {} }, { etag: '"abc:1"' })
    const { stdout } = await cli(['put', 'rovers', 'a/b é?#', '{"n": 12345678901234567890}', '--vector', '1,-2.5,3e-4'])
    expect(stdout).toBe('created a/b é?# abc:1\n')
    expect(asked[0]).toMatchObject({
      method: 'PUT',
      url: '/api/collections/rovers/records/a%2Fb%20%C3%A9%3F%23',
      body: '{"vector":[1,-2.5,0.0003],"payload":{"n": 12345678901234567890}}',
    })
    expect(asked[0]?.headers['content-type']).toBe('application/json')
  })

  it('put reads JSON from standard input and data from a file, and sends conditions', async () => {
    answer = answerWith(200, { key: 'x', version: {} })
    expect((await cli(['put', 'a', 'k', '-', '--if-match', 'abc:1'], {}, '{"b":1}\n')).status).toBe(0)
    await writeFile(join(folder, 'frame'), Uint8Array.of(0, 255, 10))
    expect((await cli(['put', 'a', 'k', '--data', 'frame', '--content-type', 'image/x', '--if-absent'])).stdout).toBe('replaced k\n')
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({ payload: { b: 1 } })
    expect(asked[0]?.headers['if-match']).toBe('"abc:1"')
    expect(JSON.parse(asked[1]?.body ?? '')).toEqual({ data: 'AP8K', content_type: 'image/x' })
    expect(asked[1]?.headers['if-none-match']).toBe('*')
  })

  it('put refuses what is not JSON before it asks anybody', async () => {
    answer = answerWith(200, {})
    expect(await cli(['put', 'a', 'k', '1},"key":{'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('HS_USAGE: the payload is not JSON'),
    })
    expect(await cli(['put', 'a', 'k', '-'], {}, '{')).toMatchObject({ status: 1, stderr: expect.stringContaining('HS_INVALID_JSON') })
    expect((await cli(['put', 'a', 'k'])).status).toBe(2)
    expect((await cli(['put', 'a', 'k', '--vector', '1,x'])).status).toBe(2)
    expect(await cli(['put', 'a', 'k', '--data', 'nowhere', '--content-type', 'a/b'])).toMatchObject({
      status: 1,
      stderr: 'hs-agent: HS_FILE_FAILED: nowhere: no such file or directory\n',
    })
    expect(asked).toEqual([])
  })

  it('delete is done whether or not there was a record', async () => {
    answer = answerWith(204, undefined)
    expect(await cli(['delete', 'a', 'k', '--json'])).toMatchObject({ status: 0, stdout: '{"collection":"a","key":"k"}\n' })
    expect(asked[0]).toMatchObject({ method: 'DELETE', url: '/api/collections/a/records/k' })
  })
})

describe('failing', () => {
  it('a problem is one sentence with its code, and exit status 1', async () => {
    answer = answerWith(404, problem)
    expect(await cli(['get', 'a', 'x'])).toEqual({ status: 1, stdout: '', stderr: 'hs-agent: HS_NOT_FOUND: there is no record "x"\n' })
    const { stderr } = await cli(['get', 'a', 'x', '--json'])
    expect(JSON.parse(stderr)).toEqual(problem)
  })

  it('no agent at the address is exit status 69', async () => {
    const closed = { HS_URL: 'http://127.0.0.1:1' }
    const { status, stderr } = await cli(['status'], closed)
    expect({ status, stderr }).toEqual({ status: 69, stderr: 'hs-agent: HS_AGENT_UNREACHABLE: http://127.0.0.1:1: connection refused\n' })
    expect((await cli(['import', 'a'], closed, '{}')).status).toBe(69)
    expect((await cli(['export', 'a'], closed)).status).toBe(69)
  })

  it('something that is no agent is exit status 69', async () => {
    answer = answerWith(200, '<html>', { 'content-type': 'text/html' })
    for (const words of [['status'], ['collections'], ['export', 'a'], ['import', 'a']]) {
      expect(await cli(words)).toMatchObject({ status: 69, stderr: expect.stringContaining('is not an hs-agent') })
    }
    answer = answerWith(502, 'Bad Gateway')
    expect((await cli(['status'])).status).toBe(69)
  })

  it('an answer that breaks off is exit status 69', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{"a"', () => response.destroy())
    }
    expect((await cli(['status'])).status).toBe(69)
  })

  it('bad configuration is exit status 78 with all faults, a bad command line 2', async () => {
    answer = answerWith(200, {})
    await writeFile(join(folder, '.env'), 'HS_ROLE=boss\nnonsense\n')
    const { status, stdout, stderr } = await cli(['status'], { HS_HTTP_PORT: '99999', HS_LEADER: 'x' })
    expect({ status, stdout }).toEqual({ status: 78, stdout: '' })
    expect(stderr.split('\n')).toEqual([
      'hs-agent: HS_CONFIG_INVALID: The configuration is not valid.',
      '  .env line 2: must be NAME=value, a comment or blank',
      '  HS_HTTP_PORT=99999: must be a whole number from 0 to 65535 (environment)',
      '  HS_ROLE=boss: must be one of `edge`, `leader` (.env line 1)',
      '  HS_LEADER is not available in version 0.1.0 (environment)',
      '',
    ])
    await rm(join(folder, '.env'))
    expect((await cli(['status', '--env-file', 'missing.env'])).stderr).toContain('missing.env cannot be read: no such file or directory')
    expect((await cli([])).status).toBe(2)
    expect((await cli(['nothing'])).status).toBe(2)
    expect((await cli(['status', '--url', 'nowhere'])).status).toBe(2)
    expect(asked).toEqual([])
  })

  it('--env-file is read by the program, not by Node.js, which would keep quiet about what it cannot read', async () => {
    await writeFile(join(folder, 'robot.env'), 'HS_ROLE=boss\nnonsense\n')
    const { status, stderr } = await cli(['config', '--env-file', 'robot.env'])
    expect({ status, lines: stderr.split('\n').slice(1, 3) }).toEqual({
      status: 78,
      lines: [
        '  robot.env line 2: must be NAME=value, a comment or blank',
        '  HS_ROLE=boss: must be one of `edge`, `leader` (robot.env line 1)',
      ],
    })
  })

  it('help, version and config need no agent', async () => {
    const nobody = { HS_URL: 'http://127.0.0.1:1' }
    expect((await cli(['--help'], nobody)).stdout).toContain('Usage: hs-agent COMMAND')
    expect((await cli(['help', 'import'], nobody)).stdout).toContain('Usage: hs-agent import COLLECTION [FILE]')
    expect((await cli(['import', '--help'], nobody)).stdout).toContain('--rejected FILE')
    expect((await cli(['--version'], nobody)).stdout).toMatch(/^hs-agent \d+\.\d+\.\d+/)
    const { stdout } = await cli(['config', '--json'], { ...nobody, HS_API_TOKEN: 'geheim-geheim', STATE_DIRECTORY: '/var/lib/x' })
    expect(JSON.parse(stdout)).toMatchObject({ HS_API_TOKEN: '***', HS_URL: 'http://127.0.0.1:1', HS_DATA_DIR: '/var/lib/x' })
  })
})

describe('importing', () => {
  const acknowledgements = [
    '{"line":1,"key":"a","version":{}}',
    '{"line":2,"code":"HS_INVALID_KEY","detail":"the key is empty"}',
    '{"line":3,"key":"b","version":{}}',
    '{"accepted":2,"rejected_count":1}',
  ].join('\n')

  it('streams a file, reports rejected lines with their numbers, and exits with 1 when there are any', async () => {
    answer = answerWith(200, acknowledgements, ndjson)
    const lines = '{"key":"a"}\n{"key":""}\n{"key":"b"}\n'
    await writeFile(join(folder, 'x.ndjson'), lines)
    const { status, stdout, stderr } = await cli(['import', 'a', 'x.ndjson', '--rejected', 'bad.ndjson'])
    expect(asked[0]).toMatchObject({ method: 'POST', url: '/api/collections/a/records', body: lines })
    expect(asked[0]?.headers).toMatchObject({ 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' })
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'line 2: HS_INVALID_KEY: the key is empty\n' })
    expect(stdout).toMatch(/^accepted 2, rejected 1 \(35 B in /)
    expect(await readFile(join(folder, 'bad.ndjson'), 'utf8')).toBe('{"line":2,"code":"HS_INVALID_KEY","detail":"the key is empty"}\n')
  })

  it('takes standard input and JSON arrays, and --json prints the report', async () => {
    answer = answerWith(200, '{"line":1,"key":"a"}\n{"accepted":1,"rejected_count":0}', ndjson)
    const { status, stdout, stderr } = await cli(['import', 'a', '--json'], {}, '[{"key":"a"}]')
    expect(asked[0]?.body.trim()).toBe('{"key":"a"}')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ accepted: 1, rejected_count: 0, rejected: [], last_line: 1 })
  })

  it('an array that does not end is imported as far as it goes, and fails', async () => {
    answer = answerWith(200, '{"line":1,"key":"a"}\n{"accepted":1,"rejected_count":0}', ndjson)
    const { status, stdout, stderr } = await cli(['import', 'a', '-'], {}, '[{"key":"a"},')
    expect(stdout).toContain('accepted 1')
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'hs-agent: HS_INVALID_JSON: the array does not end\n' })
  })

  it('stops at once when the agent refuses, though more input would come', async () => {
    answer = (_, response) => {
      response.writeHead(401, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ ...problem, status: 401, code: 'HS_UNAUTHORIZED', detail: 'send a token' }))
    }
    const endless = promisify(execFile)('sh', ['-c', 'yes "{}" | "$0" import a', join(import.meta.dirname, '../../bin/hs-agent')], {
      env: { PATH: process.env['PATH'], HS_URL: url },
      cwd: folder,
    })
    await expect(endless).rejects.toMatchObject({ code: 1, stderr: 'hs-agent: HS_UNAUTHORIZED: send a token\n' })
  })

  it('says how far it came when the agent breaks off', async () => {
    answer = (request, response) => {
      request.resume()
      response.writeHead(200, ndjson)
      response.write('{"line":1,"key":"a"}\n{"line":2,"key":"b"}\n', () => response.destroy())
    }
    const { status, stdout, stderr } = await cli(['import', 'a'], {}, '{}\n{}\n{}\n')
    expect(stdout).toContain('accepted 2')
    expect({ status, stderr }).toEqual({ status: 69, stderr: expect.stringContaining('HS_AGENT_UNREACHABLE') })
  })

  it('P8 reads its source no faster than the agent takes it', async () => {
    const chunk = Buffer.alloc(256 * 1024, '{"key":"a"}\n')
    const chunksTotal = 256
    let pulled = 0
    let received = 0
    let aheadMax = 0
    answer = async (request, response) => {
      for await (const part of request as AsyncIterable<Uint8Array>) received += part.length
      response.writeHead(200, ndjson).end('{"accepted":0,"rejected_count":0}')
    }
    // oxlint-disable-next-line typescript/require-await -- a source that is always ready
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < chunksTotal; i++) {
        pulled += chunk.length
        aheadMax = Math.max(aheadMax, pulled - received)
        yield chunk
      }
    }
    const client = createApiClient({ url, token: undefined })
    for await (const _ of await client.stream('POST', '/api/collections/a/records', { body: source() })) continue
    expect(received).toBe(chunk.length * chunksTotal)
    // What the kernel's buffers for one connection hold, and little more.
    expect(aheadMax).toBeLessThan(16 * 1024 * 1024)
  })
})

describe('exporting', () => {
  const lines = '{"key":"a","payload":1,"version":{}}\n{"key":"b","payload":2,"version":{}}\n'

  it('writes lines to standard output, or to a file that appears whole', async () => {
    answer = answerWith(200, lines, ndjson)
    expect((await cli(['export', 'a', '--from', 'a', '--to', 'c'])).stdout).toBe(lines)
    expect(asked[0]?.url).toBe('/api/collections/a/records?from=a&to=c')
    const { status, stdout } = await cli(['export', 'a', 'out.ndjson', '--json'])
    expect({ status, count: JSON.parse(stdout) as unknown }).toEqual({ status: 0, count: { records: 2, bytes: lines.length } })
    expect(await readFile(join(folder, 'out.ndjson'), 'utf8')).toBe(lines)
  })

  it('leaves the old file as it was when the answer breaks off', async () => {
    await writeFile(join(folder, 'out.ndjson'), 'old')
    answer = (_, response) => {
      response.writeHead(200, ndjson)
      response.write(lines, () => response.destroy())
    }
    expect((await cli(['export', 'a', 'out.ndjson'])).status).toBe(69)
    expect(await readdir(folder)).toEqual(['out.ndjson'])
    expect(await readFile(join(folder, 'out.ndjson'), 'utf8')).toBe('old')
  })

  it('a folder that is not there is one sentence', async () => {
    answer = answerWith(200, lines, ndjson)
    expect(await cli(['export', 'a', 'no/where'])).toMatchObject({
      status: 1,
      stderr: 'hs-agent: HS_FILE_FAILED: no/where: no such file or directory\n',
    })
    expect(existsSync(join(folder, 'no'))).toBe(false)
  })

  it('a reader that has seen enough is no failure', async () => {
    answer = (_, response) => {
      response.writeHead(200, ndjson)
      const send = (): void => {
        while (!response.destroyed && response.write(lines.repeat(1000)));
        response.once('drain', send)
      }
      send()
    }
    const command = `"$0" export a | head -n 1`
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', command, join(import.meta.dirname, '../../bin/hs-agent')], {
      env: { PATH: process.env['PATH'], HS_URL: url },
      cwd: folder,
    })
    expect({ stdout, stderr }).toEqual({ stdout: lines.slice(0, lines.indexOf('\n') + 1), stderr: '' })
  })
})

describe('syncing', () => {
  const row = { peer: 'a92f', collection: 'a', state: 'idle' }

  it('--wait ends once every row is in sync', async () => {
    let polls = 0
    answer = async (request, response) => {
      if (request.method === 'GET') polls += 1
      await answerWith(200, request.method === 'POST' ? { peers: 1 } : [{ ...row, in_sync: polls >= 3 }])(request, response)
    }
    const { status, stdout } = await cli(['sync', '--wait', '--json'])
    expect({ status, rows: JSON.parse(stdout) as unknown, polls }).toEqual({ status: 0, rows: [{ ...row, in_sync: true }], polls: 3 })
  })

  it('--wait fails at its deadline, also when there is nobody to sync with', async () => {
    answer = async (request, response) => answerWith(200, request.method === 'POST' ? { peers: 0 } : [])(request, response)
    const { status, stderr } = await cli(['sync', '--wait', '--timeout', '1'])
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'hs-agent: HS_NOT_IN_SYNC: after 1 s no peer was there to sync with\n' })
  })
})

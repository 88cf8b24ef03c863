/** An agent that cannot start says why in one sentence, with the right exit status, and soon; the next one starts. */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { metaRow } from '../../sync/rows.ts'
import { ask, cleanEnvironment, findFreePort, makeFolder, startAgentProcess, stopEverything } from '../agent-process.ts'
import { runCli } from './cli-process.ts'
import { canMount, mountNote } from '../mounts.ts'
import { openOwnReplica } from '../../agent/offline-replica.ts'
import { contentOf, put } from '../replica-pair.ts'

const LAUNCHER = fileURLToPath(new URL('../../bin/hs-agent', import.meta.url))
const EXIT_FAILED = 1
const EXIT_CONFIGURATION = 78
/** Some of these start five at a time on two cores; a taken port is tried for 3 s. */
const SOON_MS = 30_000

const servers: { close(): unknown }[] = []
afterAll(async () => {
  for (const server of servers) server.close()
  await stopEverything()
})

interface Ending {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs an agent that is expected to end by itself; one that comes up is stopped, and its status tells. */
async function runToEnd(env: Readonly<Record<string, string>>, command: readonly string[] = [LAUNCHER, 'run']): Promise<Ending> {
  const settings = { ...cleanEnvironment(), HS_HTTP_PORT: '0', HS_DATA_DIR: join(await makeFolder(), 'data'), ...env }
  const child = spawn(command[0]!, command.slice(1), { env: settings, cwd: await makeFolder(), stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  child.stdout.once('data', () => child.kill('SIGTERM'))
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const deadline = setTimeout(() => child.kill('SIGKILL'), SOON_MS)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => {
      clearTimeout(deadline)
      resolve({ status, signal, ...output })
    })
  })
}

/** What the agent said, when that was one line and no more; all of it otherwise. */
function refusalOf({ status, signal, stdout, stderr }: Ending): object {
  const [, code, sentence] = /^hs-agent: (HS_[A-Z_]+): ([^\n]+)\n$/.exec(stderr) ?? [undefined, undefined, stderr]
  return { status, signal, stdout, code, sentence }
}

const saying = (code: string, words: string | RegExp): object => ({
  status: EXIT_FAILED,
  signal: null,
  stdout: '',
  code,
  sentence: typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words),
})

async function takeTcpPort(): Promise<number> {
  const server: Server = createServer()
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('a TCP server has an address')
  return address.port
}

async function takeUdpPort(): Promise<number> {
  const socket = createSocket('udp4')
  servers.push(socket)
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  return socket.address().port
}

const gossipOn = (port: number): Record<string, string> => ({
  HS_GOSSIP_PORT: String(port),
  HS_GOSSIP_HOST: '127.0.0.1',
  HS_GOSSIP_MULTICAST: 'off',
})

describe.concurrent('a port that cannot be had', () => {
  it('HTTP: taken by another program', async () => {
    const port = await takeTcpPort()
    const ending = await runToEnd({ HS_HTTP_PORT: String(port) })
    expect(refusalOf(ending)).toEqual(saying('HS_BIND_FAILED', `HTTP cannot listen on 127.0.0.1 port ${port}: the port is taken`))
  })

  it('HTTP: an address that this machine does not have', async () => {
    const ending = await runToEnd({ HS_HTTP_HOST: '203.0.113.1', HS_API_TOKEN: 'a-token-of-some-length' })
    expect(refusalOf(ending)).toEqual(saying('HS_BIND_FAILED', 'HTTP cannot listen on 203.0.113.1'))
  })

  it('gossip: taken in TCP by another program', async () => {
    const port = await takeTcpPort()
    expect(refusalOf(await runToEnd(gossipOn(port)))).toEqual(
      saying('HS_BIND_FAILED', `port ${port}: the port is taken by another process`),
    )
  })

  it('gossip: taken in UDP by another program', async () => {
    const port = await takeUdpPort()
    expect(refusalOf(await runToEnd(gossipOn(port)))).toEqual(
      saying('HS_BIND_FAILED', new RegExp(`:${port}: it is taken by another process`)),
    )
  })

  it('gossip: taken by another agent, and free again when that one has ended', async () => {
    const port = await findFreePort()
    const first = await startAgentProcess({ env: gossipOn(port) })
    const folder = join(await makeFolder(), 'data')
    const env = { ...gossipOn(port), HS_DATA_DIR: folder }
    expect(refusalOf(await runToEnd(env))).toEqual(saying('HS_BIND_FAILED', 'another agent?'))
    await first.kill()
    // Nothing that the failed start has left stands in the way.
    const second = await startAgentProcess({ env })
    expect(await ask(second, '/readyz')).toEqual({ status: 'ready' })
    await second.kill()
  })

  it('gossip: an address that this machine does not have', async () => {
    const ending = await runToEnd({ HS_GOSSIP_PORT: '0', HS_GOSSIP_HOST: '203.0.113.1' })
    expect(refusalOf(ending)).toEqual(saying('HS_BIND_FAILED', 'this machine has no such address'))
  })
})

describe.concurrent('a data directory that cannot be had', () => {
  it('is a file', async () => {
    const path = join(await makeFolder(), 'file')
    await writeFile(path, 'something else')
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: path }))).toEqual(saying('HS_STORE_OPEN_FAILED', 'there is a file of that name'))
    expect(await readFile(path, 'utf8')).toBe('something else')
  })

  it('lies below a file', async () => {
    const path = join(await makeFolder(), 'file')
    await writeFile(path, '')
    const ending = await runToEnd({ HS_DATA_DIR: join(path, 'deep', 'data') })
    expect(refusalOf(ending)).toEqual(saying('HS_STORE_OPEN_FAILED', 'a part of its path is a file'))
  })

  it('lies where no folder can be made', async () => {
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: '/proc/hs-agent/data' }))).toEqual(
      saying('HS_STORE_OPEN_FAILED', 'it cannot be made there'),
    )
  })

  it('is open in another process, which goes on', async () => {
    const folder = join(await makeFolder(), 'data')
    await mkdir(folder)
    const first = await startAgentProcess({ env: { HS_DATA_DIR: folder } })
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: folder }))).toEqual(saying('HS_STORE_LOCKED', 'is open in another process'))
    expect(await ask(first, '/readyz')).toEqual({ status: 'ready' })
    await first.kill()
  })

  it('has no parent: it is made, parents and all', async () => {
    const folder = join(await makeFolder(), 'not', 'there', 'yet')
    const ending = await runToEnd({ HS_DATA_DIR: folder })
    expect(ending).toMatchObject({ status: 0, signal: null, stderr: '' })
    expect(JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'))).toMatchObject({ boot_counter: 1 })
  })
})

describe.skipIf(!canMount)(`a disk that cannot be written${mountNote}`, () => {
  const runOn = async (prepare: string, sub: string): Promise<Ending> => {
    const folder = await makeFolder()
    const script = `cd "$1" && ${prepare} && exec "$2" run`
    return runToEnd({ HS_DATA_DIR: join(folder, sub) }, ['unshare', '--mount', 'sh', '-c', script, 'sh', folder, LAUNCHER])
  }

  it('is mounted read-only', async () => {
    const ending = await runOn('mount -t tmpfs -o ro none "$1"', '.')
    expect(refusalOf(ending)).toEqual(saying('HS_STORE_OPEN_FAILED', 'the file system is mounted read-only'))
  })

  it('is mounted read-only, and the directory does not exist yet', async () => {
    const ending = await runOn('mount -t tmpfs -o ro none "$1"', 'data')
    expect(refusalOf(ending)).toEqual(saying('HS_STORE_OPEN_FAILED', 'the file system is mounted read-only'))
  })

  it('is full', async () => {
    const ending = await runOn('mount -t tmpfs -o size=64k none "$1" && ! head -c 1M /dev/zero > "$1/fill" 2>/dev/null', 'data')
    expect(refusalOf(ending)).toEqual(saying('HS_STORE_OPEN_FAILED', /the disk is full|No space left/))
  })
})

describe.skipIf(!canMount)(`a disk with data on it that cannot be written${mountNote}`, () => {
  /** A data directory on a disk of its own, on which `change` is made. The agent's status is the script's, and what it did to the database is on stdout. */
  const runOnDataOf = async (size: string, change: string): Promise<Ending> => {
    const [folder, data] = [await makeFolder(), await makeFolder()]
    const own = await openOwnReplica(data)
    for (let i = 0; i < 50; i++) await own.replica.write([put('c', `key ${i}`, 'x'.repeat(1_000))])
    await own.close()
    const script =
      `mount -t tmpfs -o size=${size} none "$1" && cp -a "$3/." "$1/" && cd "$1" && ${change}; ` +
      '"$2" run; status=$?; cd "$1"; ls -d quarantine-* recovery.json store/lost 2>/dev/null; exit $status'
    return runToEnd({ HS_DATA_DIR: folder }, ['unshare', '--mount', 'sh', '-c', script, 'sh', folder, LAUNCHER, data])
  }

  it('P3 is full: it says so, and does not take the database for damaged', async () => {
    const ending = await runOnDataOf('1M', 'head -c 2M /dev/zero > fill 2>/dev/null')
    expect(refusalOf(ending)).toEqual(saying('HS_STORE_OPEN_FAILED', /disk is full|No space left|ENOSPC|no space left/))
  })

  it('P2 was mounted read-only by the kernel, as after an error of the card', async () => {
    const ending = await runOnDataOf('8M', 'mount -o remount,ro "$1"')
    expect(refusalOf(ending)).toEqual(saying('HS_STORE_OPEN_FAILED', 'the file system is mounted read-only'))
  })
})

describe.concurrent('what is in the data directory', () => {
  it('a signing key that is none: refused, and left as it is', async () => {
    const folder = await makeFolder()
    const path = join(folder, 'signing-key.pem')
    await writeFile(path, 'not a key')
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: folder }))).toEqual(
      saying('HS_STORE_OPEN_FAILED', 'signing-key.pem does not hold an Ed25519 key; restore it, or remove it'),
    )
    expect(await readFile(path, 'utf8')).toBe('not a key')
  })

  it('addresses of peers that cannot be read: it starts without them', async () => {
    const folder = await makeFolder()
    await writeFile(join(folder, 'peers.json'), '\0'.repeat(64))
    const agent = await startAgentProcess({ env: { ...gossipOn(0), HS_DATA_DIR: folder } })
    expect(await ask(agent, '/readyz')).toEqual({ status: 'ready' })
    await agent.kill()
  })

  it('a recovery.json that somebody has altered: it starts', async () => {
    const folder = await makeFolder()
    const own = await openOwnReplica(folder)
    await own.replica.write([put('c', 'a')])
    await own.close()
    await writeFile(join(folder, 'recovery.json'), '{"sources": ["../elsewhere", 7], "reason": {}}')
    const agent = await startAgentProcess({ env: { HS_DATA_DIR: folder } })
    expect(await ask(agent, '/api/collections/c/records/a')).toMatchObject({ key: 'a', payload: 1 })
    await agent.kill()
  })

  const damages: Readonly<Record<string, string>> = {
    'an empty identity.json': '',
    'a truncated identity.json': '{"node_id": "e8b37fde-6c60-42',
    'an identity.json of zeros, as a power cut may leave it': '\0'.repeat(128),
    'an identity.json that is a list': '[]',
    'a node id that is none': '{"node_id": "robot", "boot_counter": 1}',
    'a boot counter that is none': '{"node_id": "e8b37fde-6c60-427f-8a09-47103c2da80e", "boot_counter": "1"}',
    'a boot counter that cannot grow': '{"node_id": "e8b37fde-6c60-427f-8a09-47103c2da80e", "boot_counter": 4294967295}',
  }
  for (const [name, text] of Object.entries(damages)) {
    it(`${name}: refused, and left as it is`, async () => {
      const folder = await makeFolder()
      const path = join(folder, 'identity.json')
      await writeFile(path, text)
      expect(refusalOf(await runToEnd({ HS_DATA_DIR: folder }))).toEqual(
        saying('HS_STORE_OPEN_FAILED', /identity\.json does not hold an identity; restore it, or/),
      )
      expect(await readFile(path, 'utf8')).toBe(text)
    })
  }

  it('a folder in the place of identity.json', async () => {
    const folder = await makeFolder()
    await mkdir(join(folder, 'identity.json'))
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: folder }))).toEqual(saying('HS_STORE_OPEN_FAILED', 'identity.json'))
  })

  it('a file in the place of the database', async () => {
    const folder = await makeFolder()
    await writeFile(join(folder, 'store'), '')
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: folder }))).toEqual(saying('HS_STORE_OPEN_FAILED', join(folder, 'store')))
  })

  it('P2 a database whose digests are made with another salt: refused, and neither taken for damaged nor written to', async () => {
    const folder = await makeFolder()
    const own = await openOwnReplica(folder)
    await own.replica.write([put('c', 'k', 1)])
    await own.close()
    const salt = { HS_DATA_DIR: folder, HS_DIGEST_SALT: 'ab'.repeat(16) }
    for (let start = 0; start < 3; start++) {
      const ending = await runToEnd(salt)
      expect(refusalOf(ending)).toEqual({
        ...saying('HS_CONFIG_INVALID', 'HS_DIGEST_SALT is another one than this database was made with'),
        status: EXIT_CONFIGURATION,
      })
    }
    const again = await openOwnReplica(folder)
    expect([again.comeback, await contentOf(again.replica, 'c')]).toEqual([undefined, { k: '1' }])
    await again.close()

    // What the sentence says, does: repair makes all digests anew with the new one, which is then the one that is remembered.
    const statusOf = async (command: string): Promise<unknown> => (await runCli([command], { env: salt, workingDirectory: folder })).status
    expect([await statusOf('verify'), await statusOf('repair'), await statusOf('verify')]).toEqual([EXIT_FAILED, 0, 0])
    const salted = await openOwnReplica(folder, { digestSalt: Buffer.from(salt.HS_DIGEST_SALT, 'hex') })
    expect(await contentOf(salted.replica, 'c')).toEqual({ k: '1' })
    await salted.close()
  })

  it('a store of a newer format: refused, and not touched', async () => {
    const folder = await makeFolder()
    const format = Uint8Array.of(99)
    const path = join(folder, 'store')
    const store = await openLevelStore(path)
    const batch = store.batch()
    batch.put(metaRow('format'), format)
    await batch.write({ sync: true })
    await store.close()
    expect(refusalOf(await runToEnd({ HS_DATA_DIR: folder }))).toEqual(saying('HS_STORE_FORMAT', 'the store has format 99'))
    const again = await openLevelStore(path)
    expect(Uint8Array.from(again.get(metaRow('format')) ?? [])).toEqual(format)
    expect(again.get(metaRow('identity'))).toBeUndefined()
    await again.close()
  })
})

describe.concurrent('a configuration that is not valid', () => {
  it('every fault is named, each on a line of its own, with exit status 78', async () => {
    const ending = await runToEnd({ HS_HTTP_PORT: 'abc', HS_DURABILITY: 'never', HS_GOSIP_PORT: '7946' })
    expect(ending).toMatchObject({ status: EXIT_CONFIGURATION, signal: null, stdout: '' })
    const [first, ...faults] = ending.stderr.trimEnd().split('\n')
    expect(first).toMatch(/^hs-agent: HS_CONFIG_INVALID: /)
    expect(faults).toHaveLength(3)
    for (const name of ['HS_HTTP_PORT', 'HS_DURABILITY', 'HS_GOSSIP_PORT']) expect(ending.stderr).toContain(name)
    expect(ending.stderr).not.toMatch(/^ +at /m)
  })

  it('HTTP beyond loopback without a token is one', async () => {
    const ending = await runToEnd({ HS_HTTP_HOST: '0.0.0.0' })
    expect(ending).toMatchObject({ status: EXIT_CONFIGURATION, signal: null, stdout: '' })
    expect(ending.stderr).toContain('HS_API_TOKEN')
    expect(ending.stderr).not.toMatch(/^ +at /m)
  })
})

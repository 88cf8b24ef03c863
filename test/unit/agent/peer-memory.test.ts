import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openPeerMemory, type PeerMemory, type PeerMemoryTimings } from '../../../agent/peer-memory.ts'
import type { RememberedPeer } from '../../../swarm/remembered.ts'
import { NODE_ID } from '../swarm/virtual-network.ts'

const OWN = NODE_ID(0)
const soon = { timeout: 10_000, interval: 5 }

interface Fixture {
  readonly dataDir: string
  readonly path: string
  readonly warnings: { readonly reason?: string }[]
  /** Milliseconds by which time runs ahead of the real one. */
  aheadMs: number
  open(members?: () => readonly RememberedPeer[], timings?: Partial<PeerMemoryTimings>): Promise<PeerMemory>
  record(): Promise<{ node_id: string; host: string; port: number; unseen_ms: number }[]>
}

async function prepare(): Promise<Fixture> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hs-memory-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const path = join(dataDir, 'peers.json')
  const warnings: Fixture['warnings'] = []
  const log = pino({ level: 'warn' }, { write: line => void warnings.push(JSON.parse(line) as { reason?: string }) })
  const fixture: Fixture = {
    dataDir,
    path,
    warnings,
    aheadMs: 0,
    async open(members, timings = {}) {
      const monotonicMs = (): number => performance.now() + fixture.aheadMs
      const memory = await openPeerMemory({ dataDir, nodeId: OWN, monotonicMs, log, timings: { lookMs: 5, ...timings } })
      if (members !== undefined) memory.watch(members)
      return memory
    },
    record: async () => (JSON.parse(await readFile(path, 'utf8')) as { peers: Awaited<ReturnType<Fixture['record']>> }).peers,
  }
  return fixture
}

const peer = (index: number, port = 7_946): RememberedPeer => ({ nodeId: NODE_ID(index), address: { host: '10.0.0.1', port } })
const peers = (...indexes: number[]): RememberedPeer[] => indexes.map(index => peer(index))
const idsOf = (memory: PeerMemory): string[] => memory.remembered.map(({ nodeId }) => nodeId)

test('the members of one run are the remembered peers of the next, without a clean stop', async () => {
  const fixture = await prepare()
  const first = await fixture.open(() => [peer(1), peer(2, 7_950)])
  expect(first.remembered).toEqual([])
  await vi.waitFor(async () => expect(await fixture.record()).toHaveLength(2), soon)
  const second = await fixture.open()
  expect(second.remembered).toEqual([peer(1), peer(2, 7_950)])
  await first.close()
  expect(fixture.warnings).toEqual([])
})

test('P9 the record is written when the set has changed, and not again for ten minutes; a stop writes the rest', async () => {
  const fixture = await prepare()
  let looks = 0
  let members = peers(1)
  const memory = await fixture.open(() => {
    looks += 1
    return members
  })
  const looked = async (): Promise<void> => {
    const from = looks
    await vi.waitFor(() => expect(looks).toBeGreaterThan(from + 3), soon)
  }
  await vi.waitFor(async () => expect(await fixture.record()).toHaveLength(1), soon)
  const inode = async (): Promise<number> => (await stat(fixture.path)).ino
  const written = await inode()
  // Unchanged, for hours.
  fixture.aheadMs += 4 * 3_600_000
  await looked()
  expect(await inode()).toBe(written)
  // Changed: the first change is written at once, the next waits.
  members = peers(1, 2)
  await vi.waitFor(async () => expect(await fixture.record()).toHaveLength(2), soon)
  members = peers(1, 2, 3)
  fixture.aheadMs += 9 * 60_000
  await looked()
  expect(await fixture.record()).toHaveLength(2)
  await memory.close()
  expect(await fixture.record()).toHaveLength(3)
  // Nothing has changed since: nothing is written.
  const last = await inode()
  const again = await fixture.open(() => {
    looks += 1
    return peers(3, 2, 1)
  })
  await looked()
  await again.close()
  expect(await inode()).toBe(last)
})

test('P6 a peer is forgotten after seven days in which this node ran without it, over restarts, whatever the wall clock says', async () => {
  const fixture = await prepare()
  await (await fixture.open(() => peers(1, 2))).close()
  for (let day = 1; day <= 6; day++) {
    const memory = await fixture.open(() => peers(2))
    expect(idsOf(memory).sort()).toEqual([NODE_ID(1), NODE_ID(2)])
    fixture.aheadMs += 86_400_000
    await memory.close()
  }
  const memory = await fixture.open(() => peers(2))
  fixture.aheadMs += 86_400_000
  await memory.close()
  expect(idsOf(await fixture.open())).toEqual([NODE_ID(2)])
})

test('the record is bounded: who is there displaces who has been away longest, and never one another', async () => {
  const fixture = await prepare()
  const range = (from: number, to: number): RememberedPeer[] => Array.from({ length: to - from }, (_, i) => peer(from + i))
  await (await fixture.open(() => range(0x100, 0x180))).close()
  let memory = await fixture.open(() => range(0x180, 0x200))
  fixture.aheadMs += 60_000
  await memory.close()
  const recorded = idsOf(await fixture.open())
  expect(recorded).toHaveLength(256)
  // 28 more: they take the places of absent ones.
  memory = await fixture.open(() => range(0x180, 0x21c))
  await memory.close()
  expect(
    idsOf(await fixture.open())
      .slice(0, 156)
      .sort(),
  ).toEqual(range(0x180, 0x21c).map(({ nodeId }) => nodeId))
  expect(await fixture.record()).toHaveLength(256)
  memory = await fixture.open(() => range(0x1000, 0x2000))
  await memory.close()
  const full = await stat(fixture.path)
  expect(await fixture.record()).toHaveLength(256)
  expect(full.size).toBeLessThan(65_536)
  memory = await fixture.open(() => range(0x1000, 0x2000).reverse())
  await memory.close()
  expect((await stat(fixture.path)).ino).toBe(full.ino)
})

test('this node itself and addresses that mean nothing later are not remembered', async () => {
  const fixture = await prepare()
  await (await fixture.open(() => [peer(1), { nodeId: NODE_ID(2), address: { host: 'fe80::1%eth0', port: 7_946 } }])).close()
  expect(idsOf(await fixture.open())).toEqual([NODE_ID(1)])
  await (await fixture.open(() => [peer(0), peer(1)])).close()
  expect(idsOf(await fixture.open())).toEqual([NODE_ID(1)])
})

describe('a record that is not usable is ignored with one line, and replaced', () => {
  const one = (changed: object): string =>
    JSON.stringify({ format: 1, peers: [{ node_id: NODE_ID(1), host: '10.0.0.1', port: 7_946, unseen_ms: 0, ...changed }] })
  const cases: Record<string, (path: string) => Promise<unknown>> = {
    nothing: path => writeFile(path, ''),
    'zeros, as a power cut may leave them': path => writeFile(path, '\0'.repeat(4_096)),
    'half of one': path => writeFile(path, one({}).slice(0, 60)),
    'bytes that are no text': path => writeFile(path, Uint8Array.of(0x7b, 0xff, 0xfe)),
    'another kind of file': path => writeFile(path, '{"node_id": "x", "boot_counter": 3}'),
    'a later format': path => writeFile(path, '{"format": 2, "peers": []}'),
    'a name in the place of an address': path => writeFile(path, one({ host: 'robot.local' })),
    'a multicast address': path => writeFile(path, one({ host: '239.83.65.71' })),
    'a port that is none': path => writeFile(path, one({ port: 65_536 })),
    'an id that is none': path => writeFile(path, one({ node_id: '__proto__' })),
    'more than 64 KiB': path => writeFile(path, one({}) + ' '.repeat(70_000)),
    'more than 256 peers': path => writeFile(path, JSON.stringify({ format: 1, peers: Array.from({ length: 257 }, () => ({})) })),
    'a deep one': path => writeFile(path, '['.repeat(60_000)),
    'a folder': path => mkdir(path),
    'a pipe that nobody writes to': path => promisify(execFile)('mkfifo', [path]),
  }
  test.each(Object.keys(cases))('%s', async name => {
    const fixture = await prepare()
    await cases[name]!(fixture.path)
    const memory = await fixture.open(() => peers(1))
    expect(memory.remembered).toEqual([])
    expect(fixture.warnings).toHaveLength(1)
    expect(fixture.warnings[0]!.reason).toBeTypeOf('string')
    await memory.close()
    // What cannot be replaced is told of once more, and is no reason to stop.
    const isReplaced = name !== 'a folder'
    expect(fixture.warnings).toHaveLength(isReplaced ? 1 : 2)
    expect(idsOf(await fixture.open())).toEqual(isReplaced ? [NODE_ID(1)] : [])
  })
})

/**
 * Two agents that sync with each other, and strangers who throw at one of them what should not be: it refuses, counts, and serves on.
 * The strangers speak from addresses of their own (127.0.0.2 and up): each source has its own allowance of packets.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createCodec } from '../../agent/codec.ts'
import { systemHash } from '../../agent/ports.ts'
import { toHex } from '../../base/bytes.ts'
import { createItemHasher, SALT_BYTES } from '../../sync/digest.ts'
import { decodeMessage, encodeMessage } from '../../sync/message-codec.ts'
import { PROTOCOL_VERSION, type Hello, type Message } from '../../sync/messages.ts'
import { FULL_TERMS } from '../../sync/partial.ts'
import { ask, cleanEnvironment, findFreePort, makeFolder, stopEverything, until } from '../agent-process.ts'
import { createSeededRandom } from '../seeded-random.ts'

const LAUNCHER = fileURLToPath(new URL('../../bin/hs-agent', import.meta.url))
const SWARM = 'garbage'
const DEADLINE_MS = 60_000
const HEADER_BYTES = 48
const RSS_GROWTH_MAX_MB = 150

interface LoggedAgent {
  readonly child: ChildProcess
  readonly pid: number
  readonly url: string
  readonly nodeId: string
  readonly port: number
  readonly log: string[]
}

/** Like startAgentProcess, but all of the output is kept. */
async function startLogged(port: number, peers: readonly number[]): Promise<LoggedAgent> {
  const env = {
    ...cleanEnvironment(),
    HS_HTTP_PORT: '0',
    HS_DATA_DIR: await makeFolder(),
    HS_SWARM_NAME: SWARM,
    HS_GOSSIP_HOST: '127.0.0.1',
    HS_GOSSIP_PORT: String(port),
    HS_GOSSIP_MULTICAST: 'off',
    HS_GOSSIP_PROFILE: 'local',
    HS_GOSSIP_PEERS: peers.map(peer => `127.0.0.1:${peer}`).join(','),
    HS_LOG_LEVEL: 'debug',
  }
  const child = spawn(LAUNCHER, ['run'], { env, cwd: env.HS_DATA_DIR, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const log: string[] = []
  let isUp = false
  let partial = ''
  const take = (chunk: Buffer): void => {
    const lines = (partial + chunk.toString()).split('\n')
    partial = lines.pop() ?? ''
    log.push(...lines)
    isUp = isUp || log[0]?.startsWith('hs-agent ') === true
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  await until('the agent is up', DEADLINE_MS, async () => {
    if (child.exitCode !== null) throw new Error(`the agent ended with ${child.exitCode}:\n${log.join('\n')}`)
    return isUp ? undefined : log.join('\n')
  })
  const url = /http:\/\/[^\s,]+/.exec(log[0]!)![0]
  const { node_id: nodeId } = (await ask({ url }, '/api/cluster/status')) as { node_id: string }
  return { child, pid: child.pid!, url, nodeId, port, log }
}

const children: ChildProcess[] = []
const codec = createCodec()
const random = createSeededRandom(20_260_101)
const pick = (below: number): number => Math.floor(random.fraction() * below)
let victim: LoggedAgent
let other: LoggedAgent
let stranger: UdpSocket
/** Packets that `other` has sent to somebody whom it takes for a peer. */
const genuine: Buffer[] = []
let rssBeforeMb: number

async function bindUdp(address: string, port = 0): Promise<UdpSocket> {
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(port, address, resolve))
  return socket
}

const rssMb = async (): Promise<number> => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${victim.pid}/status`, 'utf8'))![1]) / 1024

beforeAll(async () => {
  const [first, second] = [await findFreePort(), await findFreePort()]
  stranger = await bindUdp('127.0.0.1')
  stranger.on('message', packet => genuine.push(packet))
  ;[victim, other] = await Promise.all([startLogged(first, [second]), startLogged(second, [first, stranger.address().port])])
  await serves()
  await until('some packets are there', DEADLINE_MS, async () => (genuine.length >= 3 ? undefined : `${genuine.length}`))
  rssBeforeMb = await rssMb()
}, 120_000)

afterAll(async () => {
  stranger.close()
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exited = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await exited
  }
  await stopEverything()
})

let round = 0

/** Whether HTTP answers, and what is written to either agent reaches the other; throws when it does not. */
async function serves(): Promise<boolean> {
  round += 1
  const roundTrip = async (from: LoggedAgent, to: LoggedAgent): Promise<void> => {
    const path = `/api/collections/notes/records/${round}-${from === victim ? 'a' : 'b'}`
    await ask(from, path, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"payload":1}' })
    await until(`${path} is on both`, DEADLINE_MS, async () => {
      const response = await fetch(to.url + path)
      return response.status === 200 ? undefined : `${response.status} ${await response.text()}`
    })
  }
  const { status } = (await ask(victim, '/readyz')) as { status: string }
  await roundTrip(victim, other)
  await roundTrip(other, victim)
  return status === 'ready'
}

async function rejects(): Promise<Map<string, number>> {
  const text = await (await fetch(`${victim.url}/metrics`)).text()
  const counts = [...text.matchAll(/^hs_gossip_rejects_total\{[^}]*reason="([^"]+)"[^}]*\} (\d+)$/gm)]
  return new Map(counts.map(([, reason, count]) => [reason!, Number(count)]))
}

// --- The gossip port ---

let sources = 1

/** Throws packets from a new address; how many of these rejects were counted, as soon as they are at least `counted`. */
async function throwPackets(packets: readonly Uint8Array[], reasons: readonly string[], counted: number): Promise<number> {
  sources += 1
  const socket = await bindUdp(`127.0.0.${sources}`)
  const sum = async (): Promise<number> => {
    const all = await rejects()
    return reasons.reduce((total, reason) => total + (all.get(reason) ?? 0), 0)
  }
  const before = await sum()
  let rejected = 0
  for (const packet of packets) await new Promise(resolve => socket.send(packet, victim.port, '127.0.0.1', resolve))
  try {
    await until(`${counted} rejects of ${reasons.join(', ')}`, DEADLINE_MS, async () => {
      rejected = (await sum()) - before
      return rejected >= counted ? undefined : `${rejected}: ${JSON.stringify([...(await rejects())])}`
    })
  } finally {
    socket.close()
  }
  return rejected
}

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

/**
 * A genuine packet as a node that nobody knows would have sent it. Without a key anybody may claim to be anybody: what a stranger who
 * says that it is `other` can do is not the question here.
 */
function disguise(packet: Uint8Array): Buffer {
  const disguised = Buffer.from(packet)
  disguised.set(random.bytes(16), 16)
  return disguised
}

const forge = (body: Uint8Array): Buffer => disguise(Buffer.concat([genuine[0]!.subarray(0, HEADER_BYTES), body]))

/** CBOR that is nested, endless, tagged, not text, of another shape, or that claims more than there is. */
const bodies = [
  Buffer.alloc(1_100, 0x81),
  Buffer.alloc(1_100, 0xa1),
  Buffer.from([0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from([0x5a, 0x7f, 0xff, 0xff, 0xff]),
  Buffer.from([0x9f, 0x01]),
  Buffer.from([0xc2, 0x59, 0x03, 0xe8, ...random.bytes(1_000)]),
  Buffer.from([0x81, 0x62, 0xff, 0xfe]),
  Buffer.from([0xf6]),
  Buffer.from([0x80]),
  Buffer.concat([Buffer.from([0x81, 0x98, 0xff]), Buffer.alloc(255, 0x01)]),
]

function flipBits(packet: Buffer): Buffer {
  for (let flips = 1 + pick(4); flips > 0; flips--) packet[pick(packet.length)]! ^= 1 << pick(8)
  return packet
}

const some = (i: number): Buffer => genuine[i % genuine.length]!

interface Barrage {
  readonly name: string
  readonly count: number
  readonly packet: (i: number) => Uint8Array
  /** These rejects are counted, for this share of the packets at least. */
  readonly reasons: readonly string[]
  readonly share: number
}

const barrages: readonly Barrage[] = [
  {
    name: 'random bytes of every length',
    count: 400,
    packet: i => random.bytes(1 + ((i * 3) % 1_200)),
    reasons: ['not-a-packet', 'truncated'],
    share: 0.9,
  },
  {
    name: 'packets longer than any',
    count: 40,
    packet: i => Buffer.concat([some(i), Buffer.alloc(i % 2 === 0 ? 1_201 : 60_000)]),
    reasons: ['too-large'],
    share: 0.9,
  },
  {
    name: 'genuine packets that are cut off',
    count: 400,
    packet: i => some(i).subarray(0, 1 + (i % (some(i).length - 1))),
    reasons: ['truncated', 'malformed', 'duplicate'],
    share: 0.9,
  },
  { name: 'bad CBOR', count: 400, packet: i => forge(bodies[i % bodies.length]!), reasons: ['malformed', 'unknown-sender'], share: 0.9 },
  {
    name: 'genuine packets with flipped bits',
    count: 400,
    packet: i => flipBits(disguise(some(i))),
    reasons: ['malformed', 'other-swarm', 'not-a-packet', 'sealed', 'other-version', 'unknown-message', 'unknown-sender'],
    share: 0.3,
  },
  { name: 'genuine packets again and again', count: 400, packet: some, reasons: ['duplicate'], share: 0.9 },
  {
    name: 'a flood from one address, which takes nothing from the others',
    count: 4_000,
    packet: some,
    reasons: ['rate-limited'],
    share: 0,
  },
]

it.each(barrages)('gossip: $name', async ({ count, packet, reasons, share }) => {
  const atLeast = Math.max(1, count * share)
  expect(await throwPackets(times(count, packet), reasons, atLeast)).toBeGreaterThanOrEqual(atLeast)
  expect(await serves()).toBe(true)
})

// --- The peer link ---

const preamble = Buffer.from('HSL1')

function frame(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes.length, 0)
  return Buffer.concat([head, bytes])
}

const strangeHello = (changed: Partial<Hello> = {}): Hello => ({
  kind: 'hello',
  protocol: PROTOCOL_VERSION,
  swarmName: SWARM,
  nodeId: toHex(random.bytes(16)),
  storeId: toHex(random.bytes(16)),
  saltId: createItemHasher(systemHash, new Uint8Array(SALT_BYTES)).saltId,
  logicalClock: 1,
  wallMs: 0,
  isNamed: false,
  isLive: false,
  ...changed,
})
const say = (message: Message): Buffer => frame(encodeMessage(codec, message))

interface Conversation {
  readonly socket: Socket
  /** Messages that the agent has sent, as far as they are whole. */
  readonly heard: () => Message[]
  readonly closed: Promise<void>
}

async function dial(): Promise<Conversation> {
  const socket = connect({ host: '127.0.0.1', port: victim.port, localAddress: '127.0.0.100' })
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  // A reset is one of the answers.
  socket.on('error', () => {})
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  await Promise.race([new Promise(resolve => socket.once('connect', resolve)), closed])
  const heard = (): Message[] => {
    const bytes = Buffer.concat(chunks)
    const messages: Message[] = []
    for (let at = 4; at + 5 <= bytes.length;) {
      const length = bytes.readUInt32BE(at)
      const body = bytes.subarray(at + 5, at + 5 + length)
      const isPacked = bytes[at + 4] === 1 && body.length === length
      const message = length === 0 ? undefined : decodeMessage(codec, isPacked ? zstdDecompressSync(body.subarray(4)) : body)
      if (message !== undefined) messages.push(message)
      at += 5 + length
    }
    return messages
  }
  return { socket, heard, closed }
}

/** Says all of it; resolves with what the agent has answered by the time that it has closed the link. */
async function sayUntilClosed(...bytes: Uint8Array[]): Promise<Message[]> {
  const { socket, heard, closed } = await dial()
  socket.write(Buffer.concat(bytes))
  await closed
  return heard()
}

it('peer link: random bytes, with and without a preamble', async () => {
  for (let i = 0; i < 30; i++) {
    const bytes = Buffer.concat([i % 2 === 0 ? preamble : Buffer.alloc(0), Buffer.from([0xff]), random.bytes(4 + i * 100)])
    expect(await sayUntilClosed(bytes)).toEqual([])
  }
  expect(await serves()).toBe(true)
})

it('peer link: nonsense behind a valid hello', async () => {
  const u64 = (first: number): Uint8Array => Uint8Array.of(first, 255, 255, 255, 255, 255, 255, 255)
  const nonsense: Uint8Array[] = [
    frame(Buffer.concat([Buffer.from([0xff]), random.bytes(1_000)])),
    frame(Buffer.alloc(500_000, 0x81)),
    frame(codec.encode([99, 'a kind that nobody knows'])),
    frame(codec.encode([3, Array.from({ length: 1_000 }, () => [])])),
    frame(codec.encode([1, [['notes', u64(255), new Uint8Array(16), new Uint8Array(16)]], true])),
    frame(codec.encode([1, Array.from({ length: 501 }, (_, i) => [`c${i}`, u64(0), new Uint8Array(16), new Uint8Array(16)]), true])),
    say({ kind: 'ack' }),
    say({ kind: 'repaired' }),
    say({ kind: 'mark', vector: new Map([[toHex(random.bytes(16)), { counter: 2 ** 53 - 1, run: toHex(random.bytes(8)) }]]) }),
    say(strangeHello()),
  ]
  for (const [i, bytes] of nonsense.entries()) {
    const [answer] = await sayUntilClosed(preamble, say(strangeHello()), bytes)
    expect({ i, kind: answer?.kind }).toEqual({ i, kind: 'hello' })
  }
  await sayUntilClosed(preamble, say(strangeHello()), Buffer.from([0x7f, 0xff, 0xff, 0xff, 0]))
  expect(await serves()).toBe(true)
})

const clockOf = async (agent: LoggedAgent): Promise<number> =>
  ((await ask(agent, '/api/cluster/status')) as { logical_clock: number }).logical_clock

it('peer link: nonsense in the middle of an exchange', async () => {
  const clockBefore = await clockOf(victim)
  const root = random.bytes(16)
  const offer: Message = {
    kind: 'offers',
    offers: [{ name: 'notes', generation: 1, root, knowledge: root, flags: 0, priority: 0 }],
    isLast: true,
    rosterHash: new Uint8Array(8),
  }
  const open: Message = {
    kind: 'open',
    name: 'notes',
    generation: 1,
    vector: new Map(),
    collected: new Map(),
    resume: undefined,
    collectedStampMax: { ms: 0, tick: 0 },
    rosterHash: new Uint8Array(8),
    acknowledgements: [],
    terms: FULL_TERMS,
    voided: [],
  }
  const items = times(500, i => ({ key: i % 2 === 0 ? '' : `k${i}`, version: random.bytes(i) }))
  const endings: Uint8Array[] = [
    say({ kind: 'frame', items, position: undefined, logicalClock: 2 ** 52 }),
    say({ kind: 'want', items: [] }),
    say({ kind: 'get-nodes', level: 0, indexes: [0] }),
    say({ kind: 'ack' }),
    frame(random.bytes(100_000)),
  ]
  for (const ending of endings)
    await sayUntilClosed(preamble, say(strangeHello()), say(offer), say(open), ending, say({ kind: 'bye', reason: 'enough' }))
  // Nor has it believed what the frames say of the time.
  expect((await clockOf(victim)) - clockBefore).toBeLessThan(1_000)
  expect(await serves()).toBe(true)
})

it.each([
  ['of another swarm', () => ({ swarmName: 'elsewhere' }), 'this agent belongs to another swarm'],
  [
    'with the node id of the agent itself',
    () => ({ nodeId: victim.nodeId.replaceAll('-', '') }),
    'this agent has the same node id: one of the two is a copy',
  ],
  ['of another protocol', () => ({ protocol: 77 }), 'protocol 77 is not spoken here, 1 is'],
])('peer link: a hello %s is answered with a reason', async (_name, changed, reason) => {
  expect(await sayUntilClosed(preamble, say(strangeHello(changed())))).toEqual([{ kind: 'bye', reason }])
  expect(await serves()).toBe(true)
})

it('peer link: a stranger that says it is the other agent does not keep the two apart when it is gone', async () => {
  const impostor = await dial()
  impostor.socket.write(Buffer.concat([preamble, say(strangeHello({ nodeId: other.nodeId.replaceAll('-', '') }))]))
  await until('it was answered', DEADLINE_MS, async () => (impostor.heard().length > 0 ? undefined : 'not yet'))
  impostor.socket.destroy()
  expect(await serves()).toBe(true)
})

it('P16 peer link: a stranger that says it is the other agent and then next to nothing does not keep the two apart', async () => {
  expect(await serves()).toBe(true)
  let impostor = await dial()
  const impostorHello = Buffer.concat([preamble, say(strangeHello({ nodeId: other.nodeId.replaceAll('-', '') }))])
  impostor.socket.write(impostorHello)
  await until('it was greeted', DEADLINE_MS, async () => {
    const [answer] = impostor.heard()
    if (answer?.kind === 'bye') {
      // The two were at it themselves.
      impostor = await dial()
      impostor.socket.write(impostorHello)
    }
    return answer?.kind === 'hello' ? undefined : (answer?.kind ?? 'no answer yet')
  })
  let isClosed = false
  void impostor.closed.then(() => (isClosed = true))
  // The beginning of a message: enough to be listened to for two minutes.
  impostor.socket.write(frame(Buffer.alloc(1_000)).subarray(0, 6))
  expect(await serves()).toBe(true)
  expect(isClosed).toBe(false)
  impostor.socket.destroy()
})

it('peer link: strangers that hold as many links open as they get do not keep the two apart', async () => {
  const silent = await Promise.all(times(80, dial))
  for (const { socket } of silent) socket.write(preamble)
  expect(await serves()).toBe(true)
  for (const { socket } of silent) socket.destroy()
})

// --- Afterwards ---

it('P8 memory is bounded, the log is short and has no stack trace, and the agent stops cleanly', async () => {
  expect((await rssMb()) - rssBeforeMb).toBeLessThan(RSS_GROWTH_MAX_MB)
  const exited = new Promise<number | null>(resolve => victim.child.once('exit', resolve))
  victim.child.kill('SIGTERM')
  expect(await exited).toBe(0)
  expect(victim.log.filter(line => /^ +at |"stack"|uncaught/.test(line))).toEqual([])
  // A flipped bit in what is said of the victim may tell it of a double.
  const errors = victim.log.filter(line => /"level":"(error|fatal)"/.test(line))
  expect(errors.filter(line => !line.includes('another process uses this node id'))).toEqual([])
})

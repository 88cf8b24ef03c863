/** An HTTP server on a free loopback port, over a real replica in memory, for the tests of the API. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { DiagnosisJson } from '../../../agent/diagnosis/shape.ts'
import { writeBackup } from '../../../agent/backup/backup-file.ts'
import { createEventHub, type EventHub } from '../../../agent/event-hub.ts'
import type { HttpLimits } from '../../../agent/http/limits.ts'
import type { HttpOptions, PeerView } from '../../../agent/http/port.ts'
import { createHttpServer } from '../../../agent/http/server.ts'
import { createMetrics } from '../../../agent/metrics.ts'
import { createSystemClock, systemHash, systemRandom } from '../../../agent/ports.ts'
import { createProver, type Prover } from '../../../agent/proof/prover.ts'
import type { ScrubView } from '../../../agent/scrubber.ts'
import { createSigningKey } from '../../../agent/signing-key.ts'
import type { SyncRow } from '../../../agent/sync-state.ts'
import { openReplica, type OpenReplica } from '../../../sync/open-replica.ts'
import { QUIET } from './diagnosis-fixture.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'

const NOT_SCRUBBED: ScrubView = {
  state: 'idle',
  lastPassAtMs: undefined,
  missing: 0,
  verified: 0,
  verificationsAsked: 0,
  rows: 0,
  mended: 0,
  strays: 0,
  sums: 0,
  damaged: 0,
  lost: 0,
  recovered: 0,
  passes: 0,
}

export const NODE_ID = 'e8b37fde-6c60-427f-8a09-47103c2da80e'

export interface HttpFixture {
  readonly url: string
  readonly port: number
  readonly replica: OpenReplica
  readonly store: MemoryStore
  readonly events: EventHub
  /** What the server logged, as JSON objects. */
  readonly logged: Record<string, unknown>[]
  readonly close: () => Promise<void>
}

interface FixtureOptions {
  readonly port?: number
  readonly tokens?: readonly string[]
  readonly limits?: Partial<HttpLimits>
  readonly peers?: readonly PeerView[]
  readonly departed?: readonly PeerView[]
  readonly rows?: readonly SyncRow[]
  readonly reasons?: readonly string[]
  readonly warnings?: readonly string[]
  readonly replica?: (replica: OpenReplica) => HttpOptions['replica']
  readonly diagnosis?: DiagnosisJson
  readonly metrics?: HttpOptions['metrics']
  readonly prover?: Prover
  readonly disk?: ReturnType<HttpOptions['node']>['disk']
}

const BACKUP_HEADER = { nodeId: NODE_ID, nodeName: 'robot-1', version: '0.1.0', createdAtMs: 1_700_000_000_000, saltId: '00' }
const ROOMY = { sizeBytes: 1_000, freeBytes: 500, reserveBytes: 50, isFull: false, writtenBytes: 7, writtenBytesPerDay: undefined }

/** Starts a server that the test's end closes. */
export async function startHttp(options: FixtureOptions = {}): Promise<HttpFixture> {
  const store = createMemoryStore()
  const replica = await openReplica({
    store,
    hash: systemHash,
    random: systemRandom,
    clock: createSystemClock(() => true),
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability: 'fsync',
  })
  const signingKey = createSigningKey(generateKeyPairSync('ed25519').privateKey)
  const clock = createSystemClock(() => true)
  const prover = options.prover ?? createProver({ replica, nodeId: NODE_ID, signingKey, digestSalt: new Uint8Array(16), clock })
  const logged: Record<string, unknown>[] = []
  const log = pino({ level: 'debug' }, { write: line => void logged.push(JSON.parse(line) as Record<string, unknown>) })
  const events = createEventHub()
  const server = await createHttpServer({
    host: '127.0.0.1',
    port: options.port ?? 0,
    tokens: options.tokens ?? [],
    replica: options.replica?.(replica) ?? replica,
    writer: { write: writes => (options.replica?.(replica) ?? replica).write(writes) },
    prover,
    node: () => ({
      nodeId: NODE_ID,
      nodeName: 'robot-1',
      role: 'edge',
      epoch: 0,
      version: '0.1.0',
      uptimeSecs: 12,
      publicKey: prover.publicKey,
      secured: false,
      swarmKeys: [],
      duplicateIdentity: undefined,
      scrub: NOT_SCRUBBED,
      comeback: undefined,
      outageLog: undefined,
      disk: options.disk ?? ROOMY,
      upstreamPeer: undefined,
      downstreamPeers: [],
    }),
    peers: () => ({ gossipEnabled: options.peers !== undefined, peers: options.peers ?? [] }),
    backup: () => writeBackup(store, BACKUP_HEADER),
    diagnose: () => options.diagnosis ?? QUIET,
    departed: () => options.departed ?? [],
    sync: {
      rows: () => options.rows ?? [],
      start: () => options.peers?.length ?? 0,
      verify: () => ({ verification: 1, peers: options.peers?.length ?? 0 }),
    },
    events,
    readiness: () => options.reasons ?? [],
    warnings: () => options.warnings ?? [],
    log,
    metrics: options.metrics ?? createMetrics(),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  onTestFinished(() => server.close())
  return { url: server.url, port: server.port, replica, store, events, logged, close: () => server.close() }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Undefined when the body is not JSON. */
  readonly json: unknown
}

export async function request(url: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(url, init)
  const text = await answer.text()
  const isJson = /json/.test(answer.headers.get('content-type') ?? '') && !/ndjson/.test(answer.headers.get('content-type') ?? '')
  return { status: answer.status, headers: answer.headers, text, json: isJson && text !== '' ? JSON.parse(text) : undefined }
}

export const jsonHeaders = { 'content-type': 'application/json' }

/** Sends a body as JSON; a string as it is. */
export function send(method: string, url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return request(url, { method, headers: { ...jsonHeaders, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) })
}

/** Speaks to the port directly. */
export async function openSocket(port: number): Promise<{ socket: Socket; received: () => string; ended: Promise<void> }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  socket.on('data', chunk => (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  const ended = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.on('end', () => socket.destroy())
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return { socket, received: () => text, ended }
}

/** Sends text to the port, as one request or as garbage, and reads until the other side closes. */
export async function sendRaw(port: number, text: string | Buffer): Promise<string> {
  const { socket, received, ended } = await openSocket(port)
  socket.write(text)
  await ended
  return received()
}

/**
 * The peers of this node, on disk: `peers.json` in the data directory, so that a robot that was switched off meets its swarm again
 * without seeds and without multicast. It says where to ask, nothing else; losing it costs that and no more, so nothing about it is
 * ever fatal.
 *
 * Written rarely, for the card's sake: when the set of (node id, address) has changed, at most every 10 minutes, and at a clean stop. A
 * peer is forgotten after 7 days in which this node ran and did not list it, counted without a wall clock (a board may believe it is
 * 1970), or when the record is full and somebody who is there needs the place.
 */
import { join } from 'node:path'
import type { Logger } from 'pino'
import { canonicalHost, isUnicast } from '../swarm/address.ts'
import type { Address } from '../swarm/address.ts'
import { parseNodeId } from '../swarm/identity.ts'
import type { RememberedPeer } from '../swarm/remembered.ts'
import { REMEMBERED_MAX } from '../swarm/remembered.ts'
import { readSmallFile, writeDurably } from './durable-file.ts'

const FILE = 'peers.json'
const FORMAT = 1
/** 256 peers take about 35 KiB. */
const FILE_BYTES_MAX = 65_536

export interface PeerMemoryTimings {
  /** The members are looked at this often. */
  readonly lookMs: number
  /** Between two writes. */
  readonly writeIntervalMs: number
  readonly forgetAfterMs: number
}

const TIMINGS: PeerMemoryTimings = { lookMs: 5_000, writeIntervalMs: 600_000, forgetAfterMs: 7 * 86_400_000 }

export interface PeerMemoryOptions {
  readonly dataDir: string
  readonly nodeId: string
  readonly monotonicMs: () => number
  readonly log: Logger
  readonly timings?: Partial<PeerMemoryTimings>
}

export interface PeerMemory {
  /** What the record held at the start, the one unheard of for the shortest time first. */
  readonly remembered: readonly RememberedPeer[]
  /** Looks at the members from now on. */
  watch(members: () => Iterable<RememberedPeer>): void
  /** Looks a last time, and writes what has changed. */
  close(): Promise<void>
}

interface Entry {
  readonly address: Address
  /** How long this node ran without listing it. */
  readonly unseenMs: number
}

/** Reads the record. A damaged one is ignored, with one line in the log, and replaced in time. */
export async function openPeerMemory(options: PeerMemoryOptions): Promise<PeerMemory> {
  const { log, monotonicMs } = options
  const timings = { ...TIMINGS, ...options.timings }
  const path = join(options.dataDir, FILE)
  let entryById = await readEntries(path, options)
  let written = formatAddresses(entryById)
  let members: (() => Iterable<RememberedPeer>) | undefined
  let timer: NodeJS.Timeout | undefined
  let lookedMs = monotonicMs()
  let triedMs = -Infinity
  let writing: Promise<void> | undefined

  function look(): void {
    if (members === undefined) return
    const nowMs = monotonicMs()
    entryById = observe(entryById, members(), nowMs - lookedMs, timings.forgetAfterMs)
    lookedMs = nowMs
  }

  async function write(): Promise<void> {
    const addresses = formatAddresses(entryById)
    try {
      await writeDurably(path, formatRecord(entryById))
      written = addresses
    } catch (error) {
      // The next try comes in its time: a full or broken disk is told of elsewhere.
      log.warn({ path, error: String(error) }, 'the addresses of the peers could not be recorded')
    }
  }

  function upkeep(): void {
    look()
    const isDue = monotonicMs() - triedMs >= timings.writeIntervalMs
    if (writing !== undefined || !isDue || formatAddresses(entryById) === written) return
    triedMs = monotonicMs()
    writing = write().finally(() => (writing = undefined))
  }

  return {
    remembered: [...entryById].map(([nodeId, { address }]) => ({ nodeId, address })),
    watch(of) {
      members = of
      lookedMs = monotonicMs()
      timer = setInterval(upkeep, timings.lookMs)
    },
    async close() {
      clearInterval(timer)
      await writing
      look()
      // How long somebody was not there is worth a write at a stop, and at no other time.
      const hasUnseen = [...entryById.values()].some(({ unseenMs }) => unseenMs > 0)
      if (members !== undefined && (hasUnseen || formatAddresses(entryById) !== written)) await write()
    },
  }
}

/**
 * The entries after a look, those unheard of for the shortest time first. Who is listed is kept or, while there is room or
 * somebody absent to displace, added; who is not has been absent for longer.
 */
function observe(
  before: ReadonlyMap<string, Entry>,
  members: Iterable<RememberedPeer>,
  elapsedMs: number,
  forgetAfterMs: number,
): Map<string, Entry> {
  const addressById = new Map<string, Address>()
  // An address with a zone (fe80::1%eth0) means nothing to a later run.
  for (const { nodeId, address } of members) if (isUnicast(address.host)) addressById.set(nodeId, address)
  const here = new Map<string, Entry>()
  const absent: [string, Entry][] = []
  for (const [nodeId, { address, unseenMs }] of before) {
    const now = addressById.get(nodeId)
    if (now !== undefined) here.set(nodeId, { address: now, unseenMs: 0 })
    else if (unseenMs + elapsedMs < forgetAfterMs) absent.push([nodeId, { address, unseenMs: unseenMs + elapsedMs }])
  }
  for (const [nodeId, address] of addressById) if (here.size < REMEMBERED_MAX) here.set(nodeId, { address, unseenMs: 0 })
  absent.sort(([, a], [, b]) => a.unseenMs - b.unseenMs)
  return new Map([...here, ...absent].slice(0, REMEMBERED_MAX))
}

/** What is worth a write when it changes. */
function formatAddresses(entryById: ReadonlyMap<string, Entry>): string {
  return [...entryById]
    .map(([nodeId, { address }]) => `${nodeId} ${address.host} ${address.port}`)
    .sort()
    .join('\n')
}

function formatRecord(entryById: ReadonlyMap<string, Entry>): string {
  const peers = [...entryById].map(([nodeId, { address, unseenMs }]) => ({
    node_id: nodeId,
    host: address.host,
    port: address.port,
    unseen_ms: Math.round(unseenMs),
  }))
  const lines = peers.map(peer => `    ${JSON.stringify(peer)}`).join(',\n')
  return `{\n  "format": ${FORMAT},\n  "peers": [\n${lines}\n  ]\n}\n`
}

async function readEntries(path: string, { nodeId, log }: PeerMemoryOptions): Promise<Map<string, Entry>> {
  try {
    const text = await readSmallFile(path, FILE_BYTES_MAX)
    const entryById = text === undefined ? new Map<string, Entry>() : parseRecord(text)
    // After a restore on another board it may hold what is now this node.
    entryById.delete(nodeId)
    return new Map([...entryById].sort(([, a], [, b]) => a.unseenMs - b.unseenMs))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    log.warn({ path, reason }, 'the record of peers is not usable, and ignored: they are found by seeds and multicast, and recorded anew')
    return new Map()
  }
}

/** Throws an Error that says what is wrong. */
function parseRecord(text: string): Map<string, Entry> {
  const record: unknown = JSON.parse(text)
  const { format, peers } = fieldsOf(record)
  if (format !== FORMAT || !Array.isArray(peers) || peers.length > REMEMBERED_MAX)
    throw new Error('it is not a record of peers of format 1')
  const entryById = new Map<string, Entry>()
  for (const peer of peers) {
    const { node_id: nodeId, host, port, unseen_ms: unseenMs } = fieldsOf(peer)
    if (typeof nodeId !== 'string' || parseNodeId(nodeId) === undefined) throw new Error('a peer in it has no node id')
    if (typeof host !== 'string' || !isUnicast(host)) throw new Error(`the peer ${nodeId} in it has no address`)
    if (!isWhole(port, 1, 65_535) || !isWhole(unseenMs, 0, Number.MAX_SAFE_INTEGER)) throw new Error(`the peer ${nodeId} in it has no port`)
    entryById.set(nodeId, { address: { host: canonicalHost(host), port }, unseenMs })
  }
  return entryById
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
}

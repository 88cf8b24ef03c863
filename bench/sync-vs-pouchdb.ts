/**
 * Bytes and time to bring over a first copy and then changes, against PouchDB that replicates from another PouchDB over HTTP. Both go
 * through the same relay, which counts both directions; both have two processes, and LevelDB behind each.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { atStop, makeFolder } from '../test/agent-process.ts'
import { measureMs, type Bench, type BenchContext, type Measure, type Target } from './bench.ts'
import { startCountingRelay, type CountingRelay } from './counting-relay.ts'
import { makeRecords, toNdjson, type MadeRecord } from './made-records.ts'
import { installPouch, loadPouch, type Pouch, type PouchDatabase, type PouchDocument } from './pouchdb.ts'
import type { SourceOrder } from './pouchdb-source.ts'
import { createRelayedPair, type RelayedPair } from './relayed-pair.ts'

const recordsUnlessSaid = 100_000
const changeCounts = [1, 100, 1_000] as const
const roundsMax = 3
const documentsPerOrder = 1_000
/** PouchDB's own choice is 100 documents at a time. */
const largerBatch = 1_000

interface PouchPeer {
  store(records: readonly MadeRecord[]): Promise<void>
  compress(isCompressing: boolean): void
  /** Pulls everything that `target` lacks. */
  pull(target: PouchDatabase, batchSize?: number): Promise<number>
  openTarget(): Promise<PouchDatabase>
  readonly relay: CountingRelay
  close(): Promise<void>
}

const toDocument = ({ key, payload }: MadeRecord): PouchDocument => ({
  _id: key,
  ...(JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>),
})

async function startPouchPeer(packagesFolder: string): Promise<PouchPeer> {
  const Database: Pouch = loadPouch(packagesFolder)
  const program = fileURLToPath(new URL('pouchdb-source.ts', import.meta.url))
  const child = fork(program, [packagesFolder, join(await makeFolder('hs-bench-'), 'source')])
  atStop(async () => void child.kill())
  const order = (told: SourceOrder): void => void child.send(told)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  const relay = await startCountingRelay(port)
  const url = `http://127.0.0.1:${relay.port}/db`
  return {
    relay,
    async store(records) {
      for (let at = 0; at < records.length; at += documentsPerOrder) {
        const stored = once(child, 'message')
        order({ store: records.slice(at, at + documentsPerOrder).map(toDocument) })
        await stored
      }
    },
    compress: isCompressing => order({ compress: isCompressing }),
    async pull(target, batchSize) {
      const { ok, docs_written } = await Database.replicate(url, target, batchSize === undefined ? {} : { batch_size: batchSize })
      if (!ok) throw new Error('PouchDB did not replicate')
      return docs_written
    },
    openTarget: async () => new Database(join(await makeFolder('hs-bench-'), 'target'), { adapter: 'leveldb' }),
    async close() {
      await relay.close()
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

/** Bytes and milliseconds of one pull, which has to write `count` documents. */
async function measurePull(peer: PouchPeer, target: PouchDatabase, count: number, batchSize?: number) {
  peer.relay.reset()
  let written = 0
  const ms = await measureMs(async () => void (written = await peer.pull(target, batchSize)))
  if (written !== count) throw new Error(`PouchDB brought over ${written} of ${count} documents`)
  return { bytes: peer.relay.bytes(), ms }
}

interface Trial {
  readonly agents: number
  readonly pouch: number
  readonly pouchGzip: number
}

async function measureChanges(pair: RelayedPair, peer: PouchPeer, targets: Targets, changed: readonly MadeRecord[]): Promise<Trial> {
  await pair.stop('away')
  await pair.post('home', toNdjson(changed))
  pair.resetBytes()
  await pair.start('away')
  await pair.awaitAgreement()
  await peer.store(changed)
  const { bytes: pouch } = await measurePull(peer, targets.plain, changed.length)
  peer.compress(true)
  const { bytes: pouchGzip } = await measurePull(peer, targets.compressed, changed.length)
  peer.compress(false)
  return { agents: pair.bytes(), pouch, pouchGzip }
}

interface Targets {
  readonly plain: PouchDatabase
  readonly compressed: PouchDatabase
}

async function copyFirst(pair: RelayedPair, peer: PouchPeer, records: readonly MadeRecord[], say: BenchContext['say']) {
  await pair.start('home')
  await pair.post('home', toNdjson(records))
  await peer.store(records)
  const plain = await peer.openTarget()
  const compressed = await peer.openTarget()
  say('first copy, agents')
  pair.resetBytes()
  await pair.start('away')
  const agents = { ms: await pair.awaitAgreement(), bytes: pair.bytes() }
  if (agents.bytes === 0) throw new Error('the links of the agents do not lead through the relays')
  say('first copy, PouchDB')
  const pouch = await measurePull(peer, plain, records.length)
  say('first copy, PouchDB with larger batches')
  const larger = await measurePull(peer, compressed, records.length, largerBatch)
  return { targets: { plain, compressed }, agents, pouch, larger }
}

export const bench: Bench = {
  question: 'Bytes of both directions and time to bring over records, against replication from PouchDB to PouchDB over HTTP',
  isSeparate: true,
  async run(context) {
    const { say, records: count = recordsUnlessSaid } = context
    const packagesFolder = await makeFolder('hs-bench-')
    await installPouch(packagesFolder)
    const peer = await startPouchPeer(packagesFolder)
    const pair = await createRelayedPair()
    const records = makeRecords(count, 'part', 1)
    const { targets, agents, pouch, larger } = await copyFirst(pair, peer, records, say)
    say(JSON.stringify({ agents, pouch, larger }))

    const trials = new Map<number, Trial[]>(changeCounts.map(changes => [changes, []]))
    const rounds = Math.min(context.rounds, roundsMax)
    for (let round = 1; round <= rounds; round++) {
      for (const [changes, made] of trials) {
        say(`round ${round} of ${rounds}: ${changes} changed`)
        const step = Math.floor(count / changes)
        const changed = makeRecords(changes, '', round * 100_003 + changes).map((record, i) => ({
          ...record,
          key: records[(i * step + round) % count]!.key,
        }))
        made.push(await measureChanges(pair, peer, targets, changed))
        say(JSON.stringify(made.at(-1)))
      }
    }
    await targets.plain.close()
    await targets.compressed.close()
    await peer.close()
    await pair.close()

    const fewer = (times: number): Target => ({ ratioMax: Number((1 / times).toPrecision(3)) })
    const ofChanges = (changes: number, label: string, pick: (trial: Trial) => number, target?: Target): Measure => {
      const made = trials.get(changes) ?? []
      return {
        name: `${changes} of ${count} changed`,
        unit: 'B',
        baseline: { label, samples: made.map(pick) },
        candidate: { label: 'agents', samples: made.map(trial => trial.agents) },
        ...(target !== undefined && { target }),
      }
    }
    const rate = (ms: number): number => (count * 1000) / ms
    const ofCopy = (label: string, { ms }: { ms: number }, target?: Target): Measure => ({
      name: `first copy of ${count}`,
      unit: 'records/s',
      baseline: { label, samples: [rate(ms)] },
      candidate: { label: 'agents', samples: [rate(agents.ms)] },
      ...(target !== undefined && { target }),
    })
    const goals = [8, 1.7, 1.4]
    return [
      ...changeCounts.map((changes, i) => ofChanges(changes, 'PouchDB', trial => trial.pouch, fewer(goals[i]!))),
      ...changeCounts.map(changes => ofChanges(changes, 'PouchDB, gzip', trial => trial.pouchGzip)),
      {
        name: `first copy of ${count}`,
        unit: 'B',
        baseline: { label: 'PouchDB', samples: [pouch.bytes] },
        candidate: { label: 'agents', samples: [agents.bytes] },
      },
      ofCopy('PouchDB', pouch, { ratioMin: 10 }),
      ofCopy(`PouchDB, batches of ${largerBatch}`, larger),
    ]
  },
}

/**
 * What does reconciling cost in processor time and memory, and how do they and the bytes grow with the records held and with the origins?
 * Two agents in processes of their own; for origins, two replicas in this one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { makeFolder } from '../test/agent-process.ts'
import { createMemoryStore } from '../test/memory-store.ts'
import { createTestLink, openTestReplica, put, syncPair } from '../test/replica-pair.ts'
import { systemHash } from '../agent/ports.ts'
import { createCommonGrounds } from '../sync/common-ground.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import type { Bench, BenchContext, Measure, Target } from './bench.ts'
import { COLLECTION, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords, toNdjson } from './made-records.ts'
import { cpuMsOf, residentOf } from './process-cost.ts'
import { GROUP_RECORDS, openRawLevel } from './raw-level.ts'
import { transfer } from './raw-transfer.ts'
import { awaitMeeting, createRelayedPair, type RelayedPair, type Side } from './relayed-pair.ts'

const recordsUnlessSaid = 100_000
const fewRecords = 10_000
const recordsPerPart = 100_000
const changes = 10_000
/** Until what a start has left behind is quiet. */
const settleMs = 3_000
const stateTarget: Target = { candidateMax: 4 }
const peakTarget: Target = { candidateMax: 64 }

interface Cost {
  /** Megabytes above what the agent had when it was idle. */
  readonly peak: number
  readonly cpuMs: number
}

interface PairCosts {
  readonly firstCopy: Readonly<Record<Side, Cost>>
  /** Of receiving `changes` changed records, when both hold everything. */
  readonly changed: Cost
  /** Megabytes of objects that an idle agent holds behind a garbage collection, in JavaScript. */
  readonly heap: number
}

/** A watch on one agent from a moment at which it was idle. */
async function watch(pair: RelayedPair, side: Side, idle: number) {
  const { pid } = pair.agent(side)
  const cpuMs = await cpuMsOf(pid)
  let peak = idle
  const look = async (): Promise<void> => void (peak = Math.max(peak, (await residentOf(pid)).anonymous))
  return { look, cost: async (): Promise<Cost> => ({ peak: peak - idle, cpuMs: (await cpuMsOf(pid)) - cpuMs }) }
}

async function settle(pair: RelayedPair, side: Side): Promise<number> {
  await delay(settleMs)
  return (await residentOf(pair.agent(side).pid)).anonymous
}

async function measurePair(count: number, say: BenchContext['say']): Promise<PairCosts> {
  const pair = await createRelayedPair()
  say(`${count} records: an agent that holds nothing`)
  await pair.start('away')
  const awayIdle = await settle(pair, 'away')
  await pair.stop('away')
  await pair.start('home')
  for (let from = 0; from < count; from += recordsPerPart) {
    say(`${count} records: storing, ${from} done`)
    await pair.post('home', toNdjson(makeRecords(Math.min(recordsPerPart, count - from), `part${from}`, from + 1)))
  }
  // What an ingest leaves in memory is not the sync's.
  await pair.stop('home')
  await pair.start('home')
  const homeIdle = await settle(pair, 'home')

  say(`${count} records: first copy`)
  pair.resetBytes()
  await pair.start('away')
  const home = await watch(pair, 'home', homeIdle)
  let away = await watch(pair, 'away', awayIdle)
  let hasBegun = false
  await pair.awaitAgreement(COLLECTION, async () => {
    // Its start is no part of the exchange.
    if (!hasBegun && pair.hasBegun()) {
      hasBegun = true
      away = await watch(pair, 'away', awayIdle)
    }
    await home.look()
    await away.look()
  })
  const firstCopy = { home: await home.cost(), away: await away.cost() }

  say(`${count} records: ${changes} changed`)
  for (const side of ['home', 'away'] as const) await pair.stop(side)
  for (const side of ['home', 'away'] as const) await pair.start(side)
  await awaitMeeting(pair)
  const idle = await settle(pair, 'away')
  const heap = (await pair.agent('away').heapBytes()) / 1e6
  const receiver = await watch(pair, 'away', idle)
  pair.resetBytes()
  await pair.post('home', toNdjson(makeRecords(changes, 'part0', 7)))
  await pair.awaitAgreement(COLLECTION, () => receiver.look())
  const costs = { firstCopy, changed: await receiver.cost(), heap }
  await pair.close()
  say(JSON.stringify(costs))
  return costs
}

/** Processor time of the plain transfer, both ends in this process: milliseconds. */
async function measureRawCpu(count: number): Promise<number> {
  const raw = await openRawLevel(await makeFolder('hs-bench-'))
  const records = makeRecords(count, 'raw', 1)
  const before = process.cpuUsage()
  await transfer(records, raw)
  const { user, system } = process.cpuUsage(before)
  await raw.close()
  return (user + system) / 1000
}

const originCounts = [2, 128] as const
const changesOfOrigins = 100

/** Bytes and processor time for 100 changes between two replicas that hold 10,000 records and have heard of so many origins. */
async function measureOrigins(origins: number): Promise<{ readonly bytes: number; readonly cpuMs: number }> {
  const open = (seed: number): Promise<OpenReplica> => openTestReplica(createMemoryStore(), seed)
  const [a, b] = [await open(1), await open(2)]
  const records = makeRecords(fewRecords, 'origins', 1)
  const writers = [a, b]
  // The two are origins themselves. The others write a record each, before there are many to bring over to them.
  for (let i = 2; i < origins; i++) {
    const writer = await open(i + 1)
    writers.push(writer)
    await writeRecords(writer, makeRecords(1, `origin${i}`, i))
    await syncPair(writer, a)
  }
  await writeRecords(b, makeRecords(1, 'origin1', 1))
  for (const group of inGroups(records, GROUP_RECORDS)) await writeRecords(a, group)
  const commonGrounds = createCommonGrounds(systemHash)
  await syncPair(a, b, createTestLink(), { commonGrounds })
  const changed = records.filter((_, i) => i % (fewRecords / changesOfOrigins) === 0)
  await a.write(changed.map(({ key }, i) => put(COLLECTION, key, { note: 'c'.repeat(185), i })))
  let bytes = 0
  const link = createTestLink(Number.POSITIVE_INFINITY, message => {
    bytes += message.length
    return message
  })
  const before = process.cpuUsage()
  const results = await syncPair(a, b, link, { commonGrounds })
  const { user, system } = process.cpuUsage(before)
  if (!results.every(({ isComplete }) => isComplete)) throw new Error('a session did not end well')
  for (const writer of writers) await writer.close()
  return { bytes, cpuMs: (user + system) / 1000 }
}

async function compareOrigins({ rounds, say }: BenchContext): Promise<Measure[]> {
  const measured = new Map<number, { bytes: number; cpuMs: number }[]>(originCounts.map(origins => [origins, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const [origins, made] of measured) {
      say(`${origins} origins, round ${round}`)
      const sample = await measureOrigins(origins)
      if (round > 0) made.push(sample)
    }
  }
  const [few, many] = originCounts
  const compare = (unit: string, pick: (sample: { bytes: number; cpuMs: number }) => number): Measure => ({
    name: `${changesOfOrigins} of ${fewRecords} changed, in messages`,
    unit,
    baseline: { label: `${few} origins`, samples: measured.get(few)!.map(pick) },
    candidate: { label: `${many} origins`, samples: measured.get(many)!.map(pick) },
  })
  return [
    compare('B', ({ bytes }) => bytes),
    { ...compare('ms', ({ cpuMs }) => cpuMs), name: `${changesOfOrigins} of ${fewRecords} changed, processor time` },
  ]
}

export const bench: Bench = {
  question: 'Processor time and memory of sync sessions, and how they grow with records and origins (`--records N`)',
  isSeparate: true,
  async run(context) {
    const { say, records: count = recordsUnlessSaid } = context
    const few = await measurePair(fewRecords, say)
    const many = await measurePair(count, say)
    const rawCpuMs = await measureRawCpu(count)
    const measure = (name: string, unit: string, baseline: [string, number], candidate: [string, number], target?: Target): Measure => ({
      name,
      unit,
      baseline: { label: baseline[0], samples: [baseline[1]] },
      candidate: { label: candidate[0], samples: [candidate[1]] },
      ...(target !== undefined && { target }),
    })
    const grow = (name: string, unit: string, pick: (costs: PairCosts) => number, target?: Target): Measure =>
      measure(name, unit, [`${fewRecords} records`, pick(few)], [`${count} records`, pick(many)], target)
    const perRecord = (cpuMs: number, records: number): number => (cpuMs * 1000) / records
    const { home, away } = many.firstCopy
    return [
      measure(
        'state held in memory, idle',
        'MB',
        [`all, ${fewRecords} records`, few.heap],
        [`more, ${count} records`, Math.max(0, many.heap - few.heap)],
        stateTarget,
      ),
      grow('first copy, sender: peak above idle', 'MB', ({ firstCopy }) => firstCopy.home.peak, peakTarget),
      grow('first copy, receiver: peak above idle', 'MB', ({ firstCopy }) => firstCopy.away.peak, peakTarget),
      grow(`${changes} changed, receiver: peak above idle`, 'MB', ({ changed }) => changed.peak, peakTarget),
      grow(`${changes} changed, receiver: processor time`, 'ms', ({ changed }) => changed.cpuMs),
      measure(
        `first copy of ${count}, processor time a record`,
        'µs',
        ['TCP and LevelDB, both ends', perRecord(rawCpuMs, count)],
        ['agents, both', perRecord(home.cpuMs + away.cpuMs, count)],
      ),
      measure(
        `first copy of ${count}, processor time a record, of it the sender`,
        'µs',
        ['TCP and LevelDB, both ends', perRecord(rawCpuMs, count)],
        ['agent', perRecord(home.cpuMs, count)],
      ),
      ...(await compareOrigins(context)),
    ]
  },
}

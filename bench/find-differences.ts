/**
 * What does it cost to find what differs, when two replicas know the same? Sketches against the digest tree, in bytes of both directions and round trips,
 * until both sides know; then the repair as a whole, in milliseconds. DIFFERENCES_RECORDS sets the number of records.
 */
import { systemHash } from '../agent/ports.ts'
import { openLevelStore } from '../agent/level-store.ts'
import { createCodec } from '../agent/codec.ts'
import { createChannel, type Channel, type Link } from '../sync/channel.ts'
import type { ExchangeStats } from '../sync/exchange.ts'
import { decodeMessage } from '../sync/message-codec.ts'
import type { Message } from '../sync/messages.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import { PLAIN_RELATION } from '../sync/partial.ts'
import { driveRepair, serveRepair } from '../sync/repair.ts'
import { makeFolder } from '../test/agent-process.ts'
import { createTestLink, helloOf } from '../test/replica-pair.ts'
import { runSession } from '../sync/session.ts'
import type { Arm, Bench, Measure } from './bench.ts'
import { COLLECTION, openBenchReplica, writeRecords } from './bench-replica.ts'
import { inGroups, makeRecords } from './made-records.ts'
import { GROUP_RECORDS, writeInGroups } from './raw-level.ts'

const records = Number(process.env['DIFFERENCES_RECORDS'] ?? 100_000)
const DIFFERENCES = [0, 1, 100, 10_000]
const codec = createCodec()

/** Messages that find; the others move what was found. */
const FINDING: ReadonlySet<Message['kind']> = new Set<Message['kind']>([
  'repair',
  'get-cells',
  'cells',
  'get-symbols',
  'symbols',
  'get-nodes',
  'nodes',
  'get-items',
  'get-keys',
  'items',
  'repaired',
])

interface Cost {
  /** Until it is known which items differ, by their symbols; without the names of items (`get-keys`, which only sketches need). */
  readonly foundBytes: number
  readonly allBytes: number
  readonly roundTrips: number
  readonly ms: number
}

async function repair(driver: OpenReplica, server: OpenReplica, isSketched: boolean): Promise<Cost> {
  let foundBytes = 0
  let allBytes = 0
  let requests = 0
  const link = createTestLink(Number.POSITIVE_INFINITY, bytes => {
    const kind = decodeMessage(codec, bytes)?.kind
    if (kind !== undefined && FINDING.has(kind)) {
      allBytes += bytes.length
      if (kind !== 'get-keys' && !(kind === 'items' && isSketched)) foundBytes += bytes.length
      if (kind === 'repair' || kind.startsWith('get-')) requests += 1
    }
    return bytes
  })
  const stats: ExchangeStats = { itemsSent: 0, itemsReceived: 0, malformed: 0, drifted: 0 }
  const run = async (replica: OpenReplica, channel: Channel, side: typeof serveRepair): Promise<void> => {
    const snapshot = await replica.snapshot()
    const mine = await snapshot.collection(COLLECTION)
    if (mine !== undefined) await side({ channel, replica, hash: systemHash, stats, relation: PLAIN_RELATION, isSketched }, mine)
    await snapshot.close()
  }
  const channels = link.ends.map((end: Link) => createChannel(end, codec))
  const startMs = performance.now()
  await Promise.all([run(driver, channels[0]!, driveRepair), run(server, channels[1]!, serveRepair)])
  // Both sides send `repair` at once: one round trip.
  return { foundBytes, allBytes, roundTrips: requests - 1, ms: performance.now() - startMs }
}

/** Takes every n-th item from one side, below its vector. */
async function lose(replica: OpenReplica, count: number): Promise<void> {
  const snapshot = await replica.snapshot()
  const every = Math.floor(records / Math.max(1, count))
  const items = []
  let at = 0
  for await (const item of (await snapshot.collection(COLLECTION))!.items(0, 0))
    if (items.length < count && at++ % every === 0) items.push(item)
  await snapshot.close()
  for (const group of inGroups(items, 500)) await replica.dropItems(COLLECTION, 1, group)
}

export const bench: Bench = {
  isSeparate: true,
  question: `Finding d differences among ${records} records, at equal knowledge: sketches against the digest tree`,
  async run({ rounds, say }) {
    const [a, b] = await Promise.all(
      [0, 1].map(async () => openBenchReplica(await openLevelStore(await makeFolder('hs-bench-')), 'deferred')),
    )
    if (a === undefined || b === undefined) throw new Error('two replicas were opened')
    await writeInGroups(inGroups(makeRecords(records, 'diff'), GROUP_RECORDS), group => writeRecords(a, group))
    say('the first sync')
    const link = createTestLink()
    const session = (replica: OpenReplica, i: 0 | 1) =>
      runSession({
        link: link.ends[i],
        replica,
        codec,
        hash: systemHash,
        isInitiator: i === 0,
        hello: () => helloOf(replica),
        refusal: () => undefined,
      })
    await Promise.all([session(a, 0), session(b, 1)])

    const measures: Measure[] = []
    for (const d of DIFFERENCES) {
      const costs: { readonly sketch: Cost[]; readonly tree: Cost[] } = { sketch: [], tree: [] }
      for (let round = 0; round < rounds; round++) {
        say(`d = ${d}, round ${round + 1} of ${rounds}`)
        for (const arm of ['sketch', 'tree'] as const) {
          if (d > 0) await lose(b, d)
          costs[arm].push(await repair(a, b, arm === 'sketch'))
        }
      }
      const arm = (label: 'sketch' | 'tree', value: (cost: Cost) => number): Arm => ({ label, samples: costs[label].map(value) })
      const compare = (what: string, unit: string, value: (cost: Cost) => number): Measure => ({
        name: `d = ${d}: ${what}`,
        unit,
        baseline: arm('tree', value),
        candidate: arm('sketch', value),
      })
      measures.push(
        compare('to find them', 'B', cost => cost.foundBytes),
        compare('and their names', 'B', cost => cost.allBytes),
        compare('round trips', 'trips', cost => cost.roundTrips),
        compare('the whole repair', 'ms', cost => cost.ms),
      )
    }
    await a.close()
    await b.close()
    return measures
  },
}

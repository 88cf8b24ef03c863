/** A process that records peers as fast as it can, for being killed: two sets in turn, each large enough for several writes of a page. */
import { pino } from 'pino'
import { openPeerMemory } from '../../agent/peer-memory.ts'

const [dataDir = '.'] = process.argv.slice(2)
const setOf = (port: number) =>
  Array.from({ length: 256 }, (_, i) => ({
    nodeId: `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`,
    address: { host: '10.0.0.1', port },
  }))
const sets = [setOf(1_000), setOf(2_000)]
let looks = 0
const memory = await openPeerMemory({
  dataDir,
  nodeId: 'ffffffff-0000-4000-8000-000000000000',
  monotonicMs: () => performance.now(),
  log: pino({ level: 'silent' }),
  timings: { lookMs: 1, writeIntervalMs: 0 },
})
memory.watch(() => sets[(looks += 1) % 2] ?? [])

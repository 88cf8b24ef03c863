/** Every bench by its name, in the order in which they run. */
import type { Bench } from './bench.ts'
import { bench as diskWrites } from './disk-writes.ts'
import { bench as durableWrites } from './durable-writes.ts'
import { bench as findDifferences } from './find-differences.ts'
import { bench as firstSync } from './first-sync.ts'
import { bench as ingestHttp } from './ingest-http.ts'
import { bench as ingestStore } from './ingest-store.ts'
import { bench as memory } from './memory.ts'
import { bench as outageLog } from './outage-log.ts'
import { bench as pointReads } from './point-reads.ts'
import { bench as scan } from './scan.ts'
import { bench as search } from './search.ts'
import { bench as slowDisk } from './slow-disk.ts'
import { bench as slowLink } from './slow-link.ts'
import { bench as startUp } from './start-up.ts'
import { bench as swarmSimulated } from './swarm-simulated.ts'
import { bench as swarmVsSerf } from './swarm-vs-serf.ts'
import { bench as syncBytes } from './sync-bytes.ts'
import { bench as syncCost } from './sync-cost.ts'
import { bench as syncVsPouchdb } from './sync-vs-pouchdb.ts'

export const benchByName: ReadonlyMap<string, Bench> = new Map([
  ['ingest-store', ingestStore],
  ['ingest-http', ingestHttp],
  ['durable-writes', durableWrites],
  ['outage-log', outageLog],
  ['slow-disk', slowDisk],
  ['disk-writes', diskWrites],
  ['scan', scan],
  ['point-reads', pointReads],
  ['search', search],
  ['first-sync', firstSync],
  ['slow-link', slowLink],
  ['find-differences', findDifferences],
  ['start-up', startUp],
  ['memory', memory],
  ['swarm-simulated', swarmSimulated],
  ['swarm-vs-serf', swarmVsSerf],
  ['sync-bytes', syncBytes],
  ['sync-vs-pouchdb', syncVsPouchdb],
  ['sync-cost', syncCost],
])

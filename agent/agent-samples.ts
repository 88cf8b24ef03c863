/** Metrics of the replica, gossip and sync, read at the time of a scrape. */
import type { OpenReplica } from '../sync/open-replica.ts'
import type { Comeback } from './comeback.ts'
import type { Gossip } from './gossip.ts'
import type { Metrics, Sample } from './metrics.ts'
import type { OutageLog } from './outage-log.ts'
import { collectSwarmSamples } from './swarm-samples.ts'
import type { Synchroniser } from './synchroniser.ts'

interface Sources {
  readonly replica: OpenReplica
  readonly outageLog: OutageLog | undefined
  readonly comeback: Comeback | undefined
  readonly gossip: () => Gossip | undefined
  readonly synchroniser: () => Synchroniser | undefined
}

export function addAgentSamples(metrics: Metrics, { replica, outageLog, comeback, gossip, synchroniser }: Sources): void {
  metrics.addCollector(function* () {
    const { conflicts, clocksAhead, newOrigins, quarantined } = replica.counters
    yield counter('conflicts_total', 'Concurrent versions that met here, of which lww dropped one.', conflicts)
    yield counter('clocks_ahead_total', 'Received versions whose time was too far ahead to move the clock.', clocksAhead)
    yield counter('new_origins_total', 'Times that this store took a new origin because its history had forked.', newOrigins)
    yield { name: 'quarantined_versions', help: 'Versions kept aside for a person to look at.', type: 'gauge', value: quarantined }

    for (const kind of ['replayed', 'repaired', 'rebuilt', 'missing'] as const) {
      const help = 'Whether the database came back from damage at this start, and how.'
      yield { name: 'store_recovered', help, type: 'gauge', value: comeback?.kind === kind ? 1 : 0, labels: { kind } }
    }
    const kept = outageLog?.state()
    if (kept !== undefined) {
      yield { name: 'outage_log_bytes', help: 'Size of the outage log.', type: 'gauge', value: kept.bytes }
      yield counter('outage_log_dropped_total', 'Writes that left the outage log at its bound.', kept.droppedWrites)
      yield counter('outage_log_damaged_bytes_total', 'Bytes of the outage log that could not be read.', kept.damagedBytes)
    }

    const totals = synchroniser()?.totals()
    if (totals !== undefined) {
      yield counter('sync_sessions_total', 'Sync sessions that ended, with whatever result.', totals.sessions)
      yield counter('sync_failures_total', 'Sync sessions that ended early.', totals.failures)
      yield counter('sync_malformed_total', 'Received versions that were not versions.', totals.malformed)
      yield counter('sync_repairs_total', 'Collections that were compared by their digest trees.', totals.repairs)
      yield counter('sync_diverged_total', 'Collections that repair could not mend.', totals.diverged)
    }
    const running = gossip()
    if (running !== undefined) yield* collectSwarmSamples(running)
  })
}

function counter(name: string, help: string, value: number): Sample {
  return { name, help, type: 'counter', value }
}

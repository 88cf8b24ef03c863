/** Metrics of the replica, gossip and sync, read at the time of a scrape. */
import type { OpenReplica } from '../sync/open-replica.ts'
import type { Comeback } from './comeback.ts'
import type { DiskView, DiskWatch } from './disk-reserve.ts'
import type { DiskWrites } from './disk-writes.ts'
import type { Gossip } from './gossip.ts'
import type { Metrics, Sample } from './metrics.ts'
import type { OutageLog } from './outage-log.ts'
import type { LinkTraffic } from './peer-link.ts'
import { collectSwarmSamples } from './swarm-samples.ts'
import type { ScrubView } from './scrubber.ts'
import type { SyncRow } from './sync-state.ts'
import type { Synchroniser } from './synchroniser.ts'

interface Sources {
  readonly replica: OpenReplica
  readonly scrub: () => ScrubView
  readonly outageLog: OutageLog | undefined
  readonly disk: Pick<DiskWatch, 'view'>
  readonly diskWrites: Pick<DiskWrites, 'bytes'>
  readonly comeback: Comeback | undefined
  readonly gossip: () => Gossip | undefined
  readonly synchroniser: () => Synchroniser | undefined
  readonly traffic: () => Readonly<LinkTraffic> | undefined
}

export function addAgentSamples(metrics: Metrics, sources: Sources): void {
  const { replica, scrub, outageLog, disk, diskWrites, comeback, gossip, synchroniser, traffic } = sources
  metrics.addCollector(function* () {
    const { conflicts, clocksAhead, newOrigins, quarantined } = replica.counters
    yield counter('conflicts_total', 'Concurrent versions that met here, of which lww dropped one.', conflicts)
    yield counter('clocks_ahead_total', 'Received versions whose time was too far ahead to move the clock.', clocksAhead)
    yield counter('new_origins_total', 'Times that this store took a new origin because its history had forked.', newOrigins)
    yield { name: 'quarantined_versions', help: 'Versions kept aside for a person to look at.', type: 'gauge', value: quarantined }

    const scrubbed = scrub()
    yield counter('scrub_rows_total', 'Rows of the store that scrubs have looked at.', scrubbed.rows)
    yield counter('scrub_passes_total', 'Scrubs of the whole store that have ended.', scrubbed.passes)
    yield counter('scrub_mended_total', 'Keys of which something beside the record was wrong and was made again.', scrubbed.mended)
    yield counter('scrub_strays_total', 'Rows of nothing that were removed.', scrubbed.strays)
    yield counter('scrub_sums_total', 'Sums and counts that were wrong and were computed again.', scrubbed.sums)
    yield counter('scrub_damaged_total', 'Versions that were not what was written, now in quarantine.', scrubbed.damaged)
    yield counter('scrub_lost_total', 'Versions that were found to be gone.', scrubbed.lost)
    yield counter('scrub_recovered_total', 'Versions that were gone and are back.', scrubbed.recovered)
    yield { name: 'scrub_missing', help: 'Versions that are gone and not back.', type: 'gauge', value: scrubbed.missing }
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

    yield* diskSamples(disk.view(), diskWrites.bytes())

    const totals = synchroniser()?.totals()
    if (totals !== undefined) {
      yield counter('sync_sessions_total', 'Sync sessions that ended, with whatever result.', totals.sessions)
      yield counter('sync_failures_total', 'Sync sessions that ended early.', totals.failures)
      yield counter('sync_malformed_total', 'Received versions that were not versions.', totals.malformed)
      yield counter('sync_repairs_total', 'Collections that were compared item by item (L2).', totals.repairs)
      yield counter(
        'sync_drifted_total',
        'Items that a repair found missing or altered on one side though both vectors cover them.',
        totals.drifted,
      )
      yield* progressSamples(synchroniser()?.rows() ?? [])
      yield counter('sync_diverged_total', 'Collections that repair could not mend.', totals.diverged)
    }
    const carried = traffic()
    if (carried !== undefined) yield* linkSamples(carried)
    const running = gossip()
    if (running !== undefined) yield* collectSwarmSamples(running)
  })
}

function counter(name: string, help: string, value: number): Sample {
  return { name, help, type: 'counter', value }
}

function* diskSamples({ sizeBytes, freeBytes, reserveBytes, isFull }: DiskView, writtenBytes: number | undefined): Generator<Sample> {
  yield { name: 'disk_size_bytes', help: 'Size of the data disk.', type: 'gauge', value: sizeBytes }
  yield { name: 'disk_free_bytes', help: 'What the agent may still use of the data disk.', type: 'gauge', value: freeBytes }
  yield { name: 'disk_reserve_bytes', help: 'Free space below which new records are refused.', type: 'gauge', value: reserveBytes }
  yield { name: 'disk_full', help: 'Whether new records are refused for want of room.', type: 'gauge', value: isFull ? 1 : 0 }
  if (writtenBytes !== undefined)
    yield counter('disk_written_bytes_total', 'What this process made the system write to disk.', writtenBytes)
}

function* linkSamples(traffic: Readonly<LinkTraffic>): Generator<Sample> {
  const messages = 'Bytes of sync messages, before they are packed into frames and after they are unpacked, by direction.'
  const frames = 'Bytes of frames on the sync links, by direction; TLS, TCP and IP come on top.'
  yield { ...counter('link_message_bytes_total', messages, traffic.sentMessageBytes), labels: { direction: 'sent' } }
  yield { ...counter('link_message_bytes_total', messages, traffic.receivedMessageBytes), labels: { direction: 'received' } }
  yield { ...counter('link_frame_bytes_total', frames, traffic.sentFrameBytes), labels: { direction: 'sent' } }
  yield { ...counter('link_frame_bytes_total', frames, traffic.receivedFrameBytes), labels: { direction: 'received' } }
}

function* progressSamples(rows: readonly SyncRow[]): Generator<Sample> {
  const gauge = (name: string, help: string, value: (row: SyncRow) => number): Sample => ({
    name,
    help,
    type: 'gauge',
    value: rows.reduce((sum, row) => sum + value(row), 0),
  })
  const left = 'of the sync sessions under way, with all peers and in both directions; an upper bound.'
  yield gauge('sync_remaining_records', `Versions that are left ${left}`, row => row.remainingRecords ?? 0)
  yield gauge('sync_remaining_bytes', `Bytes that are left ${left}`, row => row.remainingBytes ?? 0)
  yield gauge('sync_records_per_second', 'Versions moved by sync sessions, over the last ten seconds.', row => row.rate.recordsPerSecond)
  yield gauge(
    'sync_bytes_per_second',
    'Bytes of messages moved by sync sessions, over the last ten seconds.',
    row => row.rate.bytesPerSecond,
  )
}

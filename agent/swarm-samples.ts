/** Metrics of the swarm, read at the time of a scrape. Labels have few values, whatever the size of the swarm. */
import type { Volume } from '../swarm/counters.ts'
import type { MemberStatus, MemberView } from '../swarm/member.ts'
import type { Gossip } from './gossip.ts'
import type { Sample } from './metrics.ts'

export function* collectSwarmSamples(gossip: Gossip): Generator<Sample> {
  const stats = gossip.stats()
  const members = gossip.members()
  yield* memberSamples(members, gossip.departed())
  yield* detectorSamples(stats.core)
  yield* trafficSamples(stats)
  for (const [reason, value] of stats.rejectsByReason) {
    yield counter('gossip_rejects_total', 'Gossip packets, or claims in them, that were not taken.', value, { reason })
  }
  for (const [reason, value] of stats.compatRejectsByReason) {
    yield counter('gossip_compat_rejects_total', 'Heartbeats of HyperspaceDB that were not taken.', value, { reason })
  }
  for (const [code, value] of stats.faultsByCode) {
    yield counter('gossip_send_faults_total', 'Gossip packets that the system did not send.', value, { code })
  }
  yield gauge(
    'gossip_multicast_interfaces',
    'Interfaces that have joined the discovery group.',
    stats.interfaces.filter(({ joined }) => joined).length,
  )
  yield gauge(
    'gossip_multicast_mute',
    '1 while peers answer by unicast and the discovery group brings nothing.',
    stats.isMulticastMute ? 1 : 0,
  )
  yield gauge('gossip_strangers', 'Senders that were heard and are not listed, at most 64.', gossip.observed.strangers().length)
}

function* memberSamples(members: readonly MemberView[], departed: readonly MemberView[]): Generator<Sample> {
  const states: readonly MemberStatus[] = ['alive', 'suspect', 'dead', 'left']
  const help = 'Other members of the swarm by state; those that died or left for as long as they are remembered.'
  for (const state of states) {
    const count = [...members, ...departed].filter(({ status }) => status === state).length
    yield gauge('swarm_members', help, count, { state })
  }
  const skews = members.filter(({ directMs }) => directMs !== undefined).map(({ clockSkewMs }) => Math.abs(clockSkewMs))
  yield gauge(
    'peer_clock_skew_ms',
    'Largest difference between the wall clock of a peer and ours, without its sign.',
    Math.max(0, ...skews),
  )
}

function* detectorSamples(core: ReturnType<Gossip['stats']>['core']): Generator<Sample> {
  const probes = { answered: core.probesAnswered, failed: core.probeFailures - core.probesVoided, void: core.probesVoided }
  const probesHelp = 'Probes of members that ended, by what became of them; void ones say something about this node.'
  for (const [result, value] of Object.entries(probes)) yield counter('swarm_probes_total', probesHelp, value, { result })
  const suspicionsHelp = 'Suspicions of members, by who raised them.'
  yield counter('swarm_suspicions_total', suspicionsHelp, core.suspicionsRaised, { by: 'this-node' })
  yield counter('swarm_suspicions_total', suspicionsHelp, core.suspicionsHeard, { by: 'others' })
  yield counter('swarm_false_suspicions_total', 'Suspicions, whoever raised them, that ended with the member alive.', core.suspicionsFalse)
  yield counter('swarm_refutations_total', 'Times that this node had to refute that it was suspected or held dead.', core.refutations)
  const deathsHelp = 'Members declared dead, by who did.'
  yield counter('swarm_deaths_total', deathsHelp, core.deathsDeclared, { by: 'this-node' })
  yield counter('swarm_deaths_total', deathsHelp, core.deathsHeard, { by: 'others' })
  yield counter('swarm_isolations_total', 'Times that packets came again after none had come for long.', core.isolationsEnded)
  yield counter('swarm_stalls_total', 'Times that this process or board stood still.', core.stalls)
}

function* trafficSamples(stats: ReturnType<Gossip['stats']>): Generator<Sample> {
  const volumes: readonly (readonly [string, ReadonlyMap<string, Volume>])[] = [
    ['received', stats.core.receivedByKind],
    ['sent', stats.core.sentByKind],
  ]
  for (const [direction, volumeByKind] of volumes) {
    for (const [kind, { packets, bytes }] of volumeByKind) {
      const labels = { direction, kind }
      yield counter('gossip_packets_total', 'Gossip packets that were taken or made, by the kind of their first message.', packets, labels)
      yield counter('gossip_bytes_total', 'Bytes of these packets, without headers of UDP and IP.', bytes, labels)
    }
  }
  for (const direction of ['received', 'sent'] as const) {
    for (const cast of ['unicast', 'multicast'] as const) {
      const labels = { direction, cast }
      yield counter(
        'gossip_socket_packets_total',
        'Packets that went through the sockets of gossip, refused ones too.',
        stats[direction][cast].packets,
        labels,
      )
      yield counter(
        'gossip_socket_bytes_total',
        'Bytes of these packets, without headers of UDP and IP.',
        stats[direction][cast].bytes,
        labels,
      )
    }
  }
}

function counter(name: string, help: string, value: number, labels?: Record<string, string>): Sample {
  return { name, help, type: 'counter', value, ...(labels && { labels }) }
}

function gauge(name: string, help: string, value: number, labels?: Record<string, string>): Sample {
  return { name, help, type: 'gauge', value, ...(labels && { labels }) }
}

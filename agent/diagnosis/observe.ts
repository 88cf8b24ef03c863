/** Puts together what the parts of an agent have observed of the swarm (shape.ts). */
import { networkInterfaces } from 'node:os'
import type { Clock } from '../../base/ports.ts'
import { sameAddress } from '../../swarm/address.ts'
import type { Address } from '../../swarm/address.ts'
import { DEFAULT_SWARM_NAME } from '../../swarm/options.ts'
import { swarmTag } from '../../swarm/packet.ts'
import { formatHostPort } from '../config-address.ts'
import type { Config } from '../config.ts'
import { chooseInterfaces, familyOf, leftOutInterfaces } from '../gossip-interfaces.ts'
import type { Gossip } from '../gossip.ts'
import type { LinkRecord } from '../link-record.ts'
import { systemHash } from '../ports.ts'
import type { Stranger } from '../strangers.ts'
import { formatKeyId, type SwarmKey } from '../swarm-keys.ts'
import type { DiagnosisJson } from './shape.ts'

export interface ObservedAgent {
  readonly config: Config
  readonly nodeId: string
  readonly nodeName: string
  readonly version: string
  readonly uptimeSecs: number
  readonly clock: Clock
  readonly keys: readonly SwarmKey[]
  /** Gossip address of a double of this node. */
  readonly duplicate: string | undefined
  /** Undefined when gossip is off, or not up yet. */
  readonly swarm: { readonly gossip: Gossip; readonly links: Pick<LinkRecord, 'last'>; readonly port: number } | undefined
}

export function observeSwarm(agent: ObservedAgent): DiagnosisJson {
  const { config, clock, swarm } = agent
  const nowMs = clock.monotonicMs()
  const ago = (atMs: number | undefined): number | null => (atMs === undefined ? null : Math.max(0, Math.round(nowMs - atMs)))
  const found = readInterfaces()
  const named = config.gossipInterfaces.length === 0 ? undefined : config.gossipInterfaces
  const family = familyOf(config.gossipMulticast?.host)
  const chosen = chooseInterfaces(found, named, config.gossipHost, family)
  const stats = swarm?.gossip.stats()
  const observed = swarm?.gossip.observed
  const heard = observed?.groupHeardMs()
  const members = swarm?.gossip.members() ?? []

  const isSelf = ({ host, port }: Address): boolean =>
    port === swarm?.port && Object.values(found).some(list => list?.some(({ address }) => address === host))
  const answers = observed?.seedAnswers() ?? []
  const compat = swarm?.gossip.compatPeers() ?? []
  /** Who is listed and has answered there, from whatever address; or a node of another program. */
  const answeredBy = (seed: Address): string | null => {
    const nodeId = answers.find(({ address }) => sameAddress(address, seed))?.nodeId
    const member = members.find(one => one.nodeId === nodeId || sameAddress({ host: one.host, port: one.gossipPort }, seed))
    return member?.nodeId ?? compat.find(({ address }) => sameAddress(address, seed))?.heartbeat.nodeId ?? null
  }

  return {
    node: {
      node_id: agent.nodeId,
      node_name: agent.nodeName,
      version: agent.version,
      uptime_secs: agent.uptimeSecs,
      gossip_enabled: config.gossipPort !== undefined,
      gossip_host: config.gossipHost,
      gossip_port: swarm?.port ?? null,
      multicast_group: config.gossipMulticast === undefined ? null : formatHostPort(config.gossipMulticast),
      swarm_name: config.swarmName,
      swarm_tag: swarmTag(config.swarmName, systemHash),
      key_ids: agent.keys.map(({ id }) => id),
      wall_ms: Math.round(clock.wallMs()),
      clock_trusted: clock.trusted(),
      duplicate_identity: agent.duplicate ?? null,
    },
    interfaces: [
      ...(stats?.interfaces ?? []).map(({ name, address, joined, speaking, code }) => ({
        name,
        address,
        use: joined && speaking ? ('joined' as const) : ('failed' as const),
        left_out_for: null,
        error: code ?? null,
      })),
      ...leftOutInterfaces(found, named, config.gossipHost, family).map(({ name, address, reason }) => ({
        name,
        address,
        use: 'left-out' as const,
        left_out_for: reason,
        error: null,
      })),
    ],
    interfaces_missing: (named ?? []).filter(wanted => !chosen.some(({ name, address }) => name === wanted || address === wanted)),
    multicast: {
      mute: stats?.isMulticastMute ?? false,
      sent: stats?.sent.multicast.packets ?? 0,
      others_heard_ago_ms: ago(heard?.others),
      own_heard_ago_ms: ago(heard?.own),
    },
    seeds: (observed?.seeds() ?? []).map(({ host, port, addresses, code }) => ({
      seed: formatHostPort({ host, port }),
      addresses: addresses.map(address => ({
        addr: formatHostPort({ host: address, port }),
        is_self: isSelf({ host: address, port }),
        node_id: answeredBy({ host: address, port }),
      })),
      error: code ?? null,
    })),
    peers: members.map(member => {
      const address = { host: member.host, port: member.gossipPort }
      const link = swarm?.links.last(address)
      return {
        node_id: member.nodeId,
        node_name: member.nodeName,
        addr: formatHostPort(address),
        status: member.status,
        heard_ago_ms: Math.round(member.heardAgoMs),
        direct_ago_ms: ago(member.directMs),
        answered_ago_ms: ago(member.answeredMs),
        pings_unanswered: member.pingsUnanswered,
        rtt_ms: member.rttMs ?? null,
        clock_skew_ms: member.clockSkewMs,
        may_exchange: member.mayExchange,
        link: link === undefined ? null : { outcome: link.outcome, ago_ms: Math.round(nowMs - link.atMs) },
      }
    }),
    strangers: (observed?.strangers() ?? []).map(stranger => toStrangerJson(stranger, nowMs)),
    rejects: [...(stats?.rejectsByReason ?? [])].map(([reason, count]) => ({ reason, count })),
    faults: (observed?.faults() ?? []).map(({ what, code, count, lastMs }) => ({
      what,
      error: code,
      count,
      last_ago_ms: Math.round(nowMs - lastMs),
    })),
  }
}

function toStrangerJson(
  { host, port, claim, reason, packets, firstMs, lastMs }: Stranger,
  nowMs: number,
): DiagnosisJson['strangers'][number] {
  return {
    addr: port === undefined ? host : formatHostPort({ host, port }),
    host,
    node_id: claim.nodeId ?? null,
    reason,
    packets,
    first_ago_ms: Math.round(nowMs - firstMs),
    last_ago_ms: Math.round(nowMs - lastMs),
    kind: claim.kind,
    wire_version: claim.version ?? null,
    key_id: claim.keyId === undefined || claim.keyId === 0 ? null : formatKeyId(claim.keyId),
    swarm_tag: claim.swarmTag ?? null,
    is_default_swarm: claim.swarmTag === DEFAULT_TAG,
  }
}

const DEFAULT_TAG = swarmTag(DEFAULT_SWARM_NAME, systemHash)

/** Without netlink the system tells nothing. */
function readInterfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces()
  } catch {
    return {}
  }
}

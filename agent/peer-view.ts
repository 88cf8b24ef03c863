/** Members of the swarm, and the HyperspaceDB nodes beside them, as the HTTP API shows them. */
import type { Clock } from '../base/ports.ts'
import type { CompatPeer } from '../swarm/compat-peers.ts'
import type { MemberView } from '../swarm/member.ts'
import { SYSTEM_COLLECTION } from '../sync/settings.ts'
import { formatHostPort } from './config-address.ts'
import type { NodeRole, PeerView } from './http/port.ts'

export function viewPeer(member: MemberView, clock: Clock): PeerView {
  const { nodeId, nodeName, httpPort, httpReachable, role, logicalClock, status, incarnation, rttMs, clockSkewMs, host, gossipPort } =
    member
  return {
    nodeId,
    nodeName,
    addr: formatHostPort({ host, port: httpPort }),
    httpPort,
    httpReachable,
    role,
    logicalClock,
    collections: (member.collections ?? []).filter(({ name }) => name !== SYSTEM_COLLECTION),
    lastSeenAtMs: clock.wallMs() - member.heardAgoMs,
    lastSeenAgoMs: member.heardAgoMs,
    status,
    incarnation,
    gossipAddr: formatHostPort({ host, port: gossipPort }),
    rttMs: rttMs === undefined ? undefined : Math.round(rttMs * 100) / 100,
    clockSkewMs,
  }
}

const ROLES: ReadonlyMap<string, NodeRole> = new Map([
  ['leader', 'leader'],
  ['follower', 'follower'],
])

/** A node that only HyperspaceDB's own gossip knows. It has no name, and a role that is not one of ours is shown as an edge. */
export function viewCompatPeer({ heartbeat, address, heardAgoMs, clockSkewMs }: CompatPeer, clock: Clock): PeerView {
  const { nodeId, role, httpPort, logicalClock, digests } = heartbeat
  return {
    nodeId,
    nodeName: nodeId,
    addr: formatHostPort({ host: address.host, port: httpPort }),
    httpPort,
    role: ROLES.get(role.toLowerCase()) ?? 'edge',
    logicalClock: Number(logicalClock),
    collections: [],
    lastSeenAtMs: clock.wallMs() - heardAgoMs,
    lastSeenAgoMs: heardAgoMs,
    status: 'alive',
    incarnation: 0,
    gossipAddr: formatHostPort(address),
    rttMs: undefined,
    clockSkewMs,
    compat: { kind: 'hyperspace', logicalClock, collections: digests },
  }
}

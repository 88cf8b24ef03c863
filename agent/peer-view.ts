/** Members of the swarm as the HTTP API shows them. */
import type { Clock } from '../base/ports.ts'
import type { MemberView } from '../swarm/member.ts'
import { SYSTEM_COLLECTION } from '../sync/settings.ts'
import { formatHostPort } from './config-address.ts'
import type { PeerView } from './http/port.ts'

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

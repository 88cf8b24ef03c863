/** How a sync session begins: what this agent says of itself, and with whom it exchanges. */
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/ports.ts'
import { formatNodeId } from '../swarm/identity.ts'
import { PROTOCOL_VERSION, type Hello } from '../sync/messages.ts'
import type { SyncReplica } from '../sync/sync-replica.ts'
import type { SyncPeer } from './synchroniser.ts'

export interface GreetingOptions {
  readonly nodeId: string
  readonly swarmName: string
  readonly replica: Pick<SyncReplica, 'storeId' | 'saltId' | 'logicalClock'>
  readonly clock: Clock
  readonly peer: (nodeId: string) => SyncPeer | undefined
  /** Anybody of the same swarm name may sync: HS_SWARM_KEY, HS_SWARM_OPEN, or a swarm name that is not the default. */
  readonly isOpen: boolean
}

export function helloTo(options: GreetingOptions, peerNodeId: string, isLive: boolean): Hello {
  const { replica, clock } = options
  return {
    kind: 'hello',
    protocol: PROTOCOL_VERSION,
    swarmName: options.swarmName,
    nodeId: options.nodeId.replaceAll('-', ''),
    storeId: replica.storeId,
    saltId: replica.saltId,
    logicalClock: replica.logicalClock(),
    wallMs: Math.max(0, Math.floor(clock.wallMs())),
    isNamed: options.peer(peerNodeId)?.isNamed ?? false,
    isLive,
  }
}

/** Why this agent does not exchange with that peer; undefined when it does. */
export function refusalOf(options: GreetingOptions, hello: Hello): string | undefined {
  if (!equalBytes(hello.saltId, options.replica.saltId))
    return 'the digests of this agent have another salt (HS_DIGEST_SALT): they cannot be compared'
  if (hello.swarmName !== options.swarmName) return 'this agent belongs to another swarm'
  const nodeId = nodeIdOf(hello)
  if (nodeId === options.nodeId) return 'this agent has the same node id: one of the two is a copy'
  const isTrusted = options.isOpen || hello.isNamed || options.peer(nodeId)?.mayExchange === true
  return isTrusted
    ? undefined
    : 'this agent does not sync with peers that neither side names (HS_GOSSIP_PEERS, HS_SWARM_NAME, HS_SWARM_OPEN)'
}

export function nodeIdOf(hello: Hello): string {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hello.nodeId.slice(2 * i, 2 * i + 2), 16))
  return formatNodeId(bytes)
}

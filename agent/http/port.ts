/** What the HTTP API needs of the rest of the agent. */
import type { Logger } from 'pino'
import type { Replica } from '../../sync/replica.ts'
import type { Comeback } from '../comeback.ts'
import type { DiskView } from '../disk-reserve.ts'
import type { DiagnosisJson } from '../diagnosis/shape.ts'
import type { Writer } from '../durability.ts'
import type { EventHub } from '../event-hub.ts'
import type { Metrics } from '../metrics.ts'
import type { OutageLogState } from '../outage-log.ts'
import type { Prover } from '../proof/prover.ts'
import type { ScrubView } from '../scrubber.ts'
import type { KeyUse } from '../swarm-keys.ts'
import type { SyncRow } from '../sync-state.ts'
import type { HttpLimits } from './limits.ts'

export type NodeRole = 'edge' | 'leader' | 'follower'

/** This node, as `GET /api/cluster/status` shows it. */
export interface NodeView {
  /** A UUID. */
  readonly nodeId: string
  readonly nodeName: string
  readonly role: NodeRole
  readonly epoch: number
  readonly version: string
  readonly uptimeSecs: number
  /** Ed25519, 32 bytes in hexadecimal: what checkpoints and proofs are signed with. */
  readonly publicKey: string
  /** Whether a swarm key seals gossip and links. */
  readonly secured: boolean
  /** The keys of this node and who uses them; empty without a key. */
  readonly swarmKeys: readonly KeyUse[]
  /** The last sight of another process that uses this node's id. */
  readonly duplicateIdentity: DuplicateIdentity | undefined
  /** What scrubs of the store have found. */
  readonly scrub: ScrubView
  /** What was wrong with the database at this start. */
  readonly comeback: Comeback | undefined
  /** Undefined: it is switched off. */
  readonly outageLog: OutageLogState | undefined
  readonly disk: DiskView & {
    /** What this process has made the system write, and at what pace a day; undefined where that is not known (yet). */
    readonly writtenBytes: number | undefined
    readonly writtenBytesPerDay: number | undefined
  }
  /** The leader's URL. */
  readonly upstreamPeer: string | undefined
  /** Node ids that replicate from this node now. */
  readonly downstreamPeers: readonly string[]
}

export interface DuplicateIdentity {
  /** Where its gossip came from. */
  readonly addr: string
  /** Unix milliseconds. */
  readonly seenAtMs: number
}

export interface PeerCollectionView {
  readonly name: string
  readonly recordCount: number
  readonly vectorCount: number
  /** 16 bytes. */
  readonly digest: Uint8Array
}

/** What a node of another program tells of a collection: whole u64 values. */
export interface CompatCollectionView {
  readonly name: string
  readonly stateHash: bigint
  readonly vectorCount: bigint
  readonly logicalClock: bigint
}

/** A member of the swarm other than this node. */
export interface PeerView {
  /** A UUID. */
  readonly nodeId: string
  readonly nodeName: string
  /** Observed address with the HTTP port. */
  readonly addr: string
  readonly httpPort: number
  /** Whether its HTTP listens beyond loopback, where that is known. */
  readonly httpReachable?: boolean
  readonly role: NodeRole
  readonly logicalClock: number
  readonly collections: readonly PeerCollectionView[]
  /** When this node last heard of it: Unix milliseconds by the own clock, and milliseconds ago by the monotonic one. */
  readonly lastSeenAtMs: number
  readonly lastSeenAgoMs: number
  readonly status: 'alive' | 'suspect' | 'dead' | 'left'
  readonly incarnation: number
  readonly gossipAddr: string
  readonly rttMs: number | undefined
  readonly clockSkewMs: number | undefined
  /** For one that died or left: how long ago it was dropped. */
  readonly departedAgoMs?: number
  /** Present for a node of another program: listed, and nothing else. Its values in full; `collections` above is empty then. */
  readonly compat?: {
    readonly kind: 'hyperspace'
    readonly logicalClock: bigint
    readonly collections: readonly CompatCollectionView[]
  }
}

export interface HttpOptions {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Any of them opens the API. None: the API is for this machine, and Host and Origin are checked. */
  readonly tokens: readonly string[]
  readonly replica: Replica
  readonly writer: Pick<Writer, 'write'>
  readonly prover: Prover
  readonly node: () => NodeView
  readonly peers: () => { readonly gossipEnabled: boolean; readonly peers: readonly PeerView[] }
  /** Those that died or left and are remembered. */
  readonly departed: () => readonly PeerView[]
  readonly sync: {
    rows(): readonly SyncRow[]
    /** Starts a session with every reachable peer, and says with how many. May throw an `AgentError`. */
    start(): number
    /** Asks for a verification: its number, and with how many peers. */
    verify(): { readonly verification: number; readonly peers: number }
  }
  /** A backup of the whole store, chunk by chunk. */
  readonly backup: () => AsyncIterable<Buffer>
  /** What has been observed of the swarm. */
  readonly diagnose: () => DiagnosisJson
  readonly events: Pick<EventHub, 'subscribe'>
  /** What a person should know although the agent is ready. */
  readonly warnings: () => readonly string[]
  /** Why the agent is not ready; empty when it is. */
  readonly readiness: () => readonly string[]
  readonly log: Logger
  readonly metrics: Metrics
  readonly limits?: Partial<HttpLimits>
}

export interface HttpServer {
  readonly url: string
  readonly port: number
  /** Stops accepting, lets open requests finish for a bounded time, then cuts them. */
  close(): Promise<void>
}

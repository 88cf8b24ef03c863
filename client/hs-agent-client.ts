// Made by `npm run client` from /api/openapi.json: do not edit. A test fails when it is out of date.
import { createTransport, segment, toNdjson, type CallOptions, type ClientOptions, type ServerEvent } from './transport.ts'

export interface SwarmKey {
  /** 8 hexadecimal digits; no secret. */
  readonly id: string
  /** This node seals with it; with the others it only opens. */
  readonly seals: boolean
  readonly peers: number
  /** Peers whose last packet was sealed with it. */
  readonly peers_sealing: number
  /** Peers that say that they hold it. */
  readonly peers_holding: number
}

export interface DuplicateIdentity {
  /** Where its gossip comes from. */
  readonly addr: string
  /** Unix seconds. */
  readonly seen_secs: number
}

export interface Scrub {
  readonly state: 'idle' | 'scrubbing' | 'verifying'
  /** Rows looked at since the agent started. */
  readonly rows: number
  /** Scrubs of the whole store that have ended. */
  readonly passes: number
  readonly last_pass_at: number | null
  /** Keys of which something beside the record was wrong, and was made again. */
  readonly mended: number
  /** Rows of nothing that were removed. */
  readonly strays: number
  /** Sums and counts that were wrong, and were computed again. */
  readonly sums: number
  /** Versions that were not what was written, now in quarantine. */
  readonly damaged: number
  /** Versions that were found to be gone, the damaged ones among them. */
  readonly lost: number
  /** Of these, those that are back. */
  readonly recovered: number
  /** Those that are not, also from before the agent started. */
  readonly missing: number
  /** Number of the last verification whose scrub has ended. */
  readonly verified: number
}

export interface Recovery {
  readonly kind: 'replayed' | 'repaired' | 'rebuilt' | 'missing'
  readonly reason: string
  /** Writes that came back from the outage log as they were. */
  readonly redone: number
  /** Writes from the outage log that are issued anew once a peer has been met. */
  readonly rescued: number
  /** Versions taken over from what is left of the former database. */
  readonly salvaged: number
  /** Versions there that are not as they were written. */
  readonly damaged: number
  /** Folders in the data directory that hold former databases. */
  readonly quarantines: readonly string[]
}

export interface Disk {
  readonly size_bytes: number
  /** What the agent may still use, as of the last look; some seconds old at most. */
  readonly free_bytes: number
  /** HS_DISK_RESERVE: with less than this free, new records are refused. */
  readonly reserve_bytes: number
  /** New records are refused, until a quarter more than the reserve is free. */
  readonly full: boolean
  /** What this process has made the system write to disk since it began; null where the system does not count that. */
  readonly written_bytes: number | null
  /** At the pace since the agent started; null in its first ten minutes. */
  readonly written_bytes_per_day: number | null
}

export interface OutageLog {
  readonly bytes: number
  readonly bytes_max: number
  /** Writes that left it at its bound, since the start. */
  readonly dropped_writes: number
}

export interface ClusterStatus {
  readonly node_id: string
  readonly node_name: string
  readonly role: 'Leader' | 'Follower' | 'Edge'
  readonly upstream_peer: string | null
  readonly downstream_peers: readonly string[]
  readonly logical_clock: number
  readonly epoch: number
  readonly version: string
  readonly uptime_secs: number
  /** Ed25519, 32 bytes in hexadecimal: checkpoints and proofs of this node are signed with it. */
  readonly public_key: string
  /** Gossip and peer links are sealed with a swarm key. */
  readonly secured: boolean
  readonly swarm_keys: readonly SwarmKey[]
  /** The last sight of another process that uses the id of this node. */
  readonly duplicate_identity: DuplicateIdentity | null
  readonly scrub: Scrub
  /** What a person should know although the agent serves, in sentences. */
  readonly warnings: readonly string[]
  /** What was wrong with the database at this start, and what came back. */
  readonly recovery: Recovery | null
  readonly disk: Disk
  /** The second copy of writes that no other node has acknowledged; null when it is off. */
  readonly outage_log: OutageLog | null
}

export interface PeerCollection {
  readonly name: string
  /** The leading 53 bits of the digest, as a number. */
  readonly state_hash: number
  /** Digest of the content, 16 bytes in lower-case hexadecimal. A peer with `compat` has none. */
  readonly digest?: string
  readonly record_count: number
  readonly vector_count: number
  /** This node's digest equals that peer's. */
  readonly in_sync: boolean
  /** With `compat` alone: all 64 bits, 16 digits in lower case. */
  readonly state_hash_hex?: string
  /** An unsigned 64-bit number in decimal, where a JSON number may not hold it. */
  readonly vector_count_exact?: string
  /** An unsigned 64-bit number in decimal, where a JSON number may not hold it. */
  readonly logical_clock_exact?: string
}

export interface Peer {
  readonly node_id: string
  readonly node_name: string
  readonly addr: string
  readonly http_port: number
  readonly http_reachable?: boolean
  readonly role: 'Leader' | 'Follower' | 'Edge'
  readonly logical_clock: number
  readonly collections: readonly PeerCollection[]
  /** Unix seconds, by the clock of the node that answers. */
  readonly last_seen_secs: number
  readonly last_seen_ago_ms: number
  readonly healthy: boolean
  readonly status: 'alive' | 'suspect' | 'dead' | 'left'
  /** With `all`: how long ago a peer that died or left was dropped. */
  readonly departed_ago_ms?: number
  readonly incarnation: number
  readonly gossip_addr: string
  readonly rtt_ms: number | null
  readonly clock_skew_ms: number | null
  /** A node of another program: listed, and neither trusted nor synced with. */
  readonly compat?: 'hyperspace'
  /** An unsigned 64-bit number in decimal, where a JSON number may not hold it. */
  readonly logical_clock_exact?: string
}

export interface SwarmPeers {
  readonly gossip_enabled: boolean
  readonly peer_count: number
  readonly peers: readonly Peer[]
}

/** Over the last ten seconds. */
export interface SyncRate {
  readonly records_per_sec: number
  /** Of messages, before they are packed. */
  readonly bytes_per_sec: number
}

export interface SyncRow {
  readonly peer: string
  readonly collection: string
  readonly state: 'idle' | 'syncing' | 'live' | 'failed'
  readonly in_sync: boolean
  readonly entries_sent: number
  readonly entries_received: number
  readonly bytes_sent: number
  readonly bytes_received: number
  readonly last_sync_at: number | null
  /** At most so many versions are left of the session under way, both ways together: writes are counted, and of a key only the last one travels. 0 when in sync, null when it is not known. */
  readonly remaining_records: number | null
  /** The same in bytes, by the size of what has been moved. */
  readonly remaining_bytes: number | null
  readonly rate: SyncRate
  readonly error?: string
}

export interface SyncStarted {
  /** With how many peers a session was started, or will be. */
  readonly peers: number
  /** Number of the verification: the scrub has ended when `scrub.verified` of the status has reached it. */
  readonly verification?: number
}

export interface ReplicaStanding {
  /** The node that the replica belongs to. */
  readonly node_id: string
  /** Names this copy of the data: a node that lost its disk comes back with another one. */
  readonly store_id: string
  /** It is the replica of this agent. */
  readonly self: boolean
  /** An operator has evicted it: deletes no longer wait for it. */
  readonly evicted: boolean
  readonly collections: readonly {
    readonly name: string
    /** Writes known here that it is not known to have. Their deletes are kept as long. */
    readonly missing: number
  }[]
}

export type Replicas = readonly ReplicaStanding[]

export interface Version {
  readonly origin: string
  readonly counter: number
  /** Unix milliseconds by the writer’s clock, raised above what it had seen. */
  readonly time: number
  readonly tick: number
  readonly trusted_time: boolean
}

export interface StoredRecord {
  readonly key: string
  /** Any JSON, up to 1 MiB. */
  readonly payload?: unknown
  /** Raw bytes instead of a payload, up to 1 MiB. */
  readonly data?: string
  /** Media type of `data`. */
  readonly content_type?: string
  /** Stored as float32. */
  readonly vector?: readonly number[]
  readonly version: Version
  readonly conflicts?: readonly {
    /** Any JSON, up to 1 MiB. */
    readonly payload?: unknown
    /** Raw bytes instead of a payload, up to 1 MiB. */
    readonly data?: string
    /** Media type of `data`. */
    readonly content_type?: string
    /** Stored as float32. */
    readonly vector?: readonly number[]
    readonly version: Version
  }[]
}

export interface QuarantinedVersion {
  /** Names it on this agent, for good. */
  readonly id: number
  /** Written into a collection that was deleted, unseen by the deletion; sent by a peer and not understood; or found damaged in the store. */
  readonly reason: 'deleted' | 'malformed' | 'damaged'
  readonly collection: string
  /** Of the collection: each deletion begins a new one. */
  readonly generation: number
  readonly key: string
  readonly bytes: number
  readonly record?: StoredRecord
}

export interface QuarantinePage {
  /** In quarantine, of all collections. */
  readonly count: number
  readonly items: readonly QuarantinedVersion[]
  readonly cursor: number | null
}

export interface QuarantineResult {
  /** So many have left quarantine. */
  readonly done: number
  /** These stay, each with its reason. */
  readonly failed: readonly {
    /** Names it on this agent, for good. */
    readonly id: number
    readonly code: string
    readonly detail: string
  }[]
  /** Left in quarantine. */
  readonly count: number
}

export interface QuarantineImport {
  readonly ids: readonly number[]
  /** Collection name. */
  readonly into?: string
  /** Makes the collection where there is none. */
  readonly create?: boolean
  /** Writes over records that are there. */
  readonly overwrite?: boolean
}

export interface QuarantineSelection {
  readonly ids: readonly number[]
}

export interface ObservedNode {
  readonly node_id: string
  readonly node_name: string
  readonly version: string
  readonly uptime_secs: number
  readonly gossip_enabled: boolean
  /** What the UDP and TCP sockets are bound to. */
  readonly gossip_host: string
  /** UDP port of gossip and TCP port of the peer link. */
  readonly gossip_port: number | null
  readonly multicast_group: string | null
  readonly swarm_name: string
  /** What packets carry instead of the swarm name: 16 hexadecimal digits. */
  readonly swarm_tag: string
  /** Of HS_SWARM_KEY; the first seals. No secret. */
  readonly key_ids: readonly string[]
  /** Unix milliseconds by the clock of this node. */
  readonly wall_ms: number
  readonly clock_trusted: boolean
  /** Gossip address of another process that uses the id of this node. */
  readonly duplicate_identity: string | null
}

export interface ObservedInterface {
  readonly name: string
  readonly address: string
  /** Whether the discovery group is heard there. */
  readonly use: 'joined' | 'failed' | 'left-out'
  readonly left_out_for: 'loopback' | 'container' | 'not-named' | 'not-bound' | null
  /** The system's code of the last attempt that failed. */
  readonly error: string | null
}

export interface ObservedSeed {
  /** As HS_GOSSIP_PEERS has it. */
  readonly seed: string
  readonly addresses: readonly {
    readonly addr: string
    /** It is this node. */
    readonly is_self: boolean
    /** Who has answered there and is listed. */
    readonly node_id: string | null
  }[]
  /** Why the name does not resolve. */
  readonly error: string | null
}

export interface ObservedPeer {
  readonly node_id: string
  readonly node_name: string
  /** Of its gossip. */
  readonly addr: string
  readonly status: 'alive' | 'suspect' | 'dead' | 'left'
  /** Last sign of life, also through others. */
  readonly heard_ago_ms: number
  /** Milliseconds ago; null for never. */
  readonly direct_ago_ms: number | null
  /** Milliseconds ago; null for never. */
  readonly answered_ago_ms: number | null
  /** Pings sent to it since it last answered one: packets may come and ours be lost. */
  readonly pings_unanswered: number
  readonly rtt_ms: number | null
  readonly clock_skew_ms: number | null
  /** Data is synced with it. */
  readonly may_exchange: boolean
  /** How dialling its peer link went last; null when that was not needed yet. */
  readonly link: {
    /** `open`, by either side, or why dialling its peer link failed: ECONNREFUSED, ETIMEDOUT, HANDSHAKE, ... */
    readonly outcome: string
    readonly ago_ms: number
  } | null
}

/** Heard and not listed. Nothing of it is authenticated. */
export interface Stranger {
  /** Host and port, or the host alone where only the discovery group has brought something of it. */
  readonly addr: string
  readonly host: string
  readonly node_id: string | null
  /** Why it is not listed: a reason of `hs_gossip_rejects_total`, or `unproven`. */
  readonly reason: string
  readonly packets: number
  readonly first_ago_ms: number
  readonly last_ago_ms: number
  /** What its packets look like. */
  readonly kind: 'agent' | 'json' | 'other'
  readonly wire_version: number | null
  /** The key that it seals with; null for none, or where it cannot be read. */
  readonly key_id: string | null
  readonly swarm_tag: string | null
  /** Its HS_SWARM_NAME is not set. */
  readonly is_default_swarm: boolean
}

/** What the system refused to the sockets of gossip. */
export interface SystemFault {
  readonly what: string
  readonly error: string
  readonly count: number
  readonly last_ago_ms: number
}

export interface Finding {
  readonly severity: 'ok' | 'warning' | 'fault'
  /** What kind of finding, for programs: `other-swarm`, `one-way`, ... */
  readonly code: string
  /** Whom or what it concerns: an address, an interface, a setting. */
  readonly about: string
  /** What was observed. */
  readonly seen: string
  /** The likely reason. */
  readonly reason?: string
  /** What to do. */
  readonly advice?: string
}

export interface Diagnosis {
  readonly node: ObservedNode
  readonly interfaces: readonly ObservedInterface[]
  /** Named by HS_GOSSIP_INTERFACE, and not there. */
  readonly interfaces_missing: readonly string[]
  readonly multicast: {
    /** Peers answer by unicast, and the group brings nothing. */
    readonly mute: boolean
    readonly sent: number
    /** Milliseconds ago; null for never. */
    readonly others_heard_ago_ms: number | null
    /** Milliseconds ago; null for never. */
    readonly own_heard_ago_ms: number | null
  }
  readonly seeds: readonly ObservedSeed[]
  readonly peers: readonly ObservedPeer[]
  /** At most 64, heard last comes last. */
  readonly strangers: readonly Stranger[]
  readonly rejects: readonly {
    readonly reason: string
    readonly count: number
  }[]
  readonly faults: readonly SystemFault[]
  /** Of the observations, in sentences. */
  readonly findings: readonly Finding[]
}

export interface Retention {
  readonly ttl_ms?: number
  readonly max_records?: number
  readonly max_bytes?: number
  readonly policy: 'reject' | 'drop_oldest' | 'drop_lowest_priority'
}

export interface Collection {
  readonly name: string
  readonly record_count: number
  readonly vector_count: number
  readonly dimension: number | null
  readonly metric: 'cosine' | 'l2' | 'dot'
  readonly conflict: 'lww' | 'siblings' | 'append'
  /** Sync sessions exchange collections of greater ones first; 0 if not set. It can be set again. */
  readonly priority: number
  /** The leading 53 bits of the digest, as a number. */
  readonly state_hash: number
  /** Digest of the content, 16 bytes in lower-case hexadecimal. */
  readonly digest: string
  /** Unix milliseconds. */
  readonly created_at: number
  readonly sync: 'both' | 'push' | 'pull' | 'none'
  readonly retention: Retention | null
  /** This node may lack what others hold: it has given some up, or does not exchange both ways. */
  readonly partial: boolean
  /** Unix milliseconds; null: nothing has expired. */
  readonly expired_before: number | null
  /** Of live keys and versions, where retention counts them. */
  readonly bytes: number | null
  /** Versions that this node gave up or did not take, by reason. */
  readonly dropped: {
    readonly ttl?: number
    readonly max_records?: number
    readonly max_bytes?: number
    readonly full?: number
  }
  /** Of those, the ones that nobody else was known to have. */
  readonly voided: number
}

export interface RetentionInput {
  /** The same as ttl_ms, with its unit: ms, s, min, h or d. */
  readonly ttl?: string
  readonly ttl_ms?: number
  readonly max_records?: number
  readonly max_bytes?: number
  readonly policy?: 'reject' | 'drop_oldest' | 'drop_lowest_priority'
}

export interface CollectionInput {
  /** Collection name. */
  readonly name: string
  readonly dimension?: number
  readonly metric?: 'cosine' | 'l2' | 'dot'
  readonly conflict?: 'lww' | 'siblings' | 'append'
  readonly sync?: 'both' | 'push' | 'pull' | 'none'
  readonly retention?: RetentionInput
  /** Sync sessions exchange collections of greater ones first; 0 if not set. It can be set again. */
  readonly priority?: number
}

export interface CollectionNodeInput {
  readonly sync?: 'both' | 'push' | 'pull' | 'none' | null
  readonly retention?: RetentionInput | null
}

export interface CollectionDigest {
  readonly collection_name: string
  readonly logical_clock: number
  readonly vector_count: number
  readonly record_count: number
  /** The leading 53 bits of the digest, as a number. */
  readonly state_hash: number
  /** Digest of the content, 16 bytes in lower-case hexadecimal. */
  readonly digest: string
}

export interface RecordPage {
  readonly records: readonly StoredRecord[]
  readonly cursor: string | null
}

export interface BulkResult {
  readonly accepted: number
  readonly rejected: readonly {
    readonly line: number
    readonly code: string
    readonly detail: string
  }[]
  readonly rejected_count: number
}

export interface BulkRecord {
  readonly key?: string
  /** Any JSON, up to 1 MiB. */
  readonly payload?: unknown
  /** Raw bytes instead of a payload, up to 1 MiB. */
  readonly data?: string
  /** Media type of `data`. */
  readonly content_type?: string
  /** Stored as float32. */
  readonly vector?: readonly number[]
}

export type BulkAcknowledgement =
  | {
      readonly line: number
      readonly key: string
      readonly version: Version
    }
  | {
      readonly line: number
      readonly code: string
      readonly detail: string
    }
  | {
      readonly accepted: number
      readonly rejected_count: number
      readonly code?: string
      readonly detail?: string
    }

export interface CheckpointFields {
  readonly node_id: string
  readonly collection: string
  /** How many times the collection was made. */
  readonly generation: number
  /** Root of the Merkle tree over the buckets. */
  readonly root: string
  /** As GET …/digest has it. */
  readonly digest: string
  /** Versions held, those of deleted keys included. */
  readonly item_count: number
  /** Live records. */
  readonly record_count: number
  /** Hash of the version vector: equal where the same writes are known. */
  readonly knowledge: string
  /** Lamport clock of the node. */
  readonly logical_clock: number
  /** Unix milliseconds by the clock of the node. */
  readonly time: number
  /** Whether the board said that its clock was synchronised. */
  readonly trusted_time: boolean
  /** HS_DIGEST_SALT, without which no hash can be made again. */
  readonly digest_salt: string
}

export interface ProvenVersion {
  /** Who wrote it. */
  readonly origin: string
  readonly counter: number
  /** Unix milliseconds of the version. */
  readonly time: number
  readonly tick: number
  /** What the body holds, as docs/protocol.md has it. */
  readonly flags: number
  /** Vector, media type, payload or data, as docs/protocol.md has it. */
  readonly body: string
}

export interface Proof {
  readonly format: 'hs-proof 1'
  readonly checkpoint: CheckpointFields
  readonly key: string
  /** The one that a GET shows, then those that it lists as conflicts. */
  readonly versions: readonly ProvenVersion[]
  /** Hashes of all items of the bucket, 16 bytes each; those of `versions` first, in their order. */
  readonly bucket_items: string
  readonly path: readonly string[]
  /** Ed25519 (RFC 8032). */
  readonly public_key: string
  /** Ed25519 over the binary layout of docs/protocol.md. */
  readonly signature: string
}

export interface Checkpoint {
  readonly format: 'hs-checkpoint 1'
  readonly checkpoint: CheckpointFields
  /** Ed25519 (RFC 8032). */
  readonly public_key: string
  /** Ed25519 over the binary layout of docs/protocol.md. */
  readonly signature: string
}

export interface Written {
  readonly key: string
  readonly version: Version
}

export interface RecordInput {
  /** Any JSON, up to 1 MiB. */
  readonly payload?: unknown
  /** Raw bytes instead of a payload, up to 1 MiB. */
  readonly data?: string
  /** Media type of `data`. */
  readonly content_type?: string
  /** Stored as float32. */
  readonly vector?: readonly number[]
}

/** A put has what a GET gives, a conflict the version that was dropped, a delete the key alone. A delete without a key: the collection is gone with all its records. */
export interface Change {
  readonly cursor: string
  readonly kind: 'put' | 'delete' | 'conflict'
  readonly collection: string
  /** Absent when the whole collection was deleted. */
  readonly key?: string
  /** Of the collection that was deleted as a whole. */
  readonly generation?: number
  /** Any JSON, up to 1 MiB. */
  readonly payload?: unknown
  /** Raw bytes instead of a payload, up to 1 MiB. */
  readonly data?: string
  /** Media type of `data`. */
  readonly content_type?: string
  /** Stored as float32. */
  readonly vector?: readonly number[]
  readonly version?: Version
  readonly conflicts?: readonly {
    /** Any JSON, up to 1 MiB. */
    readonly payload?: unknown
    /** Raw bytes instead of a payload, up to 1 MiB. */
    readonly data?: string
    /** Media type of `data`. */
    readonly content_type?: string
    /** Stored as float32. */
    readonly vector?: readonly number[]
    readonly version: Version
  }[]
  readonly etag?: string
}

export interface Changes {
  readonly changes: readonly Change[]
  /** The cursor to go on from. */
  readonly next: string
  /** There is more behind `next` already. */
  readonly more: boolean
  /** The cursor was not one of this store: these changes are from the beginning. */
  readonly reset: boolean
}

export type VersionLine =
  | {
      readonly format: string
      readonly format_version: number
      readonly collection: string
      readonly generation: number
      readonly settings: {
        readonly dimension: number | null
        readonly metric: 'cosine' | 'l2' | 'dot'
        readonly conflict: 'lww' | 'siblings' | 'append'
        /** Sync sessions exchange collections of greater ones first; 0 if not set. It can be set again. */
        readonly priority: number
      }
    }
  | {
      readonly key: string
      readonly deleted?: boolean
      /** Any JSON, up to 1 MiB. */
      readonly payload?: unknown
      /** Raw bytes instead of a payload, up to 1 MiB. */
      readonly data?: string
      /** Media type of `data`. */
      readonly content_type?: string
      /** Stored as float32. */
      readonly vector?: readonly number[]
      readonly version?: Version
      /** What the writer had seen of this key: origin and counter. */
      readonly seen?: Readonly<Record<string, number>>
      /** In place of all that, where this release does not understand it: base64. */
      readonly encoded?: string
      /** Of the version as replicas keep it. */
      readonly sum: string
    }
  | {
      readonly versions: number
    }

export interface VersionMergeResult {
  /** Versions that were new here, and what they beat is beaten. */
  readonly taken: number
  /** Versions that were here already, or that were written over or deleted since. */
  readonly known: number
  /** Versions behind what this node keeps of the collection: by its bounds, or by their age. */
  readonly refused: number
  readonly rejected: readonly {
    readonly line: number
    readonly code: string
    readonly detail: string
  }[]
  readonly rejected_count: number
  /** The last line was there, and as many versions as it says. Otherwise the export was cut off. */
  readonly complete: boolean
}

export interface HsAgentClient {
  /** This node. `GET /api/cluster/status` */
  getStatus(options?: CallOptions): Promise<ClusterStatus>

  /** The other members of the swarm. `GET /api/swarm/peers` */
  listPeers(args?: { readonly all?: 'true' | 'false' | '1' | '0' | undefined }, options?: CallOptions): Promise<SwarmPeers>

  /** Syncing, by peer and collection. `GET /api/sync` */
  listSyncs(options?: CallOptions): Promise<readonly SyncRow[]>

  /** Syncs with every reachable peer now. `POST /api/sync` */
  startSync(args?: { readonly verify?: 'true' | 'false' | '1' | '0' | undefined }, options?: CallOptions): Promise<SyncStarted>

  /** The replicas that deletes wait for, and how far each is. `GET /api/swarm/replicas` */
  listReplicas(options?: CallOptions): Promise<Replicas>

  /** Evicts the replicas of a node for good: deletes no longer wait for them. `DELETE /api/swarm/replicas/{node_id}` */
  evictReplica(args: { readonly nodeId: string }, options?: CallOptions): Promise<void>

  /** What this agent could not take, and keeps for a person to decide about. A page ends at `limit`, or with the version that reaches 4 MiB. `GET /api/quarantine` */
  listQuarantine(
    args?: {
      readonly collection?: string | undefined
      readonly limit?: string | number | undefined
      readonly cursor?: string | number | undefined
    },
    options?: CallOptions,
  ): Promise<QuarantinePage>

  /** One version in quarantine. `GET /api/quarantine/{id}` */
  getQuarantined(args: { readonly id: string | number }, options?: CallOptions): Promise<QuarantinedVersion>

  /** Throws one version in quarantine away. `DELETE /api/quarantine/{id}` */
  dropQuarantined(args: { readonly id: string | number }, options?: CallOptions): Promise<void>

  /** Writes versions in quarantine as new records, into the present generation of their collection. Each is written and taken out in one step; those that cannot be written stay, each with its reason. `POST /api/quarantine/import` */
  importQuarantined(args: { readonly body: QuarantineImport }, options?: CallOptions): Promise<QuarantineResult>

  /** Applies what this version of the agent understands by now. `POST /api/quarantine/retry` */
  retryQuarantined(args: { readonly body: QuarantineSelection }, options?: CallOptions): Promise<QuarantineResult>

  /** Throws versions in quarantine away. `POST /api/quarantine/drop` */
  dropManyQuarantined(args: { readonly body: QuarantineSelection }, options?: CallOptions): Promise<QuarantineResult>

  /** Why this node sees the others, or does not. `GET /api/swarm/diagnosis` */
  diagnoseSwarm(options?: CallOptions): Promise<Diagnosis>

  /** All collections. `GET /api/collections` */
  listCollections(options?: CallOptions): Promise<readonly Collection[]>

  /** Creates a collection. 201 when it is new, 200 when it exists with the same settings, 409 when it exists with others; a priority can be set again. `POST /api/collections` */
  createCollection(args: { readonly body: CollectionInput }, options?: CallOptions): Promise<Collection>

  /** One collection. `GET /api/collections/{name}` */
  getCollection(args: { readonly name: string }, options?: CallOptions): Promise<Collection>

  /** Sets what this node keeps of a collection, and with whom it exchanges it. Nothing of it is replicated. What is left out stays as it is, null takes it back. `PATCH /api/collections/{name}` */
  setCollection(args: { readonly name: string; readonly body: CollectionNodeInput }, options?: CallOptions): Promise<Collection>

  /** Deletes a collection on every replica. `DELETE /api/collections/{name}` */
  deleteCollection(args: { readonly name: string }, options?: CallOptions): Promise<void>

  /** The digest of a collection: equal on replicas with the same content. `GET /api/collections/{name}/digest` */
  getDigest(args: { readonly name: string }, options?: CallOptions): Promise<CollectionDigest>

  /** Lists a range of records in the order of their keys. A page and a cursor, null at the end; with "Accept: application/x-ndjson" the whole range, one record a line. `GET /api/collections/{name}/records` */
  listRecords(
    args: {
      readonly prefix?: string | undefined
      readonly from?: string | undefined
      readonly to?: string | undefined
      readonly limit?: string | number | undefined
      readonly cursor?: string | undefined
      readonly reverse?: 'true' | 'false' | '1' | '0' | undefined
      readonly name: string
    },
    options?: CallOptions,
  ): Promise<RecordPage>

  /** Lists a range of records in the order of their keys. A page and a cursor, null at the end; with "Accept: application/x-ndjson" the whole range, one record a line. `GET /api/collections/{name}/records` */
  listRecordsStream(
    args: {
      readonly prefix?: string | undefined
      readonly from?: string | undefined
      readonly to?: string | undefined
      readonly limit?: string | number | undefined
      readonly cursor?: string | undefined
      readonly reverse?: 'true' | 'false' | '1' | '0' | undefined
      readonly name: string
    },
    options?: CallOptions,
  ): AsyncGenerator<StoredRecord>

  /** Writes many records. A JSON array, or NDJSON streamed. Bad lines are rejected one by one and good ones kept. A missing key is made. With "Accept: application/x-ndjson" each line is acknowledged once it is what the durability says, and the last line of the answer sums up. `POST /api/collections/{name}/records` */
  putRecords(
    args: { readonly durability?: 'fsync' | 'batch' | 'async' | undefined; readonly name: string; readonly body: readonly BulkRecord[] },
    options?: CallOptions,
  ): Promise<BulkResult>

  /** Writes many records. A JSON array, or NDJSON streamed. Bad lines are rejected one by one and good ones kept. A missing key is made. With "Accept: application/x-ndjson" each line is acknowledged once it is what the durability says, and the last line of the answer sums up. `POST /api/collections/{name}/records` */
  putRecordsStream(
    args: { readonly durability?: 'fsync' | 'batch' | 'async' | undefined; readonly name: string; readonly body: Iterable<BulkRecord> },
    options?: CallOptions,
  ): AsyncGenerator<BulkAcknowledgement>

  /** A backup of everything that this node holds, as of one moment. For `hs-agent restore`. One that is cut off is not whole, and says so: `hs-agent verify FILE`. `GET /api/backup` */
  getBackup(options?: CallOptions): AsyncGenerator<Uint8Array>

  /** A signed proof that this node holds a record now. `hs-agent verify-proof` and docs/protocol.md say how it is verified, and what it does not prove. `GET /api/collections/{name}/records/{key}/proof` */
  getProof(args: { readonly name: string; readonly key: string }, options?: CallOptions): Promise<Proof>

  /** What this node holds of a collection now, under its signature. `GET /api/collections/{name}/checkpoint` */
  getCheckpoint(args: { readonly name: string }, options?: CallOptions): Promise<Checkpoint>

  /** Writes a record. 201 when the key was free, 200 when a record was replaced. If-Match and If-None-Match: * make it conditional. `PUT /api/collections/{name}/records/{key}` */
  putRecord(
    args: {
      readonly durability?: 'fsync' | 'batch' | 'async' | undefined
      readonly name: string
      readonly key: string
      readonly ifMatch?: string | undefined
      readonly ifNoneMatch?: string | undefined
      readonly body: RecordInput
    },
    options?: CallOptions,
  ): Promise<Written>

  /** Reads a record. `GET /api/collections/{name}/records/{key}` */
  getRecord(
    args: { readonly name: string; readonly key: string; readonly ifNoneMatch?: string | undefined },
    options?: CallOptions,
  ): Promise<StoredRecord | undefined>

  /** Deletes a record; 204 also when there is none. If-Match makes it conditional. `DELETE /api/collections/{name}/records/{key}` */
  deleteRecord(
    args: {
      readonly durability?: 'fsync' | 'batch' | 'async' | undefined
      readonly name: string
      readonly key: string
      readonly ifMatch?: string | undefined
      readonly ifNoneMatch?: string | undefined
    },
    options?: CallOptions,
  ): Promise<void>

  /** Streams what happens, as server-sent events. The events put, delete, conflict and reset have a cursor as their id; peer, sync, role, identity, store and disk have none. Without a collection the first event, or the one behind a reset, is role. The stream goes on until the client leaves, or ends with an event "end" that says why. `GET /api/events` */
  streamEvents(
    args?: { readonly collection?: string | undefined; readonly since?: string | undefined; readonly lastEventId?: string | undefined },
    options?: CallOptions,
  ): AsyncGenerator<ServerEvent>

  /** Lists changes of records behind a cursor, or waits for one. Empty changes with `more` mean that only other collections changed so far: go on from `next`. `GET /api/changes` */
  listChanges(
    args?: {
      readonly collection?: string | undefined
      readonly since?: string | undefined
      readonly limit?: string | number | undefined
      readonly waitMs?: string | number | undefined
    },
    options?: CallOptions,
  ): Promise<Changes>

  /** Finds the nearest neighbours of a vector, exactly. Nearest first, equal distances in the order of their keys. `distance` is 1 - cos with the metric cosine, the Euclidean one with l2, and -dot with dot. Records without a vector are not found, nor those whose vector has another dimension. `POST /api/collections/{name}/search` */
  searchRecords(
    args: {
      readonly name: string
      readonly body: {
        /** As long as the vectors of the collection. */
        readonly vector: readonly number[]
        /** How many neighbours. */
        readonly k: number
        /** Only keys that begin with it. */
        readonly prefix?: string
      }
    },
    options?: CallOptions,
  ): Promise<{
    readonly results: readonly {
      readonly key: string
      readonly distance: number
      /** Any JSON, up to 1 MiB. */
      readonly payload?: unknown
      /** Raw bytes instead of a payload, up to 1 MiB. */
      readonly data?: string
      /** Media type of `data`. */
      readonly content_type?: string
    }[]
  }>

  /** Everything that is kept of a collection: all versions of all keys, tombstones too. NDJSON from one snapshot: a head, a line for each version, and a last line with their number, without which it was cut off. For POST to the same path of another agent. `GET /api/collections/{name}/versions` */
  listVersions(args: { readonly name: string }, options?: CallOptions): AsyncGenerator<VersionLine>

  /** Merges exported versions, as a sync session would. The NDJSON of GET. Nothing that is here is written over by what is older, nothing that was deleted here comes back, and what is merged twice counts once. The collection is made where there is none; it must be of the same generation. `POST /api/collections/{name}/versions` */
  mergeVersions(args: { readonly name: string; readonly body: Iterable<VersionLine> }, options?: CallOptions): Promise<VersionMergeResult>

  /** The process is up. `GET /healthz` */
  getHealth(options?: CallOptions): Promise<{
    readonly status: 'ok'
  }>

  /** The agent serves; 503 with reasons when it does not. `GET /readyz` */
  getReadiness(options?: CallOptions): Promise<{
    readonly status: 'ready'
    /** What a person should know, in sentences; absent when there is nothing. */
    readonly warnings?: readonly string[]
  }>

  /** Metrics for Prometheus. `GET /metrics` */
  getMetrics(options?: CallOptions): Promise<string>

  /** This description. `GET /api/openapi.json` */
  getDescription(options?: CallOptions): Promise<Readonly<Record<string, unknown>>>
}

/** A client of one agent. Its functions throw HsAgentError for what the agent refuses. */
export function createHsAgentClient(options: ClientOptions): HsAgentClient {
  const transport = createTransport(options)
  return {
    getStatus: options =>
      transport.call({ method: 'GET', path: `/api/cluster/status`, accept: 'application/json' }, options) as Promise<ClusterStatus>,
    listPeers: (args, options) =>
      transport.call(
        { method: 'GET', path: `/api/swarm/peers`, query: { all: args?.all }, accept: 'application/json' },
        options,
      ) as Promise<SwarmPeers>,
    listSyncs: options =>
      transport.call({ method: 'GET', path: `/api/sync`, accept: 'application/json' }, options) as Promise<readonly SyncRow[]>,
    startSync: (args, options) =>
      transport.call(
        { method: 'POST', path: `/api/sync`, query: { verify: args?.verify }, accept: 'application/json' },
        options,
      ) as Promise<SyncStarted>,
    listReplicas: options =>
      transport.call({ method: 'GET', path: `/api/swarm/replicas`, accept: 'application/json' }, options) as Promise<Replicas>,
    evictReplica: (args, options) =>
      transport.call(
        { method: 'DELETE', path: `/api/swarm/replicas/${segment(args.nodeId)}`, accept: 'application/json' },
        options,
      ) as Promise<void>,
    listQuarantine: (args, options) =>
      transport.call(
        {
          method: 'GET',
          path: `/api/quarantine`,
          query: { collection: args?.collection, limit: args?.limit, cursor: args?.cursor },
          accept: 'application/json',
        },
        options,
      ) as Promise<QuarantinePage>,
    getQuarantined: (args, options) =>
      transport.call(
        { method: 'GET', path: `/api/quarantine/${segment(args.id)}`, accept: 'application/json' },
        options,
      ) as Promise<QuarantinedVersion>,
    dropQuarantined: (args, options) =>
      transport.call(
        { method: 'DELETE', path: `/api/quarantine/${segment(args.id)}`, accept: 'application/json' },
        options,
      ) as Promise<void>,
    importQuarantined: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/quarantine/import`,
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<QuarantineResult>,
    retryQuarantined: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/quarantine/retry`,
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<QuarantineResult>,
    dropManyQuarantined: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/quarantine/drop`,
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<QuarantineResult>,
    diagnoseSwarm: options =>
      transport.call({ method: 'GET', path: `/api/swarm/diagnosis`, accept: 'application/json' }, options) as Promise<Diagnosis>,
    listCollections: options =>
      transport.call({ method: 'GET', path: `/api/collections`, accept: 'application/json' }, options) as Promise<readonly Collection[]>,
    createCollection: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/collections`,
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<Collection>,
    getCollection: (args, options) =>
      transport.call(
        { method: 'GET', path: `/api/collections/${segment(args.name)}`, accept: 'application/json' },
        options,
      ) as Promise<Collection>,
    setCollection: (args, options) =>
      transport.call(
        {
          method: 'PATCH',
          path: `/api/collections/${segment(args.name)}`,
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<Collection>,
    deleteCollection: (args, options) =>
      transport.call(
        { method: 'DELETE', path: `/api/collections/${segment(args.name)}`, accept: 'application/json' },
        options,
      ) as Promise<void>,
    getDigest: (args, options) =>
      transport.call(
        { method: 'GET', path: `/api/collections/${segment(args.name)}/digest`, accept: 'application/json' },
        options,
      ) as Promise<CollectionDigest>,
    listRecords: (args, options) =>
      transport.call(
        {
          method: 'GET',
          path: `/api/collections/${segment(args.name)}/records`,
          query: { prefix: args.prefix, from: args.from, to: args.to, limit: args.limit, cursor: args.cursor, reverse: args.reverse },
          accept: 'application/json',
        },
        options,
      ) as Promise<RecordPage>,
    listRecordsStream: (args, options) =>
      transport.lines(
        {
          method: 'GET',
          path: `/api/collections/${segment(args.name)}/records`,
          query: { prefix: args.prefix, from: args.from, to: args.to, limit: args.limit, cursor: args.cursor, reverse: args.reverse },
          accept: 'application/x-ndjson',
        },
        options,
      ) as AsyncGenerator<StoredRecord>,
    putRecords: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/collections/${segment(args.name)}/records`,
          query: { durability: args.durability },
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<BulkResult>,
    putRecordsStream: (args, options) =>
      transport.lines(
        {
          method: 'POST',
          path: `/api/collections/${segment(args.name)}/records`,
          query: { durability: args.durability },
          body: { type: 'application/x-ndjson', text: toNdjson(args.body) },
          accept: 'application/x-ndjson',
        },
        options,
      ) as AsyncGenerator<BulkAcknowledgement>,
    getBackup: options => transport.bytes({ method: 'GET', path: `/api/backup`, accept: 'application/vnd.hs-agent.backup' }, options),
    getProof: (args, options) =>
      transport.call(
        { method: 'GET', path: `/api/collections/${segment(args.name)}/records/${segment(args.key)}/proof`, accept: 'application/json' },
        options,
      ) as Promise<Proof>,
    getCheckpoint: (args, options) =>
      transport.call(
        { method: 'GET', path: `/api/collections/${segment(args.name)}/checkpoint`, accept: 'application/json' },
        options,
      ) as Promise<Checkpoint>,
    putRecord: (args, options) =>
      transport.call(
        {
          method: 'PUT',
          path: `/api/collections/${segment(args.name)}/records/${segment(args.key)}`,
          query: { durability: args.durability },
          headers: { 'if-match': args.ifMatch, 'if-none-match': args.ifNoneMatch },
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<Written>,
    getRecord: (args, options) =>
      transport.call(
        {
          method: 'GET',
          path: `/api/collections/${segment(args.name)}/records/${segment(args.key)}`,
          headers: { 'if-none-match': args.ifNoneMatch },
          accept: 'application/json',
        },
        options,
      ) as Promise<StoredRecord | undefined>,
    deleteRecord: (args, options) =>
      transport.call(
        {
          method: 'DELETE',
          path: `/api/collections/${segment(args.name)}/records/${segment(args.key)}`,
          query: { durability: args.durability },
          headers: { 'if-match': args.ifMatch, 'if-none-match': args.ifNoneMatch },
          accept: 'application/json',
        },
        options,
      ) as Promise<void>,
    streamEvents: (args, options) =>
      transport.events(
        {
          method: 'GET',
          path: `/api/events`,
          query: { collection: args?.collection, since: args?.since },
          headers: { 'last-event-id': args?.lastEventId },
          accept: 'text/event-stream',
        },
        options,
      ),
    listChanges: (args, options) =>
      transport.call(
        {
          method: 'GET',
          path: `/api/changes`,
          query: { collection: args?.collection, since: args?.since, limit: args?.limit, wait_ms: args?.waitMs },
          accept: 'application/json',
        },
        options,
      ) as Promise<Changes>,
    searchRecords: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/collections/${segment(args.name)}/search`,
          body: { type: 'application/json', text: JSON.stringify(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<{
        readonly results: readonly {
          readonly key: string
          readonly distance: number
          /** Any JSON, up to 1 MiB. */
          readonly payload?: unknown
          /** Raw bytes instead of a payload, up to 1 MiB. */
          readonly data?: string
          /** Media type of `data`. */
          readonly content_type?: string
        }[]
      }>,
    listVersions: (args, options) =>
      transport.lines(
        { method: 'GET', path: `/api/collections/${segment(args.name)}/versions`, accept: 'application/x-ndjson' },
        options,
      ) as AsyncGenerator<VersionLine>,
    mergeVersions: (args, options) =>
      transport.call(
        {
          method: 'POST',
          path: `/api/collections/${segment(args.name)}/versions`,
          body: { type: 'application/x-ndjson', text: toNdjson(args.body) },
          accept: 'application/json',
        },
        options,
      ) as Promise<VersionMergeResult>,
    getHealth: options =>
      transport.call({ method: 'GET', path: `/healthz`, accept: 'application/json' }, options) as Promise<{
        readonly status: 'ok'
      }>,
    getReadiness: options =>
      transport.call({ method: 'GET', path: `/readyz`, accept: 'application/json' }, options) as Promise<{
        readonly status: 'ready'
        /** What a person should know, in sentences; absent when there is nothing. */
        readonly warnings?: readonly string[]
      }>,
    getMetrics: options => transport.call({ method: 'GET', path: `/metrics`, accept: 'text/plain' }, options) as Promise<string>,
    getDescription: options =>
      transport.call({ method: 'GET', path: `/api/openapi.json`, accept: 'application/json' }, options) as Promise<
        Readonly<Record<string, unknown>>
      >,
  }
}

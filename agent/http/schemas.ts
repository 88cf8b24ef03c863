/** The shapes of the API, as `/api/openapi.json` describes them. */
import { Type, type Static, type TInteger, type TOptional, type TSchema } from 'typebox'
import { BYTES_MAX_MIN, DROP_REASONS, TTL_MS_MAX, TTL_MS_MIN, type DropReason } from '../../sync/retention.ts'
import { DURABILITIES } from '../durability.ts'

const closed = { additionalProperties: false } as const

export const CollectionParams = Type.Object({
  name: Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,63}$', description: 'Collection name.' }),
})

export const RecordParams = Type.Object({
  name: CollectionParams.properties.name,
  key: Type.String({ description: '1 to 512 bytes of UTF-8, percent-encoded. Slashes may stay as they are.' }),
})

export const Metric = Type.Enum(['cosine', 'l2', 'dot'])
export const Conflict = Type.Enum(['lww', 'siblings', 'append'])
export const Priority = Type.Integer({
  minimum: -100,
  maximum: 100,
  description: 'Sync sessions exchange collections of greater ones first; 0 if not set. It can be set again.',
})
const StateHash = Type.Integer({ description: 'The leading 53 bits of the digest, as a number.' })
const DIGEST_FORM = 'Digest of the content, 16 bytes in lower-case hexadecimal.'
const Digest = Type.String({ description: DIGEST_FORM })
export const Role = Type.Enum(['Leader', 'Follower', 'Edge'])

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'From the closed table of codes.' }),
    instance: Type.Optional(Type.String()),
  },
  { title: 'Problem' },
)

const U64 = Type.String({ description: 'An unsigned 64-bit number in decimal, where a JSON number may not hold it.' })

const PeerCollection = Type.Object(
  {
    name: Type.String(),
    state_hash: StateHash,
    digest: Type.Optional(Type.String({ description: `${DIGEST_FORM} A peer with \`compat\` has none.` })),
    record_count: Type.Integer(),
    vector_count: Type.Integer(),
    in_sync: Type.Boolean({ description: "This node's digest equals that peer's." }),
    state_hash_hex: Type.Optional(Type.String({ description: 'With `compat` alone: all 64 bits, 16 digits in lower case.' })),
    vector_count_exact: Type.Optional(U64),
    logical_clock_exact: Type.Optional(U64),
  },
  { title: 'PeerCollection' },
)

export const SwarmPeers = Type.Object(
  {
    gossip_enabled: Type.Boolean(),
    peer_count: Type.Integer(),
    peers: Type.Array(
      Type.Object(
        {
          node_id: Type.String(),
          node_name: Type.String(),
          addr: Type.String(),
          http_port: Type.Integer(),
          http_reachable: Type.Optional(Type.Boolean()),
          role: Role,
          logical_clock: Type.Integer(),
          collections: Type.Array(PeerCollection),
          last_seen_secs: Type.Integer({ description: 'Unix seconds, by the clock of the node that answers.' }),
          last_seen_ago_ms: Type.Integer(),
          healthy: Type.Boolean(),
          status: Type.Enum(['alive', 'suspect', 'dead', 'left']),
          departed_ago_ms: Type.Optional(Type.Integer({ description: 'With `all`: how long ago a peer that died or left was dropped.' })),
          incarnation: Type.Integer(),
          gossip_addr: Type.String(),
          rtt_ms: Type.Union([Type.Number(), Type.Null()]),
          clock_skew_ms: Type.Union([Type.Number(), Type.Null()]),
          compat: Type.Optional(
            Type.Enum(['hyperspace'], { description: 'A node of another program: listed, and neither trusted nor synced with.' }),
          ),
          logical_clock_exact: Type.Optional(U64),
        },
        { title: 'Peer' },
      ),
    ),
  },
  { title: 'SwarmPeers' },
)

const SyncDirection = Type.Enum(['both', 'push', 'pull', 'none'])
const retentionMembers = {
  ttl_ms: Type.Optional(Type.Integer({ minimum: TTL_MS_MIN, maximum: TTL_MS_MAX })),
  max_records: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
  max_bytes: Type.Optional(Type.Integer({ minimum: BYTES_MAX_MIN, maximum: Number.MAX_SAFE_INTEGER })),
}
const RetentionPolicy = Type.Enum(['reject', 'drop_oldest', 'drop_lowest_priority'])
const Retention = Type.Object({ ...retentionMembers, policy: RetentionPolicy }, { title: 'Retention' })
const RetentionInput = Type.Object(
  {
    ttl: Type.Optional(Type.String({ description: 'The same as ttl_ms, with its unit: ms, s, min, h or d.' })),
    ...retentionMembers,
    policy: Type.Optional(RetentionPolicy),
  },
  { ...closed, title: 'RetentionInput' },
)

export const Collection = Type.Object(
  {
    name: Type.String(),
    record_count: Type.Integer(),
    vector_count: Type.Integer(),
    dimension: Type.Union([Type.Integer(), Type.Null()]),
    metric: Metric,
    conflict: Conflict,
    priority: Priority,
    state_hash: StateHash,
    digest: Digest,
    created_at: Type.Integer({ description: 'Unix milliseconds.' }),
    sync: SyncDirection,
    retention: Type.Union([Retention, Type.Null()]),
    partial: Type.Boolean({ description: 'This node may lack what others hold: it has given some up, or does not exchange both ways.' }),
    expired_before: Type.Union([Type.Integer(), Type.Null()], { description: 'Unix milliseconds; null: nothing has expired.' }),
    bytes: Type.Union([Type.Integer(), Type.Null()], { description: 'Of live keys and versions, where retention counts them.' }),
    dropped: Type.Object(
      Object.fromEntries(DROP_REASONS.map(reason => [reason, Type.Optional(Type.Integer())])) as Record<DropReason, TOptional<TInteger>>,
      { description: 'Versions that this node gave up or did not take, by reason.' },
    ),
    voided: Type.Integer({ description: 'Of those, the ones that nobody else was known to have.' }),
  },
  { title: 'Collection' },
)

export const CollectionDigest = Type.Object(
  {
    collection_name: Type.String(),
    logical_clock: Type.Integer(),
    vector_count: Type.Integer(),
    record_count: Type.Integer(),
    state_hash: StateHash,
    digest: Digest,
  },
  { title: 'CollectionDigest' },
)

export const CollectionInput = Type.Object(
  {
    name: CollectionParams.properties.name,
    dimension: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536 })),
    metric: Type.Optional(Metric),
    conflict: Type.Optional(Conflict),
    sync: Type.Optional(SyncDirection),
    retention: Type.Optional(RetentionInput),
    priority: Type.Optional(Priority),
  },
  { ...closed, title: 'CollectionInput' },
)

export const CollectionNodeInput = Type.Object(
  {
    sync: Type.Optional(Type.Union([SyncDirection, Type.Null()])),
    retention: Type.Optional(Type.Union([RetentionInput, Type.Null()])),
  },
  { ...closed, title: 'CollectionNodeInput' },
)

export const Version = Type.Object(
  {
    origin: Type.String(),
    counter: Type.Integer(),
    time: Type.Integer({ description: 'Unix milliseconds by the writer’s clock, raised above what it had seen.' }),
    tick: Type.Integer(),
    trusted_time: Type.Boolean(),
  },
  { title: 'Version' },
)

export const contentMembers = {
  payload: Type.Optional(Type.Unknown({ description: 'Any JSON, up to 1 MiB.' })),
  data: Type.Optional(Type.String({ contentEncoding: 'base64', description: 'Raw bytes instead of a payload, up to 1 MiB.' })),
  content_type: Type.Optional(Type.String({ description: 'Media type of `data`.' })),
  vector: Type.Optional(Type.Array(Type.Number(), { maxItems: 65_536, description: 'Stored as float32.' })),
}

export const RecordInput = Type.Object(contentMembers, { ...closed, title: 'RecordInput' })
export const BulkRecord = Type.Object({ key: Type.Optional(Type.String()), ...contentMembers }, { ...closed, title: 'BulkRecord' })

export const StoredRecord = Type.Object(
  {
    key: Type.String(),
    ...contentMembers,
    version: Version,
    conflicts: Type.Optional(Type.Array(Type.Object({ ...contentMembers, version: Version }))),
  },
  { title: 'StoredRecord' },
)

export const Written = Type.Object({ key: Type.String(), version: Version }, { title: 'Written' })

/** One line of a bulk write's streamed answer: what became of a record, and at the end the sum. */
export const BulkAcknowledgement = Type.Union(
  [
    Type.Object({ line: Type.Integer(), key: Type.String(), version: Version }),
    Type.Object({ line: Type.Integer(), code: Type.String(), detail: Type.String() }),
    Type.Object({
      accepted: Type.Integer(),
      rejected_count: Type.Integer(),
      code: Type.Optional(Type.String()),
      detail: Type.Optional(Type.String()),
    }),
  ],
  { title: 'BulkAcknowledgement' },
)

export const BulkResult = Type.Object(
  {
    accepted: Type.Integer(),
    rejected: Type.Array(Type.Object({ line: Type.Integer(), code: Type.String(), detail: Type.String() }), { maxItems: 100 }),
    rejected_count: Type.Integer(),
  },
  { title: 'BulkResult' },
)

const Flag = Type.Enum(['true', 'false', '1', '0'])

export const PeersQuery = Type.Object(
  {
    all: Type.Optional(
      Type.Enum(['true', 'false', '1', '0'], { description: 'Also those that died or left, as far as they are remembered.' }),
    ),
  },
  closed,
)

/** Whether a flag of a query is set. */
export const isSet = (flag: Static<typeof Flag> | undefined): boolean => flag === 'true' || flag === '1'

export const ListingQuery = Type.Object(
  {
    prefix: Type.Optional(Type.String()),
    from: Type.Optional(Type.String({ description: 'Inclusive.' })),
    to: Type.Optional(Type.String({ description: 'Exclusive.' })),
    limit: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$', description: 'From 1 to 1000; 100 if not given.' })),
    cursor: Type.Optional(Type.String()),
    reverse: Type.Optional(Flag),
  },
  closed,
)

export const RecordPage = Type.Object(
  {
    records: Type.Array(StoredRecord),
    cursor: Type.Union([Type.String(), Type.Null()]),
  },
  { title: 'RecordPage' },
)

export const SyncRows = Type.Array(
  Type.Object(
    {
      peer: Type.String(),
      collection: Type.String(),
      state: Type.Enum(['idle', 'syncing', 'live', 'failed']),
      in_sync: Type.Boolean(),
      entries_sent: Type.Integer(),
      entries_received: Type.Integer(),
      bytes_sent: Type.Integer(),
      bytes_received: Type.Integer(),
      last_sync_at: Type.Union([Type.Integer({ description: 'Unix milliseconds.' }), Type.Null()]),
      remaining_records: Type.Union([Type.Integer(), Type.Null()], {
        description:
          'At most so many versions are left of the session under way, both ways together: writes are counted, and of a key only the last one travels. 0 when in sync, null when it is not known.',
      }),
      remaining_bytes: Type.Union([Type.Integer(), Type.Null()], { description: 'The same in bytes, by the size of what has been moved.' }),
      rate: Type.Object(
        { records_per_sec: Type.Number(), bytes_per_sec: Type.Number({ description: 'Of messages, before they are packed.' }) },
        { title: 'SyncRate', description: 'Over the last ten seconds.' },
      ),
      error: Type.Optional(Type.String()),
    },
    { title: 'SyncRow' },
  ),
)

export const SyncQuery = Type.Object(
  {
    verify: Type.Optional(
      Type.Enum(['true', 'false', '1', '0'], {
        description: 'First scrub the own store at full speed: then sessions show what is wrong here.',
      }),
    ),
  },
  closed,
)

export const SyncStarted = Type.Object(
  {
    peers: Type.Integer({ description: 'With how many peers a session was started, or will be.' }),
    verification: Type.Optional(
      Type.Integer({ description: 'Number of the verification: the scrub has ended when `scrub.verified` of the status has reached it.' }),
    ),
  },
  { title: 'SyncStarted' },
)

export const Replicas = Type.Array(
  Type.Object(
    {
      node_id: Type.String({ description: 'The node that the replica belongs to.' }),
      store_id: Type.String({ description: 'Names this copy of the data: a node that lost its disk comes back with another one.' }),
      self: Type.Boolean({ description: 'It is the replica of this agent.' }),
      evicted: Type.Boolean({ description: 'An operator has evicted it: deletes no longer wait for it.' }),
      collections: Type.Array(
        Type.Object({
          name: Type.String(),
          missing: Type.Integer({ description: 'Writes known here that it is not known to have. Their deletes are kept as long.' }),
        }),
      ),
    },
    { title: 'ReplicaStanding' },
  ),
  { title: 'Replicas' },
)
export type ReplicasJson = Static<typeof Replicas>

export const NodeParams = Type.Object({ node_id: Type.String({ description: 'The id of a node.' }) })

export const NoQuery = Type.Object({}, closed)

/** Conditional requests (RFC 9110, section 13): described here, read by conditions.ts. */
const DurabilityField = Type.Optional(
  Type.Enum([...DURABILITIES], {
    description:
      'What the answer means: `fsync` on disk, `batch` on disk within HS_BATCH_MS, `async` handed to the system. As HS_DURABILITY says, if not given.',
  }),
)
export const WriteQuery = Type.Object({ durability: DurabilityField }, closed)

export const WriteConditions = Type.Object({
  'if-match': Type.Optional(Type.String({ description: 'Writes only over a version of these entity tags; `*` means any. Otherwise 412.' })),
  'if-none-match': Type.Optional(Type.String({ description: '`*`: writes only where nothing is. Otherwise 412.' })),
})

export const ReadCondition = Type.Object({
  'if-none-match': Type.Optional(Type.String({ description: 'Entity tags; 304 when the record still has one of them.' })),
})

/** An answer that carries the entity tag of a record. */
export function withEtag<Schema extends object>(schema: Schema): Schema {
  return { ...schema, headers: { etag: { type: 'string', description: 'Entity tag of the record, for If-Match and If-None-Match.' } } }
}

/** A body or answer that is handled as bytes: described, and not validated or typed by the framework. */
export function asBytes(
  schemaByType: Readonly<Record<string, TSchema>>,
  description?: string,
): { description?: string; content: Record<string, { schema: unknown }> } {
  return {
    ...(description === undefined ? {} : { description }),
    content: Object.fromEntries(Object.entries(schemaByType).map(([type, schema]) => [type, { schema }])),
  }
}

export type SwarmPeersJson = Static<typeof SwarmPeers>
export type CollectionJson = Static<typeof Collection>
export type RetentionJson = Static<typeof Retention>
export type RetentionInputJson = Static<typeof RetentionInput>
export type CollectionDigestJson = Static<typeof CollectionDigest>
export type SyncRowsJson = Static<typeof SyncRows>

/** This node, the swarm around it, and the state of syncing with it. */
import { equalBytes, toHex } from '../../base/bytes.ts'
import type { SyncRow } from '../sync-state.ts'
import { stateHash } from './collection-routes.ts'
import type { CompatCollectionView, NodeRole, NodeView, PeerView } from './port.ts'
import type { App, RouteContext } from './route.ts'
import { isSet, PeersQuery, SwarmPeers, SyncQuery, SyncRows, SyncStarted, type SwarmPeersJson, type SyncRowsJson } from './schemas.ts'
import { ClusterStatus, type ClusterStatusJson } from './status-schema.ts'

export const ROLE_NAMES = { edge: 'Edge', leader: 'Leader', follower: 'Follower' } as const satisfies Record<NodeRole, string>

export function addClusterRoutes(app: App, context: RouteContext): void {
  const { replica, node, peers, departed, sync, warnings } = context

  app.get(
    '/api/cluster/status',
    { schema: { operationId: 'getStatus', summary: 'This node.', tags: ['cluster'], response: { 200: ClusterStatus } } },
    () => toStatusJson(node(), replica.logicalClock(), warnings()),
  )

  app.get(
    '/api/swarm/peers',
    {
      schema: {
        operationId: 'listPeers',
        summary: 'The other members of the swarm.',
        tags: ['cluster'],
        querystring: PeersQuery,
        response: { 200: SwarmPeers },
      },
    },
    ({ query }) => {
      const view = peers()
      const listed = [...view.peers, ...(isSet(query.all) ? departed() : [])]
      const isInSync = (name: string, digest: Uint8Array): boolean => {
        const own = replica.collection(name)?.digest
        return own !== undefined && equalBytes(own, digest)
      }
      const json: SwarmPeersJson = {
        gossip_enabled: view.gossipEnabled,
        peer_count: listed.length,
        peers: listed.map(peer => toPeerJson(peer, isInSync)),
      }
      return json
    },
  )

  app.get(
    '/api/sync',
    { schema: { operationId: 'listSyncs', summary: 'Syncing, by peer and collection.', tags: ['sync'], response: { 200: SyncRows } } },
    () => sync.rows().map(toSyncRowJson),
  )

  app.post(
    '/api/sync',
    {
      schema: {
        operationId: 'startSync',
        summary: 'Syncs with every reachable peer now.',
        tags: ['sync'],
        querystring: SyncQuery,
        response: { 202: SyncStarted },
      },
    },
    async ({ query }, reply) => reply.code(202).send(isSet(query.verify) ? sync.verify() : { peers: sync.start() }),
  )
}

function toStatusJson(node: NodeView, logicalClock: number, warnings: readonly string[]): ClusterStatusJson {
  return {
    node_id: node.nodeId,
    node_name: node.nodeName,
    role: ROLE_NAMES[node.role],
    upstream_peer: node.upstreamPeer ?? null,
    downstream_peers: [...node.downstreamPeers],
    logical_clock: logicalClock,
    epoch: node.epoch,
    version: node.version,
    uptime_secs: node.uptimeSecs,
    secured: node.secured,
    public_key: node.publicKey,
    swarm_keys: node.swarmKeys.map(({ id, seals, peers, peersSealing, peersHolding }) => ({
      id,
      seals,
      peers,
      peers_sealing: peersSealing,
      peers_holding: peersHolding,
    })),
    scrub: toScrubJson(node.scrub),
    duplicate_identity:
      node.duplicateIdentity === undefined
        ? null
        : { addr: node.duplicateIdentity.addr, seen_secs: Math.floor(node.duplicateIdentity.seenAtMs / 1000) },
    warnings: [...warnings],
    recovery: node.comeback === undefined ? null : { ...node.comeback, quarantines: [...node.comeback.quarantines] },
    disk: {
      size_bytes: node.disk.sizeBytes,
      free_bytes: node.disk.freeBytes,
      reserve_bytes: node.disk.reserveBytes,
      full: node.disk.isFull,
      written_bytes: node.disk.writtenBytes ?? null,
      written_bytes_per_day: node.disk.writtenBytesPerDay ?? null,
    },
    outage_log:
      node.outageLog === undefined
        ? null
        : { bytes: node.outageLog.bytes, bytes_max: node.outageLog.bytesMax, dropped_writes: node.outageLog.droppedWrites },
  }
}

function toScrubJson(scrub: NodeView['scrub']): ClusterStatusJson['scrub'] {
  const { state, rows, passes, lastPassAtMs, mended, strays, sums, damaged, lost, recovered, missing, verified } = scrub
  const found = { mended, strays, sums, damaged, lost, recovered, missing, verified }
  return { state, rows, passes, last_pass_at: lastPassAtMs === undefined ? null : Math.floor(lastPassAtMs), ...found }
}

function toPeerJson(peer: PeerView, isInSync: (name: string, digest: Uint8Array) => boolean): SwarmPeersJson['peers'][number] {
  return {
    node_id: peer.nodeId,
    node_name: peer.nodeName,
    addr: peer.addr,
    http_port: peer.httpPort,
    ...(peer.httpReachable === undefined ? {} : { http_reachable: peer.httpReachable }),
    role: ROLE_NAMES[peer.role],
    logical_clock: Math.min(Number.MAX_SAFE_INTEGER, peer.logicalClock),
    ...(peer.compat && { compat: peer.compat.kind, logical_clock_exact: String(peer.compat.logicalClock) }),
    collections:
      peer.compat?.collections.map(toCompatCollectionJson) ??
      peer.collections.map(({ name, digest, recordCount, vectorCount }) => ({
        name,
        state_hash: stateHash(digest),
        digest: toHex(digest),
        record_count: recordCount,
        vector_count: vectorCount,
        in_sync: isInSync(name, digest),
      })),
    last_seen_secs: Math.floor(peer.lastSeenAtMs / 1000),
    last_seen_ago_ms: Math.round(peer.lastSeenAgoMs),
    healthy: peer.status === 'alive',
    status: peer.status,
    ...(peer.departedAgoMs === undefined ? {} : { departed_ago_ms: Math.round(peer.departedAgoMs) }),
    incarnation: peer.incarnation,
    gossip_addr: peer.gossipAddr,
    rtt_ms: peer.rttMs ?? null,
    clock_skew_ms: peer.clockSkewMs ?? null,
  }
}

/** The numbers are the nearest ones that JSON's readers hold exactly; beside them stands the whole of each. */
function toCompatCollectionJson(collection: CompatCollectionView): SwarmPeersJson['peers'][number]['collections'][number] {
  const { name, stateHash, vectorCount, logicalClock } = collection
  const vectors = Math.min(Number.MAX_SAFE_INTEGER, Number(vectorCount))
  return {
    name,
    // As of our own digests: the leading 53 bits.
    state_hash: Number(stateHash >> 11n),
    state_hash_hex: stateHash.toString(16).padStart(16, '0'),
    // Its records are vectors.
    record_count: vectors,
    vector_count: vectors,
    vector_count_exact: String(vectorCount),
    logical_clock_exact: String(logicalClock),
    in_sync: false,
  }
}

function toSyncRowJson(row: SyncRow): SyncRowsJson[number] {
  return {
    peer: row.peer,
    collection: row.collection,
    state: row.state,
    in_sync: row.inSync,
    entries_sent: row.entriesSent,
    entries_received: row.entriesReceived,
    bytes_sent: row.bytesSent,
    bytes_received: row.bytesReceived,
    last_sync_at: row.lastSyncAtMs ?? null,
    remaining_records: row.remainingRecords ?? null,
    remaining_bytes: row.remainingBytes ?? null,
    rate: { records_per_sec: round(row.rate.recordsPerSecond), bytes_per_sec: round(row.rate.bytesPerSecond) },
    ...(row.error === undefined ? {} : { error: row.error }),
  }
}

const round = (value: number): number => Math.round(value * 10) / 10

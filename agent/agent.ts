/** The composition root: builds an agent from its configuration, in the order in which its parts need one another. */
import { fromHex } from '../base/bytes.ts'
import { createDigestList, differingNames, type CollectionDigest } from '../swarm/digest-list.ts'
import type { LocalState } from '../swarm/events.ts'
import type { MemberView } from '../swarm/member.ts'
import { SALT_BYTES } from '../sync/digest.ts'
import { openReplica, type OpenReplica, type ReplicaOptions } from '../sync/open-replica.ts'
import { StoreFormatError } from '../sync/replica-state.ts'
import { addAgentSamples } from './agent-samples.ts'
import { createCodec } from './codec.ts'
import { formatHostPort, isLoopback } from './config-address.ts'
import type { Config } from './config.ts'
import { openDataDirectory } from './data-directory.ts'
import { AgentError } from './errors.ts'
import { startFlushing } from './flusher.ts'
import { startGossip, type Gossip, type GossipOptions } from './gossip.ts'
import { createHttpServer } from './http/server.ts'
import { defaultNodeName } from './identity.ts'
import { watchClockTrust } from './kernel-clock.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { listenForPeers, type PeerLink, type PeerListener } from './peer-link.ts'
import { viewPeer } from './peer-view.ts'
import { createSystemClock, systemHash, systemRandom } from './ports.ts'
import { createSynchroniser, type SyncPeer, type Synchroniser } from './synchroniser.ts'

export interface Agent {
  /** One line for a person: node id, role, URL, gossip port, data directory. */
  readonly banner: string
  readonly nodeId: string
  readonly httpUrl: string
  /** Says farewell, finishes what is under way, and closes the store. */
  close(): Promise<void>
}

/** Tries with a random gossip port: TCP and UDP need the same number, and UDP's may be taken. */
const FREE_PORT_TRIES = 10

/** Starts an agent. Throws AgentError with HS_STORE_*, HS_BIND_FAILED; whatever was opened before is closed again. */
export async function startAgent(config: Config, context: { readonly version: string }): Promise<Agent> {
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    return await build(config, context.version, closers, close)
  } catch (error) {
    await close()
    throw error
  }
}

async function build(config: Config, version: string, closers: (() => Promise<void> | void)[], close: () => Promise<void>): Promise<Agent> {
  const { store, identity } = await openDataDirectory(config.dataDir)
  const { nodeId } = identity
  const nodeName = config.nodeName ?? defaultNodeName(nodeId)
  const log = createLog(config.logLevel, nodeName)
  const trust = watchClockTrust(config.clockTrusted)
  closers.push(() => trust.close())
  const clock = createSystemClock(() => trust.isTrusted())
  const startedMs = clock.monotonicMs()
  const codec = createCodec()

  const replica = await openReplicaOrExplain({
    store,
    hash: systemHash,
    random: systemRandom,
    clock,
    digestSalt: digestSaltOf(config),
    clockDriftMaxMs: config.clockDriftMaxMs,
    durability: config.durability === 'fsync' ? 'fsync' : 'deferred',
  })
  closers.push(() => replica.close())
  if (config.durability !== 'fsync') closers.push(startFlushing(replica, config.durability, config.batchMs, log))

  const swarm: { gossip?: Gossip; synchroniser?: Synchroniser; isStarting: boolean } = { isStarting: config.gossipPort !== undefined }
  const metrics = createMetrics()
  const isReachable = !isLoopback(config.httpHost)
  const http = await createHttpServer({
    host: config.httpHost,
    port: config.httpPort,
    tokens: config.apiTokens,
    replica,
    node: () => ({
      nodeId,
      nodeName,
      role: config.role,
      epoch: 0,
      version,
      uptimeSecs: Math.floor((clock.monotonicMs() - startedMs) / 1000),
      secured: false,
      upstreamPeer: undefined,
      downstreamPeers: swarm.synchroniser?.downstream() ?? [],
    }),
    peers: () => ({
      gossipEnabled: config.gossipPort !== undefined,
      peers: (swarm.gossip?.members() ?? []).map(member => viewPeer(member, clock)),
    }),
    sync: {
      rows: () => swarm.synchroniser?.rows() ?? [],
      start() {
        if (swarm.synchroniser === undefined)
          throw new AgentError('HS_GOSSIP_DISABLED', 'there are no peers to sync with: set HS_GOSSIP_PORT or HS_GOSSIP_PEERS')
        return swarm.synchroniser.startAll()
      },
    },
    readiness: () => (swarm.isStarting ? ['gossip is starting'] : []),
    log,
    metrics,
  })
  closers.push(() => http.close())

  let gossipPort: number | undefined
  if (config.gossipPort !== undefined) {
    const digests = createDigestView(replica)
    const { gossip, synchroniser, port } = await startSwarm(config, config.gossipPort, closers, {
      options: {
        nodeId,
        nodeName,
        bootCounter: identity.bootCounter,
        role: config.role,
        httpPort: http.port,
        httpReachable: isReachable,
        clock,
        random: systemRandom,
        hash: systemHash,
        codec,
        log,
        localState: digests.localState,
      },
      replica,
      digests,
    })
    Object.assign(swarm, { gossip, synchroniser, isStarting: false })
    gossipPort = port
    replica.onChange(() => gossip.localStateChanged())
    if (config.swarmName === 'default' && !config.swarmOpen) {
      log.info(
        'the swarm is open and unnamed: peers met by multicast alone are listed, not synced with (HS_SWARM_NAME, HS_GOSSIP_PEERS, HS_SWARM_OPEN)',
      )
    }
  }
  addAgentSamples(metrics, { replica, gossip: () => swarm.gossip, synchroniser: () => swarm.synchroniser })

  const gossipText = gossipPort === undefined ? 'gossip off' : `gossip port ${gossipPort}`
  const banner = `hs-agent ${version}: node ${nodeId} (${nodeName}), role ${config.role}, ${http.url}, ${gossipText}, data in ${config.dataDir}`
  log.info(
    { node_id: nodeId, role: config.role, http_url: http.url, gossip_port: gossipPort ?? null, data_dir: config.dataDir, version },
    'started',
  )
  return { banner, nodeId, httpUrl: http.url, close }
}

/** Without a salt: zeros. */
function digestSaltOf(config: Config): Uint8Array {
  const salt = config.digestSalt === undefined ? undefined : fromHex(config.digestSalt)
  return salt ?? new Uint8Array(SALT_BYTES)
}

async function openReplicaOrExplain(options: ReplicaOptions): Promise<OpenReplica> {
  try {
    return await openReplica(options)
  } catch (error) {
    await options.store.close()
    if (error instanceof StoreFormatError) throw new AgentError('HS_STORE_FORMAT', error.message, { cause: error })
    const reason = error instanceof Error ? error.message : String(error)
    throw new AgentError('HS_STORE_OPEN_FAILED', `the store cannot be read: ${reason}`, { cause: error })
  }
}

interface DigestView {
  readonly localState: () => LocalState
  /** Names of the collections in which this member differs from what is durable here. */
  readonly differing: (member: MemberView | undefined) => readonly string[]
}

/** What gossip tells of the replica: durable digests, the system collection's included. */
function createDigestView(replica: OpenReplica): DigestView {
  const collections = (): CollectionDigest[] => {
    const system = replica.systemCollection()
    return [...(system === undefined ? [] : [system]), ...replica.collections()].map(
      ({ name, generation, digest, recordCount, vectorCount }) => ({
        name,
        generation,
        digest,
        recordCount,
        vectorCount,
      }),
    )
  }
  return {
    localState: () => ({ logicalClock: replica.logicalClock(), collections: collections() }),
    differing(member) {
      if (member?.collections === undefined) return []
      return differingNames(createDigestList(collections(), systemHash), createDigestList(member.collections, systemHash))
    },
  }
}

interface SwarmParts {
  readonly options: Omit<
    GossipOptions,
    'port' | 'host' | 'multicast' | 'interfaces' | 'seeds' | 'profile' | 'swarmName' | 'open' | 'secured' | 'on'
  >
  readonly replica: OpenReplica
  readonly digests: DigestView
}

/** Binds the peer link and then gossip on the same port number, and joins the two by the synchroniser. */
async function startSwarm(config: Config, port: number, closers: (() => Promise<void> | void)[], parts: SwarmParts) {
  const { options, replica, digests } = parts
  const { log } = options
  // Links and digests may come before both sides of the pair stand.
  const swarm: { gossip?: Gossip; synchroniser?: Synchroniser } = {}
  const isNamedPort = port !== 0

  const bind = async (): Promise<{ listener: PeerListener; gossip: Gossip }> => {
    const onLink = (link: PeerLink): void => (swarm.synchroniser === undefined ? link.close() : swarm.synchroniser.accept(link))
    const listener = await listenForPeers(config.gossipHost, port, onLink)
    try {
      const gossip = await startGossip({
        ...options,
        port: listener.port,
        host: config.gossipHost,
        multicast: config.gossipMulticast && { group: config.gossipMulticast.host, port: config.gossipMulticast.port },
        interfaces: config.gossipInterfaces.length === 0 ? undefined : config.gossipInterfaces,
        seeds: config.gossipPeers,
        profile: config.gossipProfile,
        swarmName: config.swarmName,
        open: config.swarmOpen,
        secured: false,
        on: {
          digests: (peer, differing) => swarm.synchroniser?.digestsChanged(peer, differing),
          joined: view =>
            log.info(
              { peer: view.nodeId, name: view.nodeName, host: view.host, port: view.gossipPort, trust: view.trust },
              'a peer joined',
            ),
          updated(view, reason) {
            log.debug({ peer: view.nodeId, reason }, 'a peer changed')
            if (reason === 'trust') swarm.synchroniser?.digestsChanged(view.nodeId, digests.differing(view))
          },
          dropped(view, reason) {
            log.info({ peer: view.nodeId, name: view.nodeName, reason }, 'a peer is gone')
            swarm.synchroniser?.peerDropped(view.nodeId)
          },
          observeClock: value => replica.observeLogicalClock(value),
          duplicateIdentity: from =>
            log.error(
              { node_id: options.nodeId, from: formatHostPort(from) },
              'another agent uses the node id of this one: one of the two runs on a copied data directory',
            ),
        },
      })
      return { listener, gossip }
    } catch (error) {
      await listener.close()
      throw error
    }
  }

  const bindAny = async (triesLeft: number): Promise<{ listener: PeerListener; gossip: Gossip }> => {
    try {
      return await bind()
    } catch (error) {
      if (isNamedPort || triesLeft === 0) throw error
      return bindAny(triesLeft - 1)
    }
  }

  const { listener, gossip } = await bindAny(FREE_PORT_TRIES)
  const peerOf = (member: MemberView): SyncPeer => ({
    nodeId: member.nodeId,
    host: member.host,
    port: member.gossipPort,
    mayExchange: member.mayExchange,
    isNamed: member.trust === 'named-by-us',
  })
  const synchroniser = createSynchroniser({
    nodeId: options.nodeId,
    swarmName: config.swarmName,
    replica,
    clock: options.clock,
    random: options.random,
    hash: options.hash,
    codec: options.codec,
    log,
    peer(peerId) {
      const member = gossip.member(peerId)
      return member && peerOf(member)
    },
    peers: () => gossip.members().map(peerOf),
    differing: peerId => digests.differing(gossip.member(peerId)),
    isOpen: config.swarmOpen || config.swarmName !== 'default',
  })
  closers.push(
    () => listener.close(),
    () => synchroniser.close(),
    () => gossip.close(),
  )
  Object.assign(swarm, { gossip, synchroniser })
  for (const member of gossip.members()) synchroniser.digestsChanged(member.nodeId, digests.differing(member))
  return { gossip, synchroniser, port: listener.port }
}

/** Joins gossip, the peer link and the synchroniser: gossip tells whose digests differ, the synchroniser exchanges what does. */
import { createDigestList, differingNames, type CollectionDigest } from '../swarm/digest-list.ts'
import type { LocalState } from '../swarm/events.ts'
import type { MemberView } from '../swarm/member.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import { formatHostPort } from './config-address.ts'
import type { Config } from './config.ts'
import type { EventHub, PeerEvent } from './event-hub.ts'
import { startGossip, type Gossip, type GossipOptions } from './gossip.ts'
import { createLinkSecurity } from './link-security.ts'
import { createLinkRecord, type LinkRecord } from './link-record.ts'
import {
  createLinkTraffic,
  dialPeer,
  LINK_LIMITS,
  listenForPeers,
  type LinkLimits,
  type LinkTraffic,
  type PeerLink,
  type PeerListener,
} from './peer-link.ts'
import { openPeerMemory } from './peer-memory.ts'
import { viewPeer } from './peer-view.ts'
import { systemHash } from './ports.ts'
import type { SwarmKey } from './swarm-keys.ts'
import { createSettledPairs, type SettledPairs } from './settled-pairs.ts'
import { createSynchroniser, type SyncPeer, type Synchroniser } from './synchroniser.ts'

/** Tries with a random gossip port: TCP and UDP need the same number, and UDP's may be taken. */
const FREE_PORT_TRIES = 10

export interface DigestView {
  readonly localState: () => LocalState
  /** Names of the collections in which this member differs from what is durable here. */
  readonly differing: (member: MemberView | undefined) => readonly string[]
  /** What sessions have ended with. */
  readonly settled: SettledPairs
}

/** What gossip tells of the replica: durable digests, the system collection's included. */
export function createDigestView(replica: OpenReplica): DigestView {
  const settled = createSettledPairs()
  const collections = (): CollectionDigest[] => {
    const system = replica.systemCollection()
    return [...(system === undefined ? [] : [system]), ...replica.collections()].map(
      ({ name, generation, digest, recordCount, vectorCount, partial }) => ({
        name,
        generation,
        digest,
        recordCount,
        vectorCount,
        ...(partial === undefined ? {} : { partial }),
      }),
    )
  }
  return {
    settled,
    localState: () => ({ logicalClock: replica.logicalClock(), collections: collections() }),
    differing(member) {
      if (member?.collections === undefined) return []
      const own = collections()
      const names = differingNames(createDigestList(own, systemHash), createDigestList(member.collections, systemHash))
      return settled.unsettled(member.nodeId, names, own, member.collections)
    },
  }
}

export interface PeeringParts {
  readonly options: Omit<
    GossipOptions,
    'port' | 'host' | 'multicast' | 'interfaces' | 'seeds' | 'remembered' | 'profile' | 'swarmName' | 'open' | 'keys' | 'compat' | 'on'
  >
  readonly replica: OpenReplica
  readonly digests: DigestView
  readonly events: Pick<EventHub, 'publish'>
  readonly swarmKeys: readonly SwarmKey[]
  /** Another process uses this node's id; `addr` is its gossip address. */
  readonly onDuplicateIdentity: (addr: string) => void
}

export interface Peering {
  /** Other keys from now on; for a swarm that has some. */
  useKeys(keys: readonly SwarmKey[]): void
  readonly gossip: Gossip
  readonly synchroniser: Synchroniser
  /** How dialling peers went. */
  readonly links: Pick<LinkRecord, 'last'>
  readonly port: number
  /** What the sync links have carried. */
  readonly traffic: Readonly<LinkTraffic>
}

/** Binds the peer link and then gossip on the same port number, and joins the two by the synchroniser. */
export async function startPeering(
  config: Config,
  port: number,
  closers: (() => Promise<void> | void)[],
  parts: PeeringParts,
): Promise<Peering> {
  const { options, replica, digests, events, swarmKeys: keys } = parts
  const { log } = options
  const tellPeer = (change: PeerEvent['change'], view: MemberView, reason?: string): void =>
    events.publish({ kind: 'peer', change, peer: viewPeer(view, options.clock), ...(reason === undefined ? {} : { reason }) })
  // Links and digests may come before both sides of the pair stand.
  const swarm: { gossip?: Gossip; synchroniser?: Synchroniser } = {}
  const isNamedPort = port !== 0
  const limits = linkLimits(config)
  const traffic = createLinkTraffic()
  const security = keys.length === 0 ? undefined : createLinkSecurity(keys, config.swarmName, LINK_LIMITS.firstMessageMs)
  const memory = await openPeerMemory({
    dataDir: config.dataDir,
    nodeId: options.nodeId,
    monotonicMs: () => options.clock.monotonicMs(),
    log,
  })

  const bind = async (): Promise<{ listener: PeerListener; gossip: Gossip }> => {
    const onLink = (link: PeerLink): void => (swarm.synchroniser === undefined ? link.close() : swarm.synchroniser.accept(link))
    const listener = await listenForPeers(config.gossipHost, port, onLink, limits, security, traffic)
    try {
      const gossip = await startGossip({
        ...options,
        port: listener.port,
        host: config.gossipHost,
        multicast: config.gossipMulticast && { group: config.gossipMulticast.host, port: config.gossipMulticast.port },
        interfaces: config.gossipInterfaces.length === 0 ? undefined : config.gossipInterfaces,
        seeds: config.gossipPeers,
        remembered: memory.remembered,
        profile: config.gossipProfile,
        swarmName: config.swarmName,
        open: config.swarmOpen,
        keys: keys.map(({ bytes }) => bytes),
        compat: config.gossipCompat,
        on: {
          digests: peer => swarm.synchroniser?.digestsChanged(peer, digests.differing(swarm.gossip?.member(peer))),
          joined(view) {
            tellPeer('joined', view)
            swarm.synchroniser?.peerJoined(view.nodeId)
          },
          updated(view, reason) {
            tellPeer('changed', view, reason)
            if (reason === 'trust') swarm.synchroniser?.digestsChanged(view.nodeId, digests.differing(view))
          },
          dropped(view, reason) {
            tellPeer('dropped', view, reason)
            swarm.synchroniser?.peerDropped(view.nodeId)
            digests.settled.forget(view.nodeId)
          },
          observeClock: value => replica.observeLogicalClock(value),
          duplicateIdentity(from) {
            const addr = formatHostPort(from)
            parts.onDuplicateIdentity(addr)
            events.publish({ kind: 'identity', fault: 'duplicate', addr })
          },
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
  const links = createLinkRecord(() => options.clock.monotonicMs())
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
    isSealed: keys.length > 0,
    dial: (host, port) => dialPeer(host, port, limits, security, outcome => links.note({ host, port }, outcome), traffic),
    peer(peerId) {
      const member = gossip.member(peerId)
      return member && peerOf(member)
    },
    peers: () => gossip.members().map(peerOf),
    differing: peerId => digests.differing(gossip.member(peerId)),
    liveLinksMax: config.syncLiveLinks,
    isOpen: keys.length > 0 || config.swarmOpen || config.swarmName !== 'default',
    onExchanged: event => events.publish(event),
    onSettled: (peerId, collection) => digests.settled.note(peerId, collection),
    // Data passes by then, however dialling it went last.
    onAnswered(peerId) {
      const member = gossip.member(peerId)
      if (member !== undefined) links.note({ host: member.host, port: member.gossipPort }, 'open')
    },
  })
  closers.push(
    () => listener.close(),
    () => synchroniser.close(),
    () => gossip.close(),
    // Before the farewell, while the members are known.
    () => memory.close(),
  )
  Object.assign(swarm, { gossip, synchroniser })
  // Where others say that somebody is, is not worth remembering.
  const heard = (): readonly MemberView[] => gossip.members().filter(({ trust }) => trust !== 'hearsay')
  memory.watch(() => heard().map(({ nodeId, host, gossipPort }) => ({ nodeId, address: { host, port: gossipPort } })))
  for (const member of gossip.members()) synchroniser.digestsChanged(member.nodeId, digests.differing(member))
  return {
    gossip,
    synchroniser,
    links,
    traffic,
    port: listener.port,
    useKeys(keys) {
      gossip.useKeys(keys.map(({ bytes }) => bytes))
      security?.useKeys(keys)
    },
  }
}

function linkLimits({ syncKbpsMax, syncCompression }: Config): LinkLimits {
  return {
    ...LINK_LIMITS,
    sendKbpsMax: syncKbpsMax ?? LINK_LIMITS.sendKbpsMax,
    packBytesMin: syncCompression === 'off' ? Number.POSITIVE_INFINITY : LINK_LIMITS.packBytesMin,
  }
}

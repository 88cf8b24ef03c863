/**
 * Drives the gossip of HyperspaceDB (HS_GOSSIP_COMPAT=hyperspace) beside ours: hears heartbeats on the same unicast socket, and sends
 * one every 5 s to the addresses behind HS_GOSSIP_PEERS and to the nodes heard. These are listed and nothing else (swarm/compat-peers.ts).
 *
 * It is plain text that anybody can make up, also where our own packets are sealed; that is why it is a setting of its own.
 */
import type { Logger } from 'pino'
import { equalBytes } from '../base/bytes.ts'
import { addressKey } from '../swarm/address.ts'
import type { Address } from '../swarm/address.ts'
import { COMPAT_BYTES_MAX, encodeCompatHeartbeat, leadingU64, looksLikeCompat } from '../swarm/compat-heartbeat.ts'
import type { CompatDigest, CompatHeartbeat } from '../swarm/compat-heartbeat.ts'
import { COMPAT_LIMITS, createCompatPeers } from '../swarm/compat-peers.ts'
import type { CompatPeer, CompatRejectReason } from '../swarm/compat-peers.ts'
import type { CollectionDigest } from '../swarm/digest-list.ts'
import type { LocalState } from '../swarm/events.ts'
import type { MemberView } from '../swarm/member.ts'
import type { Role } from '../swarm/node-description.ts'

/** Native members are heard within this time, and then need no heartbeat of this kind. */
const FIRST_HEARTBEAT_MS = 1_000

const ROLES = { edge: 'Edge', leader: 'Leader', follower: 'Follower' } as const satisfies Record<Role, string>

export interface GossipCompatOptions {
  /** A UUID in lower case. */
  readonly nodeId: string
  readonly role: Role
  readonly httpPort: () => number
  readonly gossipPort: number
  readonly localState: () => LocalState
  readonly members: () => readonly MemberView[]
  readonly member: (nodeId: string) => MemberView | undefined
  readonly send: (to: Address, bytes: Uint8Array) => void
  readonly monotonicMs: () => number
  readonly wallMs: () => number
  readonly log: Logger
}

export interface GossipCompat {
  /** Takes a datagram if it is one of these; false when it is for somebody else. */
  take(bytes: Uint8Array, from: Address): boolean
  /** All addresses behind HS_GOSSIP_PEERS. */
  setSeeds(addresses: readonly Address[]): void
  peers(): readonly CompatPeer[]
  rejects(): ReadonlyMap<CompatRejectReason, number>
  close(): void
}

export function startGossipCompat(options: GossipCompatOptions): GossipCompat {
  const { log, monotonicMs } = options
  const table = createCompatPeers(options.nodeId, nodeId => options.member(nodeId) !== undefined)
  const rejects = new Map<CompatRejectReason, number>()
  const order = createChangeOrder()
  let seeds: readonly Address[] = []
  let isOverflowTold = false

  function heartbeat(): CompatHeartbeat {
    const { logicalClock, collections } = options.localState()
    const wallMs = Math.max(0, Math.floor(options.wallMs() / 1_000))
    return {
      nodeId: options.nodeId,
      role: ROLES[options.role],
      httpPort: options.httpPort(),
      gossipPort: options.gossipPort,
      logicalClock: BigInt(logicalClock),
      digests: order.newestFirst(collections, logicalClock),
      timestampSecs: BigInt(wallMs),
    }
  }

  function beat(): void {
    const nowMs = monotonicMs()
    for (const nodeId of table.tick(nowMs)) log.info({ nodeId }, 'gossip: a HyperspaceDB node is gone')
    const own = heartbeat()
    const full = encodeCompatHeartbeat(own)
    if (full !== undefined) {
      if (full.digestCount < own.digests.length && !isOverflowTold) {
        isOverflowTold = true
        log.warn(
          { collections: own.digests.length, told: full.digestCount },
          'gossip: HyperspaceDB takes no datagram that holds all collections: it is told of those that changed last',
        )
      }
      const native = new Set(options.members().map(({ host, gossipPort }) => addressKey({ host, port: gossipPort })))
      const named = new Set(seeds.map(addressKey))
      for (const seed of seeds) if (!native.has(addressKey(seed))) options.send(seed, full.bytes)
      table.greetEach(nowMs, (to, bytesMax) => {
        if (named.has(addressKey(to))) return 0
        const bytes = bytesMax >= full.bytes.length ? full.bytes : encodeCompatHeartbeat(own, Math.min(bytesMax, COMPAT_BYTES_MAX))?.bytes
        if (bytes === undefined) return 0
        options.send(to, bytes)
        return bytes.length
      })
    }
    timer = setTimeout(judge, COMPAT_LIMITS.intervalMs)
  }

  /** The sockets are read between a timer and an immediate: what has arrived counts before anybody is dropped. */
  let immediate: NodeJS.Immediate | undefined
  const judge = (): void => {
    immediate = setImmediate(beat)
  }
  let timer = setTimeout(judge, FIRST_HEARTBEAT_MS)

  return {
    take(bytes, from) {
      if (!looksLikeCompat(bytes)) return false
      const outcome = table.hear(bytes, from, monotonicMs(), options.wallMs())
      if (outcome === 'joined') log.info({ from }, 'gossip: a HyperspaceDB node was heard')
      else if (outcome !== 'heard') {
        rejects.set(outcome, (rejects.get(outcome) ?? 0) + 1)
        log.debug({ reason: outcome, from }, 'gossip: refused a datagram in the form of HyperspaceDB')
      }
      return true
    },
    setSeeds: addresses => void (seeds = addresses),
    peers: () => table.list(monotonicMs()),
    rejects: () => rejects,
    close() {
      clearTimeout(timer)
      clearImmediate(immediate)
    },
  }
}

interface Change {
  readonly digest: Uint8Array
  /** Our logical clock when the change was seen. */
  readonly logicalClock: number
  readonly serial: number
}

/** Remembers when the digest of each collection last changed; collections whose name begins with `_` are nobody else's business. */
function createChangeOrder(): { newestFirst(collections: readonly CollectionDigest[], logicalClock: number): CompatDigest[] } {
  let changeByName = new Map<string, Change>()
  let serial = 0
  return {
    newestFirst(collections, logicalClock) {
      serial += 1
      const shown = collections.filter(({ name }) => !name.startsWith('_'))
      const next = new Map<string, Change>()
      for (const { name, digest } of shown) {
        const known = changeByName.get(name)
        next.set(name, known !== undefined && equalBytes(known.digest, digest) ? known : { digest, logicalClock, serial })
      }
      changeByName = next
      const serialOf = (name: string): number => next.get(name)?.serial ?? 0
      return shown
        .sort((a, b) => serialOf(b.name) - serialOf(a.name))
        .map(({ name, digest, vectorCount }) => ({
          name,
          stateHash: leadingU64(digest),
          vectorCount: BigInt(vectorCount),
          logicalClock: BigInt(next.get(name)?.logicalClock ?? 0),
        }))
    },
  }
}

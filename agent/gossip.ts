/** Drives the swarm core (swarm/swarm.ts) with real sockets, clocks and names. */
import type { Logger } from 'pino'
import type { Clock, Codec, Hash, Random } from '../base/ports.ts'
import type { Address } from '../swarm/address.ts'
import type { DropReason, LocalState, RejectReason, SwarmEffect, SwarmEvent, UpdateReason } from '../swarm/events.ts'
import type { MemberView } from '../swarm/member.ts'
import type { Role } from '../swarm/node-description.ts'
import { LIMITS, PROFILES } from '../swarm/options.ts'
import type { SwarmProfile } from '../swarm/options.ts'
import { createSwarm } from '../swarm/swarm.ts'
import type { DepartedView } from '../swarm/swarm.ts'
import type { SwarmCounters } from '../swarm/counters.ts'
import { systemLookup, watchSeeds } from './gossip-seeds.ts'
import type { SeedWatch } from './gossip-seeds.ts'
import { watchStandstill } from './standstill.ts'
import { probeTcp } from './tcp-probe.ts'
import { openUdp } from './udp.ts'
import type { UdpStats } from './udp.ts'

/** The local state is read at most this often: with thousands of collections that costs milliseconds. */
const STATE_READ_INTERVAL_MS = 50
/**
 * Before time is judged, the sockets are read until they are empty, for at most this many turns of the event loop: an overdue timer
 * fires after at most 32 queued datagrams, and the next 32 may be the very sign of life that was missed.
 */
const DRAIN_TURNS_MAX = 512
/** Faults and rejects of one kind are logged at most this often; all of them are counted. */
const LOG_INTERVAL_MS = 60_000
/** setTimeout takes 31 bits; nobody needs to sleep longer than this. */
const SLEEP_MAX_MS = 60_000

export interface GossipOptions {
  /** A UUID in lower case. */
  readonly nodeId: string
  /** 1 to 128 characters, none of which controls a terminal. */
  readonly nodeName: string
  /** Persisted, and raised at every start: 0 to 2^32 - 1. */
  readonly bootCounter: number
  readonly role: Role
  readonly httpPort: number | (() => number)
  /** Whether HTTP listens beyond loopback. */
  readonly httpReachable: boolean
  /** UDP port, the number that the peer link has bound in TCP. */
  readonly port: number
  /** HS_GOSSIP_HOST. */
  readonly host: string
  readonly multicast: { readonly group: string; readonly port: number } | undefined
  /** HS_GOSSIP_INTERFACE: names or addresses; undefined means all that look outward. */
  readonly interfaces: readonly string[] | undefined
  /** HS_GOSSIP_PEERS: names or addresses. */
  readonly seeds: readonly Address[]
  readonly profile: SwarmProfile
  readonly swarmName: string
  /** HS_SWARM_OPEN. */
  readonly open: boolean
  readonly secured: false
  readonly clock: Clock
  readonly random: Random
  readonly hash: Hash
  readonly codec: Codec
  readonly log: Logger
  /** What this node holds now; what is durable, nothing else. */
  readonly localState: () => LocalState
  readonly on: GossipListeners
}

export interface GossipListeners {
  /** How a member's digests differ from ours, whenever either side's have changed. Ask `mayExchange` before syncing with it. */
  digests(nodeId: string, differing: readonly string[]): void
  joined(view: MemberView): void
  /** Restarted, moved, described anew, or trusted now. */
  updated(view: MemberView, reason: UpdateReason): void
  dropped(view: MemberView, reason: DropReason): void
  /** A peer's Lamport clock is ahead of ours: max only. */
  observeClock(logicalClock: number): void
  /** Another process on the network uses this node's id. */
  duplicateIdentity(from: Address): void
}

export interface GossipStats extends UdpStats {
  readonly rejectsByReason: ReadonlyMap<RejectReason, number>
  readonly core: Readonly<SwarmCounters>
  /** Peers answer by unicast, and the discovery group carries nothing. */
  readonly isMulticastMute: boolean
}

export interface Gossip {
  members(): readonly MemberView[]
  member(nodeId: string): MemberView | undefined
  /** Those that died or left and are remembered. */
  departed(): readonly DepartedView[]
  /** Cheap, and may be called after every write: the state is read at most 20 times a second. */
  localStateChanged(): void
  stats(): GossipStats
  /** Says farewell and closes the sockets; takes about a tenth of a second. */
  close(): Promise<void>
}

/** Binds the sockets and starts; `AgentError` HS_BIND_FAILED when the unicast socket cannot be bound, nothing else is fatal. */
export async function startGossip(options: GossipOptions): Promise<Gossip> {
  const { clock, log, on } = options
  const monotonicMs = (): number => clock.monotonicMs()
  const { httpPort } = options
  const swarm = createSwarm(
    {
      ...options,
      httpPort: typeof httpPort === 'number' ? () => httpPort : httpPort,
      gossipPort: options.port,
      multicast: options.multicast !== undefined,
      timings: PROFILES[options.profile],
      limits: LIMITS,
    },
    { hash: options.hash, random: options.random, codec: options.codec, wallMs: () => clock.wallMs() },
  )
  const rejectsByReason = new Map<RejectReason, number>()
  const loggedAtMs = new Map<string, number>()
  let packetsSeen = 0
  let running = false
  let isMulticastMute = false
  let onStopped = (): void => {}
  let seedWatch: SeedWatch | undefined

  /** True once a minute for each kind; kinds are few (reasons and system codes). */
  function isLogged(kind: string): boolean {
    const nowMs = monotonicMs()
    if (nowMs - (loggedAtMs.get(kind) ?? -Infinity) < LOG_INTERVAL_MS) return false
    loggedAtMs.set(kind, nowMs)
    return true
  }

  const udp = await openUdp({
    host: options.host,
    port: options.port,
    multicast: options.multicast,
    interfaces: options.interfaces,
    monotonicMs,
    onPacket(bytes, from, multicast) {
      packetsSeen += 1
      give({ type: 'packet', bytes, from, multicast })
    },
    onInterfacesChanged() {
      give({ type: 'interfaces-changed' })
      seedWatch?.refresh()
    },
    onFault(what, code) {
      if (isLogged(`${what} ${code}`)) log.warn({ what, code }, 'gossip: the system refused something; it is tried again')
    },
  })

  // --- Events and effects ---

  function give(event: SwarmEvent): void {
    if (!running) return
    for (const effect of swarm.step(event, monotonicMs())) carryOut(effect)
    schedule()
  }

  function carryOut(effect: SwarmEffect): void {
    switch (effect.type) {
      case 'send':
        return udp.send(effect.to, effect.bytes)
      case 'member-joined':
        log.info(describe(effect.view), 'gossip: a peer joined')
        return on.joined(effect.view)
      case 'member-updated':
        log.info({ ...describe(effect.view), reason: effect.reason }, 'gossip: a peer changed')
        return on.updated(effect.view, effect.reason)
      case 'member-dropped':
        log.info({ ...describe(effect.view), reason: effect.reason }, 'gossip: a peer is gone')
        return on.dropped(effect.view, effect.reason)
      case 'digests':
        return on.digests(effect.nodeId, effect.differing)
      case 'observe-clock':
        return on.observeClock(effect.logicalClock)
      case 'duplicate-identity':
        log.error(
          { nodeId: effect.nodeId, from: effect.from },
          'gossip: another process uses this node id: a copied card, or one of the two is an older backup',
        )
        return on.duplicateIdentity(effect.from)
      case 'reject':
        rejectsByReason.set(effect.reason, (rejectsByReason.get(effect.reason) ?? 0) + 1)
        if (isLogged(effect.reason)) log.debug({ reason: effect.reason, from: effect.from }, 'gossip: refused a packet')
        return
      case 'probe-tcp':
        void probeTcp(effect.address, PROFILES[options.profile].periodMs).then(outcome =>
          give({ type: 'tcp-probed', nodeId: effect.nodeId, outcome }),
        )
        return
      case 'multicast-mute':
        isMulticastMute = effect.mute
        if (effect.mute)
          log.warn('gossip: peers answer, and multicast brings nothing: it is dropped on the way, or they are on other networks')
        else log.info('gossip: multicast carries again')
        return
      case 'stopped':
        return onStopped()
    }
  }

  // --- Time ---

  let timer: NodeJS.Timeout | undefined
  let timerDueMs = Infinity
  let judging = false

  function schedule(): void {
    const dueMs = swarm.deadline()
    if (judging || !running || (timer !== undefined && dueMs === timerDueMs)) return
    clearTimeout(timer)
    timer = undefined
    timerDueMs = dueMs
    if (dueMs === Infinity) return
    timer = setTimeout(judge, Math.min(SLEEP_MAX_MS, Math.max(0, Math.ceil(dueMs - monotonicMs()))))
  }

  function judge(): void {
    timer = undefined
    judging = true
    let seen = packetsSeen
    let turns = 0
    const turn = (): void => {
      turns += 1
      if (packetsSeen !== seen && turns < DRAIN_TURNS_MAX) {
        seen = packetsSeen
        setImmediate(turn)
        return
      }
      judging = false
      give({ type: 'tick' })
    }
    // The sockets are read between a timer and an immediate.
    setImmediate(turn)
  }

  // --- Local state ---

  let stateTimer: NodeJS.Timeout | undefined
  let stateReadMs = -Infinity

  function readState(): void {
    stateTimer = undefined
    stateReadMs = monotonicMs()
    give({ type: 'local-state', state: options.localState() })
  }

  function localStateChanged(): void {
    if (!running || stateTimer !== undefined) return
    stateTimer = setTimeout(readState, Math.max(0, stateReadMs + STATE_READ_INTERVAL_MS - monotonicMs()))
  }

  const standstill = watchStandstill(clock, forMs => give({ type: 'stood-still', forMs }))
  running = true
  readState()
  give({ type: 'start' })
  const lookup = systemLookup(options.host.includes(':') ? 6 : 4)
  seedWatch = watchSeeds(options.seeds, lookup, addresses => give({ type: 'seeds-resolved', addresses }))
  if (!options.open && options.swarmName === 'default' && options.seeds.length === 0) {
    log.warn('gossip: no swarm key: peers met by multicast alone are listed and not synced (HS_SWARM_OPEN, HS_SWARM_NAME, HS_GOSSIP_PEERS)')
  } else log.warn('gossip: no swarm key: whoever is on this network can read and change what is synced')

  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    seedWatch?.close()
    standstill.close()
    clearTimeout(stateTimer)
    await new Promise<void>(resolve => {
      onStopped = resolve
      give({ type: 'leave' })
    })
    running = false
    clearTimeout(timer)
    await udp.close()
  }

  return {
    members: () => swarm.members(monotonicMs()),
    member: nodeId => swarm.member(nodeId, monotonicMs()),
    departed: () => swarm.departed(monotonicMs()),
    localStateChanged,
    stats: () => ({ ...udp.stats(), rejectsByReason, core: swarm.counters(), isMulticastMute }),
    close: () => (closing ??= close()),
  }
}

function describe(view: MemberView): object {
  return { nodeId: view.nodeId, nodeName: view.nodeName, host: view.host, gossipPort: view.gossipPort, mayExchange: view.mayExchange }
}

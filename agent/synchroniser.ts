/**
 * When and with whom to sync: starts a session when a peer's digests differ, one at a time with each peer and few at once, and
 * answers the sessions that peers start. A pair that ended without agreeing waits, with backoff and jitter, until something changes.
 */
import type { Logger } from 'pino'
import { equalBytes } from '../base/bytes.ts'
import type { Clock, Codec, Hash, Random } from '../base/ports.ts'
import { formatNodeId } from '../swarm/identity.ts'
import { PROTOCOL_VERSION, type Hello } from '../sync/messages.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import { FRAME_LIMITS } from '../sync/exchange.ts'
import { runSession, type CollectionProgress, type SessionResult } from '../sync/session.ts'
import { SYSTEM_COLLECTION } from '../sync/settings.ts'
import type { SyncEvent } from './event-hub.ts'
import type { PeerLink } from './peer-link.ts'
import { createSyncLedger } from './sync-ledger.ts'
import type { SyncRow } from './sync-state.ts'

export const SYNC_LIMITS = {
  /** Sessions that this agent starts at once. */
  outboundMax: 2,
  /** Sessions that peers start here at once. */
  inboundMax: 8,
  /** Delay before a session that a changed digest asks for, so that changes of one moment share it. */
  settleMs: 50,
  /** The one of a pair with the greater node id waits a little more: two sessions at once are one too many. */
  deferMs: 200,
  backoffMinMs: 500,
  backoffMaxMs: 30_000,
} as const

/** What the swarm knows of a peer, as far as syncing needs it. */
export interface SyncPeer {
  readonly nodeId: string
  readonly host: string
  readonly port: number
  readonly mayExchange: boolean
  /** HS_GOSSIP_PEERS names it. */
  readonly isNamed: boolean
}

export interface SynchroniserOptions {
  readonly nodeId: string
  readonly swarmName: string
  readonly replica: OpenReplica
  readonly clock: Clock
  readonly random: Random
  readonly hash: Hash
  readonly codec: Codec
  readonly log: Logger
  /** There is a swarm key. */
  readonly isSealed: boolean
  /** Opens a link; undefined when there is none to be had. */
  readonly dial: (host: string, port: number) => Promise<PeerLink | undefined>
  readonly peer: (nodeId: string) => SyncPeer | undefined
  readonly peers: () => readonly SyncPeer[]
  /** Collections in which that peer's digests differ from ours, as far as gossip has told. */
  readonly differing: (nodeId: string) => readonly string[]
  /** Anybody of the same swarm name may sync: HS_SWARM_KEY, HS_SWARM_OPEN, or a swarm name that is not the default. */
  readonly isOpen: boolean
  /** A user's collection has been exchanged with a peer. */
  readonly onExchanged: (event: SyncEvent) => void
}

export interface SyncTotals {
  sessions: number
  failures: number
  malformed: number
  repairs: number
  diverged: number
  forks: number
}

export interface Synchroniser {
  /** Gossip: that peer's digests or ours have changed; `names` differ. */
  digestsChanged(nodeId: string, names: readonly string[]): void
  peerDropped(nodeId: string): void
  /** A peer has opened a link. */
  accept(link: PeerLink): void
  /** Starts a session with every reachable peer that may be synced with; says with how many. */
  startAll(): number
  rows(): readonly SyncRow[]
  totals(): Readonly<SyncTotals>
  /** Node ids that replicate from this one at the moment. */
  downstream(): readonly string[]
  close(): Promise<void>
}

const BUSY = 'a session with this peer is under way'

interface PeerState {
  readonly nodeId: string
  /** The session under way, started by whichever side. */
  running: { readonly isOutbound: boolean; readonly abort: () => void; readonly done: Promise<void> } | undefined
  timer: NodeJS.Timeout | undefined
  /** A person asked for a session: it is run although nothing differs. */
  isForced: boolean
  backoffMs: number
  /** The last session failed: further failures are not worth a line each. */
  isFailing: boolean
}

export function createSynchroniser(options: SynchroniserOptions): Synchroniser {
  const { replica, log, random } = options
  const stateByNodeId = new Map<string, PeerState>()
  const ledger = createSyncLedger(options.clock)
  const totals: SyncTotals = { sessions: 0, failures: 0, malformed: 0, repairs: 0, diverged: 0, forks: 0 }
  const unreachable = options.isSealed ? 'the peer cannot be reached, or does not hold the swarm key' : 'the peer cannot be reached'
  const inbound = new Set<Promise<void>>()
  let outbound = 0
  let isClosing = false

  const stateOf = (nodeId: string): PeerState => {
    let state = stateByNodeId.get(nodeId)
    if (state === undefined) {
      state = { nodeId, running: undefined, timer: undefined, isForced: false, backoffMs: 0, isFailing: false }
      stateByNodeId.set(nodeId, state)
    }
    return state
  }

  const schedule = (state: PeerState, delayMs: number): void => {
    if (isClosing || state.timer !== undefined) return
    const jitterMs = random.fraction() * Math.max(delayMs / 2, SYNC_LIMITS.settleMs)
    state.timer = setTimeout(() => {
      state.timer = undefined
      start(state)
    }, delayMs + jitterMs)
    state.timer.unref()
  }

  const start = (state: PeerState): void => {
    if (isClosing || state.running !== undefined) return
    const peer = options.peer(state.nodeId)
    if (peer === undefined || !peer.mayExchange) return
    if (outbound >= SYNC_LIMITS.outboundMax) return schedule(state, SYNC_LIMITS.deferMs)
    if (!state.isForced && options.differing(state.nodeId).length === 0) {
      state.backoffMs = 0
      return
    }
    state.isForced = false
    outbound += 1
    let link: PeerLink | undefined
    let isAborted = false
    const abort = (): void => {
      isAborted = true
      link?.close()
    }
    const session = async (): Promise<SessionResult | undefined> => {
      link = await options.dial(peer.host, peer.port)
      if (link === undefined || isAborted) {
        link?.close()
        return undefined
      }
      return run(link, state.nodeId, () => undefined)
    }
    const done = session().then(result => {
      outbound -= 1
      if (state.running === running) state.running = undefined
      finish(state, result, isAborted)
    })
    const running = { isOutbound: true, abort, done }
    state.running = running
  }

  /** `dialled`: the node that this link was opened to; undefined when the peer opened it. */
  const run = (link: PeerLink, dialled: string | undefined, onHello: (peer: Hello) => string | undefined): Promise<SessionResult> =>
    runSession({
      link,
      replica,
      codec: options.codec,
      hash: options.hash,
      isInitiator: dialled !== undefined,
      hello: peer => ({
        kind: 'hello',
        protocol: PROTOCOL_VERSION,
        swarmName: options.swarmName,
        nodeId: options.nodeId.replaceAll('-', ''),
        storeId: replica.storeId,
        saltId: replica.saltId,
        logicalClock: replica.logicalClock(),
        wallMs: Math.max(0, Math.floor(options.clock.wallMs())),
        isNamed: options.peer(dialled ?? (peer === undefined ? '' : nodeIdOf(peer)))?.isNamed ?? false,
      }),
      refusal: peer => refusal(peer) ?? onHello(peer),
      onProgress: progress => record(progress),
      frames: { ...FRAME_LIMITS, bytesMax: Math.min(FRAME_LIMITS.bytesMax, link.batchBytesMax) },
    })

  const refusal = (hello: Hello): string | undefined => {
    if (!equalBytes(hello.saltId, replica.saltId))
      return 'the digests of this agent have another salt (HS_DIGEST_SALT): they cannot be compared'
    if (hello.swarmName !== options.swarmName) return 'this agent belongs to another swarm'
    const nodeId = nodeIdOf(hello)
    if (nodeId === options.nodeId) return 'this agent has the same node id: one of the two is a copy'
    const isTrusted = options.isOpen || hello.isNamed || options.peer(nodeId)?.mayExchange === true
    return isTrusted
      ? undefined
      : 'this agent does not sync with peers that neither side names (HS_GOSSIP_PEERS, HS_SWARM_NAME, HS_SWARM_OPEN)'
  }

  const record = (progress: CollectionProgress): void => {
    const nodeId = nodeIdOf(progress.peer)
    ledger.record(nodeId, progress)
    if (progress.state !== 'done') return
    if (progress.name !== SYSTEM_COLLECTION) options.onExchanged(toSyncEvent(nodeId, progress))
    totals.malformed += progress.malformed
    if (progress.isRepaired) totals.repairs += 1
    if (progress.isForked) {
      totals.forks += 1
      log.error(
        { peer: nodeId, collection: progress.name },
        'this store is behind what it has shipped before (a restored backup?): it took a new origin',
      )
    }
  }

  const finish = (state: PeerState, result: SessionResult | undefined, isAborted: boolean): void => {
    totals.sessions += 1
    const fault = result === undefined ? unreachable : result.fault?.detail
    // Of two sessions at once one gives way: that is no failure.
    const isBusy = result?.fault?.kind === 'refused' && result.fault.detail === BUSY
    ledger.ended(state.nodeId, isAborted || isBusy ? undefined : fault, options.differing(state.nodeId))
    for (const name of result?.diverged ?? []) {
      totals.diverged += 1
      log.error(
        { peer: state.nodeId, collection: name },
        'two replicas know the same and hold different things, and repair did not mend it',
      )
    }
    if (fault !== undefined && !isAborted && !isBusy) {
      totals.failures += 1
      const level = state.isFailing ? 'debug' : 'warn'
      log[level](
        { peer: state.nodeId, fault: result?.fault?.kind ?? 'unreachable', detail: fault },
        'a sync session ended early; it is tried again',
      )
    }
    if (!isAborted && !isBusy) state.isFailing = fault !== undefined
    if (isClosing || options.differing(state.nodeId).length === 0) {
      state.backoffMs = 0
      return
    }
    // Gossip takes a moment to tell of what was just agreed on; a pair that still differs then tries again, ever more seldom.
    state.backoffMs = Math.min(SYNC_LIMITS.backoffMaxMs, Math.max(SYNC_LIMITS.backoffMinMs, state.backoffMs * 2))
    schedule(state, state.backoffMs)
  }

  const answer = async (link: PeerLink): Promise<void> => {
    let state: PeerState | undefined
    let own: PeerState['running']
    let greeted: PeerState | undefined
    const { promise: done, resolve } = Promise.withResolvers<void>()
    // Of two sessions at once the one that the lower node id started stays.
    const mustYield = ({ running, nodeId }: PeerState): boolean => running !== undefined && (!running.isOutbound || options.nodeId < nodeId)
    /** Whoever says hello and no more takes nobody's place: the pair is busy with this session when the peer has answered our hello. */
    const claim = (): void => {
      if (greeted === undefined || own !== undefined) return
      if (mustYield(greeted)) return link.close()
      greeted.running?.abort()
      state = greeted
      own = { isOutbound: false, abort: () => link.close(), done }
      state.running = own
    }
    const answering: PeerLink = {
      ...link,
      async receive() {
        const message = await link.receive()
        if (message !== undefined) claim()
        return message
      },
    }
    const result = await run(answering, undefined, hello => {
      if (isClosing) return 'this agent is stopping'
      const peerState = stateOf(nodeIdOf(hello))
      if (mustYield(peerState)) return BUSY
      greeted = peerState
      return undefined
    })
    if (link.fault !== undefined) log.debug({ host: link.remote.host, fault: link.fault }, 'a peer link was closed')
    if (state !== undefined) {
      if (state.running === own) state.running = undefined
      finish(state, result, false)
    } else if (result.fault !== undefined) {
      log.debug({ host: link.remote.host, detail: result.fault.detail }, 'a peer was not answered')
    }
    resolve()
  }

  return {
    digestsChanged(nodeId, names) {
      if (names.length === 0) return
      const state = stateOf(nodeId)
      state.backoffMs = 0
      clearTimeout(state.timer)
      state.timer = undefined
      schedule(state, SYNC_LIMITS.settleMs + (options.nodeId < nodeId ? 0 : SYNC_LIMITS.deferMs))
    },
    peerDropped(nodeId) {
      const state = stateByNodeId.get(nodeId)
      if (state === undefined || state.running !== undefined) return
      clearTimeout(state.timer)
      stateByNodeId.delete(nodeId)
      ledger.forget(nodeId)
    },
    accept(link) {
      if (isClosing || inbound.size >= SYNC_LIMITS.inboundMax) return link.close()
      const task = answer(link).finally(() => inbound.delete(task))
      inbound.add(task)
    },
    startAll() {
      const peers = options.peers().filter(({ mayExchange }) => mayExchange)
      for (const { nodeId } of peers) {
        const state = stateOf(nodeId)
        state.isForced = true
        clearTimeout(state.timer)
        state.timer = undefined
        start(state)
      }
      return peers.length
    },
    rows: () => ledger.rows(nodeId => new Set(options.differing(nodeId))),
    totals: () => totals,
    downstream: () => [...stateByNodeId.values()].filter(({ running }) => running !== undefined).map(({ nodeId }) => nodeId),
    async close() {
      isClosing = true
      const ended: Promise<void>[] = [...inbound]
      for (const state of stateByNodeId.values()) {
        clearTimeout(state.timer)
        if (state.running === undefined) continue
        ended.push(state.running.done)
        state.running.abort()
      }
      await Promise.all(ended)
    },
  }
}

function nodeIdOf(hello: Hello): string {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hello.nodeId.slice(2 * i, 2 * i + 2), 16))
  return formatNodeId(bytes)
}

function toSyncEvent(peer: string, progress: CollectionProgress): SyncEvent {
  const { name, isInSync, itemsSent, itemsReceived, bytesSent, bytesReceived } = progress
  return {
    kind: 'sync',
    peer,
    collection: name,
    inSync: isInSync,
    entriesSent: itemsSent,
    entriesReceived: itemsReceived,
    bytesSent,
    bytesReceived,
  }
}

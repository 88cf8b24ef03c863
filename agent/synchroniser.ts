/**
 * When and with whom to sync: starts a session when a peer's digests differ, one at a time with each peer and few at once, and
 * answers the sessions that peers start. A session that has caught up stays live while there is a place for it (HS_SYNC_LIVE_LINKS);
 * beyond that, pairs sync by sessions of one round. A pair that ended without agreeing, in a fault, or lost its link, waits, with backoff
 * and jitter, until something changes (sync-pair.ts).
 */
import type { Logger } from 'pino'
import type { Codec, Hash, Random } from '../base/ports.ts'
import type { LiveControl } from '../sync/live.ts'
import type { Hello } from '../sync/messages.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import { createCommonGrounds } from '../sync/common-ground.ts'
import { FRAME_LIMITS } from '../sync/exchange.ts'
import type { SettledCollection } from '../sync/offer.ts'
import { runSession, type SessionResult } from '../sync/session.ts'
import type { SyncEvent } from './event-hub.ts'
import type { PeerLink } from './peer-link.ts'
import { createLivePlaces } from './live-places.ts'
import { createLiveWatch, type LiveWatch } from './live-watch.ts'
import { helloTo, nodeIdOf, refusalOf, type GreetingOptions } from './sync-greeting.ts'
import { createSyncLedger } from './sync-ledger.ts'
import { SYNC_LIMITS } from './sync-limits.ts'
import { backOff, BUSY, createSyncPair, isSessionWanted, noteSessionEnd, type SyncPair } from './sync-pair.ts'
import { hasMoved, reportProgress, type SyncTotals } from './sync-report.ts'
import type { SyncRow } from './sync-state.ts'

/** What the swarm knows of a peer, as far as syncing needs it. */
export interface SyncPeer {
  readonly nodeId: string
  readonly host: string
  readonly port: number
  readonly mayExchange: boolean
  /** HS_GOSSIP_PEERS names it. */
  readonly isNamed: boolean
}

export interface SynchroniserOptions extends GreetingOptions {
  readonly replica: OpenReplica
  readonly random: Random
  readonly hash: Hash
  readonly codec: Codec
  readonly log: Logger
  /** There is a swarm key. */
  readonly isSealed: boolean
  /** Opens a link; undefined when there is none to be had. */
  readonly dial: (host: string, port: number) => Promise<PeerLink | undefined>
  readonly peers: () => readonly SyncPeer[]
  /** Collections in which that peer's digests differ from ours, as far as gossip has told. */
  readonly differing: (nodeId: string) => readonly string[]
  /** Links that stay open behind the first round. */
  readonly liveLinksMax: number
  /** A user's collection has been exchanged with a peer. */
  readonly onExchanged: (event: SyncEvent) => void
  /** What both sides held of a collection when nothing was left to be told. */
  readonly onSettled: (nodeId: string, collection: SettledCollection) => void
  /** A peer has opened a link, and speaks. */
  readonly onAnswered: (nodeId: string) => void
}

export interface Synchroniser {
  /** Gossip: that peer's digests or ours have changed; `names` differ. */
  digestsChanged(nodeId: string, names: readonly string[]): void
  /** A peer is listed: a live link to it is wanted, also when nothing differs. */
  peerJoined(nodeId: string): void
  peerDropped(nodeId: string): void
  /** A peer has opened a link. */
  accept(link: PeerLink): void
  /** Starts a session with every reachable peer that may be synced with; says with how many. */
  startAll(): number
  /** Peers that a session may be started with. */
  reachable(): number
  rows(): readonly SyncRow[]
  totals(): Readonly<SyncTotals>
  /** Node ids that replicate from this one at the moment. */
  downstream(): readonly string[]
  close(): Promise<void>
}

interface Session {
  readonly isOutbound: boolean
  readonly abort: () => void
  readonly done: Promise<void>
  /** Since its first round has ended. */
  live?: { readonly control: LiveControl; readonly watch: LiveWatch; readonly sinceMs: number; movedMs: number }
}

interface PeerState extends SyncPair {
  readonly nodeId: string
  /** The session under way, started by whichever side. */
  running: Session | undefined
  timer: NodeJS.Timeout | undefined
}

export function createSynchroniser(options: SynchroniserOptions): Synchroniser {
  const { replica, log, random } = options
  const stateByNodeId = new Map<string, PeerState>()
  const ledger = createSyncLedger(options.clock)
  const totals: SyncTotals = { sessions: 0, failures: 0, malformed: 0, repairs: 0, drifted: 0, diverged: 0, forks: 0 }
  const reporting = { ledger, totals, log, onExchanged: options.onExchanged }
  const unreachable = options.isSealed ? 'the peer cannot be reached, or does not hold the swarm key' : 'the peer cannot be reached'
  const answering = new Set<Promise<void>>()
  /** Sessions that have not caught up. */
  const catchingUp = { outbound: 0, inbound: 0 }
  const livePlaces = createLivePlaces(options.liveLinksMax, placedLinks, () => options.clock.monotonicMs())
  const commonGrounds = createCommonGrounds(options.hash)
  let isClosing = false

  const stateOf = (nodeId: string): PeerState => {
    let state = stateByNodeId.get(nodeId)
    if (state === undefined) {
      state = { nodeId, running: undefined, timer: undefined, ...createSyncPair() }
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

  const differs = ({ nodeId }: PeerState): boolean => options.differing(nodeId).length > 0
  const isWanted = (state: PeerState): boolean => isSessionWanted(state, differs(state), livePlaces.hasFree())

  const start = (state: PeerState): void => {
    if (isClosing || state.running !== undefined) return
    const peer = options.peer(state.nodeId)
    if (peer === undefined || !peer.mayExchange) return
    if (catchingUp.outbound >= SYNC_LIMITS.outboundMax) return schedule(state, SYNC_LIMITS.deferMs)
    if (!isWanted(state)) {
      state.backoffMs = 0
      return
    }
    state.isForced = false
    const caughtUp = countOnce('outbound')
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
      return run(link, state.nodeId, () => undefined, caughtUp)
    }
    const done = session().then(result => {
      caughtUp()
      end(state, running, result, isAborted)
    })
    const running: Session = { isOutbound: true, abort, done }
    state.running = running
  }

  /** Counts a session as catching up until the answer is called. */
  const countOnce = (kind: keyof typeof catchingUp): (() => void) => {
    let isCounted = true
    catchingUp[kind] += 1
    return () => {
      if (isCounted) catchingUp[kind] -= 1
      isCounted = false
    }
  }

  function* placedLinks() {
    for (const { running } of stateByNodeId.values())
      if (running !== undefined) yield { movedMs: running.live?.movedMs, abort: running.abort }
  }

  const takeLivePlace = (nodeId: string): boolean => {
    const state = stateByNodeId.get(nodeId)
    return livePlaces.take(state !== undefined && differs(state))
  }

  const goLive = (nodeId: string, link: PeerLink, control: LiveControl): void => {
    const state = stateOf(nodeId)
    const session = state.running
    ledger.live(nodeId)
    state.isFailing = false
    if (session === undefined || session.live !== undefined) return
    totals.sessions += 1
    const nowMs = options.clock.monotonicMs()
    const watch = createLiveWatch({
      link,
      control,
      differing: () => differs(state),
      nowMs: () => options.clock.monotonicMs(),
      onDead() {
        log.debug({ peer: nodeId }, 'a live link was dead: gossip gets through, and nothing on the link')
        state.backoffMs = 0
      },
    })
    session.live = { control, watch, sinceMs: nowMs, movedMs: nowMs }
    link.mayIdleWhile(() => !control.isMoving())
  }

  const end = (state: PeerState, session: Session, result: SessionResult | undefined, isAborted: boolean): void => {
    session.live?.watch.stop()
    if (state.running === session) state.running = undefined
    // Somebody else's turn with this peer has begun.
    else if (state.running !== undefined) isAborted = true
    finish(state, result, isAborted)
  }

  /** `dialled`: the node that this link was opened to; undefined when the peer opened it. */
  const run = async (
    link: PeerLink,
    dialled: string | undefined,
    onHello: (peer: Hello) => string | undefined,
    caughtUp: () => void,
  ): Promise<SessionResult> => {
    let nodeId = dialled ?? ''
    let hasPlace = false
    const result = await runSession({
      link,
      replica,
      codec: options.codec,
      hash: options.hash,
      commonGrounds,
      isInitiator: dialled !== undefined,
      hello(peer) {
        if (peer !== undefined) nodeId = nodeIdOf(peer)
        hasPlace = (peer === undefined || peer.isLive) && takeLivePlace(nodeId)
        return helloTo(options, nodeId, hasPlace)
      },
      refusal: peer => refusalOf(options, peer) ?? onHello(peer),
      live: {
        after(delayMs, action) {
          const timer = setTimeout(action, delayMs)
          timer.unref()
          return () => clearTimeout(timer)
        },
        onLive(control) {
          caughtUp()
          goLive(nodeId, link, control)
        },
      },
      onProgress(progress) {
        reportProgress(reporting, nodeId, progress)
        const live = stateByNodeId.get(nodeId)?.running?.live
        if (live !== undefined && hasMoved(progress)) live.movedMs = options.clock.monotonicMs()
      },
      onSettled: (peer, collection) => options.onSettled(nodeIdOf(peer), collection),
      onVoided: (peer, collection, ranges) =>
        log.debug({ peer: nodeIdOf(peer), collection, ranges }, 'a peer gave up writes of its own that nobody else is known to hold'),
      frames: { ...FRAME_LIMITS, bytesMax: Math.min(FRAME_LIMITS.bytesMax, link.batchBytesMax) },
    })
    if (hasPlace) livePlaces.giveBack()
    return result
  }

  const finish = (state: PeerState, result: SessionResult | undefined, isAborted: boolean): void => {
    if (result?.wasLive !== true) totals.sessions += 1
    const wasFailing = state.isFailing
    const { fault, kind } = noteSessionEnd(state, result, isAborted, unreachable)
    ledger.ended(state.nodeId, fault, options.differing(state.nodeId))
    if (fault !== undefined) {
      totals.failures += 1
      const level = wasFailing ? 'debug' : 'warn'
      log[level]({ peer: state.nodeId, fault: kind, detail: fault }, 'a sync session ended early; it is tried again')
    }
    if (isClosing || state.running !== undefined || !isWanted(state)) state.backoffMs = 0
    else schedule(state, backOff(state))
  }

  /** There is a session with this peer that another one, opened by the peer, does not take the place of. */
  const isTaken = ({ running, nodeId }: PeerState): boolean => {
    if (running === undefined) return false
    const liveMs = running.live === undefined ? 0 : options.clock.monotonicMs() - running.live.sinceMs
    // Of two sessions at once the one that the lower node id started stays.
    return liveMs <= SYNC_LIMITS.establishedMs && (!running.isOutbound || options.nodeId < nodeId)
  }

  const answer = async (link: PeerLink, caughtUp: () => void): Promise<void> => {
    let state: PeerState | undefined
    let own: Session | undefined
    let greeted: PeerState | undefined
    const { promise: done, resolve } = Promise.withResolvers<void>()
    /** Whoever says hello and no more takes nobody's place: the pair is busy with this session when the peer has answered our hello. */
    const claim = (): void => {
      if (greeted === undefined || own !== undefined) return
      if (isTaken(greeted)) return link.close()
      greeted.running?.abort()
      state = greeted
      own = { isOutbound: false, abort: () => link.close(), done }
      state.running = own
      options.onAnswered(state.nodeId)
    }
    const answering: PeerLink = {
      ...link,
      async receive() {
        const message = await link.receive()
        if (message !== undefined) claim()
        return message
      },
    }
    const onHello = (hello: Hello): string | undefined => {
      if (isClosing) return 'this agent is stopping'
      const peerState = stateOf(nodeIdOf(hello))
      if (isTaken(peerState)) return BUSY
      greeted = peerState
      return undefined
    }
    const result = await run(answering, undefined, onHello, caughtUp)
    if (link.fault !== undefined) log.debug({ host: link.remote.host, fault: link.fault }, 'a peer link was closed')
    if (state !== undefined && own !== undefined) {
      end(state, own, result, false)
    } else if (result.fault !== undefined) {
      log.debug({ host: link.remote.host, detail: result.fault.detail }, 'a peer was not answered')
    }
    resolve()
  }

  /** Whatever is new of a peer: what is wanted of it although nothing differs is wanted as soon as it may be. */
  const want = (nodeId: string): void => {
    const state = stateOf(nodeId)
    if (state.running !== undefined || !isWanted(state)) return
    schedule(state, Math.max(SYNC_LIMITS.settleMs + (options.nodeId < nodeId ? 0 : SYNC_LIMITS.deferMs), state.backoffMs))
  }

  return {
    digestsChanged(nodeId, names) {
      if (names.length === 0) return want(nodeId)
      const state = stateOf(nodeId)
      state.running?.live?.watch.differs()
      state.isOneRound = false
      state.backoffMs = 0
      clearTimeout(state.timer)
      state.timer = undefined
      schedule(state, SYNC_LIMITS.settleMs + (options.nodeId < nodeId ? 0 : SYNC_LIMITS.deferMs))
    },
    peerJoined: want,
    peerDropped(nodeId) {
      const state = stateByNodeId.get(nodeId)
      if (state === undefined || state.running !== undefined) return
      clearTimeout(state.timer)
      state.timer = undefined
      ledger.forget(nodeId)
      // What broke off is often the reason why a peer is dropped: it is owed when it comes back.
      if (!state.isOwed || stateByNodeId.size > SYNC_LIMITS.owedMax) stateByNodeId.delete(nodeId)
    },
    accept(link) {
      if (isClosing || catchingUp.inbound >= SYNC_LIMITS.inboundMax) return link.close()
      const caughtUp = countOnce('inbound')
      const task = answer(link, caughtUp).finally(() => {
        caughtUp()
        answering.delete(task)
      })
      answering.add(task)
    },
    startAll() {
      const peers = options.peers().filter(({ mayExchange }) => mayExchange)
      for (const { nodeId } of peers) {
        const state = stateOf(nodeId)
        if (state.running?.live !== undefined) {
          state.running.live.control.requestRound()
          continue
        }
        state.isForced = true
        clearTimeout(state.timer)
        state.timer = undefined
        start(state)
      }
      return peers.length
    },
    reachable: () => options.peers().filter(({ mayExchange }) => mayExchange).length,
    rows: () => ledger.rows(nodeId => new Set(options.differing(nodeId))),
    totals: () => totals,
    downstream: () => [...stateByNodeId.values()].filter(({ running }) => running !== undefined).map(({ nodeId }) => nodeId),
    async close() {
      isClosing = true
      const ended: Promise<void>[] = [...answering]
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

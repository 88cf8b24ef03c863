/** One simulated robot: the real swarm core, the real replica and the real sessions, on a virtual clock, disk and network. */
import { systemCryptography, systemHash } from '../../agent/ports.ts'
import type { Clock, Random } from '../../base/ports.ts'
import { createSettledPairs } from '../../agent/settled-pairs.ts'
import { createSyncPair, isSessionWanted, noteSessionEnd, type SyncPair } from '../../agent/sync-pair.ts'
import { createDigestList, differingNames, type CollectionDigest } from '../../swarm/digest-list.ts'
import { LIMITS, PROFILES } from '../../swarm/options.ts'
import { createSwarm, type Swarm } from '../../swarm/swarm.ts'
import type { SwarmEvent } from '../../swarm/events.ts'
import type { Link } from '../../sync/channel.ts'
import { PROTOCOL_VERSION, type Hello } from '../../sync/messages.ts'
import type { FrameLimits } from '../../sync/exchange.ts'
import { createCommonGrounds } from '../../sync/common-ground.ts'
import { openReplica, type OpenReplica } from '../../sync/open-replica.ts'
import type { LiveControl } from '../../sync/live.ts'
import { runSession } from '../../sync/session.ts'
import { codec } from '../replica-pair.ts'
import { createSeededRandom } from '../seeded-random.ts'
import { createDisk, type Disk } from './disk.ts'
import type { Network } from './network.ts'
import type { World } from './world.ts'

/** How wrong a robot's wall clock is; nothing of it may matter. */
export interface ClockFault {
  offsetMs: number
  /** Milliseconds gained per millisecond. */
  driftRate: number
  /** The board says that the clock is right; undefined: it knows when it is not. */
  isTrusted?: boolean | undefined
}

export interface Robot {
  readonly index: number
  readonly host: string
  readonly nodeId: string
  readonly clock: ClockFault
  readonly disk: Disk
  /** Undefined while it is off. */
  readonly replica: OpenReplica | undefined
  /** How many members its swarm lists; 0 while it is off. They change with its steps alone. */
  readonly members: number
  /** How often it was started. */
  readonly starts: number
  readonly disksLost: number
  /** It is in the middle of a session, or dials for one. */
  readonly isBusy: boolean
  /** Versions that it has sent. */
  readonly versionsSent: number
  start(): void
  /** Cuts its power. */
  crash(): void
  /** Cuts its power and puts an empty disk in the place of its own. */
  loseDisk(): void
}

export interface RobotOptions {
  /** Links that it keeps open behind the first round. */
  readonly liveLinksMax: number
  readonly frames: FrameLimits
  readonly mutation: Mutation
  /** What is done with a new store before anybody else may use it. */
  readonly prepare: (replica: OpenReplica) => Promise<void>
  /** A session takes a collection for damaged in a way that repair does not mend. */
  readonly onDiverged: (name: string) => void
}

const PORT = 7946
export const WALL_START_MS = 1.7e12
const RETRY_MS = 1_000
const UNTOLD_MS = 1_500
const KEEP_MS = 1_000

/** A rule of the design that is switched off, to show that the checkers notice. */
export type Mutation = 'none' | 'vector-by-frames' | 'silent-damage'

export function createRobot(
  world: World,
  network: Network,
  index: number,
  { liveLinksMax, frames, mutation, prepare, onDiverged }: RobotOptions,
): Robot {
  const host = `10.0.0.${index + 1}`
  const nodeId = `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`
  const disk = createDisk(world)
  const clockFault: ClockFault = { offsetMs: 0, driftRate: 0 }
  let boots = 0
  let starts = 0
  let disksLost = 0
  let versionsSent = 0
  let replica: OpenReplica | undefined
  let swarm: Swarm | undefined
  let members = 0
  let cancelTick = (): void => {}
  /** Peers with a session under way, in this boot. */
  let busy = new Set<string>()
  /** Those whose link has become live. */
  let liveByPeer = new Map<string, LiveControl>()
  let liveLinks = 0
  let isTelling = false
  /** As in the agent: what sessions ended with, in this boot. */
  let settled = createSettledPairs()
  // However few origins there are.
  let commonGrounds = createCommonGrounds(systemHash, 0)
  let pairByPeer = new Map<string, SyncPair>()

  const clock: Clock = {
    monotonicMs: () => world.nowMs(),
    wallMs: () => Math.max(0, WALL_START_MS + clockFault.offsetMs + world.nowMs() * (1 + clockFault.driftRate)),
    trusted: () => clockFault.isTrusted ?? clockFault.offsetMs === 0,
  }

  const collections = (): CollectionDigest[] => {
    if (replica === undefined) return []
    const system = replica.systemCollection()
    return [...(system === undefined ? [] : [system]), ...replica.collections()]
  }

  const give = (event: SwarmEvent): void => {
    if (swarm === undefined) return
    const boot = boots
    for (const effect of swarm.step(event, world.nowMs())) {
      if (effect.type === 'send') network.send(host, effect.to === 'multicast' ? 'multicast' : effect.to.host, effect.bytes)
      else if (effect.type === 'observe-clock') replica?.observeLogicalClock(effect.logicalClock)
      else if (effect.type === 'digests' && isWanted(effect.nodeId)) {
        const delayMs = 50 + world.random.fraction() * 50 + (nodeId < effect.nodeId ? 0 : 200)
        world.after(delayMs, () => void (boot === boots && dial(effect.nodeId)))
        world.after(UNTOLD_MS, () => boot === boots && roundWithWhomDiffers(effect.nodeId))
      }
    }
    members = swarm.members(world.nowMs()).length
    cancelTick()
    const dueMs = swarm.deadline()
    // -Infinity: now.
    if (dueMs !== Infinity) cancelTick = world.after(dueMs - world.nowMs(), () => boot === boots && give({ type: 'tick' }))
  }

  /** As the agent does: changes of one moment are told together, and only what is durable. */
  const tell = (boot: number): void => {
    if (isTelling) return
    isTelling = true
    world.after(20, () => {
      isTelling = false
      if (boot === boots && replica !== undefined) {
        give({ type: 'local-state', state: { logicalClock: replica.logicalClock(), collections: collections() } })
      }
    })
  }

  const differs = (peer: string): boolean => {
    const theirs = swarm?.member(peer, world.nowMs())?.collections
    if (theirs === undefined) return false
    const own = collections()
    const names = differingNames(createDigestList(own, systemHash), createDigestList(theirs, systemHash))
    return names.length > 0 && settled.unsettled(peer, names, own, theirs).length > 0
  }

  const pairOf = (peer: string): SyncPair => {
    let pair = pairByPeer.get(peer)
    if (pair === undefined) pairByPeer.set(peer, (pair = createSyncPair()))
    return pair
  }
  const isWanted = (peer: string): boolean => isSessionWanted(pairOf(peer), differs(peer), false)

  /** As the agent does: what a live link has not told by now is a reason for a round. */
  const roundWithWhomDiffers = (peer: string): void => {
    const live = liveByPeer.get(peer)
    if (live !== undefined && !live.isMoving() && differs(peer)) live.requestRound()
  }

  const dial = async (peer: string): Promise<void> => {
    const boot = boots
    const member = swarm?.member(peer, world.nowMs())
    if (member === undefined || busy.has(peer) || !isWanted(peer)) return
    const own = busy
    own.add(peer)
    const link = await network.dial(host, member.host)
    const isRefused = link !== undefined && boot === boots && (await converse(link, true))
    own.delete(peer)
    // Not the same on both sides: two that dial one another at once, and refuse one another, would do so for ever. The agent draws it.
    const retryMs = isRefused && nodeId > peer ? 1.3 * RETRY_MS : RETRY_MS
    if (boot === boots) world.after(retryMs, () => void (boot === boots && dial(peer)))
  }

  /** True when the peer does not want it now. */
  const converse = async (link: Link, isInitiator: boolean): Promise<boolean> => {
    if (replica === undefined) {
      link.close()
      return false
    }
    const own = replica
    const boot = boots
    let taken: string | undefined
    let other = ''
    // Decided when it says hello.
    let isLive: boolean | undefined
    const takesLive = (): boolean => {
      if (isLive === undefined && (isLive = liveLinks < liveLinksMax)) liveLinks += 1
      return isLive
    }
    const hello = (): Hello => ({
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      swarmName: 'sim',
      nodeId: nodeId.replaceAll('-', ''),
      storeId: own.storeId,
      saltId: own.saltId,
      logicalClock: own.logicalClock(),
      wallMs: Math.floor(clock.wallMs()),
      isNamed: false,
      isLive: takesLive(),
    })
    const sessions = busy
    const pairs = settled
    const result = await runSession({
      link,
      replica: mutation === 'vector-by-frames' ? advanceByFrames(own) : own,
      frames,
      codec,
      hash: systemHash,
      commonGrounds,
      isInitiator,
      hello,
      live: {
        after: (delayMs, action) => world.after(delayMs, () => boot === boots && action()),
        onLive: control => boot === boots && void liveByPeer.set(other, control),
      },
      onProgress({ name, state, itemsSent, isDiverged }) {
        if (state !== 'syncing') versionsSent += itemsSent
        if (isDiverged) onDiverged(name)
      },
      onSettled: ({ nodeId: id }, collection) => pairs.note(dashed(id), collection),
      refusal(peer) {
        const id = dashed(peer.nodeId)
        other = id
        if (isInitiator) return undefined
        // Of two sessions at once the one that the lower node id started stays; the other side gives way by itself.
        if (sessions.has(id)) return 'a session with this peer is under way'
        taken = id
        sessions.add(id)
        return undefined
      },
    })
    if (taken !== undefined) sessions.delete(taken)
    if (boot !== boots) return false
    const isRefused = result.fault?.kind === 'refused'
    liveByPeer.delete(other)
    if (isLive === true) liveLinks -= 1
    if (isInitiator ? other === '' : taken === undefined) return isRefused
    noteSessionEnd(pairOf(other), result, false, 'unreachable')
    // Who dialled does so again by itself.
    if (!isInitiator && pairOf(other).isOwed) world.after(RETRY_MS, () => void (boot === boots && dial(other)))
    return isRefused
  }

  /** As the agent does: what only time asks for. */
  const keep = (boot: number): void =>
    void world.after(KEEP_MS, () => {
      if (boot !== boots || replica === undefined) return
      void replica.keep().catch(() => {})
      keep(boot)
    })

  const begin = async (boot: number, random: Random): Promise<void> => {
    const opened = await openReplica({
      store: disk.mount(),
      hash: systemHash,
      random,
      clock,
      digestSalt: new Uint8Array(16),
      clockDriftMaxMs: 60_000,
      durability: 'fsync',
      nodeId,
    })
    await prepare(opened)
    if (boot !== boots) return
    replica = opened
    opened.onChange(() => tell(boot))
    keep(boot)
    swarm = createSwarm(
      {
        nodeId,
        nodeName: `robot-${index}`,
        bootCounter: boot,
        role: 'edge',
        httpPort: () => 50_050,
        httpReachable: false,
        gossipPort: PORT,
        multicast: true,
        swarmName: 'sim',
        open: false,
        keys: [],
        timings: PROFILES.lan,
        limits: LIMITS,
      },
      { hash: systemHash, cryptography: systemCryptography, codec, random, wallMs: () => clock.wallMs() },
    )
    network.attach(host, {
      datagram: (bytes, from, isMulticast) => give({ type: 'packet', bytes, from: { host: from, port: PORT }, multicast: isMulticast }),
      accept: link => void converse(link, false),
    })
    give({ type: 'start' })
    tell(boot)
  }

  const stop = (): void => {
    boots += 1
    cancelTick()
    network.detach(host)
    replica = undefined
    swarm = undefined
    members = 0
    isTelling = false
    busy = new Set()
    liveByPeer = new Map()
    liveLinks = 0
    settled = createSettledPairs()
    commonGrounds = createCommonGrounds(systemHash, 0)
    pairByPeer = new Map()
  }

  return {
    index,
    host,
    nodeId,
    clock: clockFault,
    disk,
    get replica() {
      return replica
    },
    get members() {
      return members
    },
    get starts() {
      return starts
    },
    get disksLost() {
      return disksLost
    },
    get isBusy() {
      // Links that are live and quiet are at rest.
      return [...busy].some(peer => liveByPeer.get(peer)?.isMoving() ?? true)
    },
    get versionsSent() {
      return versionsSent
    },
    start() {
      stop()
      starts += 1
      void begin(boots, createSeededRandom(Math.floor(world.random.fraction() * 2 ** 32)))
    },
    crash() {
      stop()
      disk.crash()
    },
    loseDisk() {
      stop()
      disksLost += 1
      disk.lose()
    },
  }
}

const dashed = (id: string): string => `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`

/** R5 switched off: the sender's vector is taken over with the first frame instead of with the mark. */
function advanceByFrames(replica: OpenReplica): OpenReplica {
  return {
    ...replica,
    storeId: replica.storeId,
    async applyItems(frame) {
      if (frame.resume !== undefined) {
        const { senderStore, point } = frame.resume
        const vector = new Map([...point.target].map(([origin, counter]) => [origin, { counter, run: '00'.repeat(8) }]))
        await replica.applyMark({ collection: frame.collection, generation: frame.generation, vector, senderStore })
      }
      return replica.applyItems({ ...frame, skipCovered: false })
    },
  }
}

/** The composition root: builds an agent from its configuration, in the order in which its parts need one another. */
import { toHex } from '../base/bytes.ts'
import { createItemHasher } from '../sync/digest.ts'
import { openReplica, type OpenReplica } from '../sync/open-replica.ts'
import type { ReplicaOptions } from '../sync/replica-options.ts'
import { StoreFormatError } from '../sync/replica-state.ts'
import { addAgentSamples } from './agent-samples.ts'
import { createCodec } from './codec.ts'
import { writeBackup } from './backup/backup-file.ts'
import { bringBack, type Comeback } from './comeback.ts'
import { isLoopback } from './config-address.ts'
import type { Config } from './config.ts'
import { openDataDirectory, type DataDirectory } from './data-directory.ts'
import { observeSwarm } from './diagnosis/observe.ts'
import { describeFull, watchDisk } from './disk-reserve.ts'
import { countDiskWrites } from './disk-writes.ts'
import { createWriter } from './durability.ts'
import { AgentError } from './errors.ts'
import { createEventHub, toDiskEvent } from './event-hub.ts'
import type { Gossip } from './gossip.ts'
import type { DuplicateIdentity } from './http/port.ts'
import { createHttpServer } from './http/server.ts'
import { defaultNodeName } from './identity.ts'
import { watchClockTrust } from './kernel-clock.ts'
import { startKeeping } from './keeping.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { viewCompatPeer, viewPeer } from './peer-view.ts'
import { createSystemClock, systemCryptography, systemHash, systemRandom } from './ports.ts'
import { createDigestView, startPeering, type Peering } from './peering.ts'
import { startPruning } from './outage-pruning.ts'
import { createProver } from './proof/prover.ts'
import { createReclaiming, type Reclaiming } from './reclaiming.ts'
import { requestRecovery } from './recovery-marker.ts'
import { saltOf } from './salt.ts'
import { startScrubber } from './scrubber.ts'
import { createStoreHealth } from './store-health.ts'
import { countKeyUse, readSwarmKeys } from './swarm-keys.ts'
import { watchStart } from './starts.ts'
import type { Synchroniser } from './synchroniser.ts'
import { watchTables } from './table-watch.ts'

export interface StartedAgent {
  /** One line for a person: node id, role, URL, gossip port, data directory. */
  readonly banner: string
  readonly nodeId: string
  readonly httpUrl: string
}

export interface AgentContext {
  readonly version: string
  /** Called once, when everything is up; the log begins behind it. */
  readonly announce: (started: StartedAgent) => void
  /** The database is damaged and writes fail: this agent is to be closed, and the next start mends it. */
  readonly onDamaged?: (reason: string) => void
  /** As in data-directory.ts; for tests. */
  readonly checkedBytesMax?: number
}

export interface Agent extends StartedAgent {
  /**
   * Other swarm keys from now on, as HS_SWARM_KEY has them. Throws AgentError HS_CONFIG_INVALID when the swarm would become open or
   * sealed: that takes a restart.
   */
  useSwarmKeys(texts: readonly string[]): void
  /** Says farewell, finishes what is under way, and closes the store. */
  close(): Promise<void>
}

/** A database that was mended is not taken for damaged again before it has been in use for this long: the agent must not start over and over. */
const MENDED_SECS_MIN = 600

/** Starts an agent. Throws AgentError with HS_STORE_*, HS_BIND_FAILED; whatever was opened before is closed again. */
export async function startAgent(config: Config, context: AgentContext): Promise<Agent> {
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    let failure: { readonly error: unknown } | undefined
    for (const closer of closers.splice(0).reverse()) {
      try {
        await closer()
      } catch (error) {
        // The rest is closed all the same.
        failure ??= { error }
      }
    }
    if (failure !== undefined) throw failure.error
  }
  try {
    return await build(config, context, closers, close)
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

async function build(
  config: Config,
  { version, announce, onDamaged, checkedBytesMax }: AgentContext,
  closers: (() => Promise<void> | void)[],
  close: () => Promise<void>,
): Promise<Agent> {
  const digestSalt = saltOf(config.digestSalt)
  const outageLogBytesMax = config.outageLogMib * 1024 * 1024
  const directory = await openDataDirectory(config.dataDir, { outageLogBytesMax, digestSalt, wallMs: Date.now(), checkedBytesMax })
  const { identity, signingKey, outageLog, starts } = directory
  const { nodeId } = identity
  const nodeName = config.nodeName ?? defaultNodeName(nodeId)
  const { log, release } = createLog(config.logLevel, nodeName)
  closers.push(release)
  if (identity.copiedFrom !== undefined) {
    log.warn(
      { node_id: nodeId, copied_from: identity.copiedFrom },
      'this data directory comes from another machine: this is a new node now, with the same data',
    )
  }
  const trust = watchClockTrust(config.clockTrusted)
  closers.push(() => trust.close())
  const clock = createSystemClock(() => trust.isTrusted())
  const startedMs = clock.monotonicMs()
  const uptimeSecs = (): number => Math.floor((clock.monotonicMs() - startedMs) / 1000)
  const codec = createCodec()

  const storeHealth = createStoreHealth(log, clock)
  const events = createEventHub()
  const opened: { replica?: OpenReplica; reclaiming?: Reclaiming } = {}
  /** Peers are to hear whether this node receives. */
  let isRoomUntold = false
  const tellOfRoom = async (): Promise<void> => {
    if (!isRoomUntold || opened.replica === undefined) return
    isRoomUntold = false
    // The store may have failed for want of room: then it is tried again at the next look.
    await opened.replica.roomChanged().catch(() => (isRoomUntold = true))
  }
  const disk = await watchDisk({
    folder: config.dataDir,
    reserve: config.diskReserve,
    log,
    onChange(view) {
      if (view.isFull) log.error({ free_bytes: view.freeBytes, reserve_bytes: view.reserveBytes }, describeFull(view))
      else log.info({ free_bytes: view.freeBytes, reserve_bytes: view.reserveBytes }, 'the disk has room again: new records are taken')
      events.publish(toDiskEvent(view))
      isRoomUntold = true
    },
    onLook({ isFull }) {
      void tellOfRoom()
      if (isFull) opened.reclaiming?.whileFull()
    },
  })
  closers.push(() => disk.close())
  closers.push(() => opened.reclaiming?.close())
  const diskWrites = countDiskWrites(() => clock.monotonicMs() - startedMs)
  if (outageLog !== undefined) closers.push(() => outageLog.close())
  const { recovery } = directory.opened
  // What follows takes as long as there is much, and nothing answers until then.
  if (recovery !== undefined)
    log.warn({ kind: recovery.kind, reason: recovery.reason }, 'bringing back what is left of the database; this may take a while')
  const { replica, comeback } = await openReplicaOrExplain(config.dataDir, directory, {
    store: directory.opened.store,
    ...(outageLog === undefined || outageLogBytesMax === 0 ? {} : { journal: outageLog }),
    hash: systemHash,
    random: systemRandom,
    clock,
    digestSalt,
    nodeId,
    clockDriftMaxMs: config.clockDriftMaxMs,
    durability: config.durability.usual === 'fsync' ? 'fsync' : 'deferred',
    syncDefault: config.syncDefault,
    noRoom: () => disk.noRoom(),
    onNotice: notice => storeHealth.notice(notice),
  })
  opened.replica = replica
  opened.reclaiming = createReclaiming({
    store: directory.opened.store,
    records: () => replica.collections().reduce((sum, { recordCount }) => sum + recordCount, 0),
    freeBytes: async () => (await disk.look()).freeBytes,
    monotonicMs: () => clock.monotonicMs(),
    log,
  })
  // Settled last, when the database is closed. A start that could not read its database is none that ended in order.
  closers.push(watchStart(starts))
  closers.push(() => replica.close())
  if (comeback !== undefined) storeHealth.cameBack(comeback)
  let isEnding = false
  directory.opened.store.onDamaged(reason => {
    // What was mended a moment ago and fails again would not be better for it: the disk is.
    const isJustMended = comeback !== undefined && comeback.kind !== 'replayed' && uptimeSecs() < MENDED_SECS_MIN
    if (isEnding || isJustMended) return
    isEnding = true
    log.fatal({ reason }, 'the database is damaged: the agent ends, and the next start mends it')
    // Should the request fail, that start finds the damage by itself, or this comes again.
    void requestRecovery(config.dataDir, reason)
      .catch(() => {})
      .then(() => onDamaged?.(reason))
  })
  const tables = watchTables(config.dataDir, log)
  closers.push(() => tables.close())
  if (outageLog !== undefined) closers.push(startPruning(outageLog, replica, log))
  closers.push(startKeeping(replica, log))
  const writer = createWriter(replica, config.durability, config.batchMs, log)
  closers.push(() => writer.close())

  let swarmKeys = readSwarmKeys(config.swarmKeys)
  const swarm: {
    gossip?: Gossip
    synchroniser?: Synchroniser
    peering?: Peering
    duplicate?: DuplicateIdentity
    isStarting: boolean
  } = {
    isStarting: config.gossipPort !== undefined,
  }
  const scrubber = startScrubber({
    scrubber: replica.scrubber,
    rowsPerSecond: config.scrubRowsPerSecond,
    verifyIntervalMs: config.verifyIntervalMs,
    clock,
    random: systemRandom,
    log,
    synchronise: () => void swarm.synchroniser?.startAll(),
  })
  closers.push(() => scrubber.close())
  const metrics = createMetrics()
  const prover = createProver({ replica, nodeId, signingKey, digestSalt, clock })
  const isReachable = !isLoopback(config.httpHost)
  const http = await createHttpServer({
    host: config.httpHost,
    port: config.httpPort,
    tokens: config.apiTokens,
    replica,
    writer,
    prover,
    node: () => ({
      nodeId,
      nodeName,
      role: config.role,
      epoch: 0,
      version,
      uptimeSecs: uptimeSecs(),
      publicKey: prover.publicKey,
      secured: swarmKeys.length > 0,
      swarmKeys: countKeyUse(swarmKeys, swarm.gossip?.members() ?? []),
      duplicateIdentity: swarm.duplicate,
      scrub: scrubber.view(),
      comeback,
      outageLog: outageLog?.state(),
      disk: { ...disk.view(), writtenBytes: diskWrites.bytes(), writtenBytesPerDay: diskWrites.bytesPerDay() },
      upstreamPeer: undefined,
      downstreamPeers: swarm.synchroniser?.downstream() ?? [],
    }),
    peers: () => ({
      gossipEnabled: config.gossipPort !== undefined,
      peers: [
        ...(swarm.gossip?.members() ?? []).map(member => viewPeer(member, clock)),
        ...(swarm.gossip?.compatPeers() ?? []).map(peer => viewCompatPeer(peer, clock)),
      ],
    }),
    departed: () => (swarm.gossip?.departed() ?? []).map(member => ({ ...viewPeer(member, clock), departedAgoMs: member.departedAgoMs })),
    sync: {
      rows: () => swarm.synchroniser?.rows() ?? [],
      start() {
        if (swarm.synchroniser !== undefined) return swarm.synchroniser.startAll()
        throw new AgentError('HS_GOSSIP_DISABLED', 'there are no peers to sync with: set HS_GOSSIP_PORT or HS_GOSSIP_PEERS')
      },
      verify: () => ({ verification: scrubber.verify(), peers: swarm.synchroniser?.reachable() ?? 0 }),
    },
    async *backup() {
      const snapshot = directory.opened.store.snapshot()
      const saltId = toHex(replica.saltId)
      try {
        yield* writeBackup(snapshot, { nodeId, nodeName, version, createdAtMs: clock.wallMs(), saltId })
      } finally {
        await snapshot.close()
      }
    },
    diagnose: () =>
      observeSwarm({
        config,
        nodeId,
        nodeName,
        version,
        uptimeSecs: uptimeSecs(),
        clock,
        keys: swarmKeys,
        duplicate: swarm.duplicate?.addr,
        swarm: swarm.peering,
      }),
    events,
    warnings: () => {
      const { missing } = scrubber.view()
      const gone = missing === 0 ? [] : [`${missing} records of this store are gone, and no peer has sent them yet`]
      return [...storeHealth.warnings(outageLog?.state(), tables.fault()), ...gone]
    },
    readiness: () => [
      ...storeHealth.faults(),
      ...(disk.view().isFull ? [describeFull(disk.view())] : []),
      ...(swarm.isStarting ? ['gossip is starting'] : []),
    ],
    log,
    metrics,
  })
  closers.push(() => http.close())

  let gossipPort: number | undefined
  if (config.gossipPort !== undefined) {
    const digests = createDigestView(replica)
    const peering = await startPeering(config, config.gossipPort, closers, {
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
        cryptography: systemCryptography,
        codec,
        log,
        localState: digests.localState,
      },
      replica,
      digests,
      events,
      swarmKeys,
      onDuplicateIdentity: addr => void (swarm.duplicate = { addr, seenAtMs: clock.wallMs() }),
    })
    const { gossip, synchroniser } = peering
    Object.assign(swarm, { gossip, synchroniser, peering, isStarting: false })
    gossipPort = peering.port
    replica.onChange(() => gossip.localStateChanged())
  }
  addAgentSamples(metrics, {
    replica,
    scrub: () => scrubber.view(),
    outageLog,
    disk,
    diskWrites,
    comeback,
    gossip: () => swarm.gossip,
    synchroniser: () => swarm.synchroniser,
    traffic: () => swarm.peering?.traffic,
  })

  const gossipText = gossipPort === undefined ? 'gossip off' : `gossip port ${gossipPort}`
  const banner = `hs-agent ${version}: node ${nodeId} (${nodeName}), role ${config.role}, ${http.url}, ${gossipText}, data in ${config.dataDir}`
  const started: StartedAgent = { banner, nodeId, httpUrl: http.url }
  announce(started)
  release()
  log.info(
    { node_id: nodeId, role: config.role, http_url: http.url, gossip_port: gossipPort ?? null, data_dir: config.dataDir, version },
    'started',
  )
  const stop = async (): Promise<void> => {
    log.info('stopping')
    await close()
    log.info('stopped')
  }
  const useSwarmKeys = (texts: readonly string[]): void => {
    const keys = readSwarmKeys(texts)
    if (keys.length > 0 !== swarmKeys.length > 0) {
      throw new AgentError('HS_CONFIG_INVALID', 'HS_SWARM_KEY cannot be set or taken away while the agent runs: restart it')
    }
    swarmKeys = keys
    swarm.peering?.useKeys(keys)
    log.info({ swarm_keys: keys.map(({ id }) => id) }, 'the swarm keys were read again; the first one seals')
  }
  return { ...started, useSwarmKeys, close: stop }
}

async function openReplicaOrExplain(
  dataDir: string,
  { opened, outageLog }: DataDirectory,
  options: ReplicaOptions,
): Promise<{ readonly replica: OpenReplica; readonly comeback: Comeback | undefined }> {
  try {
    const replica = await openReplica(options)
    const hasher = createItemHasher(options.hash, options.digestSalt)
    return { replica, comeback: await bringBack(dataDir, opened, replica, outageLog, hasher) }
  } catch (error) {
    await options.store.close()
    await opened.retract()
    if (error instanceof StoreFormatError) throw new AgentError('HS_STORE_FORMAT', error.message, { cause: error })
    const reason = error instanceof Error ? error.message : String(error)
    throw new AgentError('HS_STORE_OPEN_FAILED', `the store cannot be read: ${reason}`, { cause: error })
  }
}

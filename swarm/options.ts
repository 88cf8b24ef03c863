/** What a swarm core is told at its making: who it is, how fast it talks (presets), and its limits. */
import type { Role } from './node-description.ts'
import type { Rate } from './token-bucket.ts'

export type SwarmProfile = 'local' | 'lan' | 'wifi'

/**
 * Times that follow from the period T have their formula beside them; `timingsOf` computes them, so that a preset states only what is a
 * matter of its network.
 */
export interface SwarmTimings {
  /** T, the protocol period: one member is probed in each; drawn from 90 to 110 % of it, so that nodes started together drift apart. */
  readonly periodMs: number
  /** The first beacon leaves within this time after the start, drawn at random: a rack that is switched on does not shout at once. */
  readonly bootJitterMs: number
  /** Bounds of the time to wait for an answer, `srtt + 4 var` (RFC 6298): the lower one is a scheduler's delay, the upper one `0.4 T`. */
  readonly rtoMinMs: number
  readonly rtoMaxMs: number
  /** SWIM's k: members that are asked to probe on our behalf. 3 leave (1 - 0.8^4)^3 = 21 % of a loss of 20 % a packet. */
  readonly helpers: number
  /** A suspicion lasts `suspicionPeriods * max(1, log10 N) * T` at least... */
  readonly suspicionPeriods: number
  /** ...and this many times as long when nobody confirms it. */
  readonly suspicionFactor: number
  /** Lifeguard's K: confirmations that shorten it to the minimum. */
  readonly confirmationsMax: number
  /** Between two rounds of gossip, while there is something to tell; the first round leaves at once. `T / 5`. */
  readonly gossipIntervalMs: number
  /** Members told in each round of gossip. */
  readonly gossipFanout: number
  /** Without any packet for this long this node was isolated: `max(2.5 s, 2.5 T)`. */
  readonly isolationMs: number
  /** A tick that is later than this is a standstill of our own: more than the event loop's usual delays, less than a round trip's bound. */
  readonly stallMs: number
  /** Trickle's Imin and Imax for beacons; both at least `N / multicastPerSecond`. */
  readonly beaconMinMs: number
  readonly beaconMaxMs: number
  /** Trickle's k: beacons heard in an interval that make our own one unnecessary. */
  readonly beaconRedundancy: number
  /** Packets to the group per second, of all nodes together. 5 of 120 bytes are 1 % of a 1 Mb/s channel. */
  readonly multicastPerSecond: number
  /** A changed digest is told at once, then at most this often... */
  readonly changeIntervalMs: number
  /** ...to this many members each time, until all have been told. In larger swarms receivers pass it on as well. */
  readonly changeFanout: number
  /** A seed is greeted for ever, with a doubling pause between these two... */
  readonly seedBackoffMinMs: number
  readonly seedBackoffMaxMs: number
  /**
   * ...which while nobody there is listed grows to this, `max(1, N / 10)` times as long, and to a second for each such seed. `tombstoneContactMs`:
   * it stands for somebody missed as well.
   */
  readonly seedSilentMs: number
  /** Somebody dropped is greeted this often, one at random; `max(1, N / 10)` times as seldom, so that the dead get about two a second. */
  readonly tombstoneContactMs: number
  /** Without an answer a page is asked for again after the round-trip estimate within these bounds, doubling up to the second. */
  readonly pageRetryMinMs: number
  readonly pageRetryMaxMs: number
  /** Mean time per digest page over many exchanges with one member: bounds what a busy peer with many collections costs. */
  readonly pageIntervalMs: number
  /** A member without evidence of life for this long is probed whenever there is room... */
  readonly probeAfterMs: number
  /** ...and is dropped after this. A promise to users, the same in all presets. */
  readonly memberTimeoutMs: number
}

function timingsOf(preset: {
  readonly periodMs: number
  readonly bootJitterMs: number
  readonly rtoMinMs: number
  readonly suspicionPeriods: number
  readonly beaconMaxMs: number
  readonly changeIntervalMs: number
  readonly pageRetryMinMs: number
  readonly pageIntervalMs: number
}): SwarmTimings {
  const { periodMs } = preset
  return {
    ...preset,
    rtoMaxMs: 0.4 * periodMs,
    helpers: 3,
    suspicionFactor: 6,
    confirmationsMax: 3,
    gossipIntervalMs: periodMs / 5,
    gossipFanout: 3,
    isolationMs: Math.max(2_500, 2.5 * periodMs),
    stallMs: 100,
    beaconMinMs: 1_000,
    beaconRedundancy: 2,
    multicastPerSecond: 5,
    changeFanout: 32,
    seedBackoffMinMs: 1_000,
    seedBackoffMaxMs: 60_000,
    seedSilentMs: 5_000,
    tombstoneContactMs: 5_000,
    pageRetryMaxMs: 5_000,
    probeAfterMs: 20_000,
    memberTimeoutMs: 30_000,
  }
}

/** HS_GOSSIP_PROFILE. The 30 s rule holds in all of them: it is a promise to users, not a matter of taste. */
export const PROFILES: Readonly<Record<SwarmProfile, SwarmTimings>> = {
  /** Processes on one machine: nothing is lost, but a busy machine stalls whole processes, so a suspicion lasts more periods. */
  local: timingsOf({
    periodMs: 500,
    bootJitterMs: 20,
    rtoMinMs: 80,
    suspicionPeriods: 4,
    beaconMaxMs: 30_000,
    changeIntervalMs: 100,
    pageRetryMinMs: 20,
    pageIntervalMs: 2,
  }),
  /** Wired networks: a second is what people expect of "at once", and two packets a second and node are nothing to a switch. */
  lan: timingsOf({
    periodMs: 1_000,
    bootJitterMs: 100,
    rtoMinMs: 80,
    suspicionPeriods: 3.5,
    beaconMaxMs: 60_000,
    changeIntervalMs: 250,
    pageRetryMinMs: 50,
    pageIntervalMs: 10,
  }),
  /** Radio: multicast goes out at the lowest rate and is not repeated by the link, power saving delays packets by 100 ms and more. */
  wifi: timingsOf({
    periodMs: 1_500,
    bootJitterMs: 500,
    rtoMinMs: 150,
    suspicionPeriods: 4,
    beaconMaxMs: 60_000,
    changeIntervalMs: 500,
    pageRetryMinMs: 200,
    pageIntervalMs: 40,
  }),
}

export interface SwarmLimits {
  /** Members listed; a further one is refused (`members-full`). */
  readonly membersMax: number
  /** Nodes remembered after they were dropped; the oldest goes first. */
  readonly tombstonesMax: number
  readonly tombstoneMs: number
  /** Resolved seed addresses; further ones are ignored. */
  readonly seedsMax: number
  /** Source hosts with a packet bucket of their own; further ones share one. */
  readonly sourcesMax: number
  /** Packets looked at per source host. Several agents may share a host. */
  readonly sourceRate: Rate
  /** Keys of senders' boots kept; the one unused longest goes first. */
  readonly senderKeysMax: number
  /** Addresses remembered for having echoed a cookie, and for having not; the oldest goes first. */
  readonly provenAddressesMax: number
  readonly unprovenAddressesMax: number
  /** Heartbeats sent at once because somebody unknown spoke up. */
  readonly answerRate: Rate
  /** Answers to boots that have not echoed a cookie: all of them, and to one address, which asks again when it needs more. */
  readonly newcomersRate: Rate
  readonly newcomerRate: Rate
  /** Packets to unproven addresses of one host that nothing from there has paid for: greetings, and probes of those who are known by hearsay. */
  readonly unaskedRate: Rate
  /** Members listed because others speak of them. */
  readonly hearsayRate: Rate
  /** Packets of gossip beyond those that carry a probe: at once when something happens, then at this rate. */
  readonly gossipRate: Rate
  /** Answers to claims: what the accused and the dead are told. */
  readonly claimRate: Rate
  /** Claims and descriptions waiting to be passed on, and digest updates; the one told most often goes first. */
  readonly broadcastsMax: number
  /** Descriptions of newcomers waiting to be passed on: what is lost of them, exchanges of members repair. */
  readonly recordsMax: number
  /** What digest updates may take of a packet that is not theirs alone. */
  readonly digestBytesPerPacket: number
  /** What ages of evidence may take of a packet: 1 byte a member and 7 for 64 of them. */
  readonly evidenceBytesPerPacket: number
  /** Probes under way; further ones wait. */
  readonly probesMax: number
  /** Members probed per period beside the one whose turn it is, because they show no life. */
  readonly probesPerPeriod: number
  /** Probes made on behalf of others at a time; further ones are refused by a nack. */
  readonly relaysMax: number
  /** Collections taken from one peer, and from all together (about 200 bytes each). */
  readonly collectionsMax: number
  readonly collectionsTotalMax: number
  /** Digest exchanges under way; further members wait. */
  readonly exchangesMax: number
  /** Own older digest lists kept because somebody is reading their pages; the one unused longest goes first. */
  readonly snapshotsMax: number
  /** A peer's logical clock further ahead than this does not move ours: 2^40 is 3 years of 10,000 writes a second. */
  readonly logicalClockAheadMax: number
  /** Nor is one beyond this, however it got there step by step: above it there must be room for all the writes of a lifetime. */
  readonly logicalClockMax: number
  /** Members told of a clean stop by unicast, besides the group; the others see it at the 30 s rule. */
  readonly leaveFanout: number
}

export const LIMITS: SwarmLimits = {
  membersMax: 4_096,
  tombstonesMax: 1_024,
  tombstoneMs: 24 * 3_600_000,
  seedsMax: 256,
  sourcesMax: 1_024,
  sourceRate: { perSecond: 500, burst: 1_000 },
  senderKeysMax: 8_192,
  provenAddressesMax: 8_192,
  unprovenAddressesMax: 1_024,
  answerRate: { perSecond: 20, burst: 40 },
  newcomersRate: { perSecond: 100, burst: 200 },
  newcomerRate: { perSecond: 2, burst: 4 },
  unaskedRate: { perSecond: 64, burst: 256 },
  hearsayRate: { perSecond: 500, burst: 4_096 },
  gossipRate: { perSecond: 3, burst: 15 },
  claimRate: { perSecond: 20, burst: 50 },
  broadcastsMax: 2_048,
  recordsMax: 256,
  digestBytesPerPacket: 400,
  evidenceBytesPerPacket: 500,
  probesMax: 64,
  probesPerPeriod: 3,
  relaysMax: 128,
  collectionsMax: 16_384,
  collectionsTotalMax: 131_072,
  exchangesMax: 16,
  snapshotsMax: 8,
  logicalClockAheadMax: 2 ** 40,
  logicalClockMax: 2 ** 50,
  leaveFanout: 256,
}

/** The name that says nothing: sharing it is no reason to trust anybody. */
export const DEFAULT_SWARM_NAME = 'default'

export interface SwarmOptions {
  /** A UUID in lower case. */
  readonly nodeId: string
  /** As `isNodeName` has it. */
  readonly nodeName: string
  /** Persisted, and raised at every start of this node: 0 to 2^32 - 1. */
  readonly bootCounter: number
  readonly role: Role
  readonly httpPort: () => number
  /** Whether HTTP listens beyond loopback. */
  readonly httpReachable: boolean
  /** UDP port of the unicast socket. */
  readonly gossipPort: number
  readonly multicast: boolean
  readonly swarmName: string
  /** HS_SWARM_OPEN. */
  readonly open: boolean
  /** HS_SWARM_KEY, 32 bytes each: the first seals, all of them open; none makes an open swarm. */
  readonly keys: readonly Uint8Array[]
  readonly timings: SwarmTimings
  readonly limits: SwarmLimits
}

/** What a swarm core is told at its making: who it is, how fast it talks (presets), and its limits. */
import type { Role } from './messages.ts'
import type { Rate } from './token-bucket.ts'

export type SwarmProfile = 'local' | 'lan' | 'wifi'

export interface SwarmTimings {
  /** Between two heartbeats; each period is drawn from 90 to 110 % of it, so that nodes started together drift apart. */
  readonly periodMs: number
  /** The first heartbeat leaves within this time after the start, drawn at random: a rack that is switched on does not shout at once. */
  readonly bootJitterMs: number
  /** Members that get a unicast heartbeat per period, in turn: the cost of a node does not grow with the swarm. */
  readonly fanout: number
  /** A changed digest is told at once, then at most this often... */
  readonly changeIntervalMs: number
  /** ...to this many members each time, until all have been told. */
  readonly changeFanout: number
  /** A seed that does not answer is tried with a doubling pause between these two; one that does, every `seedIntervalMs`. */
  readonly seedBackoffMinMs: number
  readonly seedBackoffMaxMs: number
  readonly seedIntervalMs: number
  /** Somebody dropped is greeted this often, one at random, so that a healed partition meets again. */
  readonly tombstoneContactMs: number
  /** Without an answer a digest page is asked for again after the round-trip estimate within these bounds, doubling up to the second. */
  readonly pageRetryMinMs: number
  readonly pageRetryMaxMs: number
  /** Mean time per digest page over many exchanges with one member: bounds what a busy peer with many collections costs. */
  readonly pageIntervalMs: number
  /** A member that shows no life for this long gets a ping every period... */
  readonly probeAfterMs: number
  /** ...and is dropped after this. */
  readonly memberTimeoutMs: number
}

const LAN: SwarmTimings = {
  periodMs: 1_000,
  bootJitterMs: 100,
  fanout: 3,
  changeIntervalMs: 250,
  changeFanout: 32,
  seedBackoffMinMs: 1_000,
  seedBackoffMaxMs: 60_000,
  seedIntervalMs: 10_000,
  tombstoneContactMs: 10_000,
  pageRetryMinMs: 50,
  pageRetryMaxMs: 5_000,
  pageIntervalMs: 10,
  probeAfterMs: 20_000,
  memberTimeoutMs: 30_000,
}

/** HS_GOSSIP_PROFILE. The 30 s rule holds in all of them: it is a promise to users, not a matter of taste. */
export const PROFILES: Readonly<Record<SwarmProfile, SwarmTimings>> = {
  /** Processes on one machine: nothing is lost and nothing is slow. */
  local: { ...LAN, periodMs: 200, bootJitterMs: 20, fanout: 4, changeIntervalMs: 100, pageRetryMinMs: 20, pageIntervalMs: 2 },
  /** Wired networks: a second is what people expect of "at once", 1 packet/s and node is nothing to a switch. */
  lan: LAN,
  /** Radio: multicast goes out at the lowest rate and is not repeated by the link, so half as often, and more patience. */
  wifi: { ...LAN, periodMs: 2_000, bootJitterMs: 500, fanout: 2, changeIntervalMs: 500, pageRetryMinMs: 200, pageIntervalMs: 40 },
}

export interface SwarmLimits {
  /** Members listed; a further one is refused (`members-full`). */
  readonly membersMax: number
  /** Nodes remembered after they were dropped; the oldest goes first. */
  readonly tombstonesMax: number
  readonly tombstoneMs: number
  /** Nodes heard of and not yet heard; the oldest goes first. */
  readonly contactsMax: number
  /** Resolved seed addresses; further ones are ignored. */
  readonly seedsMax: number
  /** Source hosts with a packet bucket of their own; further ones share one. */
  readonly sourcesMax: number
  /** Keys of senders' boots kept; the one unused longest goes first. */
  readonly senderKeysMax: number
  /** Addresses remembered for having echoed a cookie, and for having not; the oldest goes first. */
  readonly provenAddressesMax: number
  readonly unprovenAddressesMax: number
  /** Packets looked at per source host. Several agents may share a host. */
  readonly sourceRate: Rate
  /** Heartbeats sent at once because somebody unknown spoke up. */
  readonly answerRate: Rate
  /** Of these, to one address that is not listed: it asks again when it needs more. */
  readonly newcomerRate: Rate
  /** Heartbeats sent to nodes heard of through others. */
  readonly contactRate: Rate
  /** What one heartbeat tells of other members: about 42 bytes each. */
  readonly rumoursPerPacket: number
  /** Members pinged per period because they show no life. */
  readonly probesPerPeriod: number
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
  contactsMax: 1_024,
  seedsMax: 256,
  sourcesMax: 1_024,
  senderKeysMax: 8_192,
  provenAddressesMax: 8_192,
  unprovenAddressesMax: 1_024,
  sourceRate: { perSecond: 500, burst: 1_000 },
  answerRate: { perSecond: 100, burst: 200 },
  newcomerRate: { perSecond: 2, burst: 4 },
  contactRate: { perSecond: 50, burst: 100 },
  rumoursPerPacket: 8,
  probesPerPeriod: 128,
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

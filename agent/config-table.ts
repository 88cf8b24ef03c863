/**
 * Every `HS_*` variable: its type, default, limits and meaning. Help, docs/configuration.md and systemd/hs-agent.env.example are
 * made from this table; nothing else knows a variable's name.
 */
import { choice, directory, duration, flag, hexBytes, integer, keyList, label, tokenList } from './config-type.ts'
import { host, hostPortList, httpUrl, interfaceList, ipAddress, multicastGroup } from './config-address.ts'
import { diskReserve } from './disk-reserve.ts'
import { durabilityPlan } from './durability.ts'
import type { Limits, SettingType } from './config-type.ts'

export interface Setting<
  Name extends string = string,
  Value = unknown,
  Default extends string | undefined = string | undefined,
> extends Limits {
  /** The value's name in `Config`. */
  readonly name: Name
  readonly type: SettingType<Value>
  /** In the form that `type` reads; undefined when an unset variable has no value. */
  readonly default: Default
  /** The default in words, where the text alone does not say it. */
  readonly defaultDoc?: string
  /** Another variable, set by the system, whose first path comes before the default. */
  readonly defaultVariable?: string
  /** One or two sentences, in Markdown. */
  readonly doc: string
  /** Never shown. */
  readonly secret?: true
}

const setting = <const Name extends string, Value, const Default extends string | undefined>(
  setting: Setting<Name, Value, Default>,
): Setting<Name, Value, Default> => setting

export const settings = {
  HS_DATA_DIR: setting({
    name: 'dataDir',
    type: directory,
    default: './data',
    defaultDoc: '`./data`; `$STATE_DIRECTORY` under systemd',
    defaultVariable: 'STATE_DIRECTORY',
    doc: 'Where the store, the identity and the queues live: the only place that is written.',
  }),
  HS_HTTP_HOST: setting({
    name: 'httpHost',
    type: host,
    default: '127.0.0.1',
    doc: 'Where the HTTP API listens. Beyond loopback only with HS_API_TOKEN.',
  }),
  HS_HTTP_PORT: setting({
    name: 'httpPort',
    type: integer,
    default: '50050',
    min: 0,
    max: 65535,
    doc: 'Port of the HTTP API; 0 picks a free one, which is printed and logged.',
  }),
  HS_API_TOKEN: setting({
    name: 'apiTokens',
    type: tokenList,
    default: '',
    min: 8,
    max: 256,
    secret: true,
    doc: 'Bearer tokens that the HTTP API accepts. The command line sends the first.',
  }),
  HS_NODE_NAME: setting({
    name: 'nodeName',
    type: label,
    default: undefined,
    defaultDoc: '`<host>-<4 hex of the node id>`',
    min: 1,
    max: 64,
    doc: 'Human name of the node. Nothing depends on it being unique.',
  }),
  HS_ROLE: setting({
    name: 'role',
    type: choice(['edge', 'leader'], ['follower']),
    default: 'edge',
    doc: 'What this node is to the others.',
  }),
  HS_GOSSIP_PORT: setting({
    name: 'gossipPort',
    type: integer,
    default: undefined,
    defaultDoc: 'unset; 7946 when HS_GOSSIP_PEERS is set',
    min: 0,
    max: 65535,
    doc: 'UDP port of the gossip and TCP port of the peer link; 0 picks a free one. Gossip is on when this or HS_GOSSIP_PEERS is set; 7946 is usual.',
  }),
  HS_GOSSIP_PEERS: setting({
    name: 'gossipPeers',
    type: hostPortList,
    default: '',
    doc: 'Peers to start with. Names are resolved again and again; none of them needs to be up.',
  }),
  HS_GOSSIP_HOST: setting({
    name: 'gossipHost',
    type: ipAddress,
    default: '0.0.0.0',
    doc: 'Address that the gossip and peer-link sockets bind to.',
  }),
  HS_GOSSIP_MULTICAST: setting({
    name: 'gossipMulticast',
    type: multicastGroup,
    default: '239.83.65.71:7946',
    doc: 'Group in which agents discover one another; `off` leaves HS_GOSSIP_PEERS alone. An IPv6 group takes an IPv6 HS_GOSSIP_HOST.',
  }),
  HS_GOSSIP_INTERFACE: setting({
    name: 'gossipInterfaces',
    type: interfaceList,
    default: 'all',
    doc: 'Interfaces that carry the multicast; `lo` for several agents on a host without a network.',
  }),
  HS_GOSSIP_PROFILE: setting({
    name: 'gossipProfile',
    type: choice(['local', 'lan', 'wifi']),
    default: 'lan',
    doc: "Preset of the protocol's timings.",
  }),
  HS_GOSSIP_COMPAT: setting({
    name: 'gossipCompat',
    type: choice(['off', 'hyperspace']),
    default: 'off',
    doc: "`hyperspace`: also understand and send HyperspaceDB's gossip heartbeats. They are plain text that anybody can make up; nodes heard so are listed, marked, and trusted for nothing.",
  }),
  HS_SWARM_NAME: setting({
    name: 'swarmName',
    type: label,
    default: 'default',
    min: 1,
    max: 64,
    doc: 'Swarms with different names ignore one another. Without a key, peers met by multicast are synced when both carry the same name, other than `default`.',
  }),
  HS_SWARM_KEY: setting({
    name: 'swarmKeys',
    type: keyList,
    default: '',
    secret: true,
    doc: 'Keys of the swarm: the first one seals gossip and peer links, all of them open (for changing the key). Who does not have it is not heard. Without one the swarm is open to whoever is on the network.',
  }),
  HS_SWARM_OPEN: setting({
    name: 'swarmOpen',
    type: flag,
    default: 'false',
    doc: 'Without a key: also sync with peers that were met by multicast alone. Otherwise these are listed and not synced, unless HS_SWARM_NAME or HS_GOSSIP_PEERS says so.',
  }),
  HS_DIGEST_SALT: setting({
    name: 'digestSalt',
    type: hexBytes,
    default: undefined,
    min: 16,
    max: 16,
    secret: true,
    doc: 'Salt of the digests: the same in the whole swarm, and never changed.',
  }),
  HS_SYNC_LIVE_LINKS: setting({
    name: 'syncLiveLinks',
    type: integer,
    default: '16',
    min: 0,
    max: 48,
    doc: 'Links to peers that stay open once both sides have caught up, so that what is written flows at once. Further peers are synced when their digests differ.',
  }),
  HS_SYNC_DEFAULT: setting({
    name: 'syncDefault',
    type: choice(['both', 'push', 'pull', 'none']),
    default: 'both',
    doc: 'How this node exchanges collections that do not say: both ways, only what it holds to others, only what others hold, or not at all.',
  }),
  HS_CLOCK_TRUSTED: setting({
    name: 'clockTrusted',
    type: choice(['auto', 'yes', 'no']),
    default: 'auto',
    doc: 'Whether the times of this node mean something; `auto` asks the kernel whether its clock is synchronised.',
  }),
  HS_CLOCK_DRIFT_MAX: setting({
    name: 'clockDriftMaxMs',
    type: duration,
    default: '60s',
    min: 1000,
    max: 86_400_000,
    doc: 'A time further ahead than this, from a peer, is kept as it is and does not move the clock of this node.',
  }),
  HS_DURABILITY: setting({
    name: 'durability',
    type: durabilityPlan,
    default: 'fsync',
    doc: 'What an acknowledged write means: on disk, on disk within HS_BATCH_MS, or handed to the system. A request may ask for another (`?durability=`).',
  }),
  HS_BATCH_MS: setting({
    name: 'batchMs',
    type: integer,
    default: '50',
    min: 1,
    max: 60_000,
    unit: 'ms',
    doc: 'With durability `batch`: the longest time until acknowledged writes are on disk.',
  }),
  HS_DISK_RESERVE: setting({
    name: 'diskReserve',
    type: diskReserve,
    default: '5%',
    doc: 'Free space on the data disk that is kept. Below it new records are refused (507 `HS_DISK_FULL`) and none are taken from peers; deletes go on.',
  }),
  HS_OUTAGE_LOG_MIB: setting({
    name: 'outageLogMib',
    type: integer,
    default: '64',
    min: 0,
    max: 65_536,
    unit: 'MiB',
    doc: 'What the second copy of writes that no other node has acknowledged may take; beyond it the oldest go. 0 switches it off: then a damaged database loses them.',
  }),
  HS_SCRUB_RATE: setting({
    name: 'scrubRowsPerSecond',
    type: integer,
    default: '100',
    min: 0,
    max: 100_000,
    unit: 'rows/s',
    doc: 'How fast the store is read in the background and held against itself; about four rows a record. A pass begins at most once an hour. 0: never, but when `hs-agent sync --verify` asks.',
  }),
  HS_VERIFY_INTERVAL: setting({
    name: 'verifyIntervalMs',
    type: duration,
    default: '7d',
    min: 0,
    max: 365 * 86_400_000,
    doc: 'How often, give or take a quarter, the whole store is verified as by `hs-agent sync --verify`: scrubbed at full speed, then compared with every peer. `0s`: never by itself.',
  }),
  HS_SYNC_KBPS_MAX: setting({
    name: 'syncKbpsMax',
    type: integer,
    default: undefined,
    min: 8,
    max: 100_000_000,
    unit: 'kbit/s',
    doc: 'The most that this node sends on one sync link, in thousand bits a second; the network adds its headers, some 4 %. Unset: as much as the link carries.',
  }),
  HS_SYNC_COMPRESSION: setting({
    name: 'syncCompression',
    type: choice(['auto', 'off']),
    default: 'auto',
    doc: 'Whether sync links may send packed frames (zstd): `auto` does where it pays. `off` where nobody may guess content from the size of sealed frames.',
  }),
  HS_LOG_LEVEL: setting({
    name: 'logLevel',
    type: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    default: 'info',
    doc: 'The least severe level that is logged.',
  }),
  HS_IGNORE_UNKNOWN: setting({
    name: 'ignoreUnknown',
    type: flag,
    default: 'false',
    doc: 'Makes unknown `HS_*` variables a warning: for going back to a version that does not know them yet.',
  }),
  HS_URL: setting({
    name: 'url',
    type: httpUrl,
    default: 'http://127.0.0.1:50050',
    defaultDoc: '`http://127.0.0.1:50050`, with the host and port of HS_HTTP_HOST and HS_HTTP_PORT',
    doc: 'Where the command line finds the agent. The agent itself does not read it.',
  }),
}

export type SettingName = keyof typeof settings

// Object.keys loses the names' type; the table is closed, so they are what it says.
export const settingNames = Object.keys(settings) as readonly SettingName[]

export const isSettingName = (name: string): name is SettingName => Object.hasOwn(settings, name)

/** Variables of the contract that this version does not know yet. Ignoring them would do something else than was asked for. */
export const reserved: readonly string[] = ['HS_LEADER', 'HS_MQTT_URL', 'HS_MQTT_TOPIC_PREFIX', 'HS_MQTT_INGEST', 'HS_REPLICA_EXPIRY']

/** What Kubernetes puts into every container beside a service called hs-agent. */
export const isInjected = (name: string): boolean => /^HS_AGENT_(?:SERVICE_|PORT(?:_|$))/.test(name)

/** The gossip port when only HS_GOSSIP_PEERS is set. */
export const gossipPortUsual = 7946

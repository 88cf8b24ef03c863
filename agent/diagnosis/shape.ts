/**
 * What an agent has observed of its swarm, for whoever wonders why two robots do not see one another: one shape from the agent through
 * `GET /api/swarm/diagnosis` to the explanation (explain.ts) and the command line. Ages are by the monotonic clock; null means never.
 */
import { Type, type Static } from 'typebox'

const Ago = Type.Union([Type.Integer(), Type.Null()], { description: 'Milliseconds ago; null for never.' })
const NullableText = Type.Union([Type.String(), Type.Null()])

export const FindingShape = Type.Object(
  {
    severity: Type.Enum(['ok', 'warning', 'fault']),
    code: Type.String({ description: 'What kind of finding, for programs: `other-swarm`, `one-way`, ...' }),
    about: Type.String({ description: 'Whom or what it concerns: an address, an interface, a setting.' }),
    seen: Type.String({ description: 'What was observed.' }),
    reason: Type.Optional(Type.String({ description: 'The likely reason.' })),
    advice: Type.Optional(Type.String({ description: 'What to do.' })),
  },
  { title: 'Finding' },
)

const ObservedNode = Type.Object(
  {
    node_id: Type.String(),
    node_name: Type.String(),
    version: Type.String(),
    uptime_secs: Type.Integer(),
    gossip_enabled: Type.Boolean(),
    gossip_host: Type.String({ description: 'What the UDP and TCP sockets are bound to.' }),
    gossip_port: Type.Union([Type.Integer(), Type.Null()], { description: 'UDP port of gossip and TCP port of the peer link.' }),
    multicast_group: NullableText,
    swarm_name: Type.String(),
    swarm_tag: Type.String({ description: 'What packets carry instead of the swarm name: 16 hexadecimal digits.' }),
    key_ids: Type.Array(Type.String(), { description: 'Of HS_SWARM_KEY; the first seals. No secret.' }),
    wall_ms: Type.Integer({ description: 'Unix milliseconds by the clock of this node.' }),
    clock_trusted: Type.Boolean(),
    duplicate_identity: Type.Union([Type.String(), Type.Null()], {
      description: 'Gossip address of another process that uses the id of this node.',
    }),
  },
  { title: 'ObservedNode' },
)

const ObservedInterface = Type.Object(
  {
    name: Type.String(),
    address: Type.String(),
    use: Type.Enum(['joined', 'failed', 'left-out'], { description: 'Whether the discovery group is heard there.' }),
    left_out_for: Type.Union([Type.Enum(['loopback', 'container', 'not-named', 'not-bound']), Type.Null()]),
    error: Type.Union([Type.String(), Type.Null()], { description: "The system's code of the last attempt that failed." }),
  },
  { title: 'ObservedInterface' },
)

const ObservedSeed = Type.Object(
  {
    seed: Type.String({ description: 'As HS_GOSSIP_PEERS has it.' }),
    addresses: Type.Array(
      Type.Object({
        addr: Type.String(),
        is_self: Type.Boolean({ description: 'It is this node.' }),
        node_id: Type.Union([Type.String(), Type.Null()], { description: 'Who has answered there and is listed.' }),
      }),
    ),
    error: Type.Union([Type.String(), Type.Null()], { description: 'Why the name does not resolve.' }),
  },
  { title: 'ObservedSeed' },
)

const ObservedPeer = Type.Object(
  {
    node_id: Type.String(),
    node_name: Type.String(),
    addr: Type.String({ description: 'Of its gossip.' }),
    status: Type.Enum(['alive', 'suspect', 'dead', 'left']),
    heard_ago_ms: Type.Integer({ description: 'Last sign of life, also through others.' }),
    direct_ago_ms: Ago,
    answered_ago_ms: Ago,
    pings_unanswered: Type.Integer({ description: 'Pings sent to it since it last answered one: packets may come and ours be lost.' }),
    rtt_ms: Type.Union([Type.Number(), Type.Null()]),
    clock_skew_ms: Type.Union([Type.Number(), Type.Null()]),
    may_exchange: Type.Boolean({ description: 'Data is synced with it.' }),
    link: Type.Union(
      [
        Type.Object({
          outcome: Type.String({
            description: '`open`, by either side, or why dialling its peer link failed: ECONNREFUSED, ETIMEDOUT, HANDSHAKE, ...',
          }),
          ago_ms: Type.Integer(),
        }),
        Type.Null(),
      ],
      { description: 'How dialling its peer link went last; null when that was not needed yet.' },
    ),
  },
  { title: 'ObservedPeer' },
)

const ObservedStranger = Type.Object(
  {
    addr: Type.String({ description: 'Host and port, or the host alone where only the discovery group has brought something of it.' }),
    host: Type.String(),
    node_id: NullableText,
    reason: Type.String({ description: 'Why it is not listed: a reason of `hs_gossip_rejects_total`, or `unproven`.' }),
    packets: Type.Integer(),
    first_ago_ms: Type.Integer(),
    last_ago_ms: Type.Integer(),
    kind: Type.Enum(['agent', 'json', 'other'], { description: 'What its packets look like.' }),
    wire_version: Type.Union([Type.Integer(), Type.Null()]),
    key_id: Type.Union([Type.String(), Type.Null()], {
      description: 'The key that it seals with; null for none, or where it cannot be read.',
    }),
    swarm_tag: NullableText,
    is_default_swarm: Type.Boolean({ description: 'Its HS_SWARM_NAME is not set.' }),
  },
  { title: 'Stranger', description: 'Heard and not listed. Nothing of it is authenticated.' },
)

export const Diagnosis = Type.Object(
  {
    node: ObservedNode,
    interfaces: Type.Array(ObservedInterface),
    interfaces_missing: Type.Array(Type.String(), { description: 'Named by HS_GOSSIP_INTERFACE, and not there.' }),
    multicast: Type.Object({
      mute: Type.Boolean({ description: 'Peers answer by unicast, and the group brings nothing.' }),
      sent: Type.Integer(),
      others_heard_ago_ms: Ago,
      own_heard_ago_ms: Ago,
    }),
    seeds: Type.Array(ObservedSeed),
    peers: Type.Array(ObservedPeer),
    strangers: Type.Array(ObservedStranger, { description: 'At most 64, heard last comes last.' }),
    rejects: Type.Array(Type.Object({ reason: Type.String(), count: Type.Integer() })),
    faults: Type.Array(
      Type.Object(
        { what: Type.String(), error: Type.String(), count: Type.Integer(), last_ago_ms: Type.Integer() },
        { title: 'SystemFault', description: 'What the system refused to the sockets of gossip.' },
      ),
    ),
  },
  { title: 'Diagnosis' },
)

export type DiagnosisJson = Static<typeof Diagnosis>
export type FindingJson = Static<typeof FindingShape>

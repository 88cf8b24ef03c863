/** Who was heard and not taken, each with what that means. */
import { formatAge, found, type Finding } from './finding.ts'
import type { DiagnosisJson } from './shape.ts'

type Stranger = DiagnosisJson['strangers'][number]
type Node = DiagnosisJson['node']

/** Beacons are up to a minute apart, and so are the greetings of somebody who names us and is not answered. */
const RECENT_MS = 120_000
/** Whoever is welcome is let in after a packet or two. Three within this time, and it does not hear us. */
const UNPROVEN_PACKETS = 3
const UNPROVEN_MS = 4_000

/** These say that its packets come and ours do not arrive, once they go on for a while. */
const UNANSWERED: ReadonlySet<string> = new Set(['unproven', 'unknown-sender', 'dead'])

export function isRecent({ last_ago_ms: agoMs }: Stranger): boolean {
  return agoMs <= RECENT_MS
}

export function explainStrangers({ node, strangers, peers }: DiagnosisJson): Finding[] {
  const listed = new Map(peers.map(peer => [peer.node_id, peer]))
  return strangers.filter(isRecent).flatMap(stranger => {
    const peer = stranger.node_id === null ? undefined : listed.get(stranger.node_id)
    // It was let in, and something else at its address, or a packet of long ago, was not.
    if (peer !== undefined && (peer.direct_ago_ms ?? Infinity) < stranger.last_ago_ms) return []
    // Known through others, and heard through the group: not everybody who hears a beacon answers it.
    if (peer !== undefined && stranger.reason === 'unproven' && stranger.addr === stranger.host) return []
    return explainStranger(stranger, node)
  })
}

function explainStranger(stranger: Stranger, node: Node): Finding[] {
  const { addr, reason, packets, kind, last_ago_ms: agoMs } = stranger
  const name = stranger.node_id === null ? addr : `${addr} (node ${stranger.node_id.slice(0, 8)})`
  const heard = `${name} is heard, ${formatAge(agoMs)} ago, and not let in`
  const keysHere = node.key_ids.length === 0 ? 'none' : node.key_ids.join(', ')

  switch (reason) {
    case 'other-swarm':
      return [
        found('warning', 'other-swarm', addr, `${heard}: it belongs to another swarm`, {
          reason: stranger.is_default_swarm
            ? `its HS_SWARM_NAME is not set (\`default\`), here it is \`${node.swarm_name}\``
            : `its HS_SWARM_NAME is another one than \`${node.swarm_name}\``,
          advice: 'give both the same HS_SWARM_NAME, unless they are meant to ignore one another',
        }),
      ]
    case 'sealed':
      return [
        found('fault', 'key-missing-here', addr, `${heard}: its packets are sealed, and this agent has no swarm key`, {
          reason: `HS_SWARM_KEY is set there${stranger.key_id === null ? '' : ` (key ${stranger.key_id})`} and not here`,
          advice: 'set the same HS_SWARM_KEY here and restart this agent',
        }),
      ]
    case 'not-sealed':
      return [
        found('fault', 'key-missing-there', addr, `${heard}: its packets are not sealed, and this agent has a swarm key`, {
          reason: `HS_SWARM_KEY is set here (key ${keysHere}) and not there`,
          advice: 'set the same HS_SWARM_KEY there and restart that agent',
        }),
      ]
    case 'unknown-key':
      return [
        found(
          'fault',
          'key-other',
          addr,
          `${heard}: it seals with swarm key ${stranger.key_id ?? 'unknown'}, which this agent does not have`,
          {
            reason: `the two have different keys (here: ${keysHere}), or a change of the key has not come to both`,
            advice: 'give both the same HS_SWARM_KEY; `hs-agent status` shows the keys of each',
          },
        ),
      ]
    case 'bad-seal':
      return [
        found('fault', 'seal-broken', addr, `${heard}: its packets name key ${stranger.key_id ?? keysHere} and were not sealed with it`, {
          reason: 'they are damaged on the way, or somebody without the key forges them; keys whose ids are equal by chance are rarer',
          advice: 'find out what has this address',
        }),
      ]
    case 'other-version':
      return [
        found(
          'fault',
          'other-version',
          addr,
          `${heard}: it speaks version ${stranger.wire_version ?? 'unknown'} of the wire format, this agent version 1`,
          {
            reason: 'one of the two runs another version of hs-agent',
            advice: '`hs-agent version` on both; bring them to the same one',
          },
        ),
      ]
    case 'not-a-packet':
      return [
        found(
          'warning',
          'other-program',
          addr,
          `${addr} sends what is no gossip of hs-agent, ${formatAge(agoMs)} ago (${packets} packets)`,
          {
            reason: kind === 'json' ? 'JSON: perhaps a HyperspaceDB node' : 'another program uses this port or group',
            advice: kind === 'json' ? 'HS_GOSSIP_COMPAT=hyperspace lists such nodes' : 'give one of the two another port',
          },
        ),
      ]
    case 'stale-boot':
      return [
        found('fault', 'stale-boot', addr, `${heard}: it is an earlier run of a node that is known in a later one`, {
          reason: 'two robots run on copies of one data directory, or one was restored from an older backup within the last minute',
          advice: 'if it goes on: stop one of the two and remove its data directory',
        }),
      ]
    case 'members-full':
      return [
        found('fault', 'members-full', addr, `${heard}: the list of members is full`, {
          reason: 'the swarm is larger than one agent lists',
          advice: 'split the swarm by HS_SWARM_NAME',
        }),
      ]
    case 'rate-limited':
      return [
        found('warning', 'rate-limited', addr, `${addr} sends more packets than one host may; the rest is dropped unread`, {
          reason: 'a program that runs wild, or very many agents on one machine',
        }),
      ]
    default:
      return explainOther(stranger, name, heard)
  }
}

function explainOther(
  { addr, reason, packets, first_ago_ms: firstMs, last_ago_ms: lastMs }: Stranger,
  name: string,
  heard: string,
): Finding[] {
  if (!UNANSWERED.has(reason)) return [found('warning', 'refused', addr, `${heard}: ${reason} (${packets} packets)`)]
  if (packets < UNPROVEN_PACKETS || firstMs - lastMs < UNPROVEN_MS) return []
  return [
    found(
      'fault',
      'one-way',
      addr,
      `${name} is heard, ${packets} packets in ${formatAge(firstMs - lastMs)}, and answers nothing that is sent to it`,
      {
        reason:
          'a one-way link: its packets come here, and those from here do not arrive there (a firewall there, client isolation, a weak radio)',
        advice: 'allow UDP on the gossip port there, incoming; `hs-agent doctor` on that robot says what it hears',
      },
    ),
  ]
}

/** Why this agent and one other robot do not see one another, from what both sides show: its peer link, this agent's view, and perhaps its own. */
import type { LinkAnswer } from '../link-inquiry.ts'
import { formatHostPort } from '../config-address.ts'
import { describeNetworkFault } from './error-words.ts'
import { explainNetwork } from './explain-network.ts'
import { explainPeers } from './explain-peers.ts'
import { explainStrangers, isRecent } from './explain-strangers.ts'
import { found, type Finding } from './finding.ts'
import type { DiagnosisJson } from './shape.ts'

export interface PairObservations {
  /** As it was asked for: a name or an address. */
  readonly host: string
  /** What the name stands for, with what each says on TCP; `port` is that of gossip. */
  readonly addresses: readonly { readonly address: string; readonly answer: LinkAnswer }[]
  readonly port: number
  /** It was asked for; otherwise all agents of that host are meant. */
  readonly isPortAsked: boolean
  /** Of this machine's interfaces. */
  readonly isSelf: boolean
  /** Why the name does not resolve. */
  readonly nameError: string | undefined
  readonly here: DiagnosisJson | undefined
  /** What the agent there says, where it was asked. */
  readonly there: DiagnosisJson | undefined
}

/** Of `1.2.3.4:7946`, `[::1]:7946`, or an address without a port. */
const hostOf = (addr: string): string => /^\[(.*)\]:\d+$/.exec(addr)?.[1] ?? /^([^:]*):\d+$/.exec(addr)?.[1] ?? addr

export function explainPair(pair: PairObservations): Finding[] {
  const { host, port, here, there } = pair
  const about = `${host}:${port}`
  if (pair.nameError !== undefined) {
    return [
      found('fault', 'host-name', host, `${host} has no address: ${pair.nameError}`, {
        reason: 'a typing error, or nobody answers for the name (mDNS names end in .local)',
        advice: 'name the address',
      }),
    ]
  }
  if (pair.isSelf) return [found('warning', 'host-is-self', about, `${about} is this agent itself`, { advice: 'name another robot' })]
  const own = (here === undefined ? [] : explainNetwork(here)).filter(({ severity }) => severity !== 'ok')
  const link = pair.addresses.flatMap(({ address, answer }) =>
    explainLink(`${address === host ? '' : `${host}, `}${address}`, pair, answer),
  )
  const both = here === undefined || there === undefined ? [] : explainBoth(here, there, about)
  const seen = here === undefined ? [] : explainSeen(here, pair)
  return [...own, ...withoutRepeats([...link, ...both, ...seen]), ...(there === undefined ? [] : explainOther(there))]
}

/** The link, both agents' settings and what was heard often say the same: once is enough, the first one being best founded. */
function withoutRepeats(findings: readonly Finding[]): Finding[] {
  const topicOf = ({ code }: Finding): string => (code.startsWith('key-') ? 'key' : code)
  const isToldOnce = new Set(['key', 'other-swarm', 'one-way'])
  return findings.filter(
    (finding, at) => !isToldOnce.has(topicOf(finding)) || findings.findIndex(other => topicOf(other) === topicOf(finding)) === at,
  )
}

function explainLink(name: string, { port, here }: PairObservations, answer: LinkAnswer): Finding[] {
  const about = `${name} TCP port ${port}`
  switch (answer.kind) {
    case 'failed': {
      const { happened, reason, advice } = describeNetworkFault(answer.code)
      return [found('fault', 'host-unreachable', about, `${about}: ${happened} (${answer.code})`, { reason, advice })]
    }
    case 'silent':
      return [
        found('fault', 'host-silent', about, `${about} takes the connection and says nothing`, {
          reason: 'the process there stands still: stopped, or its disk hangs',
          advice: 'look at it: `systemctl status hs-agent` there',
        }),
      ]
    case 'other':
      return [
        found('fault', 'other-program', about, `${about}: what listens there is no peer link of hs-agent`, {
          reason: 'another program has the port, or an agent that has as many links open as it takes',
          advice: `\`ss -ltnp\` there names it; \`hs-agent doctor HOST:PORT\` asks another port`,
        }),
      ]
    case 'plain':
      return [listens(about, 'without a swarm key'), ...comparePlain(about, here)]
    case 'sealed':
      return [listens(about, `with swarm key ${answer.keyIds.join(', ')}`), ...compareKeys(about, answer.keyIds, here)]
  }
}

const listens = (about: string, how: string): Finding => found('ok', 'agent', about, `${about}: an hs-agent listens there, ${how}`)

function comparePlain(about: string, here: DiagnosisJson | undefined): Finding[] {
  if (here === undefined || here.node.key_ids.length === 0) return []
  return [
    found('fault', 'key-missing-there', about, `This agent has a swarm key (${here.node.key_ids.join(', ')}), and the one there has none`, {
      reason: 'HS_SWARM_KEY is set here and not there',
      advice: 'set the same HS_SWARM_KEY there and restart that agent',
    }),
  ]
}

function compareKeys(about: string, keyIds: readonly string[], here: DiagnosisJson | undefined): Finding[] {
  if (here === undefined) return []
  const own = here.node.key_ids
  if (own.length === 0) {
    return [
      found('fault', 'key-missing-here', about, `The agent there has a swarm key (${keyIds.join(', ')}), and this one has none`, {
        reason: 'HS_SWARM_KEY is set there and not here',
        advice: 'set the same HS_SWARM_KEY here and restart this agent',
      }),
    ]
  }
  if (own.some(id => keyIds.includes(id))) return []
  return [
    found('fault', 'key-other', about, `The agent there has swarm key ${keyIds.join(', ')}, this one has ${own.join(', ')}`, {
      reason: 'the two have different keys, or a change of the key has not come to both',
      advice: 'give both the same HS_SWARM_KEY; `hs-agent status` shows the keys of each',
    }),
  ]
}

/** What gossip here has seen of it. */
function explainSeen(here: DiagnosisJson, pair: PairObservations): Finding[] {
  const { host, addresses, port } = pair
  if (!here.node.gossip_enabled) return []
  const isThere = createFilter(here, pair)
  const only: DiagnosisJson = {
    ...here,
    peers: here.peers.filter(isThere),
    strangers: here.strangers.filter(isThere),
    // Whether there is anybody else is not the question.
    seeds: [],
    interfaces: [],
  }
  if (only.peers.length > 0 || only.strangers.some(isRecent)) {
    // Of two robots that are to see one another, this is what is wrong.
    const strangers = explainStrangers(only).map(finding =>
      finding.code === 'other-swarm' ? { ...finding, severity: 'fault' as const } : finding,
    )
    return [...strangers, ...explainPeers(only)]
  }
  // What cannot be reached at all has been said to be so.
  if (!addresses.some(({ answer }) => answer.kind === 'plain' || answer.kind === 'sealed')) return []
  const about = `${host}:${port}`
  const hosts = new Set(addresses.map(({ address }) => address))
  const isNamed = here.seeds.some(seed => seed.addresses.some(({ addr }) => hosts.has(hostOf(addr))))
  return [
    found(
      'fault',
      'host-unheard',
      about,
      `No gossip (UDP) of ${host} has come to this agent${isNamed ? ', though HS_GOSSIP_PEERS names it' : ''}`,
      {
        reason: isNamed
          ? 'UDP does not pass although TCP does: a firewall'
          : 'neither names the other, and multicast of the one does not come to the other: another network, client isolation, another HS_GOSSIP_MULTICAST',
        advice: isNamed
          ? `allow UDP port ${port} in both directions; run \`hs-agent doctor\` on ${host}`
          : `set HS_GOSSIP_PEERS=${about} here, and restart this agent`,
      },
    ),
  ]
}

/** Entries about that robot: by its node id where it has been asked, else by its address; several agents on one host differ by their ports. */
function createFilter(
  here: DiagnosisJson,
  { addresses, port, isPortAsked, there }: PairObservations,
): (entry: { readonly addr: string; readonly node_id: string | null }) => boolean {
  if (there !== undefined) return entry => entry.node_id === there.node.node_id
  const exact = new Set(addresses.map(({ address }) => formatHostPort({ host: address, port })))
  const isExact = ({ addr }: { readonly addr: string }): boolean => exact.has(addr)
  if (here.peers.some(isExact) || here.strangers.some(one => isExact(one) && isRecent(one))) return isExact
  const hosts = new Set(addresses.map(({ address }) => address))
  // A beacon does not say the port.
  return ({ addr }) => hosts.has(isPortAsked ? addr : hostOf(addr))
}

/** Both agents have been asked. */
function explainBoth(here: DiagnosisJson, there: DiagnosisJson, about: string): Finding[] {
  const findings: Finding[] = []
  const name = there.node.node_name
  const isHeard = (by: DiagnosisJson, of: DiagnosisJson): boolean =>
    by.peers.some(peer => peer.node_id === of.node.node_id && (peer.direct_ago_ms ?? Infinity) < 30_000) ||
    by.strangers.some(stranger => stranger.node_id === of.node.node_id && isRecent(stranger))
  if (here.node.node_id === there.node.node_id) {
    findings.push(
      found('fault', 'duplicate-identity', about, 'The agent there has the node id of this one', {
        reason: 'a copied card or data directory; each ignores the other',
        advice: 'stop one of the two and remove its data directory; what it has synced comes back',
      }),
    )
  }
  if (here.node.swarm_name !== there.node.swarm_name) {
    findings.push(
      found('fault', 'other-swarm', about, `HS_SWARM_NAME is \`${here.node.swarm_name}\` here and \`${there.node.swarm_name}\` there`, {
        reason: 'swarms with different names ignore one another',
        advice: 'give both the same name',
      }),
    )
  }
  if (here.node.multicast_group !== there.node.multicast_group) {
    findings.push(
      found(
        'warning',
        'other-group',
        about,
        `The discovery group is ${here.node.multicast_group ?? 'off'} here and ${there.node.multicast_group ?? 'off'} there`,
        {
          reason: 'HS_GOSSIP_MULTICAST differs: neither finds the other by multicast',
          advice: 'give both the same, or name one another in HS_GOSSIP_PEERS',
        },
      ),
    )
  }
  const [heardHere, heardThere] = [isHeard(here, there), isHeard(there, here)]
  if (heardHere && heardThere) findings.push(found('ok', 'peer', about, `Packets pass both ways between this agent and ${name}`))
  else if (heardHere !== heardThere) {
    const [from, to] = heardHere ? [name, 'here'] : ['here', name]
    findings.push(
      found('fault', 'one-way', about, `Packets from ${from} arrive ${to === 'here' ? to : `at ${to}`}, and those the other way do not`, {
        reason: `a one-way link: a firewall ${heardHere ? 'there' : 'here'}, client isolation, or a weak radio`,
        advice: `allow UDP on the gossip port ${heardHere ? 'there' : 'here'}, incoming`,
      }),
    )
  }
  return findings
}

/** What is wrong on the other side, as its own agent has it. */
function explainOther(there: DiagnosisJson): Finding[] {
  return explainNetwork(there)
    .filter(({ severity }) => severity !== 'ok')
    .map(finding => ({ ...finding, seen: `On ${there.node.node_name}: ${finding.seen}` }))
}

/** The members of the swarm and the peers that HS_GOSSIP_PEERS names: who is heard, both ways or one. */
import { describeNetworkFault } from './error-words.ts'
import { formatAge, found, type Finding } from './finding.ts'
import { isRecent } from './explain-strangers.ts'
import type { DiagnosisJson } from './shape.ts'

type Peer = DiagnosisJson['peers'][number]

/** Well peers are named up to this number, beyond it they are counted. */
const PEERS_SHOWN_MAX = 8
/** Findings of one kind about peers; the rest is counted. */
const FINDINGS_SHOWN_MAX = 8
/** Pings without an answer before a direction counts as dead: with one packet in five lost each way, chance does this once in 30,000 times. */
const PINGS_UNANSWERED_MIN = 10
/** Nothing heard directly for this long is silence. */
const SILENT_MS = 30_000
/** The default of HS_CLOCK_DRIFT_MAX: beyond it the times of one are not believed by the other. */
const SKEW_MAX_MS = 60_000
/** A start needs this long to find others. */
const SETTLED_SECS = 15

export function explainPeers(diagnosis: DiagnosisJson): Finding[] {
  const { node, peers } = diagnosis
  if (!node.gossip_enabled) return []
  const well: Finding[] = []
  const unwell: Finding[] = []
  for (const peer of peers) {
    const findings = explainPeer(peer)
    if (findings.length === 0) well.push(found('ok', 'peer', peer.addr, `${nameOf(peer)} is heard and answers${rttOf(peer)}`))
    unwell.push(...findings)
  }
  const shown = well.length <= PEERS_SHOWN_MAX ? well : [found('ok', 'peers', 'swarm', `${well.length} peers are heard and answer`)]
  return [...shown, ...bound(unwell), ...explainSeeds(diagnosis), ...explainSilence(diagnosis)]
}

const nameOf = ({ node_name: name, addr }: Peer): string => `${name} (${addr})`
const rttOf = ({ rtt_ms: rttMs }: Peer): string => (rttMs === null ? '' : `, round trip ${rttMs.toFixed(1)} ms`)

function explainPeer(peer: Peer): Finding[] {
  const findings: Finding[] = []
  const { addr, direct_ago_ms: directMs, heard_ago_ms: heardMs, pings_unanswered: unanswered, clock_skew_ms: skewMs, link } = peer
  const name = nameOf(peer)
  const isDirect = directMs !== null && directMs < SILENT_MS
  if (unanswered >= PINGS_UNANSWERED_MIN && isDirect) {
    findings.push(
      found('fault', 'one-way', addr, `${name} is heard, ${formatAge(directMs)} ago, and has not answered the last ${unanswered} pings`, {
        reason:
          'a one-way link: its packets come here, and those from here do not arrive there (a firewall there, client isolation, a weak radio)',
        advice: 'allow UDP on the gossip port there, incoming; `hs-agent doctor` on that robot says what it hears',
      }),
    )
  } else if (unanswered >= PINGS_UNANSWERED_MIN) {
    const since = directMs === null ? 'has never been heard here directly' : `was last heard here directly ${formatAge(directMs)} ago`
    const isAlive = heardMs < SILENT_MS
    findings.push(
      found('fault', 'others-only', addr, `${name} ${since}${isAlive ? `; others heard it ${formatAge(heardMs)} ago` : ''}`, {
        reason: isAlive
          ? 'it lives, and no packet passes between the two directly: another network, a firewall, or a radio out of range'
          : 'it is off, out of range, or stopped',
        advice: isAlive ? `data comes by way of the others; to mend it: \`hs-agent doctor ${addr}\`` : 'look after it',
      }),
    )
  } else if (peer.status !== 'alive') {
    findings.push(found('warning', 'suspect', addr, `${name} is ${peer.status}: last sign of life ${formatAge(heardMs)} ago`))
  }
  if (!peer.may_exchange && directMs !== null) {
    findings.push(
      found('warning', 'not-synced', addr, `${name} is listed, and no data is synced with it`, {
        reason: 'it was met by multicast alone, under the default swarm name, and without a swarm key nothing says that it belongs here',
        advice: 'set HS_SWARM_KEY, or the same HS_SWARM_NAME on both, or name it in HS_GOSSIP_PEERS',
      }),
    )
  }
  if (link !== null && link.outcome !== 'open') {
    const words = describeNetworkFault(link.outcome)
    findings.push(
      found(
        'fault',
        'link-failed',
        addr,
        `The peer link to ${name} (TCP) failed ${formatAge(link.ago_ms)} ago: ${words.happened} (${link.outcome})`,
        {
          reason: `gossip passes and data does not: ${words.reason}`,
          advice: words.advice,
        },
      ),
    )
  }
  if (skewMs !== null && Math.abs(skewMs) > SKEW_MAX_MS) {
    findings.push(
      found(
        'warning',
        'clock-skew',
        addr,
        `The clock of ${name} is ${formatAge(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead of' : 'behind'} this one`,
        {
          reason: 'one of the two is not set',
          advice: 'sync works all the same; of two concurrent writes the one with the later time wins, so set up a time server on both',
        },
      ),
    )
  }
  return findings
}

/** No more than a few of one kind. */
function bound(findings: readonly Finding[]): Finding[] {
  const kinds = new Map<string, Finding[]>()
  for (const finding of findings) kinds.set(finding.code, [...(kinds.get(finding.code) ?? []), finding])
  return [...kinds.values()].flatMap(list => {
    const first = list[0]
    if (first === undefined || list.length <= FINDINGS_SHOWN_MAX) return list
    const rest = list.length - FINDINGS_SHOWN_MAX
    return [...list.slice(0, FINDINGS_SHOWN_MAX), found(first.severity, first.code, 'swarm', `${rest} more peers: the same`)]
  })
}

function explainSeeds({ seeds, strangers, node }: DiagnosisJson): Finding[] {
  return bound(
    seeds.flatMap(({ seed, addresses, error }) => {
      if (addresses.length === 0) {
        if (error === null) return []
        return [
          found('fault', 'seed-name', seed, `${seed} of HS_GOSSIP_PEERS has no address: ${error}`, {
            reason:
              error === 'ENOTFOUND'
                ? 'no such name: a typing error, or nobody answers for it (mDNS names end in .local)'
                : 'the name server cannot be reached',
            advice: `check \`getent hosts ${seed.replace(/:\d+$/, '')}\`, or name the address`,
          }),
        ]
      }
      const isKnown = addresses.some(({ addr, is_self: isSelf, node_id: nodeId }) => {
        const isExplained = strangers.some(one => one.addr === addr && isRecent(one))
        return isSelf || nodeId !== null || isExplained
      })
      if (isKnown || node.uptime_secs < SETTLED_SECS) return []
      const shown = addresses.map(({ addr }) => addr).join(', ')
      return [
        found(
          'fault',
          'seed-silent',
          addresses[0]?.addr ?? seed,
          `${seed} of HS_GOSSIP_PEERS${shown === seed ? '' : ` (${shown})`} is asked again and again, and nothing comes back`,
          {
            reason: 'it is off, has another address or port, or UDP does not pass',
            advice: `\`hs-agent doctor ${seed}\` tells which`,
          },
        ),
      ]
    }),
  )
}

/** Nobody at all, and nothing that would explain it. */
function explainSilence({ node, peers, strangers, seeds, interfaces, multicast }: DiagnosisJson): Finding[] {
  if (peers.length > 0 || strangers.some(isRecent)) return []
  const isSilentSeed = seeds.some(({ addresses }) => addresses.every(one => !one.is_self))
  const speaks = node.multicast_group !== null && interfaces.some(({ use }) => use === 'joined')
  if (node.uptime_secs < SETTLED_SECS) {
    return [
      found('warning', 'nobody-heard', 'swarm', `Nobody was heard yet: the agent has been up for ${node.uptime_secs} s`, {
        advice: 'ask again in a moment',
      }),
    ]
  }
  if (isSilentSeed || !speaks) return []
  return [
    found('fault', 'nobody-heard', 'swarm', `Nobody was heard: ${multicast.sent} multicast packets left, and none of others came`, {
      reason:
        'the others are off, in another network, or use another HS_GOSSIP_MULTICAST; or the network drops multicast (client isolation of an access point, IGMP snooping without a querier)',
      advice: '`hs-agent doctor HOST` tests the way to one robot; HS_GOSSIP_PEERS=HOST:7946 does without multicast',
    }),
  ]
}

/** What an agent's own side says: gossip, interfaces, the discovery group, what the system refused. */
import { describeNetworkFault } from './error-words.ts'
import { formatAge, found, type Finding } from './finding.ts'
import type { DiagnosisJson } from './shape.ts'

/** What the system refused longer ago than this is over. */
const FAULT_RECENT_MS = 30_000
/** 2024: a clock before it was never set. */
export const CLOCK_SET_AFTER_MS = Date.UTC(2024, 0, 1)

export function explainNetwork(diagnosis: DiagnosisJson): Finding[] {
  const { node } = diagnosis
  if (!node.gossip_enabled) {
    return [
      found('warning', 'gossip-off', 'HS_GOSSIP_PORT', 'Gossip is off: this agent neither looks for others nor answers them', {
        reason: 'neither HS_GOSSIP_PORT nor HS_GOSSIP_PEERS is set',
        advice: 'set HS_GOSSIP_PORT=7946 and restart the agent',
      }),
    ]
  }
  const findings: Finding[] = []
  if (node.gossip_port !== null) {
    const at = `${node.gossip_host} port ${node.gossip_port}`
    findings.push(found('ok', 'ports', 'HS_GOSSIP_PORT', `Gossip (UDP) and peer link (TCP) listen on ${at}`))
  }
  if (node.duplicate_identity !== null) {
    findings.push(
      found('fault', 'duplicate-identity', node.duplicate_identity, `${node.duplicate_identity} uses the node id of this agent`, {
        reason: 'a copied card or data directory; each ignores the other',
        advice: 'stop one of the two and remove its data directory; what it has synced comes back',
      }),
    )
  }
  if (node.wall_ms < CLOCK_SET_AFTER_MS) findings.push(clockUnset(node.wall_ms))
  findings.push(...explainInterfaces(diagnosis), ...explainFaults(diagnosis))
  return findings
}

export function clockUnset(wallMs: number): Finding {
  return found('warning', 'clock', 'clock', `The clock says ${new Date(wallMs).toISOString().slice(0, 10)}: it was never set`, {
    reason: 'a board without a battery-backed clock starts anywhere until it hears the time',
    advice: 'peers are found and data is synced all the same; for times that mean something set up a time server (`timedatectl`)',
  })
}

function explainInterfaces({ node, interfaces, interfaces_missing: missing, multicast, seeds }: DiagnosisJson): Finding[] {
  if (node.multicast_group === null) {
    const isNamed = seeds.length > 0
    return [
      found(
        isNamed ? 'ok' : 'warning',
        'multicast-off',
        'HS_GOSSIP_MULTICAST',
        'Multicast discovery is off',
        isNamed
          ? {}
          : { reason: 'HS_GOSSIP_PEERS is empty as well, so only who names this agent finds it', advice: 'name a peer in HS_GOSSIP_PEERS' },
      ),
    ]
  }
  const findings = missing.map(name =>
    found('fault', 'interface-missing', name, `${name}, which HS_GOSSIP_INTERFACE names, is not there or has no IPv4 address`, {
      reason: 'a typing error, or the interface is down',
      advice: `compare with \`ip addr\`; the agent takes it as soon as it is there`,
    }),
  )
  const joined = interfaces.filter(({ use }) => use === 'joined')
  const isInward = (address: string): boolean => address.startsWith('127.')
  const where = joined.map(({ name, address }) => `${name} (${address})`).join(', ')
  for (const { name, address, error } of interfaces.filter(({ use }) => use === 'failed')) {
    findings.push(
      found('fault', 'multicast', name, `The discovery group cannot be used on ${name} (${address}): ${error ?? 'not yet'}`, {
        reason:
          error === 'EADDRINUSE'
            ? `another program holds the port of ${node.multicast_group} for itself`
            : error === 'ENODEV' || error === 'EADDRNOTAVAIL'
              ? 'the interface has just lost its address, or does not do multicast'
              : 'the system refuses to join it',
        advice: error === 'EADDRINUSE' ? '`ss -lunp` names it' : 'it is tried again every 5 s; `ip maddr` and `ip link` show the state',
      }),
    )
  }
  if (joined.length > 0 && joined.every(({ address }) => isInward(address))) {
    const isMeant = missing.length === 0 && interfaces.some(one => one.left_out_for === 'not-named')
    findings.push(
      found(
        isMeant ? 'ok' : 'fault',
        'no-interface',
        'network',
        `Discovery is on ${where} alone: only agents of this machine are found`,
        isMeant
          ? { reason: 'HS_GOSSIP_INTERFACE says so' }
          : { reason: leftOutReason(interfaces), advice: 'bring a network up: `ip addr`' },
      ),
    )
  } else if (joined.length > 0) {
    const heard = multicast.others_heard_ago_ms
    const heardText =
      heard === null ? 'nothing of others has come through it yet' : `something of others came through it ${formatAge(heard)} ago`
    findings.push(found('ok', 'multicast', node.multicast_group, `Discovery group ${node.multicast_group} on ${where}: ${heardText}`))
  } else if (interfaces.every(({ use }) => use === 'left-out') && missing.length === 0) {
    findings.push(
      found('fault', 'no-interface', 'network', 'No network interface carries the discovery: none has an IPv4 address', {
        reason: leftOutReason(interfaces),
        advice: 'bring a network up (`ip addr`), or name peers in HS_GOSSIP_PEERS; the agent takes an interface as soon as it is there',
      }),
    )
  }
  if (multicast.mute) {
    findings.push(
      found('fault', 'multicast-mute', node.multicast_group, 'Peers answer by unicast, and no multicast of theirs arrives', {
        reason:
          'a switch or access point on the way drops it (IGMP snooping without a querier, client isolation), or the peers are in another network',
        advice: 'robots that nobody names are not found: allow multicast on the network, or name peers in HS_GOSSIP_PEERS on every robot',
      }),
    )
  }
  return findings
}

function leftOutReason(interfaces: DiagnosisJson['interfaces']): string {
  const containers = interfaces.filter(one => one.left_out_for === 'container').map(({ name }) => name)
  return containers.length === 0
    ? 'the cable is out, the radio has not joined a network, or no address was given'
    : `no other interface is up; ${containers.join(', ')} of a container engine is left out unless HS_GOSSIP_INTERFACE names it`
}

function explainFaults({ faults, interfaces_missing: missing }: DiagnosisJson): Finding[] {
  return faults
    .filter(({ last_ago_ms: agoMs, what }) => agoMs <= FAULT_RECENT_MS && what.startsWith('send') && missing.length === 0)
    .map(({ what, error, count, last_ago_ms: agoMs }) => {
      const { reason, advice } = describeNetworkFault(error)
      const seen = `The system refused to ${what}: ${error}, ${count} times, ${formatAge(agoMs)} ago`
      if (error === 'QUEUE_FULL')
        return found('warning', 'send-refused', what, seen, { reason: 'more is to be sent than the network takes' })
      return found(error === 'EPERM' ? 'fault' : 'warning', 'send-refused', what, seen, { reason, advice })
    })
}

/** What the core has done since its start, for metrics: plain numbers that only grow. */

export interface Volume {
  packets: number
  bytes: number
}

export interface SwarmCounters {
  /** Probes begun, by turn or because somebody was silent or suspected by others. */
  probes: number
  /** Probes that ended without any sign of life. */
  probeFailures: number
  /** Failed probes that were not believed: nothing at all came in meanwhile, or this process stood still. */
  probesVoided: number
  /** Suspicions that began with a probe of ours, and with the word of others. */
  suspicionsRaised: number
  suspicionsHeard: number
  /** Suspicions, whoever raised them, that ended with the member alive. */
  suspicionsFalse: number
  /** Times that this node had to refute what was said of it. */
  refutations: number
  deathsDeclared: number
  deathsHeard: number
  /** Claims that our own evidence was younger than. */
  claimsVetoed: number
  isolationsEnded: number
  stalls: number
  /** Full or partial exchanges of the table of members begun. */
  memberExchanges: number
  /** Packets by the kind of their first message; bytes of UDP payload. */
  readonly sentByKind: Map<string, Volume>
  readonly receivedByKind: Map<string, Volume>
  /** Packets handed over for the multicast group. */
  multicastSent: number
}

export function createCounters(): SwarmCounters {
  return {
    probes: 0,
    probeFailures: 0,
    probesVoided: 0,
    suspicionsRaised: 0,
    suspicionsHeard: 0,
    suspicionsFalse: 0,
    refutations: 0,
    deathsDeclared: 0,
    deathsHeard: 0,
    claimsVetoed: 0,
    isolationsEnded: 0,
    stalls: 0,
    memberExchanges: 0,
    sentByKind: new Map(),
    receivedByKind: new Map(),
    multicastSent: 0,
  }
}

export function countPacket(volumeByKind: Map<string, Volume>, kind: string, bytes: number): void {
  const volume = volumeByKind.get(kind)
  if (volume === undefined) volumeByKind.set(kind, { packets: 1, bytes })
  else {
    volume.packets += 1
    volume.bytes += bytes
  }
}

/**
 * From what an agent has observed to sentences for people: why it does not see another one, or that it does. Pure: the same observations
 * give the same findings, in the order in which a person would check them - this side, its network, the others.
 */
import { explainNetwork } from './explain-network.ts'
import { explainPeers } from './explain-peers.ts'
import { explainStrangers } from './explain-strangers.ts'
import type { Finding } from './finding.ts'
import type { DiagnosisJson } from './shape.ts'

export function explainDiagnosis(diagnosis: DiagnosisJson): Finding[] {
  return [...explainNetwork(diagnosis), ...explainStrangers(diagnosis), ...explainPeers(diagnosis)]
}

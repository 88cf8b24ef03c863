/** What a diagnosis comes to: findings, each with what is seen, the likely reason and what to do. */
import type { FindingJson } from './shape.ts'

/** `fault`: something does not work; `warning`: it may be meant so, or will not work in some case; `ok`: it was looked at. */
export type Severity = FindingJson['severity']

/** The closed list of what there is to find. Programs go by it; the sentences may change. */
export type FindingCode =
  // This machine, with or without an agent
  | 'config'
  | 'data-directory'
  | 'disk'
  | 'disk-full'
  | 'store'
  | 'port-taken'
  | 'port-unusable'
  | 'ports'
  | 'clock'
  | 'agent'
  | 'agent-unreachable'
  | 'agent-refuses'
  // Its network
  | 'gossip-off'
  | 'no-interface'
  | 'interface-missing'
  | 'multicast'
  | 'multicast-off'
  | 'multicast-mute'
  | 'send-refused'
  | 'duplicate-identity'
  | 'nobody-heard'
  // Others
  | 'peer'
  | 'peers'
  | 'one-way'
  | 'others-only'
  | 'suspect'
  | 'not-synced'
  | 'link-failed'
  | 'clock-skew'
  | 'seed-name'
  | 'seed-silent'
  | 'other-swarm'
  | 'key-missing-here'
  | 'key-missing-there'
  | 'key-other'
  | 'seal-broken'
  | 'other-version'
  | 'other-program'
  | 'stale-boot'
  | 'members-full'
  | 'rate-limited'
  | 'refused'
  // One other robot that was asked for
  | 'host-name'
  | 'host-is-self'
  | 'host-unreachable'
  | 'host-silent'
  | 'host-unheard'
  | 'other-port'
  | 'other-group'

export interface Finding extends FindingJson {
  readonly code: FindingCode
}

export interface FindingWords {
  readonly reason?: string
  readonly advice?: string
}

/** `about`: an address, an interface, a setting; `seen` is a sentence without its full stop. */
export function found(severity: Severity, code: FindingCode, about: string, seen: string, words: FindingWords = {}): Finding {
  return { severity, code, about, seen, ...words }
}

/** The gravest of them; ok when there are none. */
export function gravest(findings: readonly { readonly severity: Severity }[]): Severity {
  return (['fault', 'warning'] as const).find(severity => findings.some(finding => finding.severity === severity)) ?? 'ok'
}

/** An age in words: `0.4 s`, `12 s`, `5 min`, `3 h`, `2 days`. */
export function formatAge(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1_000).toFixed(1)} s`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 2 * 3_600_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} days`
}

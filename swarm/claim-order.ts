/**
 * What is said about a member, and which of two statements about it holds.
 *
 * Source: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol" (2002), section 4.2:
 * alive < suspect < dead (there: confirm) at one incarnation, and alive or suspect at a greater incarnation beat everything below.
 *
 * Departures:
 *   - boots come first: whatever is said of an older boot is over (there a restarted process has a new identity);
 *   - `dead` is beaten by a greater incarnation too, because here the dead are told and may refute (there they have to join anew);
 *   - `left` is the owner's own last word of a boot: nothing said of that boot beats it.
 *
 * Invariant M2 (docs/protocol.md): this is a strict total order of what can differ, so that all nodes end with the same opinion in whatever
 * order claims arrive.
 */
import type { BootId, NodeId } from './identity.ts'

export type ClaimStatus = 'alive' | 'suspect' | 'dead' | 'left'

/** Weakest first; the index is the number on the wire. */
export const CLAIM_STATUSES: readonly ClaimStatus[] = ['alive', 'suspect', 'dead', 'left']

export interface Standing {
  readonly bootId: BootId
  readonly incarnation: number
  readonly status: ClaimStatus
}

export interface Claim extends Standing {
  readonly nodeId: NodeId
  /** Key of who accuses: independent accusers shorten a suspicion. 0 in claims that accuse nobody. */
  readonly accuser: number
  /** The accuser's TCP connection was accepted: a process is there, perhaps stopped. */
  readonly listening: boolean
  /** How long ago the claim was formed; of `dead`, how long ago the suspicion behind it began. Evidence that is younger vetoes it. */
  readonly ageMs: number
}

/** Whether `a` says more than `b` about the same member. */
export function beats(a: Standing, b: Standing): boolean {
  if (a.bootId !== b.bootId) return a.bootId > b.bootId
  if (a.status === 'left' || b.status === 'left') return a.status === 'left' && b.status !== 'left'
  if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation
  return CLAIM_STATUSES.indexOf(a.status) > CLAIM_STATUSES.indexOf(b.status)
}

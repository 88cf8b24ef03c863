/**
 * The evidence rule: whoever was heard after something was said of it is not what was said.
 *
 * "Heard" is a packet of its own, a helper's word that it has just answered, or an age that others tell. In SWIM only a greater incarnation clears
 * a suspicion; then a node whose packets arrive, but which does not hear what it is accused of, is declared dead by those who hear it.
 */
import type { Member } from './member.ts'
import type { Membership } from './membership.ts'

export function isHeardSince(membership: Membership, member: Member, sinceMs: number): boolean {
  return membership.evidenceMs(member) > sinceMs
}

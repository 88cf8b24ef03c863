/**
 * The deaf rule: when nothing came in from anybody, silence is evidence about this node and not about others.
 *
 * With N = 2 the other one is everybody, so its silence says nothing about us; there a suspicion has no consequences anyway (claims.ts).
 */

export function isDeafSince(state: { readonly inboundMs: number; readonly membership: { size(): number } }, sinceMs: number): boolean {
  return state.inboundMs < sinceMs && state.membership.size() > 2
}

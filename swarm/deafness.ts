/**
 * The deaf rule: when nothing came in from anybody, silence is evidence about this node and not about others. The same when nobody has answered
 * anything for as long as makes an isolation: what comes in unasked, such as a beacon or a greeting of somebody who holds this node dead, does
 * not show that its questions get out.
 *
 * With N = 2 the other one is everybody, so its silence says nothing about us; there a suspicion has no consequences anyway (claims.ts).
 */
import type { SwarmState } from './state.ts'

/** Whether what has not come since then may be this node's own fault. */
export function isDeafSince({ inboundMs, answeredMs, nowMs, membership, options }: SwarmState, sinceMs: number): boolean {
  if (membership.size() <= 2) return false
  return inboundMs < sinceMs || answeredMs < Math.min(sinceMs, nowMs - options.timings.isolationMs)
}

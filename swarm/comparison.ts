/** Whose data differs from ours, said whenever either side's digests have changed. */
import { differingNames } from './digest-list.ts'
import type { Member } from './member.ts'
import type { SwarmState } from './state.ts'

/** Says how a member's digests differ from ours; silent while they are not known completely, and while they agree as before. */
export function compareDigests(state: SwarmState, member: Member): void {
  if (member.held === undefined) return
  const differing = differingNames(state.exchanges.local(), member.held)
  const stillEqual = differing.length === 0 && member.differs === false
  member.differs = differing.length > 0
  if (!stillEqual) state.effects.push({ type: 'digests', nodeId: member.nodeId, differing })
}

/** Asks those members whose digests had to wait, as far as there is room. */
export function wantDigests(state: SwarmState): void {
  for (const member of state.exchanges.waiting()) if (state.exchanges.want(member, state.nowMs)) compareDigests(state, member)
}

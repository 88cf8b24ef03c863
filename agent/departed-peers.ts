/** Members that died or left, as they were last seen: for being shown, and bounded. */
import type { DropReason } from '../swarm/events.ts'
import type { MemberView } from '../swarm/member.ts'

/** The one gone longest goes first. */
const DEPARTED_MAX = 256

export interface DepartedView extends MemberView {
  /** Time since it was dropped. */
  readonly departedAgoMs: number
}

export interface DepartedPeers {
  dropped(view: MemberView, reason: DropReason, nowMs: number): void
  /** It is a member (again). */
  joined(nodeId: string): void
  /** The one gone longest first. */
  list(nowMs: number): DepartedView[]
}

export function createDepartedPeers(): DepartedPeers {
  const goneById = new Map<string, { readonly view: MemberView; readonly droppedAtMs: number }>()
  return {
    dropped(view, reason, nowMs) {
      goneById.delete(view.nodeId)
      // Its lists of collections would take the most memory, and say little by now.
      goneById.set(view.nodeId, {
        view: { ...view, collections: undefined, status: reason === 'left' ? 'left' : 'dead' },
        droppedAtMs: nowMs,
      })
      const [oldest] = goneById.keys()
      if (goneById.size > DEPARTED_MAX && oldest !== undefined) goneById.delete(oldest)
    },
    joined: nodeId => void goneById.delete(nodeId),
    list(nowMs) {
      return [...goneById.values()].map(({ view, droppedAtMs }) => {
        const departedAgoMs = nowMs - droppedAtMs
        return { ...view, heardAgoMs: view.heardAgoMs + departedAgoMs, departedAgoMs }
      })
    },
  }
}

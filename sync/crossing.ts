/**
 * Crossings: a replica that is behind a peer's floor (R6) goes past it with that peer's mark. In front of the tail, repair has dropped what the
 * peer had seen deleted and forgotten; behind the mark nothing says any more that it must not come back. What others bring in between may be
 * just that, where the peer covers it: then the mark does not count. The next session begins with a repair again, and goes on behind the
 * last frame.
 */
import { coversDot, type Dot, type VersionVector } from './dot.ts'

export interface Crossing {
  /** Something that the peer covers has come from elsewhere since it began. */
  readonly isDisturbed: boolean
  disturb(): void
  end(): void
}

export interface Crossings {
  /** `known`: the vector that the peer's mark will stand for. */
  begin(collection: string, known: VersionVector): Crossing
  /** A version was put into a collection; `by` is the crossing of the session that brought it. */
  noteApplied(collection: string, dot: Dot, by: Crossing | undefined): void
}

export function createCrossings(): Crossings {
  const openByName = new Map<string, Map<Crossing, (dot: Dot) => void>>()
  return {
    begin(name, known) {
      const open = openByName.get(name) ?? new Map<Crossing, (dot: Dot) => void>()
      let isDisturbed = false
      const crossing: Crossing = {
        get isDisturbed() {
          return isDisturbed
        },
        disturb: () => void (isDisturbed = true),
        end() {
          if (open.delete(crossing) && open.size === 0) openByName.delete(name)
        },
      }
      openByName.set(
        name,
        open.set(crossing, dot => void (isDisturbed ||= coversDot(known, dot))),
      )
      return crossing
    },
    noteApplied(name, dot, by) {
      for (const [crossing, note] of openByName.get(name) ?? []) if (crossing !== by) note(dot)
    },
  }
}

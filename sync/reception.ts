/**
 * Which collections have a tail coming in: their frames are held above the vector until the mark, so that their root says nothing (R4). A
 * reception ends in the moment in which its mark is durable, before anybody is told of it, or when the session gives it up.
 *
 * Live links also claim a collection before they ask for a tail of it: what several peers offer is fetched from one of them.
 */
export interface Receptions {
  /** Names with a tail coming in, now. */
  readonly names: ReadonlySet<string>
  /** The answer ends the reception; it may be called twice. */
  begin(name: string): () => void
  /** Undefined while a tail comes in, or while another link has it; the answer gives it back. */
  claim(name: string): (() => void) | undefined
  /** `end` is to be called when this write group is durable. */
  endWith(group: object, end: () => void): void
  /** Those that end with a group. */
  endingWith(group: object): readonly (() => void)[]
}

/** `onFree`: what a claim could not get may be there now. */
export function createReceptions(onFree: (name: string) => void): Receptions {
  const countByName = new Map<string, number>()
  const names = new Set<string>()
  const claimed = new Set<string>()
  const endsByGroup = new WeakMap<object, (() => void)[]>()
  return {
    names,
    begin(name) {
      let isOver = false
      countByName.set(name, (countByName.get(name) ?? 0) + 1)
      names.add(name)
      return () => {
        if (isOver) return
        isOver = true
        const left = (countByName.get(name) ?? 1) - 1
        if (left > 0) countByName.set(name, left)
        else {
          countByName.delete(name)
          names.delete(name)
          onFree(name)
        }
      }
    },
    claim(name) {
      if (claimed.has(name) || names.has(name)) return undefined
      claimed.add(name)
      return () => {
        if (claimed.delete(name)) onFree(name)
      }
    },
    endWith(group, end) {
      const ends = endsByGroup.get(group)
      if (ends === undefined) endsByGroup.set(group, [end])
      else ends.push(end)
    },
    endingWith: group => endsByGroup.get(group) ?? [],
  }
}

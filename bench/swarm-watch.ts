/** What every node of a swarm holds of every other one, from moment to moment, and how often that changed. */

export type Standing = 'alive' | 'suspect' | 'dead' | 'left'

export interface Sighting {
  /** Numbers of nodes, from 0. */
  readonly observer: number
  readonly subject: number
  readonly standing: Standing
  /** The observer's own probe says so; otherwise it may have heard it. */
  readonly isOwn: boolean
  /** `performance.now()` */
  readonly atMs: number
}

export interface Watch {
  note(observer: number, subject: number, standing: Standing, isOwn: boolean): void
  /** What `observer` holds of `subject`; undefined: nothing. */
  standing(observer: number, subject: number): Standing | undefined
  /** The node has ended: it holds nothing any more. */
  forget(observer: number): void
  /** All sightings since then that are so. */
  since(atMs: number, isSo: (sighting: Sighting) => boolean): readonly Sighting[]
  /** When `isSo` came to hold, in ms of `performance.now()`; undefined when it did not within the time. */
  when(isSo: () => boolean, withinMs: number): Promise<number | undefined>
  /** Each of these lists each other one, and holds it not dead. */
  isComplete(nodes: readonly number[]): boolean
}

export function createWatch(): Watch {
  const standings = new Map<number, Map<number, Standing>>()
  const sightings: Sighting[] = []
  const waiting = new Set<() => void>()
  const standing = (observer: number, subject: number): Standing | undefined => standings.get(observer)?.get(subject)
  const isListed = (observer: number, subject: number): boolean => {
    const held = standing(observer, subject)
    return held === 'alive' || held === 'suspect'
  }
  const wake = (): void => {
    for (const check of waiting) check()
  }
  return {
    note(observer, subject, next, isOwn) {
      if (observer === subject) return
      const ofObserver = standings.get(observer) ?? new Map<number, Standing>()
      standings.set(observer, ofObserver)
      if (ofObserver.get(subject) === next) return
      ofObserver.set(subject, next)
      sightings.push({ observer, subject, standing: next, isOwn, atMs: performance.now() })
      wake()
    },
    standing,
    forget(observer) {
      standings.delete(observer)
    },
    since: (atMs, isSo) => sightings.filter(sighting => sighting.atMs >= atMs && isSo(sighting)),
    when(isSo, withinMs) {
      if (isSo()) return Promise.resolve(performance.now())
      return new Promise(resolve => {
        const finish = (atMs: number | undefined): void => {
          waiting.delete(check)
          clearTimeout(timer)
          resolve(atMs)
        }
        const check = (): void => {
          if (isSo()) finish(performance.now())
        }
        const timer = setTimeout(() => finish(undefined), withinMs)
        waiting.add(check)
      })
    },
    isComplete: nodes => nodes.every(observer => nodes.every(subject => subject === observer || isListed(observer, subject))),
  }
}

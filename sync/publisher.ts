/**
 * What others may be told: views of collections, the Lamport clock and the end of the change feed, as they are durable (R3). A write
 * group's facts wait here from when it is written until it is synced; with `fsync` that is the same moment.
 */
import type { CollectionView } from './replica.ts'
import { collectionOfSystemKey, SYSTEM_COLLECTION } from './settings.ts'
import type { WriteBatch } from './write-batch.ts'

/** What a written group changed. */
export interface GroupFacts {
  readonly logicalClock: number
  /** Last sequence of the feed. */
  readonly sequence: number
  /** By name; undefined: the collection is gone. */
  readonly viewByName: ReadonlyMap<string, CollectionView | undefined>
}

/** Names of the collections that a group changed; a change of settings shows in the collection that they belong to. */
export function changedNames({ touched, overlay }: Pick<WriteBatch, 'touched' | 'overlay'>): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { cid, name } of touched) {
    names.add(name)
    if (name !== SYSTEM_COLLECTION) continue
    for (const key of overlay.get(cid)?.keys() ?? []) names.add(collectionOfSystemKey(key) ?? SYSTEM_COLLECTION)
  }
  return names
}

export interface Publisher {
  readonly viewByName: ReadonlyMap<string, CollectionView>
  logicalClock(): number
  sequence(): number
  observeLogicalClock(clock: number): void
  /** A group has been written, and perhaps synced: then it and all before it are durable. */
  written(facts: GroupFacts, isDurable: boolean): void
  /** Runs `flush` and tells what had been written before it began. */
  flush(flush: () => Promise<void>): Promise<void>
  /** Calls back with the name of a collection after every durable change of it. */
  onChange(listener: (collection: string) => void): void
  /** As `onChange`, and also when `touch` is called. Until the answer is called. */
  watch(listener: (collection: string) => void): () => void
  /** Something else of it has changed than its content: what others have acknowledged (R7), or whether a tail comes in. */
  touch(collection: string): void
}

export function createPublisher(initial: GroupFacts): Publisher {
  const viewByName = new Map<string, CollectionView>()
  const listeners: ((collection: string) => void)[] = []
  const watchers = new Set<(collection: string) => void>()
  let { logicalClock, sequence } = initial
  /** Groups that are written and not durable, as one, and its number. */
  let pending: GroupFacts | undefined
  let written = 0
  /** The number of the group that a collection's view is from: a flush that took long must not bring an older one back. */
  const groupByName = new Map<string, number>()

  for (const [name, view] of initial.viewByName) if (view !== undefined) viewByName.set(name, view)

  const publish = (facts: GroupFacts, group: number): void => {
    logicalClock = Math.max(logicalClock, facts.logicalClock)
    sequence = Math.max(sequence, facts.sequence)
    for (const [name, view] of facts.viewByName) {
      if (group < (groupByName.get(name) ?? 0)) continue
      groupByName.set(name, group)
      if (view === undefined) viewByName.delete(name)
      else viewByName.set(name, view)
    }
    for (const name of facts.viewByName.keys()) for (const listener of [...listeners, ...watchers]) listener(name)
  }

  const takePending = (): GroupFacts | undefined => {
    const facts = pending
    pending = undefined
    return facts
  }

  return {
    viewByName,
    logicalClock: () => logicalClock,
    sequence: () => sequence,
    observeLogicalClock: clock => void (logicalClock = Math.max(logicalClock, clock)),
    written(facts, isDurable) {
      written += 1
      pending = pending === undefined ? facts : joinFacts(pending, facts)
      if (isDurable) publish(takePending() ?? facts, written)
    },
    async flush(flush) {
      const facts = takePending()
      const group = written
      try {
        await flush()
      } catch (error) {
        if (facts !== undefined) pending = pending === undefined ? facts : joinFacts(facts, pending)
        throw error
      }
      if (facts !== undefined) publish(facts, group)
    },
    onChange: listener => void listeners.push(listener),
    watch(listener) {
      watchers.add(listener)
      return () => void watchers.delete(listener)
    },
    touch(name) {
      for (const watcher of watchers) watcher(name)
    },
  }
}

/** `later` came after `earlier`: its views replace those. */
function joinFacts(earlier: GroupFacts, later: GroupFacts): GroupFacts {
  return { ...later, viewByName: new Map([...earlier.viewByName, ...later.viewByName]) }
}

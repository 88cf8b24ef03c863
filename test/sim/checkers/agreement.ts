/**
 * After the last fault heals, all agree: everybody lists everybody, and all tell the same digests. Of a collection that a robot may lack
 * something of (R8) it agrees on the name alone; those that let things expire agree with those that do so after the same time.
 */
import { toHex } from '../../../base/bytes.ts'
import type { CollectionView } from '../../../sync/replica.ts'

export interface Teller {
  readonly robot: number
  /** What it tells of its collections; undefined while it is off. */
  readonly told: readonly CollectionView[] | undefined
  readonly members: number
}

export function findDisagreement(tellers: readonly Teller[]): string | undefined {
  const isThere = tellers.every(({ told, members }) => told !== undefined && members === tellers.length - 1)
  const names = new Set(tellers.map(({ told = [] }) => told.map(({ name }) => name).join()))
  const isAgreed = tellers[0]?.told?.every(({ name }) => isAgreedOn(name, tellers)) === true
  if (isThere && names.size === 1 && isAgreed) return undefined
  return tellers.map(teller => `${teller.robot} lists ${teller.members}: ${describe(teller)}`).join(' | ')
}

function isAgreedOn(name: string, tellers: readonly Teller[]): boolean {
  const toldByTtl = new Map<number, string>()
  for (const { told = [] } of tellers) {
    const view = told.find(collection => collection.name === name)
    if (view === undefined || isPartialForGood(view)) continue
    const ttlMs = view.node.retention?.ttlMs ?? 0
    const text = describeCollection(view)
    if ((toldByTtl.get(ttlMs) ?? text) !== text) return false
    toldByTtl.set(ttlMs, text)
  }
  return true
}

/** Who is partial without a bound and exchanges both ways is being filled up again, and will agree. */
const isPartialForGood = ({ node: { isPartial, sync, retention } }: CollectionView): boolean =>
  isPartial && (sync !== 'both' || retention?.recordsMax !== undefined || retention?.bytesMax !== undefined)

const describe = ({ told }: Teller): string => (told === undefined ? 'off' : told.map(describeCollection).join(', '))

const describeCollection = ({ name, recordCount, digest }: CollectionView): string => `${name} ${recordCount} ${toHex(digest).slice(0, 8)}`

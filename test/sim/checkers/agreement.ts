/** After the last fault heals, all agree: everybody lists everybody, and all tell the same digests. */
import { toHex } from '../../../base/bytes.ts'
import type { CollectionView } from '../../../sync/replica.ts'

export interface Teller {
  readonly robot: number
  /** What it tells of its collections; undefined while it is off. */
  readonly told: readonly CollectionView[] | undefined
  readonly members: number
}

export function findDisagreement(tellers: readonly Teller[]): string | undefined {
  const isAgreed = tellers.every(({ told, members }) => told !== undefined && members === tellers.length - 1)
  if (isAgreed && new Set(tellers.map(describe)).size === 1) return undefined
  return tellers.map(teller => `${teller.robot} lists ${teller.members}: ${describe(teller)}`).join(' | ')
}

const describe = ({ told }: Teller): string =>
  told === undefined ? 'off' : told.map(({ name, recordCount, digest }) => `${name} ${recordCount} ${toHex(digest).slice(0, 8)}`).join(', ')

/** What a replica is opened with, and what it tells of itself. */
import type { Clock, Hash, Random } from '../base/ports.ts'
import type { Journal } from './journal.ts'
import type { SyncDirection } from './partial.ts'
import type { Voided } from './retention-keeper.ts'
import type { Store } from './store.ts'

export interface ReplicaOptions {
  readonly store: Store
  readonly hash: Hash
  readonly random: Random
  readonly clock: Clock
  /** 16 bytes, the same in the whole swarm. */
  readonly digestSalt: Uint8Array
  /** How far ahead of the own wall clock a remote stamp may move the hybrid logical clock, in milliseconds. */
  readonly clockDriftMaxMs: number
  readonly durability: 'fsync' | 'deferred'
  /** A second copy of what is written here (P2); none if not given. */
  readonly journal?: Journal
  /** With which others collections are exchanged whose settings on this node do not say; `both` if not given. */
  readonly syncDefault?: SyncDirection
  /** The node that this replica belongs to, as the roster shows it. */
  readonly nodeId?: string
  /** Memory that searches may keep, in bytes; TABLES_BYTES_MAX if not given. */
  readonly searchBytesMax?: number
  /**
   * Why nothing that takes room is to be written now, in a sentence; undefined while there is room, and always if not given. `roomChanged` is to be
   * called when it changes.
   */
  readonly noRoom?: () => string | undefined
  /** Called with what a person should know of. */
  readonly onNotice?: (notice: ReplicaNotice) => void
}

export type ReplicaNotice =
  /** Versions of a deleted collection that the deletion had not seen were kept aside. */
  | { readonly kind: 'quarantined'; readonly collection: string; readonly versions: number }
  /** Own writes were given up that nobody else is known to hold (R8). */
  | ({ readonly kind: 'voided' } & Voided)
  /** A write group could not be made durable; nothing of it was acknowledged. */
  | { readonly kind: 'write-failed'; readonly error: unknown }
  /** Writes work again. */
  | { readonly kind: 'write-recovered' }

export interface ReplicaCounters {
  conflicts: number
  clocksAhead: number
  newOrigins: number
  /** Versions in quarantine now. */
  readonly quarantined: number
}

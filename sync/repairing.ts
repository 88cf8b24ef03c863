/** What the parts of a repair share: the two sides of it, and what one of its steps has found. */
import type { Hash } from '../base/ports.ts'
import type { Channel } from './channel.ts'
import type { Crossing } from './crossing.ts'
import type { ExchangeStats } from './exchange.ts'
import type { Knowledge } from './floor.ts'
import type { ItemClaim, ItemName } from './messages.ts'
import type { Relation } from './partial.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import type { SyncReplica } from './sync-replica.ts'

export interface RepairContext {
  readonly channel: Channel
  readonly replica: SyncReplica
  readonly hash: Hash
  readonly stats: ExchangeStats
  /** What the two replicas are to one another: what a partial one lacks says nothing (R8). */
  readonly relation: Relation
  /** This replica is behind the peer's floor, and about to go past it. */
  readonly crossing?: Crossing | undefined
  /** False: down the digest tree, as with a peer that knows of no sketches. */
  readonly isSketched?: boolean
}

/** One side of a repair under way. */
export interface Repairing extends RepairContext {
  readonly mine: CollectionSnapshot
  readonly own: Knowledge
  readonly theirs: Knowledge
  /** Both are full, and exchange both ways: tails carry what one vector lacks, and whatever a side lacks says something. */
  readonly areFull: boolean
}

export interface Differing {
  /** Items that only one side has. */
  readonly mine: ItemClaim[]
  readonly theirs: ItemClaim[]
  /** Keys of which this side holds anything. */
  readonly myKeys: Set<string>
  /** All items that the peer has of the keys that were asked about. */
  readonly theirsByKey: Map<string, ItemName[]>
}

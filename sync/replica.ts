/** One copy of the data: what the agent, a sync session and the simulator see of it. */
import type { Quarantine } from './quarantine.ts'
import type { Origin } from './dot.ts'
import type { SyncDirection } from './partial.ts'
import type { Refusal } from './refusal.ts'
import type { DropReason, Retention } from './retention.ts'
import type { ReplicaStanding } from './stability.ts'
import type { Version } from './version.ts'

export type Metric = 'cosine' | 'l2' | 'dot'
export type ConflictPolicy = 'lww' | 'siblings' | 'append'

export interface CollectionSettings {
  /** Length of the vectors; undefined until the first vector or a creation that names it. */
  readonly dimension: number | undefined
  readonly metric: Metric
  readonly conflict: ConflictPolicy
  /** Which collections a session exchanges first: the greater ones. From -100 to 100; it can be set again. */
  readonly priority: number
}

/** Fields left out stay as they are. */
export interface LocalSettingsChange {
  readonly sync?: SyncDirection | null
  readonly retention?: Retention | null
}

export interface CollectionView extends CollectionSettings {
  /** This node's own settings and state of it: nothing of that is replicated. */
  readonly node: NodeCollectionView
  readonly name: string
  readonly generation: number
  /** Live records: keys whose winner is not a tombstone. */
  readonly recordCount: number
  /** Live records with a vector. */
  readonly vectorCount: number
  /** Unix milliseconds by the clock of whoever created it. */
  readonly createdAtMs: number
  /** Root of the digest tree, 16 bytes, of what is durable. */
  readonly digest: Uint8Array
  /** Of a collection that is not compared by its root alone: what gossip tells of it beside that (R8, R9). */
  readonly partial?: { readonly known: Uint8Array; readonly flags: number }
}

export interface NodeCollectionView {
  /** With which others this node exchanges: its own setting, or its default. */
  readonly sync: SyncDirection
  /** It is a setting of this collection, and not the node's default. */
  readonly isSyncSet: boolean
  readonly retention: Retention | undefined
  /** It may lack what others hold (R8). */
  readonly isPartial: boolean
  /** Everything older has expired here; 0: nothing has. */
  readonly horizonMs: number
  /** Keys and versions in bytes, where the collection has a bound. */
  readonly bytes: number | undefined
  /** Records that this node has given up or not taken, by reason. */
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>
  /** Of those, the ones that nobody else is known to have. */
  readonly voided: number
}

/** A version as users see it. */
export interface VersionView {
  readonly origin: Origin
  readonly counter: number
  /** Hybrid logical clock: Unix milliseconds, and a tick among writes of one millisecond. */
  readonly timeMs: number
  readonly tick: number
  readonly trustedTime: boolean
}

export interface RecordView {
  readonly key: string
  readonly version: VersionView
  /** `"origin:counter"`, with siblings the hash of the set; without quotes. */
  readonly etag: string
  /** JSON text in UTF-8, exactly as the accepting agent made it. */
  readonly payload?: Uint8Array
  /** Raw bytes with their media type, instead of `payload`. */
  readonly data?: Uint8Array
  readonly contentType?: string
  /** Little-endian float32. */
  readonly vector?: Uint8Array
  /** Further concurrent versions (policies `siblings` and `append`); their content fields are as above. */
  readonly conflicts?: readonly Omit<RecordView, 'key' | 'etag' | 'conflicts'>[]
}

/** Content of a write: `payload` or `data` with `contentType`, or neither; and perhaps a vector. */
export interface WriteContent {
  readonly payload?: Uint8Array
  readonly data?: Uint8Array
  readonly contentType?: string
  readonly vector?: readonly number[]
}

export interface LocalWrite {
  readonly collection: string
  /** Undefined: a key is made, time-ordered and unique across robots. */
  readonly key: string | undefined
  /** Undefined: delete. */
  readonly content: WriteContent | undefined
  /** Holds when the record's etag is one of these; `*` when the record exists. */
  readonly ifMatch?: readonly string[]
  /** `If-None-Match: *`: holds when the record does not exist. */
  readonly ifAbsent?: boolean
}

export interface WriteDone {
  readonly ok: true
  /** `unchanged`: a delete of what is not there. */
  readonly outcome: 'created' | 'replaced' | 'deleted' | 'unchanged'
  readonly key: string
  /** Absent when unchanged. */
  readonly version?: VersionView
  readonly etag?: string
}

export interface MergedVersion {
  readonly key: string
  readonly version: Version
}

export interface VersionsMerged {
  readonly ok: true
  readonly taken: number
  /** Here already, or written over or deleted since. */
  readonly known: number
  /** Of a generation that is gone by now. */
  readonly unplaceable: number
  /** Behind what this node keeps of the collection. */
  readonly refused: number
}

export interface RecordRange {
  readonly prefix?: string
  /** Inclusive. */
  readonly from?: string
  /** Exclusive. */
  readonly to?: string
  readonly reverse?: boolean
  /** Continue behind this key (in the direction of the scan). */
  readonly after?: string
}

export interface VectorQuery {
  /** Held to the same rules as a stored vector of the collection. */
  readonly vector: readonly number[]
  /** How many neighbours: an integer of at least 1, which the caller bounds. */
  readonly k: number
  /** Only keys that begin with it. */
  readonly prefix?: string
  /** What the payloads and data that are found may have together, in bytes. Beyond: HS_TOO_LARGE. */
  readonly bytesMax: number
}

export interface FoundRecord {
  readonly record: RecordView
  /** By the collection's metric: 1 - cos, Euclidean, or -dot. */
  readonly distance: number
}

/** The k nearest records, nearest first, equal distances by key. Records with a vector of another dimension are not among them. */
export interface SearchAnswer {
  readonly ok: true
  readonly results: readonly FoundRecord[]
}

/** One change of the feed: of a record, or of a collection as a whole. */
export type Change = RecordChange | CollectionDeletion

export interface RecordChange {
  readonly sequence: number
  /** `conflict`: `lww` met a concurrent version and dropped it; `record` is that one, absent when it was a delete. */
  readonly kind: 'put' | 'delete' | 'conflict'
  readonly collection: string
  readonly key: string
  readonly record?: RecordView
}

/** A collection was deleted, here or elsewhere, with all its records. A later one of the same name is told behind it. */
export interface CollectionDeletion {
  readonly sequence: number
  readonly kind: 'delete'
  readonly collection: string
  readonly key: undefined
  /** Of the collection that is gone: the next one of its name has a greater one. */
  readonly generation: number
}

export interface Replica {
  /** Drawn when the store was made: names this feed and this store. Lower-case hex, 32 digits. */
  readonly storeId: string
  /** Lamport clock: +1 for each local write, max + 1 on received versions. */
  logicalClock(): number
  /** Takes a peer's gossiped Lamport clock: max only. */
  observeLogicalClock(clock: number): void
  /** User collections, by name. */
  collections(): readonly CollectionView[]
  collection(name: string): CollectionView | undefined
  /** Creates a collection, or says that it exists with the same settings (`created: false`). Fields left out take their defaults. */
  createCollection(name: string, settings: Partial<CollectionSettings>): Promise<{ readonly ok: true; readonly created: boolean } | Refusal>
  /**
   * Sets what this node keeps of a collection and with whom it exchanges it; nothing of that is replicated. Null takes a setting back. False
   * when there is no such collection.
   */
  setLocalSettings(name: string, settings: LocalSettingsChange): Promise<boolean | Refusal>
  /** Deletes a collection and its generation, replicated; false when there was none. */
  deleteCollection(name: string): Promise<boolean | Refusal>
  /**
   * Applies the writes in order as part of one write group; results in the same order. Resolves once they are durable, with `isSynced`, and
   * once they are written, without; what the replica was opened with holds where it is not given.
   */
  write(writes: readonly LocalWrite[], options?: { readonly isSynced: boolean }): Promise<readonly (WriteDone | Refusal)[]>
  /** The live record; undefined when there is none. An unknown collection has none. */
  get(collection: string, key: string): RecordView | undefined
  /** At most `limit` live records of a range, and whether more follow. */
  list(collection: string, range: RecordRange, limit: number): Promise<{ readonly records: readonly RecordView[]; readonly more: boolean }>
  /** All live records of a range from one snapshot, in pages bounded in rows and bytes. */
  scan(collection: string, range: RecordRange): AsyncIterable<readonly RecordView[]>
  /** Everything that is kept of the keys of a range, tombstones and concurrent versions too, as above. */
  scanEntries(
    collection: string,
    range: RecordRange,
  ): AsyncIterable<readonly { readonly key: string; readonly entry: readonly Version[] }[]>
  /** Makes sure that just this generation of a collection is here, made with these settings where there is none. */
  openForVersions(collection: string, generation: number, settings: Partial<CollectionSettings>): Promise<{ readonly ok: true } | Refusal>
  /** Merges versions that were exported, under their own dots, durable when it resolves. */
  mergeVersions(collection: string, generation: number, versions: readonly MergedVersion[]): Promise<VersionsMerged | Refusal>
  /**
   * Exact nearest neighbours as of one moment. Refuses an unknown collection and a vector that the collection could not hold. Works in
   * slices: before each it awaits `nextTurn`, and ends when that throws.
   */
  search(collection: string, query: VectorQuery, nextTurn: () => Promise<void>): Promise<SearchAnswer | Refusal>
  /** Gives the memory back that searches keep to be fast; the next one is slower. */
  forgetVectors(): void
  /** The feed's last durable sequence. Sequences belong to `storeId`: another store starts anew. */
  feedEnd(): number
  /**
   * At most `limit` changes behind sequence `after`, oldest first, and the sequence to go on from. There may be more unless `next` is the
   * feed's end. A key that changed several times is told once, as it is now.
   */
  changes(after: number, limit: number): Promise<{ readonly changes: readonly Change[]; readonly next: number }>
  /** The roster: whom tombstones wait for, and who was evicted, by store id. */
  replicas(): readonly ReplicaStanding[]
  /** Evicts a replica from the roster for good; false when it is not enrolled. Rejects when that cannot be made durable. */
  evict(storeId: string): Promise<boolean>
  /** What this replica could not take, for a person to decide about. */
  readonly quarantine: Quarantine
  /** Calls back after every durable change of a collection's digest. */
  onChange(listener: (collection: string) => void): void
  close(): Promise<void>
}

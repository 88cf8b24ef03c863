/**
 * The store port: an ordered map from byte strings to byte strings with atomic batches and snapshots, as LevelDB is one.
 * Contract, kept by every implementation (test/contract/store.test.ts):
 *   S1 keys are ordered by bytes;
 *   S2 a batch is applied whole or not at all, also across a crash;
 *   S3 when a batch written with `sync` resolves, it and every earlier batch survive a power cut;
 *   S4 a snapshot never changes.
 * Keys and values read from a store belong to the reader. They may be of a subclass of Uint8Array whose `slice` is a view.
 */

export type Row = readonly [key: Uint8Array, value: Uint8Array]

export type StoreChange =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

export interface RowRange {
  readonly gte?: Uint8Array
  readonly gt?: Uint8Array
  readonly lt?: Uint8Array
  readonly reverse?: boolean
}

/** Rows of one range, in pages; `next` resolves to an empty page at the end. Must be closed. */
export interface RowCursor {
  next(rowsMax: number): Promise<Row[]>
  close(): Promise<void>
}

export interface StoreReader {
  /** Reads one row at once; undefined when there is none. */
  get(key: Uint8Array): Uint8Array | undefined
  scan(range: RowRange): RowCursor
}

export interface StoreSnapshot extends StoreReader {
  close(): Promise<void>
}

export interface Store extends StoreReader {
  write(changes: Iterable<StoreChange>, options: { readonly sync: boolean }): Promise<void>
  snapshot(): StoreSnapshot
  /** Resolves when everything written before the call is durable. */
  flush(): Promise<void>
  close(): Promise<void>
}

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

/** Changes that are applied together, in their order. */
export interface StoreBatch {
  /** Copies key and value: the caller may use their memory again at once. */
  put(key: Uint8Array, value: Uint8Array): void
  del(key: Uint8Array): void
  write(options: { readonly sync: boolean }): Promise<void>
  /** Gives back what it holds, when it is not going to be written or could not be. */
  discard(): void
}

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
  /** Never throws: where the store cannot be written, the batch's `write` says so. */
  batch(): StoreBatch
  snapshot(): StoreSnapshot
  /**
   * After a write has failed: makes the store work again, where it can. What the failed write and those behind it wrote may be there or not: the
   * state is to be read again.
   */
  reopen(): Promise<void>
  /** Resolves when everything written before the call is durable. */
  flush(): Promise<void>
  close(): Promise<void>
}

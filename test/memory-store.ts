/**
 * The store port in memory, for tests and the simulator: what was not synced is gone after `crash`.
 * Rows are kept in a sorted array of keys, so it is for small data.
 */
import { compareBytes } from '../base/bytes.ts'
import type { Row, RowRange, Store, StoreReader } from '../sync/store.ts'

export interface MemoryStore extends Store {
  /** A store as it is found after a power cut: everything that was not durable is lost. */
  crash(): MemoryStore
  /** Makes the next `count` writes fail. */
  failWrites(count: number): void
  /** A power cut would change nothing. */
  isDurable(): boolean
}

type Rows = readonly Row[]
/** A row to be put, or the key of one to be deleted. */
type Change = Row | readonly [key: Uint8Array]

export function createMemoryStore(initial: Rows = []): MemoryStore {
  let rows: Rows = initial
  let durable: Rows = initial
  let failures = 0

  return {
    ...createReader(() => rows),
    batch() {
      const changes: Change[] = []
      return {
        put: (key, value) => void changes.push([Uint8Array.from(key), Uint8Array.from(value)]),
        del: key => void changes.push([Uint8Array.from(key)]),
        async write({ sync }) {
          await Promise.resolve()
          if (failures > 0) {
            failures -= 1
            throw new Error('the disk is full')
          }
          rows = applyChanges(rows, changes)
          if (sync) durable = rows
        },
        discard: () => {},
      }
    },
    snapshot() {
      const frozen = rows
      return { ...createReader(() => frozen), close: () => Promise.resolve() }
    },
    reopen: () => Promise.resolve(),
    async flush() {
      await Promise.resolve()
      durable = rows
    },
    close: () => Promise.resolve(),
    crash: () => createMemoryStore(durable),
    failWrites: count => void (failures = count),
    isDurable: () => durable === rows,
  }
}

/** The same store, with `write` run around each write of a batch. */
export function watchWrites(store: MemoryStore, write: (done: () => Promise<void>) => Promise<void>): MemoryStore {
  return {
    ...store,
    batch() {
      const batch = store.batch()
      return { ...batch, write: options => write(() => batch.write(options)) }
    },
  }
}

/** Changes rows behind a replica's back, durably. */
export async function changeRows(store: Store, puts: Rows, deletes: readonly Uint8Array[] = []): Promise<void> {
  const batch = store.batch()
  for (const [key, value] of puts) batch.put(key, value)
  for (const key of deletes) batch.del(key)
  await batch.write({ sync: true })
}

function createReader(current: () => Rows): StoreReader {
  return {
    get(key) {
      const rows = current()
      const row = rows[lowerBound(rows, key)]
      return row !== undefined && compareBytes(row[0], key) === 0 ? row[1] : undefined
    },
    scan(range) {
      const rows = current()
      let [from, to] = select(rows, range)
      return {
        async next(rowsMax) {
          const count = Math.min(rowsMax, to - from)
          if (range.reverse !== true) return rows.slice(from, (from += count))
          return rows.slice((to -= count), to + count).reverse()
        },
        close: () => Promise.resolve(),
      }
    },
  }
}

/** Where the range begins among the rows, and where it ends. */
function select(rows: Rows, range: RowRange): [from: number, to: number] {
  let from = range.gte === undefined ? 0 : lowerBound(rows, range.gte)
  if (range.gt !== undefined) {
    const at = lowerBound(rows, range.gt)
    const row = rows[at]
    from = Math.max(from, row !== undefined && compareBytes(row[0], range.gt) === 0 ? at + 1 : at)
  }
  const to = range.lt === undefined ? rows.length : lowerBound(rows, range.lt)
  return [from, Math.max(from, to)]
}

/** Index of the first row, from `low` on, whose key is not below `key`. */
function lowerBound(rows: Rows, key: Uint8Array, low = 0): number {
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes(rows[middle]![0], key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Merges the changes, sorted by key with the last one of a key winning, into the sorted rows. */
function applyChanges(rows: Rows, changes: readonly Change[]): Rows {
  // Sorting is stable: the changes of one key stay in their order.
  const sorted = changes.toSorted((a, b) => compareBytes(a[0], b[0]))
  const merged: Row[] = []
  let at = 0
  for (const [i, change] of sorted.entries()) {
    const [key] = change
    const following = sorted[i + 1]
    if (following !== undefined && compareBytes(following[0], key) === 0) continue
    for (const end = lowerBound(rows, key, at); at < end; at++) merged.push(rows[at]!)
    if (at < rows.length && compareBytes(rows[at]![0], key) === 0) at += 1
    if (change.length === 2) merged.push(change)
  }
  while (at < rows.length) merged.push(rows[at++]!)
  return merged
}

/**
 * The journal port: a second copy of the writes made here, apart from the store, for the day on which the store is damaged (P2). The driver
 * keeps it until another replica has acknowledged them (agent/outage-log.ts).
 *
 * A write in bytes (big-endian): generation 8, run 8, length of the name 1, name, length of the key 2, key, the version as it lies in the
 * store.
 *
 * Invariants (test/unit/agent/outage-log.test.ts, test/contract/comeback.test.ts):
 *   J1 a group that was acknowledged is in the journal: it is appended beside the store's batch, and both are synced before anybody is told;
 *   J2 the journal may be ahead of the store, by groups that were not told to anybody, and never names one dot for two acknowledged writes: of
 *      two that it holds for one dot, the later one counts.
 */
import { createByteReader, EMPTY, fromHex, toHex } from '../base/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../base/utf8.ts'
import type { RunId } from './collection-state.ts'
import type { Dot } from './dot.ts'
import { decodeVersion, versionLength, writeCounter, writeVersion, type Version } from './version.ts'

/** A write made here. */
export interface JournalWrite {
  readonly collection: string
  readonly generation: number
  /** The run in which the counter was given (R2). */
  readonly run: RunId
  readonly key: string
  readonly version: Version
}

/** Names a write in a journal. */
export interface WriteName extends Dot {
  readonly collection: string
  readonly generation: number
}

/** A write as it is handed to the journal. */
export interface EncodedWrite extends WriteName {
  readonly bytes: Uint8Array
}

export interface Journal {
  /** Keeps the writes of one group; durable when it resolves, with `sync`, and so is everything before. May be called with none. */
  append(writes: readonly EncodedWrite[], options: { readonly sync: boolean }): Promise<void>
  /** Resolves when everything appended before the call is durable. */
  flush(): Promise<void>
}

const RUN_BYTES = 8

export function encodeJournalWrite({ collection, generation, run, key, version }: JournalWrite): Uint8Array {
  const name = encodeUtf8(collection) ?? EMPTY
  const keyBytes = encodeUtf8(key) ?? EMPTY
  const bytes = new Uint8Array(8 + RUN_BYTES + 1 + name.length + 2 + keyBytes.length + versionLength(version))
  writeCounter(bytes, 0, generation)
  bytes.set(fromHex(run) ?? EMPTY, 8)
  let at = 8 + RUN_BYTES
  bytes[at++] = name.length
  bytes.set(name, at)
  at += name.length
  bytes[at++] = keyBytes.length >>> 8
  bytes[at++] = keyBytes.length
  bytes.set(keyBytes, at)
  writeVersion(bytes, at + keyBytes.length, version)
  return bytes
}

/** Reads a write; undefined when the bytes are not one. */
export function decodeJournalWrite(bytes: Uint8Array): JournalWrite | undefined {
  try {
    const reader = createByteReader(bytes)
    const generation = reader.u64()
    const run = toHex(reader.raw(RUN_BYTES))
    const collection = decodeUtf8(reader.raw(reader.u8()))
    const key = decodeUtf8(reader.raw(reader.u16()))
    const version = decodeVersion(reader.rest())
    if (collection === undefined || key === undefined || version === undefined) return undefined
    return { collection, generation, run, key, version }
  } catch {
    return undefined
  }
}

/** A group's write and its journal's: both have begun, and both end before anybody is told or anything else is written (J1). Rejects as they do. */
export async function bothEnded(written: Promise<void>, kept: Promise<void> | undefined): Promise<void> {
  for (const end of await Promise.allSettled([written, kept])) if (end.status === 'rejected') throw end.reason
}

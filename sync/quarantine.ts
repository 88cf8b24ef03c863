/**
 * Quarantine: versions that this replica could not take, kept for a person to decide about. They are local, and neither digested nor shipped.
 *
 *   deleted      writes into a deleted generation that the deletion had not seen (purge.ts puts them here)
 *   malformed    what a peer sent and this version does not understand as a version; its origin gets no mark (X4), so it comes again
 *   damaged      what a scrub found not to be what was written, as it was found: the version, or all of the record's bytes
 *
 * Row: reason(1) generation(8) name length(1) name key length(2) key version.
 *
 * Bounds: QUARANTINE_ROWS_MAX rows in all, at which a purge stops and goes on when there is room. Of malformed ones at most
 * MALFORMED_ROWS_MAX with MALFORMED_BYTES_MAX together, each once; more are counted by the session and not kept: their sender still has them.
 */
import { concatBytes, toHex, u64Bytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { rowsOf } from './collection-state.ts'
import { decodeContent, type Content } from './content.ts'
import { keyFault } from './key.ts'
import { applyLocalWrite, type WriteContext } from './local-write.ts'
import type { WireItem } from './messages.ts'
import { viewVersion } from './record-view.ts'
import { refuse, type Refusal } from './refusal.ts'
import { applyRemoteItems, remoteCollection } from './remote-write.ts'
import type { RecordView, WriteContent } from './replica.ts'
import type { ReplicaState } from './replica-state.ts'
import { allQuarantined, quarantineRow } from './rows.ts'
import type { Store } from './store.ts'
import { decodeVersion, isOpaque, isTombstone, readCounter, type Version } from './version.ts'
import { keyBytes, keyText, type WriteBatch } from './write-batch.ts'

/** Versions in quarantine. */
export const QUARANTINE_ROWS_MAX = 100_000
export const MALFORMED_ROWS_MAX = 1_000
export const MALFORMED_BYTES_MAX = 16 * 1024 * 1024
/** Rows that one call lists or changes. */
export const QUARANTINE_CALL_MAX = 1_000

const REASONS = { deleted: 1, malformed: 2, damaged: 3 } as const
export type QuarantineReason = keyof typeof REASONS

const REASON_BY_NUMBER = new Map<number, QuarantineReason>(
  Object.entries(REASONS).map(([reason, number]) => [number, reason as QuarantineReason]),
)

const REASON_BYTES = 1
const GENERATION_BYTES = 8
const SEQUENCE_AT = 1

export interface QuarantinedVersion {
  /** Names it here, for good. */
  readonly id: number
  readonly reason: QuarantineReason
  readonly collection: string
  readonly generation: number
  /** As it came; of what is not understood it need not be a key. */
  readonly key: string
  /** Of the version as it came. */
  readonly bytes: number
  /** What it says, where it is understood. */
  readonly record?: RecordView
}

export interface QuarantinePage {
  readonly items: readonly QuarantinedVersion[]
  /** The id to go on behind; undefined at the end. */
  readonly next: number | undefined
}

export interface ImportOptions {
  /** A collection other than the one that it was written to. */
  readonly into?: string | undefined
  /** Makes the collection when there is none. */
  readonly create: boolean
  /** Writes over a record that is there. */
  readonly overwrite: boolean
}

export type QuarantineOutcome = { readonly id: number; readonly ok: true; readonly key: string } | ({ readonly id: number } & Refusal)

export interface Quarantine {
  /** How many rows there are. */
  count(): number
  /** At most `limit` behind the id `after`, in the order in which they came; it ends early at `bytesMax` of versions. */
  list(after: number, limit: number, bytesMax: number, collection?: string): Promise<QuarantinePage>
  get(id: number): QuarantinedVersion | undefined
  /** Writes them as new records and takes them out, each in one batch; what cannot be written stays. At most QUARANTINE_CALL_MAX. */
  importInto(ids: readonly number[], options: ImportOptions): Promise<readonly QuarantineOutcome[]>
  /** Applies what this version understands by now, and takes it out. */
  retry(ids: readonly number[]): Promise<readonly QuarantineOutcome[]>
  /** Throws them away; says how many there were. */
  drop(ids: readonly number[]): Promise<number>
}

export interface QuarantineOptions {
  readonly store: Store
  readonly context: WriteContext
  /** Durable when it resolves. */
  readonly submit: <T>(job: (batch: WriteBatch) => T) => Promise<T>
  /** Rows have come or gone: a purge may have room now. */
  readonly onChanged: () => void
}

/** Puts versions of peers aside that are none. */
export type SetAside = (collection: string, generation: number, items: readonly WireItem[]) => Promise<void>

export function createQuarantine(options: QuarantineOptions): { readonly quarantine: Quarantine; readonly setAside: SetAside } {
  const { store, context, submit, onChanged } = options
  const { hash } = context
  /** Rows that a job has taken out and that the store may still show. */
  const leaving = new Set<number>()
  let malformed: { readonly state: ReplicaState; readonly hashes: Set<string>; bytes: number } | undefined

  const read = (id: number): StoredVersion | undefined => {
    if (leaving.has(id)) return undefined
    const value = store.get(quarantineRow(id))
    return value && decodeQuarantined(value)
  }

  /** Runs `decide` on each row in one write group; those that it takes out are gone when this resolves. */
  const change = async (
    ids: readonly number[],
    decide: (batch: WriteBatch, stored: StoredVersion) => { readonly ok: true; readonly key: string } | Refusal,
  ): Promise<QuarantineOutcome[]> => {
    const taken: number[] = []
    try {
      return await submit(batch =>
        [...new Set(ids)].map((id): QuarantineOutcome => {
          const stored = read(id)
          if (stored === undefined) return { id, ...refuse('HS_NOT_FOUND', `nothing in quarantine has the id ${id}`) }
          const outcome = decide(batch, stored)
          if (!outcome.ok) return { id, ...outcome }
          batch.del(quarantineRow(id))
          context.state.quarantined -= 1
          if (stored.reason === 'malformed') malformed = undefined
          leaving.add(id)
          taken.push(id)
          return { id, ...outcome }
        }),
      )
    } finally {
      for (const id of taken) leaving.delete(id)
      onChanged()
    }
  }

  const loadMalformed = async (): Promise<NonNullable<typeof malformed>> => {
    const { state } = context
    if (malformed?.state === state) return malformed
    const loaded = { state, hashes: new Set<string>(), bytes: 0 }
    for await (const [, value] of rowsOf(store, allQuarantined)) {
      if (value[0] !== REASONS.malformed) continue
      loaded.hashes.add(fingerprint(hash, value))
      loaded.bytes += value.length
    }
    return (malformed = loaded)
  }

  const quarantine: Quarantine = {
    count: () => context.state.quarantined,
    async list(after, limit, bytesMax, collection) {
      const items: QuarantinedVersion[] = []
      let bytes = 0
      for await (const [row, value] of rowsOf(store, { gt: quarantineRow(after), lt: allQuarantined.lt })) {
        const id = readCounter(row, SEQUENCE_AT)
        const stored = leaving.has(id) ? undefined : decodeQuarantined(value)
        if (stored === undefined || (collection !== undefined && stored.collection !== collection)) continue
        if (items.length >= limit || bytes >= bytesMax) return { items, next: items.at(-1)?.id }
        items.push(view(id, stored, hash))
        bytes += stored.bytes.length
      }
      return { items, next: undefined }
    },
    get(id) {
      const stored = read(id)
      return stored && view(id, stored, hash)
    },
    importInto: (ids, { into, create, overwrite }) =>
      change(ids, (batch, stored) => {
        const content = contentOf(stored.version)
        if (content === undefined) return refuse('HS_INVALID_PAYLOAD', 'this version does not understand it: retry, export or drop it')
        const collection = into ?? stored.collection
        const existing = context.state.collectionByName.get(collection)
        if (existing === undefined && !create)
          return refuse('HS_NOT_FOUND', `there is no collection ${collection}: create it, or ask for it`)
        const isAppend = existing !== undefined && context.state.model.settings(collection, existing.generation).conflict === 'append'
        const key = isAppend ? undefined : stored.key
        const done = applyLocalWrite(context, batch, { collection, key, content: toWrite(content), ifAbsent: !overwrite })
        return done.ok ? { ok: true, key: done.key } : done
      }),
    retry: ids =>
      change(ids, (batch, { reason, collection: name, generation, key, version }) => {
        if (reason === 'damaged')
          return refuse('HS_PRECONDITION_FAILED', 'it is not what was written: peers send what was, look at it and drop it')
        if (reason === 'deleted') return refuse('HS_PRECONDITION_FAILED', 'its collection was deleted: import it, or drop it')
        if (version === undefined || keyFault(key) !== undefined) {
          return refuse('HS_PRECONDITION_FAILED', 'this version of the agent does not understand it either')
        }
        const collection = remoteCollection(context.state, batch, name, generation)
        if (collection === undefined) return refuse('HS_NOT_FOUND', `there is no collection ${name} of generation ${generation}`)
        applyRemoteItems(context, batch, collection, [{ key, version }], true)
        return { ok: true, key }
      }),
    async drop(ids) {
      const outcomes = await change(ids, (_batch, { key }) => ({ ok: true, key }))
      return outcomes.filter(({ ok }) => ok).length
    },
  }

  return {
    quarantine,
    async setAside(collection, generation, items) {
      const known = await loadMalformed()
      await submit(batch => {
        const { state } = context
        // The state was loaded anew meanwhile: they come again.
        if (known.state !== state) return
        for (const { key, version } of items) {
          const value = encodeQuarantined('malformed', { name: collection, generation }, keyBytes(key), version)
          const print = fingerprint(hash, value)
          const isFull =
            state.quarantined >= QUARANTINE_ROWS_MAX ||
            known.hashes.size >= MALFORMED_ROWS_MAX ||
            known.bytes + value.length > MALFORMED_BYTES_MAX
          if (isFull || known.hashes.has(print)) continue
          known.hashes.add(print)
          known.bytes += value.length
          putQuarantined(state, batch, value)
        }
      })
      onChanged()
    },
  }
}

export function putQuarantined(state: ReplicaState, batch: WriteBatch, value: Uint8Array): void {
  state.quarantineSequence += 1
  state.quarantined += 1
  batch.put(quarantineRow(state.quarantineSequence), value)
}

interface StoredVersion {
  readonly reason: QuarantineReason
  readonly collection: string
  readonly generation: number
  readonly key: string
  readonly bytes: Uint8Array
  readonly version: Version | undefined
}

export function encodeQuarantined(
  reason: QuarantineReason,
  { name, generation }: { readonly name: string; readonly generation: number },
  key: Uint8Array,
  version: Uint8Array,
): Uint8Array {
  const nameBytes = keyBytes(name)
  return concatBytes(
    Uint8Array.of(REASONS[reason]),
    u64Bytes(generation),
    Uint8Array.of(nameBytes.length),
    nameBytes,
    Uint8Array.of(key.length >>> 8, key.length),
    key,
    version,
  )
}

/** Undefined for a row of another version, with a reason that this one does not know: it stays where it is. */
function decodeQuarantined(value: Uint8Array): StoredVersion | undefined {
  const reason = REASON_BY_NUMBER.get(value[0] ?? 0)
  if (reason === undefined) return undefined
  const nameAt = REASON_BYTES + GENERATION_BYTES + 1
  const keyLengthAt = nameAt + (value[nameAt - 1] ?? 0)
  const keyAt = keyLengthAt + 2
  const keyEnd = keyAt + (value[keyLengthAt] ?? 0) * 256 + (value[keyLengthAt + 1] ?? 0)
  const bytes = value.subarray(keyEnd)
  return {
    reason,
    collection: keyText(value.subarray(nameAt, keyLengthAt)),
    generation: readCounter(value, REASON_BYTES),
    key: keyText(value.subarray(keyAt, keyEnd)),
    bytes,
    version: decodeVersion(bytes),
  }
}

/** What can be written as a record. */
function contentOf(version: Version | undefined): Content | undefined {
  return version === undefined || isTombstone(version) || isOpaque(version) ? undefined : decodeContent(version)
}

function view(id: number, { reason, collection, generation, key, bytes, version }: StoredVersion, hash: Hash): QuarantinedVersion {
  const seen = { id, reason, collection, generation, key, bytes: bytes.length }
  const content = contentOf(version)
  if (version === undefined || content === undefined) return seen
  return { ...seen, record: { key, version: viewVersion(version), etag: toHex(hash.sha256(bytes).subarray(0, 16)), ...content } }
}

function toWrite(content: Content): WriteContent {
  const { vector, ...rest } = content
  if (vector === undefined) return rest
  const numbers = new DataView(vector.buffer, vector.byteOffset, vector.byteLength)
  return { ...rest, vector: Array.from({ length: vector.byteLength / 4 }, (_, i) => numbers.getFloat32(i * 4, true)) }
}

const fingerprint = (hash: Hash, value: Uint8Array): string => toHex(hash.sha256(value).subarray(0, 16))

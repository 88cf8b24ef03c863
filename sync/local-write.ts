/** A write made here: checked, given its dot, context and stamp, and put into a write group. */
import type { Clock, Hash, Random } from '../base/ports.ts'
import { createCollectionState, type CollectionState } from './collection-state.ts'
import { CONTENT_TYPE_BYTES_MAX, encodeContent, PAYLOAD_BYTES_MAX, type Content } from './content.ts'
import type { Crossings } from './crossing.ts'
import { contextOver, shownVersion, stampOver, type Entry } from './entry.ts'
import { isLastStamp, laterStamp } from './hlc.ts'
import { encodeFloatVector } from './float-vector.ts'
import { keyFault, makeKey, MADE_KEY_RANDOM_BYTES, nameFault } from './key.ts'
import { entryEtag, viewVersion } from './record-view.ts'
import { refuse, type Refusal } from './refusal.ts'
import type { LocalWrite, WriteContent, WriteDone } from './replica.ts'
import { applySystemEntry, type ReplicaState } from './replica-state.ts'
import { isFull, NO_LOCAL_SETTINGS } from './retention-state.ts'
import { runRow } from './rows.ts'
import { createdKey, jsonBytes, settingKey, SYSTEM_COLLECTION } from './settings.ts'
import { FLAG_TOMBSTONE, FLAG_TRUSTED_TIME, VERSION_OVERHEAD_BYTES, type Version } from './version.ts'
import { fromHex } from '../base/bytes.ts'
import type { StoredEntry, WriteBatch } from './write-batch.ts'

/** Collections of one agent. Beyond it a new one is refused. */
export const COLLECTIONS_MAX = 4_096

export interface WriteContext {
  readonly state: ReplicaState
  readonly clock: Clock
  readonly random: Random
  readonly hash: Hash
  readonly crossings: Crossings
}

/** Puts one local write into the group, or says why not; a refused write changes nothing. */
export function applyLocalWrite(context: WriteContext, batch: WriteBatch, write: LocalWrite): WriteDone | Refusal {
  const { state, hash } = context
  const name = nameFault(write.collection)
  if (name !== undefined) return refuse('HS_INVALID_NAME', name)
  const fault = write.key === undefined ? undefined : keyFault(write.key)
  if (fault !== undefined) return refuse('HS_INVALID_KEY', fault)

  const existing = state.collectionByName.get(write.collection)
  const settings = existing && state.model.settings(existing.name, existing.generation)
  if (settings?.conflict === 'append' && write.key !== undefined && write.content !== undefined) {
    return refuse('HS_INVALID_KEY', 'the collection is append-only: it makes the keys itself')
  }
  const key = write.key ?? makeKey(context.clock.wallMs(), context.random.bytes(MADE_KEY_RANDOM_BYTES))
  const before = existing === undefined ? undefined : batch.entry(existing, key)
  const shown = before === undefined ? undefined : shownVersion(before.entry)
  const refusedCondition = checkConditions(write, before !== undefined && shown !== undefined ? entryEtag(before.entry, hash) : undefined)
  if (refusedCondition !== undefined) return refusedCondition
  if (before?.entry.some(({ stamp }) => isLastStamp(stamp)) === true) {
    return refuse('HS_PRECONDITION_FAILED', 'somebody wrote this record with the last time that there is: nothing can be written above it')
  }

  if (write.content === undefined) {
    if (existing === undefined || before === undefined || shown === undefined) return { ok: true, outcome: 'unchanged', key }
    const version = putVersion(context, batch, existing, key, before, undefined)
    return { ok: true, outcome: 'deleted', key, version: viewVersion(version) }
  }

  const content = checkContent(write.content, settings?.metric ?? 'cosine', settings?.dimension)
  if ('code' in content) return content
  if (existing !== undefined && shown === undefined && isFull(existing, contentBytes(key, content))) {
    return refuse('HS_COLLECTION_FULL', `"${existing.name}" holds as much as it may on this node, and refuses new records`)
  }
  let collection = existing
  if (collection === undefined) {
    const created = openGeneration(context, batch, write.collection)
    if ('code' in created) return created
    collection = created
  }
  if (content.vector !== undefined && settings?.dimension === undefined) {
    const value = { value: content.vector.length / 4, explicit: false }
    putSystemRecord(context, batch, settingKey(collection.name, collection.generation, 'dimension'), value)
  }
  const version = putVersion(context, batch, collection, key, before, content)
  const outcome = shown === undefined ? 'created' : 'replaced'
  return { ok: true, outcome, key, version: viewVersion(version), etag: `${version.origin}:${version.counter}` }
}

function checkConditions(write: LocalWrite, etag: string | undefined): Refusal | undefined {
  if (write.ifAbsent === true && etag !== undefined) return refuse('HS_PRECONDITION_FAILED', `the record exists, its etag is "${etag}"`)
  if (write.ifMatch === undefined) return undefined
  if (etag === undefined) return refuse('HS_PRECONDITION_FAILED', 'the record does not exist')
  if (write.ifMatch.includes('*') || write.ifMatch.includes(etag)) return undefined
  return refuse('HS_PRECONDITION_FAILED', `the record's etag is "${etag}"`)
}

function checkContent(content: WriteContent, metric: 'cosine' | 'l2' | 'dot', dimension: number | undefined): Content | Refusal {
  const { payload, data, contentType } = content
  const bytes = payload?.length ?? data?.length ?? 0
  if (payload !== undefined && data !== undefined) return refuse('HS_INVALID_PAYLOAD', 'a record has a payload or data, not both')
  if (bytes > PAYLOAD_BYTES_MAX) return refuse('HS_TOO_LARGE', `a payload has at most ${PAYLOAD_BYTES_MAX} bytes, this one has ${bytes}`)
  if (data !== undefined && (contentType === undefined || contentType === ''))
    return refuse('HS_INVALID_PAYLOAD', 'data comes with a content_type')
  if (contentType !== undefined && !/^[\x20-\x7e]*$/.test(contentType))
    return refuse('HS_INVALID_PAYLOAD', 'a content_type is printable ASCII')
  if (contentType !== undefined && contentType.length > CONTENT_TYPE_BYTES_MAX) {
    return refuse('HS_TOO_LARGE', `a content_type has at most ${CONTENT_TYPE_BYTES_MAX} bytes`)
  }
  const body = data === undefined ? (payload === undefined ? {} : { payload }) : { data, contentType: contentType ?? '' }
  if (content.vector === undefined) return body
  const vector = encodeFloatVector(content.vector, metric, dimension)
  return vector.ok ? { ...body, vector: vector.bytes } : refuse('HS_INVALID_VECTOR', vector.fault)
}

/** About what a new record takes, without the context, which it has none of. */
const contentBytes = (key: string, content: Content): number => key.length + VERSION_OVERHEAD_BYTES + encodeContent(content).body.length

/** Makes the next generation of a collection, with default settings, and its system record. */
export function openGeneration(context: WriteContext, batch: WriteBatch, name: string): CollectionState | Refusal {
  const { state } = context
  if (state.collectionByName.size > COLLECTIONS_MAX) {
    return refuse('HS_COLLECTION_LIMIT', `an agent holds at most ${COLLECTIONS_MAX} collections`)
  }
  const generation = state.model.deletedGeneration(name) + 1
  const collection = createCollectionState(state.nextCid++, name, generation)
  collection.local = state.localByName.get(name) ?? NO_LOCAL_SETTINGS
  state.collectionByName.set(name, collection)
  batch.touch(collection)
  putSystemRecord(context, batch, createdKey(name, generation), { at: context.clock.wallMs() })
  return collection
}

/** Writes a record of the system collection. `value` undefined: deletes it. */
export function putSystemRecord(context: WriteContext, batch: WriteBatch, key: string, value: object | undefined): void {
  const system = context.state.collectionByName.get(SYSTEM_COLLECTION)
  if (system === undefined) throw new Error('broken invariant: the system collection exists from the first opening')
  putVersion(context, batch, system, key, batch.entry(system, key), value && { payload: jsonBytes(value) })
  const stored = batch.entry(system, key)
  if (stored !== undefined) applySystemEntry(context.state, key, stored.entry)
}

/** The write itself: a version over everything that the key holds here, which is `before`. `content` undefined: a tombstone. */
function putVersion(
  context: WriteContext,
  batch: WriteBatch,
  collection: CollectionState,
  key: string,
  before: StoredEntry | undefined,
  content: Content | undefined,
): Version {
  const { state, clock } = context
  const counter = (collection.vector.get(state.origin)?.counter ?? 0) + 1
  const { flags, body } = content === undefined ? { flags: FLAG_TOMBSTONE, body: new Uint8Array(0) } : encodeContent(content)
  const version: Version = {
    flags: clock.trusted() ? flags | FLAG_TRUSTED_TIME : flags,
    origin: state.origin,
    counter,
    stamp: stampOver(before?.entry, state.hlc.now(clock.wallMs()), laterStamp(collection.collectedStampMax, collection.retention.stampMax)),
    context: contextOver(before?.entry),
    body,
  }
  const after: Entry = [version]
  batch.replace(collection, key, before, after)
  if (!state.runStarted.has(collection)) {
    state.runStarted.add(collection)
    collection.ownOrigins.add(state.origin)
    batch.put(runRow(collection.cid, version), fromHex(state.run) ?? new Uint8Array(8))
  }
  batch.setVector(collection, state.origin, { counter, run: state.run })
  batch.journal(collection, state.run, key, version)
  state.lamport += 1
  return version
}

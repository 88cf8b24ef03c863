/**
 * What a node keeps of a collection for itself, apart from the data: the settings that a person gave this node (row `o`, by name: they
 * outlive the collection), and what retention has done so far (row `k`, by local number). Nothing of it is ever shipped as data.
 *
 * Both are JSON: they are read once, and nobody hashes them. What is not understood is passed over.
 */
import { fromHex, toHex } from '../base/bytes.ts'
import { decodeUtf8 } from '../base/utf8.ts'
import type { Dot, Origin } from './dot.ts'
import { laterStamp, STAMP_ZERO, type Stamp } from './hlc.ts'
import { SYNC_DIRECTIONS, type GivenUp, type SyncDirection, type Terms } from './partial.ts'
import { adoptableHorizonMs, DROP_REASONS, isBounded, NO_RETENTION, retentionFault, type DropReason, type Retention } from './retention.ts'
import { jsonBytes } from './settings.ts'

/** A node's own settings of a collection. */
export interface LocalSettings {
  /** Undefined: the node's default. */
  readonly sync: SyncDirection | undefined
  /** Undefined: everything is kept. */
  readonly retention: Retention | undefined
}

export const NO_LOCAL_SETTINGS: LocalSettings = { sync: undefined, retention: undefined }

/** What is kept beside the records to know what goes first: nothing, their bytes, or also rows `t` by stamp, or by priority and stamp. */
export type IndexKind = 'none' | 'bytes' | 'stamp' | 'priority'

export interface RetentionState {
  index: IndexKind
  /** The index is being built: up to this key it is complete, and behind `indexEnd`. Undefined: it is complete. */
  indexedTo: Uint8Array | undefined
  indexEnd: Uint8Array
  /** Keys that an index under construction did not take when they were written; not persisted. */
  indexMissed: Set<string>
  /** Bytes of what is indexed. */
  bytes: number
  /** Everything older has expired, but for what is exempt (R9). */
  horizonMs: number
  /** The horizon has been raised and what is behind it is not all gone: nobody can compare roots meanwhile. */
  isSweeping: boolean
  /** It lacks what its vector covers, and its horizon does not say so (R8). */
  hasGivenUp: boolean
  /** The greatest stamp that was given up: a later write of an absent key stays above it, as with collected tombstones (R1). */
  stampMax: Stamp
  /** Own writes that a bound has forced out, and those that have expired. */
  readonly givenUp: Map<Origin, GivenUp>
  readonly expired: Map<Origin, GivenUp>
  readonly dropped: Map<DropReason, number>
  /** Of those, the ones that nobody full had acknowledged. */
  voided: number
  isDirty: boolean
}

export function createRetentionState(): RetentionState {
  return {
    index: 'none',
    indexedTo: undefined,
    indexEnd: new Uint8Array(0),
    indexMissed: new Set(),
    bytes: 0,
    horizonMs: 0,
    isSweeping: false,
    hasGivenUp: false,
    stampMax: STAMP_ZERO,
    givenUp: new Map(),
    expired: new Map(),
    dropped: new Map(),
    voided: 0,
    isDirty: false,
  }
}

export function encodeRetentionState(state: RetentionState): Uint8Array {
  const { index, indexedTo, indexEnd, bytes, horizonMs, isSweeping, hasGivenUp, stampMax, givenUp, expired, dropped, voided } = state
  return jsonBytes({
    index,
    ...(indexedTo === undefined ? {} : { indexedTo: toHex(indexedTo), indexEnd: toHex(indexEnd) }),
    bytes,
    horizonMs,
    isSweeping,
    hasGivenUp,
    stampMax: [stampMax.ms, stampMax.tick],
    givenUp: encodeRanges(givenUp),
    expired: encodeRanges(expired),
    dropped: Object.fromEntries(dropped),
    voided,
  })
}

export function decodeRetentionState(value: Uint8Array): RetentionState {
  const stored = readObject(value)
  const state = createRetentionState()
  const number = (field: unknown): number => (typeof field === 'number' && Number.isSafeInteger(field) && field >= 0 ? field : 0)
  const list = (field: unknown): readonly unknown[] => (Array.isArray(field) ? field : [])
  const kinds: readonly IndexKind[] = ['bytes', 'stamp', 'priority']
  state.index = kinds.find(kind => kind === stored['index']) ?? 'none'
  if (typeof stored['indexedTo'] === 'string') {
    state.indexedTo = fromHex(stored['indexedTo']) ?? new Uint8Array(0)
    state.indexEnd = fromHex(String(stored['indexEnd'])) ?? new Uint8Array(0)
  }
  state.bytes = number(stored['bytes'])
  state.horizonMs = number(stored['horizonMs'])
  state.isSweeping = stored['isSweeping'] === true
  state.hasGivenUp = stored['hasGivenUp'] === true
  const [ms, tick] = list(stored['stampMax'])
  state.stampMax = { ms: number(ms), tick: number(tick) }
  for (const [field, ranges] of [['givenUp', state.givenUp] as const, ['expired', state.expired] as const]) {
    for (const item of list(stored[field])) {
      const [origin, first, last] = list(item)
      if (typeof origin === 'string') ranges.set(origin, { first: number(first), last: number(last) })
    }
  }
  const dropped = stored['dropped']
  if (typeof dropped === 'object' && dropped !== null) {
    const counts = dropped as Readonly<Record<string, unknown>>
    for (const reason of DROP_REASONS) if (counts[reason] !== undefined) state.dropped.set(reason, number(counts[reason]))
  }
  state.voided = number(stored['voided'])
  return state
}

const encodeRanges = (ranges: ReadonlyMap<Origin, GivenUp>): unknown[] =>
  [...ranges].map(([origin, { first, last }]) => [origin, first, last])

export function encodeLocalSettings({ sync, retention }: LocalSettings): Uint8Array {
  return jsonBytes({ ...(sync === undefined ? {} : { sync }), ...(retention === undefined ? {} : { retention }) })
}

export function decodeLocalSettings(value: Uint8Array): LocalSettings {
  const stored = readObject(value)
  const retention = stored['retention']
  const isRetention = (candidate: unknown): candidate is Retention =>
    typeof candidate === 'object' && candidate !== null && 'policy' in candidate && retentionFault(candidate as Retention) === undefined
  return {
    sync: SYNC_DIRECTIONS.find(direction => direction === stored['sync']),
    retention: isRetention(retention) ? retention : undefined,
  }
}

function readObject(value: Uint8Array): Readonly<Record<string, unknown>> {
  const text = decodeUtf8(value)
  try {
    const parsed: unknown = text === undefined ? undefined : JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}

/** What retention needs to know of a collection. */
export interface Retained {
  readonly local: LocalSettings
  readonly retention: RetentionState
  /** Every origin that this replica has written under in it. */
  readonly ownOrigins: ReadonlySet<Origin>
  readonly recordCount: number
}

/** Notes that a version is given up, and why: its dot, where this replica wrote it, and its stamp. */
export function noteGivenUp(collection: Retained, version: Dot & { readonly stamp: Stamp }, reason: DropReason): void {
  const { retention, ownOrigins } = collection
  const { origin, counter, stamp } = version
  retention.stampMax = laterStamp(retention.stampMax, stamp)
  if (ownOrigins.has(origin)) {
    const ranges = reason === 'ttl' ? retention.expired : retention.givenUp
    const gone = ranges.get(origin)
    const first = Math.min(counter, gone?.first ?? counter)
    ranges.set(origin, { first, last: Math.max(counter, gone?.last ?? counter) })
  }
  retention.dropped.set(reason, (retention.dropped.get(reason) ?? 0) + 1)
  retention.isDirty = true
}

/** What expired behind a horizon that was too late is lacking from now on. */
export function lowerHorizon(retention: RetentionState, horizonMs: number): void {
  retention.horizonMs = horizonMs
  retention.isSweeping = false
  retention.hasGivenUp ||= (retention.dropped.get('ttl') ?? 0) > 0
  for (const [origin, { first, last }] of retention.expired) {
    const gone = retention.givenUp.get(origin)
    retention.givenUp.set(origin, { first: Math.min(first, gone?.first ?? first), last: Math.max(last, gone?.last ?? last) })
  }
  retention.expired.clear()
  retention.isDirty = true
}

/** Whether a new record has no place: for `reject`, which gives up nothing. */
export function isFull({ retention, local, recordCount }: Retained, bytes: number): boolean {
  const { recordsMax, bytesMax, policy } = local.retention ?? NO_RETENTION
  if (policy !== 'reject') return false
  return (recordsMax !== undefined && recordCount >= recordsMax) || (bytesMax !== undefined && retention.bytes + bytes > bytesMax)
}

export interface NodeTerms {
  /** HS_SYNC_DEFAULT. */
  readonly syncDefault: SyncDirection
  readonly wallMs: number
  readonly isTrusted: boolean
  /** Its disk takes no more: until it does, this node only sends. */
  readonly isDiskFull: boolean
}

/** With which others a collection is exchanged by a node whose disk takes no more. */
const WITHOUT_RECEIVING: Readonly<Record<SyncDirection, SyncDirection>> = { both: 'push', push: 'push', pull: 'none', none: 'none' }

/** What this node is to others for a collection, as its settings and its state have it. */
export function termsOf(
  local: LocalSettings,
  state: Pick<RetentionState, 'horizonMs' | 'hasGivenUp'>,
  { syncDefault, wallMs, isTrusted, isDiskFull }: NodeTerms,
): Terms {
  const set = local.sync ?? syncDefault
  const direction = isDiskFull ? WITHOUT_RECEIVING[set] : set
  const retention = local.retention ?? NO_RETENTION
  const { horizonMs, hasGivenUp } = state
  return {
    isPartial: hasGivenUp || direction !== 'both',
    isBounded: isBounded(retention),
    isRefilling: hasGivenUp && direction === 'both' && !isBounded(retention),
    sends: direction === 'both' || direction === 'push',
    receives: direction === 'both' || direction === 'pull',
    horizonMs,
    horizonMaxMs: adoptableHorizonMs(retention, horizonMs, wallMs, isTrusted),
  }
}

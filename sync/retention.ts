/**
 * Retention: what a collection may take on this node, and how long. It is this node's own business and never replicated: what one robot
 * gives up to save space is not deleted elsewhere, and not fetched again.
 *
 * R9, horizons: what is older than the own trusted clock less the ttl expires, in steps, so that replicas with one ttl have one horizon most
 * of the time. Without a trusted clock nothing expires. A stamp that was made by an untrusted clock never expires; nor does what no other
 * full replica has acknowledged; nor a tombstone, which goes when it is stable (R7).
 */
import { decodeContent } from './content.ts'
import { decodeUtf8 } from '../base/utf8.ts'
import { FLAG_TRUSTED_TIME, isTombstone, type Version } from './version.ts'

export type RetentionPolicy = 'reject' | 'drop_oldest' | 'drop_lowest_priority'
export const RETENTION_POLICIES: readonly RetentionPolicy[] = ['reject', 'drop_oldest', 'drop_lowest_priority']

export interface Retention {
  readonly ttlMs?: number
  /** Live records. */
  readonly recordsMax?: number
  /** Keys and versions of live records, in bytes, without what is kept beside them. */
  readonly bytesMax?: number
  /** What happens at a bound; `drop_oldest` if not given. */
  readonly policy: RetentionPolicy
}

export const NO_RETENTION: Retention = { policy: 'drop_oldest' }
export const TTL_MS_MIN = 1_000
export const TTL_MS_MAX = 100 * 365 * 86_400_000
export const BYTES_MAX_MIN = 1_024

/** Why a record is not here any more, or never was. */
export type DropReason = 'ttl' | 'max_records' | 'max_bytes' | 'full'
export const DROP_REASONS: readonly DropReason[] = ['ttl', 'max_records', 'max_bytes', 'full']

export const isBounded = ({ recordsMax, bytesMax }: Retention): boolean => recordsMax !== undefined || bytesMax !== undefined
export const hasRetention = (retention: Retention): boolean => isBounded(retention) || retention.ttlMs !== undefined

/** What is wrong with it, in a sentence. */
export function retentionFault({ ttlMs, recordsMax, bytesMax, policy }: Retention): string | undefined {
  const isWithin = (value: number | undefined, min: number, max: number): boolean =>
    value === undefined || (Number.isSafeInteger(value) && value >= min && value <= max)
  if (!isWithin(ttlMs, TTL_MS_MIN, TTL_MS_MAX)) return `ttl_ms is an integer from ${TTL_MS_MIN} to ${TTL_MS_MAX}`
  if (!isWithin(recordsMax, 1, Number.MAX_SAFE_INTEGER)) return 'max_records is an integer of at least 1'
  if (!isWithin(bytesMax, BYTES_MAX_MIN, Number.MAX_SAFE_INTEGER)) return `max_bytes is an integer of at least ${BYTES_MAX_MIN}`
  return RETENTION_POLICIES.includes(policy) ? undefined : `policy is one of ${RETENTION_POLICIES.join(', ')}`
}

/** Horizons are multiples of it: a power of two of at least a second, and about a sixteenth of the ttl. */
export const horizonStepMs = (ttlMs: number): number => 2 ** Math.max(10, Math.floor(Math.log2(ttlMs / 16)))

/** The horizon that a clock gives; undefined where there is no ttl, or nobody vouches for the clock. */
export function clockHorizonMs({ ttlMs }: Retention, wallMs: number, isTrusted: boolean): number | undefined {
  if (ttlMs === undefined || !isTrusted) return undefined
  const stepMs = horizonStepMs(ttlMs)
  return Math.max(0, Math.floor((wallMs - ttlMs) / stepMs) * stepMs)
}

/** The latest horizon of a peer that is taken over: one step ahead of the own clock's, and never ahead of what a clock would say that nobody vouches for. */
export function adoptableHorizonMs(retention: Retention, ownMs: number, wallMs: number, isTrusted: boolean): number {
  const clockMs = clockHorizonMs(retention, wallMs, isTrusted)
  return clockMs === undefined || retention.ttlMs === undefined ? ownMs : clockMs + horizonStepMs(retention.ttlMs)
}

/** Whether a version is older than the horizon and may be judged by its stamp at all. */
export const isBehindHorizon = (version: Version, horizonMs: number): boolean =>
  version.stamp.ms < horizonMs && (version.flags & FLAG_TRUSTED_TIME) !== 0 && !isTombstone(version)

export const PRIORITY_MAX = 255

/** 0-255: the member `priority` of a payload that is an object; 0 where there is none that fits. What has less goes first. */
export function priorityOf(version: Version): number {
  const payload = decodeContent(version)?.payload
  const text = payload === undefined ? undefined : decodeUtf8(payload)
  if (text === undefined || !text.includes('"priority"')) return 0
  try {
    const value: unknown = JSON.parse(text)
    const priority = typeof value === 'object' && value !== null && 'priority' in value ? value.priority : undefined
    return typeof priority === 'number' && Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_MAX ? priority : 0
  } catch {
    return 0
  }
}

/**
 * Versions as lines of NDJSON, for `export --versions`: readable, and exact. A head names the collection, each line is one version of one key with
 * what its writer had seen, and the last line says how many there were. `sum` is over the version as replicas keep it: a line that was changed on
 * its way, even by a digit, is noticed, since a dot must never name two versions.
 */
import { fromHex, toHex } from '../../base/bytes.ts'
import type { Hash } from '../../base/ports.ts'
import { decodeContent, encodeContent, PAYLOAD_BYTES_MAX } from '../../sync/content.ts'
import type { Dot } from '../../sync/dot.ts'
import { STAMP_WALL_MS_MAX } from '../../sync/hlc.ts'
import { keyFault } from '../../sync/key.ts'
import { viewVersion } from '../../sync/record-view.ts'
import type { CollectionSettings, CollectionView, MergedVersion } from '../../sync/replica.ts'
import { SETTING_FIELDS } from '../../sync/settings.ts'
import {
  CONTEXT_ENTRIES_MAX,
  decodeVersion,
  encodeVersion,
  FLAG_TOMBSTONE,
  FLAG_TRUSTED_TIME,
  isOpaque,
  isTombstone,
  type Version,
} from '../../sync/version.ts'
import { findJsonFault, JSON_DEPTH_MAX } from '../json-text.ts'
import { isNumbers, parseJsonObject, type JsonFault } from './json-object.ts'
import type { JsonWriter, VersionJson } from './record-json.ts'

export const VERSIONS_FORMAT = 'hs-agent-versions'
const FORMAT_VERSION = 1
/** Of the digest of a version, in the file. */
const SUM_BYTES = 8

export interface VersionsHead {
  readonly collection: string
  readonly generation: number
  readonly settings: Partial<CollectionSettings>
}

export function writeHead(writer: JsonWriter, collection: CollectionView): void {
  const settings = Object.fromEntries(SETTING_FIELDS.map(field => [field, collection[field] ?? null]))
  const { name, generation } = collection
  const head = { format: VERSIONS_FORMAT, format_version: FORMAT_VERSION, collection: name, generation, settings }
  writer.text(`${JSON.stringify(head)}\n`)
}

export function writeTail(writer: JsonWriter, versions: number): void {
  writer.text(`{"versions":${versions}}\n`)
}

export function writeVersionLine(writer: JsonWriter, hash: Hash, key: string, version: Version): void {
  const encoded = encodeVersion(version)
  const content = isOpaque(version) ? undefined : decodeContent(version)
  writer.text(`{"key":${JSON.stringify(key)},`)
  if (content === undefined) {
    // Of a newer release: kept as it is.
    writer.text(`"encoded":"${Buffer.from(encoded).toString('base64')}"`)
  } else {
    if (isTombstone(version)) writer.text('"deleted":true,')
    writer.content({ ...content, version: viewVersion(version) })
    writer.text(`,"seen":${JSON.stringify(Object.fromEntries(version.context.map(({ origin, counter }) => [origin, counter])))}`)
  }
  writer.text(`,"sum":"${sumOf(hash, encoded)}"}\n`)
}

const sumOf = (hash: Hash, encoded: Uint8Array): string => toHex(hash.sha256(encoded).subarray(0, SUM_BYTES))

const fault = (detail: string): JsonFault => ({ code: 'HS_INVALID_REQUEST', detail })

export function parseHead(text: string): VersionsHead | JsonFault {
  const parsed = parseJsonObject(text, 'the first line')
  if ('code' in parsed) return parsed
  const head: { readonly [name: string]: unknown } = { ...parsed.object }
  if (head['format'] !== VERSIONS_FORMAT)
    return fault('the first line is not that of exported versions: records are imported without --versions')
  if (head['format_version'] !== FORMAT_VERSION) {
    return fault(
      `the versions are in format ${JSON.stringify(head['format_version'])}, this agent reads ${FORMAT_VERSION}: use a newer one`,
    )
  }
  const { collection, generation, settings } = head
  if (typeof collection !== 'string' || !isCounter(generation) || typeof settings !== 'object' || settings === null) {
    return fault('the first line does not name a collection, its generation and its settings')
  }
  const set = Object.entries(settings).filter(([field, value]) => SETTING_FIELDS.some(known => known === field) && value !== null)
  return { collection, generation, settings: Object.fromEntries(set) }
}

/** The number in the last line; undefined: it is another line. */
export function parseTail(text: string): number | undefined {
  const count = /^\{"versions":(\d{1,15})\}$/.exec(text)?.[1]
  return count === undefined ? undefined : Number(count)
}

/** What a line says; the bytes are the version's, roughly. */
export function parseVersionLine(text: string, hash: Hash): (MergedVersion & { readonly bytes: number }) | JsonFault {
  const parsed = parseJsonObject(text, 'a version')
  if ('code' in parsed) return parsed
  const line: { readonly [name: string]: unknown } = { ...parsed.object }
  const { key, sum } = line
  if (typeof key !== 'string') return fault('a version has a key, a string')
  const unfit = keyFault(key)
  if (unfit !== undefined) return { code: 'HS_INVALID_KEY', detail: unfit }
  if (findJsonFault(text, 'vector')?.kind === 'depth') {
    return { code: 'HS_INVALID_PAYLOAD', detail: `a payload is nested at most ${JSON_DEPTH_MAX} levels deep` }
  }
  const isEncoded = typeof line['encoded'] === 'string'
  const version = isEncoded ? decodeVersion(Buffer.from(String(line['encoded']), 'base64')) : readVersion(line)
  if (version === undefined) return fault('it has not the form of a version')
  if (isEncoded && !isOpaque(version) && decodeContent(version) !== undefined)
    return fault('only what this release does not understand is encoded')
  if (version.stamp.ms > STAMP_WALL_MS_MAX) return fault('its time is behind the year 9999')
  if (version.body.length > 2 * PAYLOAD_BYTES_MAX)
    return { code: 'HS_TOO_LARGE', detail: `a version has at most ${2 * PAYLOAD_BYTES_MAX} bytes` }
  const encoded = encodeVersion(version)
  if (sumOf(hash, encoded) !== sum) return fault('the version was changed since it was exported: its sum is another one')
  // As replicas read it, whatever was in the line besides.
  const exact = decodeVersion(encoded)
  return exact === undefined ? fault('it has not the form of a version') : { key, version: exact, bytes: encoded.length }
}

const isCounter = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1
const isMember = (value: unknown, max: number): value is number => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= max
const isOrigin = (value: unknown): value is string => typeof value === 'string' && fromHex(value)?.length === 16

function readVersion(line: { readonly [name: string]: unknown }): Version | undefined {
  const { version, seen, deleted, payload, data, content_type: contentType, vector } = line
  if (typeof version !== 'object' || version === null || typeof seen !== 'object' || seen === null) return undefined
  const { origin, counter, time, tick, trusted_time: isTrusted }: Partial<Record<keyof VersionJson, unknown>> = version
  if (!isOrigin(origin) || !isCounter(counter) || !isMember(time, 2 ** 48 - 1) || !isMember(tick, 2 ** 16 - 1)) return undefined
  const context: Dot[] = []
  for (const [seenOrigin, seenCounter] of Object.entries(seen)) {
    if (!isOrigin(seenOrigin) || !isCounter(seenCounter) || context.length === CONTEXT_ENTRIES_MAX) return undefined
    context.push({ origin: seenOrigin, counter: seenCounter })
  }
  context.sort((a, b) => (a.origin < b.origin ? -1 : 1))
  const content = encodeContent({
    ...(payload === undefined ? {} : { payload: Buffer.from(JSON.stringify(payload)) }),
    ...(typeof data === 'string' ? { data: Buffer.from(data, 'base64'), contentType: String(contentType) } : {}),
    ...(isNumbers(vector) ? { vector: new Uint8Array(Float32Array.from(vector).buffer) } : {}),
  })
  const flags = content.flags | (isTrusted === true ? FLAG_TRUSTED_TIME : 0) | (deleted === true ? FLAG_TOMBSTONE : 0)
  return { flags, origin, counter, stamp: { ms: time, tick }, context, body: content.body }
}

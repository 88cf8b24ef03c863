/** Records as clients send them: from JSON text to the content of a write. */
import type { WriteContent } from '../../sync/replica.ts'
import { CONTENT_TYPE_BYTES_MAX } from '../../sync/content.ts'
import type { ErrorCode } from '../errors.ts'
import { isNumbers, parseJsonObject, quoteName, type JsonFault } from './json-object.ts'
import { JSON_DEPTH_MAX, restateMember } from '../json-text.ts'

export interface RecordInput {
  readonly key: string | undefined
  readonly content: WriteContent
  /** Bytes of the content, roughly. */
  readonly bytes: number
}

const fault = (code: ErrorCode, detail: string): JsonFault => ({ code, detail })

export const isFault = (value: object): value is JsonFault => 'code' in value

type Member = 'key' | 'payload' | 'data' | 'content_type' | 'vector'
const MEMBERS: ReadonlySet<string> = new Set<Member>(['key', 'payload', 'data', 'content_type', 'vector'])
const isMember = (name: string): name is Member => MEMBERS.has(name)
/** Exported lines carry it; what is written here gets a version of its own. */
const PASSED_OVER = 'version'
/** Lines of exported versions have these. */
const OF_VERSIONS: ReadonlySet<string> = new Set(['format', 'seen', 'sum', 'deleted', 'versions'])

/**
 * Reads one record, `{key?, payload?, vector?}` or `{key?, data, content_type, vector?}`. `keyIn` says where its key comes from: with
 * `path` the record itself must not name one; a line of a bulk write may be one of an export, whose version is passed over. The payload's bytes are made here, once; what they hold is what every replica keeps.
 */
export function parseRecord(text: string, keyIn: 'path' | 'record'): RecordInput | JsonFault {
  const parsed = parseJsonObject(text, 'a record')
  if (isFault(parsed)) return parsed
  const record: { [member in Member]?: unknown } = parsed.object
  // Object.keys also names a member called __proto__, which JSON.parse keeps as plain data.
  for (const name of Object.keys(parsed.object)) {
    if (isMember(name) || (name === PASSED_OVER && keyIn === 'record')) continue
    const hint = OF_VERSIONS.has(name) && keyIn === 'record' ? ': what was exported with --versions is imported with it' : ''
    return fault('HS_INVALID_REQUEST', `a record has no field ${quoteName(name)}${hint}`)
  }
  if (record.key !== undefined && keyIn === 'path') return fault('HS_INVALID_REQUEST', 'the key is in the path, not in the body')
  if (record.key !== undefined && typeof record.key !== 'string') return fault('HS_INVALID_KEY', 'a key is a string')

  const { payload, data, content_type: contentType, vector } = record
  if (vector !== undefined && !isNumbers(vector)) return fault('HS_INVALID_VECTOR', 'a vector is an array of numbers')
  const vectorPart = vector === undefined ? {} : { vector }
  const vectorBytes = vector === undefined ? 0 : vector.length * 4
  if (data === undefined) {
    if (contentType !== undefined) return fault('HS_INVALID_PAYLOAD', 'content_type goes with data; a payload is always JSON')
    if (payload === undefined) return { key: record.key, content: vectorPart, bytes: vectorBytes }
    const kept = restateMember(text, 'payload' satisfies Member, payload, 'vector' satisfies Member)
    if (typeof kept !== 'string') {
      const detail = kept.kind === 'depth' ? `a payload is nested at most ${JSON_DEPTH_MAX} levels deep` : alteredDetail(kept.number)
      return fault('HS_INVALID_PAYLOAD', detail)
    }
    const payloadBytes = Buffer.from(kept)
    return { key: record.key, content: { payload: payloadBytes, ...vectorPart }, bytes: payloadBytes.length + vectorBytes }
  }
  if (payload !== undefined) return fault('HS_INVALID_PAYLOAD', 'a record has a payload or data, not both')
  const dataBytes = typeof data === 'string' ? decodeBase64(data) : undefined
  if (dataBytes === undefined) return fault('HS_INVALID_PAYLOAD', 'data is a string of padded base64 (RFC 4648, section 4)')
  if (typeof contentType !== 'string' || !isMediaType(contentType)) {
    return fault(
      'HS_INVALID_PAYLOAD',
      `data needs a content_type: a media type such as image/jpeg, of at most ${CONTENT_TYPE_BYTES_MAX} bytes`,
    )
  }
  return { key: record.key, content: { data: dataBytes, contentType, ...vectorPart }, bytes: dataBytes.length + vectorBytes }
}

function alteredDetail(number: string): string {
  const shown = number.length > 60 ? `${number.slice(0, 60)}…` : number
  return `the number ${shown} would be stored as ${String(Number(number))}; send it as a string, or with fewer digits`
}

/** Strict: padded, of the standard alphabet, without stray bits at the end. */
function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
/** RFC 9110, section 8.3.1: type/subtype and parameters. */
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}( *; *${TOKEN}=(${TOKEN}|"[ !#-\\[\\]-~]*"))*$`)

const isMediaType = (text: string): boolean => text.length <= CONTENT_TYPE_BYTES_MAX && MEDIA_TYPE.test(text)

/** Records as clients get them. Stored payload bytes go into the JSON text as they are: never parsed, never made again. */
import type { Change, RecordView, VersionView } from '../../sync/replica.ts'

export interface VersionJson {
  readonly origin: string
  readonly counter: number
  /** Unix milliseconds. */
  readonly time: number
  readonly tick: number
  readonly trusted_time: boolean
}

export function toVersionJson({ origin, counter, timeMs, tick, trustedTime }: VersionView): VersionJson {
  return { origin, counter, time: timeMs, tick, trusted_time: trustedTime }
}

type VersionContent = Omit<RecordView, 'key' | 'etag' | 'conflicts'>

/** Collects JSON text in pieces, of which some are stored bytes, and puts them together once. */
export interface JsonWriter {
  text(text: string): void
  record(record: RecordView): void
  /** The members of a version, without the braces. */
  content(version: VersionContent): void
  /** One change of the feed, on one line. `cursor` is its place there. */
  change(cursor: string, change: Change): void
  /** Bytes of records so far, roughly: payloads are exact, the rest counts one byte a character. */
  readonly length: number
  finish(): Buffer
}

export function createJsonWriter(): JsonWriter {
  const parts: Uint8Array[] = []
  let pending = ''
  let length = 0

  const text = (piece: string): void => {
    pending += piece
    length += piece.length
  }
  const bytes = (piece: Uint8Array): void => {
    parts.push(Buffer.from(pending), piece)
    pending = ''
    length += piece.length
  }
  /** The members of a version, without the braces. */
  const content = ({ payload, data, contentType, vector, version }: VersionContent): void => {
    if (payload !== undefined) {
      text('"payload":')
      bytes(payload)
      text(',')
    } else if (data !== undefined) {
      text(`"data":"${asBuffer(data).toString('base64')}","content_type":${JSON.stringify(contentType ?? '')},`)
    }
    if (vector !== undefined) text(`"vector":[${readVector(vector).join(',')}],`)
    text(`"version":${JSON.stringify(toVersionJson(version))}`)
  }

  /** The members of a record, without the braces. */
  const members = (record: RecordView): void => {
    text(`"key":${JSON.stringify(record.key)},`)
    content(record)
    if (record.conflicts !== undefined && record.conflicts.length > 0) {
      text(',"conflicts":[')
      for (const [i, conflict] of record.conflicts.entries()) {
        text(i === 0 ? '{' : ',{')
        content(conflict)
        text('}')
      }
      text(']')
    }
  }

  return {
    text,
    content,
    record(record) {
      text('{')
      members(record)
      text('}')
    },
    change(cursor, change) {
      text(`{"cursor":"${cursor}","kind":"${change.kind}","collection":"${change.collection}",`)
      if (change.key === undefined) text(`"generation":${change.generation}`)
      else if (change.record === undefined) text(`"key":${JSON.stringify(change.key)}`)
      else {
        members(change.record)
        text(`,"etag":"${change.record.etag}"`)
      }
      text('}')
    },
    get length() {
      return length
    },
    finish: () => Buffer.concat([...parts, Buffer.from(pending)]),
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Little-endian float32. */
function readVector(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const numbers = new Float32Array(bytes.byteLength / 4)
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(i * 4, true)
  return numbers
}

/** What a record holds, in a few words for a table. */
import { formatText, missing } from './words.ts'

/** Of a payload, in characters. */
const payloadShownMax = 200

export function formatContent(record: Readonly<Record<string, unknown>>): string {
  const { payload, data, content_type: contentType, vector } = record
  if (typeof data === 'string') return `${formatText(contentType)}, ${Buffer.byteLength(data, 'base64')} bytes`
  if (payload !== undefined) return JSON.stringify(payload).slice(0, payloadShownMax)
  return Array.isArray(vector) ? `vector of ${vector.length}` : missing
}

/** Records as a robot makes them: 200 bytes of JSON each, keys in the order of time. The same seed gives the same records. */
import { createSeededRandom } from '../test/seeded-random.ts'

export interface MadeRecord {
  readonly key: string
  /** JSON text in UTF-8. */
  readonly payload: Uint8Array
}

export const PAYLOAD_BYTES = 200

/** Keys of one prefix grow with their numbers. */
export const recordKey = (prefix: string, i: number): string => `${prefix}/${String(i).padStart(8, '0')}`

/** `prefix` begins every key: records of different rounds are different keys. */
export function makeRecords(count: number, prefix: string, seed = 1): MadeRecord[] {
  const random = createSeededRandom(seed)
  const reading = (): number => Math.round(random.fraction() * 2e6 - 1e6) / 1e5
  return Array.from({ length: count }, (_, i): MadeRecord => {
    const body = {
      t: 1_248_272_272_000 + i * 15,
      frame: 'base_link',
      accel: [reading(), reading(), reading()],
      gyro: [reading(), reading(), reading()],
      pose: { x: reading(), y: reading(), heading: reading() },
      note: '',
    }
    const missing = PAYLOAD_BYTES - JSON.stringify(body).length
    return {
      key: recordKey(prefix, i),
      payload: Buffer.from(JSON.stringify({ ...body, note: 'n'.repeat(missing) })),
    }
  })
}

/** The same records in another order, the same one for the same seed. */
export function shuffle<T>(items: readonly T[], seed = 1): T[] {
  const random = createSeededRandom(seed)
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i--) {
    const k = Math.floor(random.fraction() * (i + 1))
    ;[shuffled[i], shuffled[k]] = [shuffled[k]!, shuffled[i]!]
  }
  return shuffled
}

export function inGroups<T>(items: readonly T[], size: number): T[][] {
  const groups: T[][] = []
  for (let at = 0; at < items.length; at += size) groups.push(items.slice(at, at + size))
  return groups
}

const ndjsonChunkBytes = 64 * 1024

/** The records as lines of NDJSON, in chunks of about 64 KiB. */
export function toNdjson(records: readonly MadeRecord[]): Buffer[] {
  const chunks: Buffer[] = []
  let text = ''
  for (const { key, payload } of records) {
    text += `{"key":${JSON.stringify(key)},"payload":${Buffer.from(payload).toString()}}\n`
    if (text.length < ndjsonChunkBytes) continue
    chunks.push(Buffer.from(text))
    text = ''
  }
  return [...chunks, Buffer.from(text)]
}

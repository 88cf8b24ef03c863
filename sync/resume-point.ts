/**
 * A resume point as a row (R5): where an interrupted tail stands, so that the next session sends at most one frame again.
 * Layout: position dot(24), then the target vector, origin(16) counter(8) each.
 */
import type { VersionVector } from './dot.ts'
import type { ResumePoint } from './replica-snapshot.ts'
import { cursorRow } from './rows.ts'
import type { StoreReader } from './store.ts'
import { DOT_BYTES, readDot, writeDot } from './version.ts'

export function encodeResumePoint(point: ResumePoint): Uint8Array {
  const bytes = new Uint8Array(DOT_BYTES * (1 + point.target.size))
  writeDot(bytes, 0, point.position)
  let at = DOT_BYTES
  for (const [origin, counter] of point.target) {
    writeDot(bytes, at, { origin, counter })
    at += DOT_BYTES
  }
  return bytes
}

function decodeResumePoint(bytes: Uint8Array): ResumePoint | undefined {
  if (bytes.length < DOT_BYTES || bytes.length % DOT_BYTES !== 0) return undefined
  const target = new Map<string, number>()
  for (let at = DOT_BYTES; at < bytes.length; at += DOT_BYTES) {
    const { origin, counter } = readDot(bytes, at)
    target.set(origin, counter)
  }
  return { position: readDot(bytes, 0), target: target satisfies VersionVector }
}

/** Where the tail from `senderStore` stands, if it was interrupted. */
export function readResumePoint(reader: StoreReader, cid: number, senderStore: Uint8Array): ResumePoint | undefined {
  const value = reader.get(cursorRow(cid, senderStore))
  return value && decodeResumePoint(value)
}

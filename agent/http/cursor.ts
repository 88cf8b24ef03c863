/**
 * Listing cursors: where a page ended, and a check of the range that it belongs to. Opaque to clients.
 * Layout: 8 bytes of a hash of the range, then the last key in UTF-8; as base64url.
 */
import { createHash } from 'node:crypto'
import { keyFault } from '../../sync/key.ts'
import type { RecordRange } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { decodeText } from './body.ts'

const CHECK_BYTES = 8

export function encodeCursor(collection: string, range: RecordRange, key: string): string {
  return Buffer.concat([checkOf(collection, range), Buffer.from(key)]).toString('base64url')
}

/** The key behind which the listing goes on. Throws HS_INVALID_CURSOR for anything that this listing did not make. */
export function decodeCursor(collection: string, range: RecordRange, cursor: string): string {
  const bytes = Buffer.from(cursor, 'base64url')
  const key = decodeText(bytes.subarray(CHECK_BYTES))
  if (key === undefined || keyFault(key) !== undefined || bytes.toString('base64url') !== cursor) {
    throw new AgentError('HS_INVALID_CURSOR', 'the cursor is not one')
  }
  if (!bytes.subarray(0, CHECK_BYTES).equals(checkOf(collection, range))) {
    throw new AgentError('HS_INVALID_CURSOR', 'the cursor belongs to a listing with another collection, prefix, from, to or reverse')
  }
  return key
}

function checkOf(collection: string, { prefix, from, to, reverse }: RecordRange): Buffer {
  const range = JSON.stringify([collection, prefix ?? null, from ?? null, to ?? null, reverse === true])
  return createHash('sha256').update(range).digest().subarray(0, CHECK_BYTES)
}

/**
 * Acknowledged vectors (R7): what an enrolled replica is known to hold durably of a collection, and under which roster it said so. They
 * are exchanged beside the data, passed on by those who have heard them, and never part of any digest.
 *
 * Row: roster hash(8), then per origin, ascending: origin(16) counter(8).
 */
import { concatBytes, equalBytes, toHex } from '../base/bytes.ts'
import { eachRow } from './collection-state.ts'
import { coversVector, type Origin, type VersionVector } from './dot.ts'
import { ROSTER_HASH_BYTES } from './roster.ts'
import { acknowledgementsOf, storeAtOfAcknowledgementRow } from './rows.ts'
import type { StoreReader } from './store.ts'
import { DOT_BYTES, readDot, vectorBytes } from './version.ts'

/** Acknowledgements of others in one message, and entries of all their vectors together. What does not fit goes another time. */
export const ACKNOWLEDGEMENTS_MAX = 256
export const ACKNOWLEDGED_ENTRIES_MAX = 8_192

export interface Acknowledgement {
  readonly storeId: string
  /** 8 bytes. */
  readonly rosterHash: Uint8Array
  readonly vector: VersionVector
}

export function encodeAcknowledgement({ rosterHash, vector }: Acknowledgement): Uint8Array {
  return concatBytes(rosterHash, vectorBytes(vector))
}

export function decodeAcknowledgement(storeId: string, value: Uint8Array): Acknowledgement {
  const vector = new Map<Origin, number>()
  for (let at = ROSTER_HASH_BYTES; at + DOT_BYTES <= value.length; at += DOT_BYTES) {
    const { origin, counter } = readDot(value, at)
    vector.set(origin, counter)
  }
  return { storeId, rosterHash: value.slice(0, ROSTER_HASH_BYTES), vector }
}

/** As many as one message may carry. */
export function boundAcknowledgements(known: readonly Acknowledgement[]): Acknowledgement[] {
  let entries = 0
  return known.slice(0, ACKNOWLEDGEMENTS_MAX).filter(({ vector }) => (entries += vector.size) <= ACKNOWLEDGED_ENTRIES_MAX)
}

/** Whether `next` tells more than `known`: vectors of one store only grow, so an older one is an acknowledgement that came late. */
export function isNewer(next: Acknowledgement, known: Acknowledgement): boolean {
  if (!coversVector(next.vector, known.vector)) return false
  return !coversVector(known.vector, next.vector) || !equalBytes(next.rosterHash, known.rosterHash)
}

export async function loadAcknowledgements(reader: StoreReader, cid: number): Promise<Acknowledgement[]> {
  const loaded: Acknowledgement[] = []
  await eachRow(reader, acknowledgementsOf(cid), ([row, value]) => {
    loaded.push(decodeAcknowledgement(toHex(row.subarray(storeAtOfAcknowledgementRow)), value))
  })
  return loaded
}

/**
 * Up to where tombstones are causally stable: every enrolled replica has acknowledged it under this roster, and the own vector covers
 * all that they have acknowledged. Undefined while that does not hold.
 */
export function stableVector(
  own: { readonly storeId: string; readonly vector: VersionVector },
  roster: { readonly enrolled: readonly string[]; readonly hash: Uint8Array },
  acknowledgements: readonly Acknowledgement[],
): VersionVector | undefined {
  if (!roster.enrolled.includes(own.storeId)) return undefined
  const stable = new Map(own.vector)
  for (const storeId of roster.enrolled) {
    if (storeId === own.storeId) continue
    const acknowledgement = acknowledgements.find(candidate => candidate.storeId === storeId)
    if (acknowledgement === undefined || !equalBytes(acknowledgement.rosterHash, roster.hash)) return undefined
    if (!coversVector(own.vector, acknowledgement.vector)) return undefined
    for (const [origin, counter] of stable) {
      const acknowledged = acknowledgement.vector.get(origin) ?? 0
      if (acknowledged === 0) stable.delete(origin)
      else if (acknowledged < counter) stable.set(origin, acknowledged)
    }
  }
  return stable
}

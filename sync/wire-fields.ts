/** Fields of messages as they come off the wire: what is not of its type, length and range is malformed. */
import { readU64, toHex } from '../base/bytes.ts'
import type { Dot } from './dot.ts'
import { nameFault } from './key.ts'
import { SYSTEM_COLLECTION } from './settings.ts'

/** Thrown here, caught by whoever decodes a message. */
export class Malformed extends Error {}

export const isArray: (value: unknown) => value is readonly unknown[] = Array.isArray

export function list(value: unknown, itemsMax: number): readonly unknown[] {
  if (!isArray(value) || value.length > itemsMax) throw new Malformed()
  return value
}

export function text(value: unknown, charactersMax: number): string {
  if (typeof value !== 'string' || value.length > charactersMax) throw new Malformed()
  return value
}

/** A name that a replica may hold: checked before anything is made for it. */
export function collectionName(value: unknown): string {
  const name = text(value, 64)
  if (name !== SYSTEM_COLLECTION && nameFault(name) !== undefined) throw new Malformed()
  return name
}

export function octets(value: unknown, length: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw new Malformed()
  return value
}

/** A clock: 8 bytes, big-endian. */
export function clock(value: unknown): number {
  const number = readU64(octets(value, 8))
  if (number === undefined) throw new Malformed()
  return number
}

/** A CBOR integer, from 2^32 on as a float64: most are small. */
export function count(value: unknown): number {
  return small(value, Number.MAX_SAFE_INTEGER) + 0
}

/** Counters begin at 1: an entry of 0 says nothing and is not sent. */
export function positive(value: unknown): number {
  const number = count(value)
  if (number === 0) throw new Malformed()
  return number
}

export function small(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) throw new Malformed()
  return value
}

export function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Malformed()
  return value
}

export function dot(origin: unknown, counter: unknown): Dot {
  return { origin: toHex(octets(origin, 16)), counter: count(counter) }
}

/** A field that earlier versions do not send. */
export const optional = <Value>(value: unknown, absent: Value, read: (value: unknown) => Value): Value =>
  value === undefined ? absent : read(value)

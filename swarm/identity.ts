/**
 * Who sends: a node id (a UUID, for life) and a boot id (one run of that node's process).
 *
 * A boot id is 8 bytes, as text 16 lower-case hexadecimal digits: the persisted boot counter (u32), then 4 random bytes. It grows
 * from boot to boot, so text order is boot order; the random part tells apart two copies of one SD card that count the same.
 */
import { assert } from '../base/assert.ts'
import { fromHex, toHex } from '../base/bytes.ts'
import type { Random } from '../base/ports.ts'

export type NodeId = string
export type BootId = string

export const BOOT_COUNTER_MAX = 0xffff_ffff

/** 16 bytes; undefined when the text is no UUID in lower case. */
export function parseNodeId(text: string): Uint8Array | undefined {
  if (text.length !== 36 || text[8] !== '-' || text[13] !== '-' || text[18] !== '-' || text[23] !== '-') return undefined
  const hex = text.slice(0, 8) + text.slice(9, 13) + text.slice(14, 18) + text.slice(19, 23) + text.slice(24)
  return hex === hex.toLowerCase() ? fromHex(hex) : undefined
}

/** The UUID of 16 bytes. */
export function formatNodeId(bytes: Uint8Array): NodeId {
  const hex = toHex(bytes)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export function createBootId(bootCounter: number, random: Random): BootId {
  assert(Number.isInteger(bootCounter) && bootCounter >= 0 && bootCounter <= BOOT_COUNTER_MAX, 'the boot counter is a u32')
  return bootCounter.toString(16).padStart(8, '0') + toHex(random.bytes(4))
}

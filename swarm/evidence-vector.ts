/**
 * How long ago others had evidence of each member's life: what keeps the 30 s rule true in a swarm in which a node hears a given member
 * itself only every N / 2 periods.
 *
 * Source: the heartbeat tables of van Renesse, Minsky, Hayden, "A Gossip-Style Failure Detection Service" (1998), which merge by maximum.
 *
 * Departures: ages instead of counters, one byte each, and positions instead of names. The table of members is cut into ranges of keys of
 * about 64 members; a packet carries whole ranges, each with a fingerprint of the members in it. Where the receiver's fingerprint is the same,
 * the n-th byte is about its own n-th member; where it is not, the ages are passed over, and a difference that stays is repaired by an
 * exchange of members (member-exchange.ts). 1,000 members take 1.1 bytes each, against 26 for id, boot and counter.
 *
 * One range, repeated to the end of the byte string:
 *
 * | bytes | field |
 * |---|---|
 * | 2 | leading `splitBits` bits of the keys in it |
 * | 4 | fingerprint: sum of the 32-bit tags of its members modulo 2^32, the sender and the receiver included |
 * | 1 | n, number of its members |
 * | n | age in eighths of a second, rounded up; 255: older |
 *
 * Budget (docs/protocol.md): a packet carries at most 500 bytes of ages, 7 of 16 ranges at N = 1,000. A node sends two such packets a
 * period (a ping and an ack) and receives as many, so evidence that one node has spreads by a factor of 1 + 2 * 7/16 a period and reaches
 * all in log(N) / log(1.9) + ln(N) / 0.9 = 11 + 7 periods at worst; each member gives fresh evidence twice a period.
 *
 * Invariant M9: an age only grows on its way, so nothing that was heard of a node can keep it listed 30 s after its last sign of life
 * (apart from the time that packets spend on the way).
 */
import { concatBytes, createByteWriter, readU32 } from '../base/bytes.ts'
import type { Random } from '../base/ports.ts'
import type { EvidenceTable } from './evidence-table.ts'
import { cborHead } from './message-fields.ts'

const UNIT_MS = 125
const AGE_NONE = 255
const RANGE_HEAD_BYTES = 7
/** Kind, number of bits, and the head of the byte string. */
const MESSAGE_HEAD_BYTES = 6
const RANGE_MEMBERS = 64
const RANGE_MEMBERS_MAX = 255

/** Leading bits of the keys by which this many members are cut into ranges of at most about 64. */
export function splitBitsOf(members: number): number {
  return Math.max(0, Math.ceil(Math.log2(members / RANGE_MEMBERS)))
}

/** First and last key of a range. */
export function rangeOf(index: number, splitBits: number): { readonly from: number; readonly until: number } {
  const width = 2 ** (32 - splitBits)
  return { from: index * width, until: (index + 1) * width - 1 }
}

/** The message with as many ranges, drawn at random, as fit; undefined when none does. */
export function encodeEvidence(
  kind: number,
  table: EvidenceTable,
  bytesMax: number,
  nowMs: number,
  random: Random,
): Uint8Array | undefined {
  const splitBits = splitBitsOf(table.size())
  const ranges = 2 ** splitBits
  const first = Math.floor(random.fraction() * ranges)
  let left = bytesMax - MESSAGE_HEAD_BYTES
  const writer = createByteWriter(512)
  for (let i = 0; i < ranges && left > RANGE_HEAD_BYTES; i++) {
    const index = (first + i) % ranges
    const range = rangeOf(index, splitBits)
    const from = table.lowerBound(range.from)
    const to = table.lowerBound(range.until + 1)
    const length = RANGE_HEAD_BYTES + to - from
    if (length > left || to - from > RANGE_MEMBERS_MAX) continue
    left -= length
    writer
      .u16(index)
      .u32(table.fingerprint(from, to))
      .u8(to - from)
    for (let slot = from; slot < to; slot++) writer.u8(ageOf(nowMs - table.evidenceMs(slot)))
  }
  if (writer.length === 0) return undefined
  return concatBytes(Uint8Array.of(0x83, kind, splitBits), cborHead(2, writer.length), writer.finish())
}

function ageOf(ageMs: number): number {
  return Math.min(AGE_NONE, Math.max(0, Math.ceil(ageMs / UNIT_MS)))
}

/** Takes the ages that are about our own members, and calls `onDifference` for ranges whose members differ. False when malformed. */
export function applyEvidence(
  message: { readonly splitBits: number; readonly ages: Uint8Array },
  table: EvidenceTable,
  nowMs: number,
  onRange: (from: number, until: number, same: boolean) => void,
): boolean {
  const { splitBits, ages } = message
  if (splitBits > 16) return false
  let at = 0
  while (at < ages.length) {
    if (at + RANGE_HEAD_BYTES > ages.length) return false
    const index = ages[at]! * 256 + ages[at + 1]!
    const fingerprint = readU32(ages, at + 2)
    const count = ages[at + 6]!
    at += RANGE_HEAD_BYTES
    if (index >= 2 ** splitBits || at + count > ages.length) return false
    const range = rangeOf(index, splitBits)
    const from = table.lowerBound(range.from)
    const to = table.lowerBound(range.until + 1)
    const same = to - from === count && table.fingerprint(from, to) === fingerprint
    if (same) {
      for (let i = 0; i < count; i++) {
        const age = ages[at + i]!
        if (age !== AGE_NONE) table.hear(from + i, nowMs - age * UNIT_MS)
      }
    }
    onRange(range.from, range.until, same)
    at += count
  }
  return true
}

/** Generators of versions as honest replicas make them, with clocks that are skewed by years (P6). */
import * as fc from 'fast-check'
import { contextOver, mergeEntries, stampOver, type Entry } from '../../../sync/entry.ts'
import { createHlc, STAMP_ZERO } from '../../../sync/hlc.ts'
import type { ConflictPolicy } from '../../../sync/replica.ts'
import { FLAG_PAYLOAD, FLAG_TOMBSTONE, type Version } from '../../../sync/version.ts'

const ORIGINS = ['a', 'b', 'c', 'd'].map(letter => letter.repeat(32))
const YEAR_MS = 365 * 24 * 3600 * 1000

type Step =
  | { readonly kind: 'write'; readonly by: number; readonly isDelete: boolean; readonly wallMs: number }
  | { readonly kind: 'merge'; readonly to: number; readonly from: number }

const replica = fc.nat({ max: ORIGINS.length - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    by: replica,
    isDelete: fc.boolean(),
    // 1970, now, a year ahead, the end of time.
    wallMs: fc.oneof(fc.nat({ max: 5 }), fc.integer({ min: 1.7e12, max: 1.7e12 + 5 }), fc.constant(1.7e12 + YEAR_MS), fc.constant(2 ** 47)),
  }),
  fc.record({ kind: fc.constant('merge' as const), to: replica, from: replica }),
)

export interface History {
  /** Entries that replicas held at some moment. */
  readonly entries: readonly Entry[]
  /** Every version ever made, in order of making. */
  readonly versions: readonly Version[]
}

/** A history of one key on four replicas that write, delete and merge in any order. */
export function histories(policy: ConflictPolicy): fc.Arbitrary<History> {
  return fc.array(step, { minLength: 1, maxLength: 30 }).map(steps => runHistory(steps, policy))
}

function runHistory(steps: readonly Step[], policy: ConflictPolicy): History {
  const held: (Entry | undefined)[] = ORIGINS.map(() => undefined)
  const clocks = ORIGINS.map(() => createHlc(STAMP_ZERO, 60_000))
  const counters = ORIGINS.map(() => 0)
  const entries: Entry[] = []
  const versions: Version[] = []
  for (const step of steps) {
    const target = step.kind === 'write' ? step.by : step.to
    let after: Entry | undefined
    if (step.kind === 'write') {
      const before = held[step.by]
      const version: Version = {
        flags: step.isDelete ? FLAG_TOMBSTONE : FLAG_PAYLOAD,
        origin: ORIGINS[step.by]!,
        counter: (counters[step.by]! += 1),
        stamp: stampOver(before, clocks[step.by]!.now(step.wallMs), STAMP_ZERO),
        context: contextOver(before),
        body: step.isDelete ? new Uint8Array(0) : Uint8Array.of(0x31),
      }
      versions.push(version)
      after = mergeEntries(before, [version], policy)
    } else {
      const from = held[step.from]
      after = from === undefined ? held[step.to] : mergeEntries(held[step.to], from, policy)
    }
    if (after !== undefined) entries.push(after)
    held[target] = after
  }
  return { entries, versions }
}

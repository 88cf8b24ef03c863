import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contextOver, decodeEntry, encodeEntry, mergeEntries, stampOver, type Entry } from '../../../sync/entry.ts'
import { compareStamps, nextStamp, STAMP_ZERO } from '../../../sync/hlc.ts'
import type { ConflictPolicy } from '../../../sync/replica.ts'
import { compareVersions, decodeVersion, encodeVersion, FLAG_PAYLOAD, supersedes, type Version } from '../../../sync/version.ts'
import { histories } from './versions.ts'

const policies: readonly ConflictPolicy[] = ['lww', 'siblings', 'append']
const dots = (entry: Entry): string[] => entry.map(({ origin, counter }) => `${origin}:${counter}`)

/** Three entries that existed somewhere in one history. */
const threeOf = (policy: ConflictPolicy) =>
  histories(policy)
    .filter(({ entries }) => entries.length > 0)
    .chain(({ entries }) => fc.tuple(fc.constantFrom(...entries), fc.constantFrom(...entries), fc.constantFrom(...entries)))

describe.each(policies)('merge under %s', policy => {
  const merge = (a: Entry, b: Entry): Entry => mergeEntries(a, b, policy)

  it('E1 is commutative', () => {
    fc.assert(
      fc.property(threeOf(policy), ([a, b]) => {
        expect(merge(a, b)).toEqual(merge(b, a))
      }),
    )
  })

  it('E1 is associative', () => {
    fc.assert(
      fc.property(threeOf(policy), ([a, b, c]) => {
        expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)))
      }),
    )
  })

  it('E1 is idempotent, and says so by returning the very same entry', () => {
    fc.assert(
      fc.property(threeOf(policy), ([a, b]) => {
        expect(merge(merge(a, b), b)).toEqual(merge(a, b))
      }),
    )
    fc.assert(
      fc.property(threeOf(policy), ([a]) => {
        expect(merge(a, [...a])).toBe(a)
      }),
    )
  })

  it('E2 a version whose writer had seen another always wins over it, whatever the clocks say (P6)', () => {
    fc.assert(
      fc.property(histories(policy), ({ versions }) => {
        for (const later of versions) {
          for (const earlier of versions.filter(version => supersedes(later, version))) {
            expect(compareVersions(later, earlier)).toBe(1)
            expect(dots(merge([earlier], [later]))).toEqual(dots([later]))
          }
        }
      }),
    )
  })

  it('ends byte-identical in whatever order all versions arrive', () => {
    const shuffled = histories(policy)
      .filter(({ versions }) => versions.length > 0)
      .chain(({ versions }) => fc.tuple(fc.constant(versions), fc.shuffledSubarray([...versions], { minLength: versions.length })))
    fc.assert(
      fc.property(shuffled, ([inOrder, anyOrder]) => {
        const fold = (versions: readonly Version[]): Entry =>
          versions.reduce<Entry | undefined>((entry, version) => mergeEntries(entry, [version], policy), undefined)!
        expect(encodeEntry(fold(anyOrder))).toEqual(encodeEntry(fold(inOrder)))
      }),
    )
  })
})

describe('what merge leaves', () => {
  it('E3 lww leaves the one greatest version, unaltered', () => {
    fc.assert(
      fc.property(threeOf('lww'), ([a, b]) => {
        const merged = mergeEntries(a, b, 'lww')
        const greatest = [...a, ...b].reduce((best, version) => (compareVersions(version, best) > 0 ? version : best))
        expect(merged).toEqual([greatest])
      }),
    )
  })

  it('E4 siblings keeps every version that no other one has seen', () => {
    fc.assert(
      fc.property(threeOf('siblings'), ([a, b]) => {
        const all = [...a, ...b]
        const unseen = all.filter(version => !all.some(other => supersedes(other, version)))
        expect(new Set(dots(mergeEntries(a, b, 'siblings')))).toEqual(new Set(dots(unseen)))
      }),
    )
  })
})

describe('the stamp of a write', () => {
  const future: Version = {
    flags: FLAG_PAYLOAD,
    origin: 'a'.repeat(32),
    counter: 1,
    stamp: { ms: 5e12, tick: 65_535 },
    context: [],
    body: new Uint8Array(0),
  }

  it('R1 is above everything that it supersedes', () => {
    expect(compareStamps(stampOver([future], { ms: 5, tick: 0 }, STAMP_ZERO), future.stamp)).toBe(1)
    expect(contextOver([future])).toEqual([{ origin: future.origin, counter: 1 }])
  })

  it('R1 is above the greatest collected tombstone where the key has no entry', () => {
    const collected = { ms: 7e12, tick: 3 }
    expect(stampOver(undefined, { ms: 5, tick: 0 }, collected)).toEqual(nextStamp(collected))
  })

  it('is the clock itself where nothing stands above it', () => {
    expect(stampOver([future], { ms: 6e12, tick: 1 }, STAMP_ZERO)).toEqual({ ms: 6e12, tick: 1 })
  })
})

describe('the codecs of versions and entries', () => {
  it('read back what they wrote', () => {
    fc.assert(
      fc.property(histories('siblings'), ({ entries, versions }) => {
        for (const version of versions) expect(decodeVersion(encodeVersion(version))).toEqual(version)
        for (const entry of entries) expect(decodeEntry(encodeEntry(entry, 3), 3)).toEqual(entry)
      }),
    )
  })

  it('refuse any bytes that are not a version, without an exception', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), bytes => void decodeVersion(bytes)))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), bytes => void decodeEntry(bytes)))
    expect(decodeVersion(new Uint8Array(34))).toBeUndefined()
    expect(decodeEntry(new Uint8Array(0))).toBeUndefined()
  })

  it('refuse a context that is not ascending: one version has one encoding', () => {
    const dot = (letter: string) => ({ origin: letter.repeat(32), counter: 1 })
    const version: Version = {
      flags: 0,
      origin: 'c'.repeat(32),
      counter: 1,
      stamp: STAMP_ZERO,
      context: [dot('b'), dot('a')],
      body: new Uint8Array(0),
    }
    expect(decodeVersion(encodeVersion(version))).toBeUndefined()
  })
})

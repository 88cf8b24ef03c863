import { describe, expect, it } from 'vitest'
import { FULL_TERMS, lackOf, ownMark, readTerms, relate, termsFlags, voidedRanges, type Terms } from '../../../sync/partial.ts'
import { createRetentionState, lowerHorizon } from '../../../sync/retention-state.ts'

const origin = 'a'.repeat(32)
const vector = new Map([
  [origin, { counter: 100, run: '01'.repeat(8) }],
  ['b'.repeat(32), { counter: 7, run: '02'.repeat(8) }],
])
const own = (first: number, last: number, kept: number) => ({
  origins: [origin],
  runOf: (_: string, counter: number) => (counter <= 10 ? '00'.repeat(8) : '01'.repeat(8)),
  givenUp: new Map(first === 0 ? [] : [[origin, { first, last }]]),
  expired: new Map(),
  kept: new Map([[origin, kept]]),
  keptForGood: new Map(),
})
const markedTo = (known: number, writes: Parameters<typeof ownMark>[2]): number =>
  ownMark(vector, new Map([[origin, known]]), writes).get(origin)?.counter ?? 0

describe('the mark of a partial replica (R8, P2, P3)', () => {
  it('names its own origins alone', () => {
    expect([...ownMark(vector, new Map(), own(0, 0, 0)).keys()]).toEqual([origin])
    expect(markedTo(0, own(0, 0, 0))).toBe(100)
  })

  it('ends in front of the first that it gave up and the receiver does not know', () => {
    expect(markedTo(0, own(20, 50, 60))).toBe(19)
    expect(markedTo(19, own(20, 50, 60))).toBe(0)
    expect(markedTo(30, own(20, 50, 60))).toBe(0)
    expect(markedTo(0, own(1, 50, 60))).toBe(0)
  })

  it('goes on for who knows all that it gave up', () => {
    expect(markedTo(50, own(20, 50, 60))).toBe(100)
    expect(markedTo(70, own(20, 50, 60))).toBe(100)
  })

  it('goes over what nobody full has acknowledged: it is void', () => {
    expect(markedTo(0, own(20, 50, 19))).toBe(100)
    expect(markedTo(30, own(20, 50, 30))).toBe(100)
    // What somebody full has below is to be got from there first.
    expect(markedTo(0, own(20, 50, 30))).toBe(19)
  })

  it('carries the run of the counter at which it ends (R2)', () => {
    expect(ownMark(vector, new Map(), own(10, 50, 60)).get(origin)).toEqual({ counter: 9, run: '00'.repeat(8) })
  })

  it('goes over what has expired, unless somebody has it with whom nothing expires', () => {
    const expired = (first: number, last: number, forGood: number) => ({
      ...own(0, 0, 90),
      expired: new Map([[origin, { first, last }]]),
      keptForGood: new Map([[origin, forGood]]),
    })
    expect(markedTo(0, expired(20, 50, 0))).toBe(100)
    expect(markedTo(0, expired(20, 50, 60))).toBe(19)
  })

  it('R9 ends in front of what expired behind a horizon that was wrong: it is not gone for others', () => {
    const retention = createRetentionState()
    retention.horizonMs = 900
    retention.expired.set(origin, { first: 20, last: 50 })
    retention.dropped.set('ttl', 31)
    lowerHorizon(retention, 100)
    expect(retention).toMatchObject({ horizonMs: 100, hasGivenUp: true })
    expect(markedTo(0, { ...own(0, 0, 60), ...retention })).toBe(19)
    expect(markedTo(0, { ...own(0, 0, 10), ...retention })).toBe(100)
  })

  it('what is void is said as ranges', () => {
    expect(voidedRanges(own(20, 50, 30))).toEqual([{ origin, from: 30, to: 50 }])
    expect(voidedRanges(own(20, 50, 0))).toEqual([{ origin, from: 19, to: 50 }])
    expect(voidedRanges(own(20, 50, 50))).toEqual([])
  })
})

describe('what two replicas are to one another', () => {
  const terms = (change: Partial<Terms>): Terms => ({ ...FULL_TERMS, ...change })

  it('both sides come to the same answer', () => {
    const many = [
      {},
      { isPartial: true, isBounded: true },
      { isPartial: true, isRefilling: true },
      { isPartial: true, sends: false },
      { horizonMs: 1000, horizonMaxMs: 2000 },
      { horizonMs: 2000, horizonMaxMs: 3000 },
      { horizonMs: 9000, horizonMaxMs: 9500 },
    ].map(terms)
    for (const a of many) {
      for (const b of many) {
        const [here, there] = [relate(a, b), relate(b, a)]
        expect(here.isMinePartial).toBe(there.isTheirsPartial)
        expect(here.sends).toBe(there.receives)
        expect(here.isRefilling).toBe(there.isRefilling)
        const areFull = !here.isMinePartial && !here.isTheirsPartial
        expect(areFull ? here.horizonMs : there.horizonMs).toBe(there.horizonMs)
      }
    }
  })

  it('R9 a horizon is taken over when it is at most one step ahead; who is further is partial', () => {
    const mine = terms({ horizonMs: 1000, horizonMaxMs: 2000 })
    expect(relate(mine, terms({ horizonMs: 2000, horizonMaxMs: 3000 }))).toMatchObject({ horizonMs: 2000, isTheirsPartial: false })
    expect(relate(mine, terms({ horizonMs: 2001, horizonMaxMs: 3000 }))).toMatchObject({ horizonMs: 1000, isTheirsPartial: true })
    // Without a ttl, or a clock to be trusted, nothing is taken over.
    expect(relate(FULL_TERMS, terms({ horizonMs: 1, horizonMaxMs: 1000 }))).toMatchObject({ horizonMs: 0, isTheirsPartial: true })
  })

  it('R9 who is ahead of a peer that expires by its own clock tells it so: others may hold what has expired here', () => {
    const expiring = (horizonMs: number, horizonMaxMs: number): Terms => ({ ...FULL_TERMS, horizonMs, horizonMaxMs })
    expect(relate(expiring(900, 910), expiring(100, 110)).isAheadOfTheirs).toBe(true)
    expect(relate(expiring(100, 110), expiring(900, 910)).isAheadOfTheirs).toBe(false)
    expect(relate(expiring(105, 115), expiring(100, 110)).isAheadOfTheirs).toBe(false)
    // An archive without a ttl, and a board whose clock nobody vouches for, would never get past the first that has expired for all.
    expect(relate(expiring(900, 910), FULL_TERMS).isAheadOfTheirs).toBe(false)
    expect(relate(expiring(900, 910), expiring(100, 100)).isAheadOfTheirs).toBe(false)
  })

  it('P4 who is bounded or partial lets nobody let go of anything', () => {
    const isKept = (theirs: Partial<Terms>): boolean => relate(terms({ isBounded: true }), terms(theirs)).isTheirsKept
    expect([isKept({}), isKept({ isBounded: true }), isKept({ isPartial: true }), isKept({ horizonMs: 5 })]).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  it('what a partial one lacks says nothing, but of one that is filled up again', () => {
    const relation = relate(FULL_TERMS, terms({ isPartial: true }))
    expect([lackOf(relation, 'mine'), lackOf(relation, 'theirs')]).toEqual(['judged', 'nothing'])
    expect(lackOf(relate(FULL_TERMS, terms({ isPartial: true, isRefilling: true })), 'theirs')).toBe('wanted')
  })

  it('a byte holds the flags', () => {
    for (let flags = 0; flags < 32; flags++) expect(termsFlags(readTerms(flags, 0, 0))).toBe(flags)
  })
})

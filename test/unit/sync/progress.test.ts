import * as fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { createRateMeter, createTailGauge, estimateBytes } from '../../../sync/progress.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import type { CollectionProgress } from '../../../sync/session.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { createTestLink, openTestReplica, put, syncPair } from '../../replica-pair.ts'

const origin = (i: number): string => i.toString(16).padStart(32, '0')
const vectorOf = (counters: readonly number[]): Map<string, number> =>
  new Map(counters.flatMap((counter, i) => (counter === 0 ? [] : [[origin(i), counter] as const])))

describe('what is left of a tail', () => {
  it('counts the writes that the other lacks, and falls dot by dot to nothing', () => {
    const counters = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 5, maxLength: 5 })
    fc.assert(
      fc.property(counters, counters, (theirs, mine) => {
        const gauge = createTailGauge(vectorOf(theirs), vectorOf(mine))
        const tail = mine.flatMap((counter, i) =>
          Array.from({ length: Math.max(0, counter - theirs[i]!) }, (_, k) => ({ origin: origin(i), counter: theirs[i]! + k + 1 })),
        )
        expect(gauge.total).toBe(tail.length)
        for (const [at, dot] of tail.entries()) expect(gauge.behind(dot)).toBe(tail.length - at - 1)
      }),
    )
  })

  it('is less where an interrupted tail goes on, and a position that nobody can hold gives no nonsense', () => {
    const [theirs, mine] = [vectorOf([0, 0, 0]), vectorOf([10, 10, 10])]
    const resume = { target: mine, position: { origin: origin(1), counter: 4 } }
    const gauge = createTailGauge(theirs, mine, resume)
    expect(gauge.total).toBe(16)
    expect(gauge.behind({ origin: origin(1), counter: 5 })).toBe(15)
    expect(gauge.behind({ origin: origin(2), counter: 2 ** 50 })).toBe(0)
    expect(gauge.behind({ origin: 'f'.repeat(32), counter: 1 })).toBe(0)
    expect(gauge.behind({ origin: origin(0), counter: 1 })).toBe(16)
  })

  it('of 65,536 origins is found at once', () => {
    const mine = new Map(Array.from({ length: 65_536 }, (_, i) => [origin(i), 3] as const))
    const startMs = performance.now()
    const gauge = createTailGauge(new Map(), mine)
    for (let i = 0; i < 1_000; i++) expect(gauge.behind({ origin: origin(i), counter: 3 })).toBe(3 * (65_535 - i))
    expect(performance.now() - startMs).toBeLessThan(10_000)
  })
})

describe('estimates', () => {
  it('bytes go by what has been moved, and are not known before', () => {
    expect(estimateBytes(10, 0, 500)).toBeUndefined()
    expect(estimateBytes(0, 0, 0)).toBe(0)
    expect(estimateBytes(10, 4, 400)).toBe(1_000)
  })

  it('a rate is that of the last ten seconds, and falls to nothing', () => {
    const meter = createRateMeter()
    expect(meter.rate(0)).toEqual({ recordsPerSecond: 0, bytesPerSecond: 0 })
    for (let at = 0; at <= 60_000; at += 100) meter.add(at, 10, 1_000)
    expect(meter.rate(60_000).recordsPerSecond).toBeGreaterThan(90)
    expect(meter.rate(60_000).recordsPerSecond).toBeLessThan(115)
    expect(meter.rate(65_000).recordsPerSecond).toBeLessThan(60)
    expect(meter.rate(90_000)).toEqual({ recordsPerSecond: 0, bytesPerSecond: 0 })
  })

  it('what came in one moment is no rate of thousands', () => {
    const meter = createRateMeter()
    meter.add(5, 100, 1_000)
    expect(meter.rate(6)).toEqual({ recordsPerSecond: 100, bytesPerSecond: 1_000 })
  })
})

describe('a session', () => {
  let a: OpenReplica
  let b: OpenReplica
  beforeEach(async () => {
    a = await openTestReplica(createMemoryStore(), 1)
    b = await openTestReplica(createMemoryStore(), 2)
  })

  it('P4 tells on both sides what is left, which never grows and ends at nothing', async () => {
    await a.write(Array.from({ length: 5_000 }, (_, i) => put('c', `k${i}`)))
    await b.write(Array.from({ length: 300 }, (_, i) => put('c', `other${i}`)))
    const told: CollectionProgress[] = []
    await syncPair(a, b, createTestLink(), { onProgress: progress => void told.push(progress) })
    for (const store of [a.storeId, b.storeId]) {
      const left = told
        .filter(({ name, peer, toSend }) => name === 'c' && peer.storeId === store && toSend !== undefined)
        .map(({ toSend = 0, toReceive = 0 }) => toSend + toReceive)
      expect(left.length).toBeGreaterThan(5)
      expect(left[0]).toBeLessThanOrEqual(5_300)
      expect(left[0]).toBeGreaterThan(4_000)
      expect(left).toEqual(left.toSorted((x, y) => y - x))
      expect(left.at(-1)).toBe(0)
    }
  })
})

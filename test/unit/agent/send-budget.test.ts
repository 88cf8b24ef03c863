import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSendBudget } from '../../../agent/send-budget.ts'

describe('what a link may send', () => {
  test('in any span of time is the rate and one burst, whatever the pieces and the pauses', () => {
    const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 70_000 }), pauseMs: fc.integer({ min: 0, max: 3_000 }) }), {
      minLength: 1,
      maxLength: 60,
    })
    fc.assert(
      fc.property(fc.integer({ min: 8, max: 1_000_000 }), steps, (kbps, sends) => {
        const budget = createSendBudget(kbps)
        const bytesPerMs = kbps / 8
        const gone: { atMs: number; bytes: number }[] = []
        let nowMs = 0
        for (const { bytes, pauseMs } of sends) {
          nowMs += pauseMs
          nowMs += budget.reserve(bytes, nowMs)
          gone.push({ atMs: nowMs, bytes })
        }
        for (let from = 0; from < gone.length; from++) {
          let sum = 0
          for (let to = from; to < gone.length; to++) {
            sum += gone[to]!.bytes
            // What is written at the end of a debt may be one piece more than was saved up before.
            const bound = (gone[to]!.atMs - gone[from]!.atMs) * bytesPerMs + budget.pieceBytes + gone[from]!.bytes
            expect(sum).toBeLessThanOrEqual(bound + 1)
          }
        }
      }),
    )
  })

  test('keeps up the rate: who always has something to send loses nothing to rounding', () => {
    const budget = createSendBudget(64)
    let nowMs = 0
    for (let sent = 0; sent < 800_000; sent += budget.pieceBytes) nowMs += budget.reserve(budget.pieceBytes, nowMs)
    // 800,000 bytes at 8 bytes a millisecond.
    expect(nowMs).toBeGreaterThan(99_000)
    expect(nowMs).toBeLessThan(101_000)
  })

  test.each([8, 64, 1_000, 100_000])('at %i kbit/s no piece waits longer than a second and a little', kbps => {
    const budget = createSendBudget(kbps)
    for (let i = 0, nowMs = 0; i < 100; i++) {
      const waitMs = budget.reserve(budget.pieceBytes, nowMs)
      expect(waitMs).toBeLessThanOrEqual(1_100)
      nowMs += waitMs
    }
  })

  test('P6 a clock that goes back gives nothing away and takes nothing', () => {
    const budget = createSendBudget(8)
    budget.reserve(budget.pieceBytes, 1_000)
    const waitMs = budget.reserve(1_000, 500)
    expect(waitMs).toBe(1_000)
    expect(budget.reserve(0, 1_000)).toBe(1_000)
    expect(budget.reserve(0, 2_000)).toBe(0)
  })
})

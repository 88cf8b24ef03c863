import { describe, expect, it } from 'vitest'
import { createXorReplica, syncXorReplicas, type XorItem, type XorReplica } from '../../../bench/xor-buckets.ts'

const itemOf = (id: number, more: Partial<XorItem> = {}): XorItem => ({
  id,
  vector: Float32Array.of(id, 1, 2, 3),
  payload: 'as at first',
  written: 0,
  ...more,
})

function createPair(count: number): readonly [XorReplica, XorReplica] {
  const pair = [createXorReplica(), createXorReplica()] as const
  for (const replica of pair) for (let id = 0; id < count; id++) replica.put(itemOf(id))
  return pair
}

const bytesOfItem = 8 + 16 + 'as at first'.length

describe('the bucket scheme that sync benches compare with', () => {
  it('costs its digests alone when both sides hold the same', () => {
    expect(syncXorReplicas(...createPair(1_000))).toBe(256 * 8)
  })

  it('brings over another vector, for the whole bucket both ways', () => {
    const [a, b] = createPair(2_560)
    a.put(itemOf(7, { vector: Float32Array.of(9, 9, 9, 8), written: 1 }))
    expect(syncXorReplicas(a, b)).toBe(256 * 8 + 1 + 2 * 10 * bytesOfItem)
    expect(b.get(7)?.vector[0]).toBe(9)
    expect(syncXorReplicas(a, b)).toBe(256 * 8)
  })

  it('P13 misses what its digest does not cover: another payload, signs that cancel, the same numbers elsewhere', () => {
    const [a, b] = createPair(10)
    a.put(itemOf(1, { payload: 'edited', written: 1 }))
    a.put(itemOf(2, { vector: Float32Array.of(-2, 1, -2, 3), written: 1 }))
    expect(syncXorReplicas(a, b)).toBe(256 * 8)
    expect(b.get(1)?.payload).toBe('as at first')
    expect(b.get(2)?.vector[0]).toBe(2)
  })

  it('P5 brings deleted items back', () => {
    const [a, b] = createPair(10)
    a.delete(3)
    syncXorReplicas(a, b)
    expect(a.get(3)).toBeDefined()
  })
})

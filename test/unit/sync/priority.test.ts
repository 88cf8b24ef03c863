import { beforeEach, describe, expect, it } from 'vitest'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { createTestLink, digestOf, openTestReplica, put, syncPair } from '../../replica-pair.ts'

let a: OpenReplica
let b: OpenReplica
beforeEach(async () => {
  a = await openTestReplica(createMemoryStore(), 1)
  b = await openTestReplica(createMemoryStore(), 2)
})

/** In which order `b` got what it got. */
async function orderOfSync(): Promise<string[]> {
  const order: string[] = []
  const { storeId } = a
  const [result] = await syncPair(a, b, createTestLink(), {
    onProgress({ name, state, peer }) {
      if (state === 'done' && peer.storeId === storeId) order.push(name)
    },
  })
  expect(result.fault).toBeUndefined()
  return order
}

describe('priorities of collections', () => {
  it('decide in which order a session exchanges them, behind the system collection; equal ones go by name', async () => {
    for (const [name, priority] of [
      ['bulk', -10],
      ['alarms', 50],
      ['plain', undefined],
      ['poses', 5],
      ['also-plain', 0],
    ] as const) {
      expect(await a.createCollection(name, priority === undefined ? {} : { priority })).toMatchObject({ ok: true })
      await a.write([put(name, 'k')])
    }
    expect(await orderOfSync()).toEqual(['_system', 'alarms', 'poses', 'also-plain', 'plain', 'bulk'])
    expect(b.collection('alarms')?.priority).toBe(50)
    for (const { name } of a.collections()) expect(digestOf(a, name)).toBe(digestOf(b, name))
  })

  it('can be set again, travel, and the greater one of both sides counts until both know', async () => {
    await a.createCollection('x', {})
    await a.createCollection('y', {})
    await syncPair(a, b)
    expect(await b.createCollection('y', { priority: 7 })).toEqual({ ok: true, created: false })
    expect(await b.createCollection('y', { priority: 9 })).toEqual({ ok: true, created: false })
    await a.write([put('x', 'k'), put('y', 'k')])
    expect((await orderOfSync()).filter(name => name !== '_system')).toEqual(['y', 'x'])
    expect(a.collection('y')?.priority).toBe(9)
    await a.createCollection('y', { priority: -1 })
    await syncPair(a, b)
    expect(b.collection('y')?.priority).toBe(-1)
  })

  it.each([1.5, 101, -101, Number.NaN])('%s is none', async priority => {
    expect(await a.createCollection('x', { priority })).toMatchObject({ ok: false, code: 'HS_INVALID_SETTINGS' })
  })
})

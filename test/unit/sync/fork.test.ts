import { expect, it } from 'vitest'
import { createMemoryStore } from '../../memory-store.ts'
import { contentOf, createTestLink, digestOf, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'

it('R2 P15 what a restored replica wrote under counters that its peers know otherwise is issued anew, and reaches newcomers without repair', async () => {
  const disk = createMemoryStore()
  const a = await openTestReplica(disk, 1)
  const b = await openTestReplica(createMemoryStore(), 2)
  await a.write([put('c', 'first'), put('c', 'old')])
  await syncPair(a, b)
  const backup = disk.crash()
  await a.write([put('c', 'second')])
  await a.write([put('c', 'third')])
  await syncPair(a, b)

  // Both histories use the counters 3 and 4; the restored one outruns what b knows.
  const restored = await openTestReplica(backup, 3)
  await restored.write([put('c', 'other'), put('c', 'old', 2), put('c', 'more'), put('c', 'most')])
  const forked: boolean[] = []
  await syncPair(restored, b, undefined, { onProgress: ({ isForked }) => void forked.push(isForked) })
  expect(forked).toContain(true)
  expect(restored.counters.newOrigins).toBe(1)
  for (let i = 0; i < 2; i++) await syncPair(restored, b)
  const everything = ['first', 'more', 'most', 'old', 'other', 'second', 'third']
  expect(Object.keys(await contentOf(b, 'c')).sort()).toEqual(everything)
  expect(digestOf(restored, 'c')).toBe(digestOf(b, 'c'))

  const newcomer = await openTestReplica(createMemoryStore(), 4)
  const repaired: string[] = []
  await syncPair(newcomer, b, undefined, { onProgress: ({ name, isRepaired }) => void (isRepaired && repaired.push(name)) })
  expect(Object.keys(await contentOf(newcomer, 'c')).sort()).toEqual(everything)
  expect(repaired).toEqual([])
  // It is found out once: the peers go on telling of the old origin.
  await syncPair(restored, b)
  expect(restored.counters.newOrigins).toBe(1)
})

it('R2 a session that is cut before versions were issued anew leaves that to the next one', async () => {
  for (let cutAfter = 6; cutAfter < 40; cutAfter += 3) {
    const disk = createMemoryStore()
    const a = await openTestReplica(disk, 1)
    const b = await openTestReplica(createMemoryStore(), 2)
    await a.write([put('c', 'first')])
    await syncPair(a, b)
    const backup = disk.crash()
    await a.write([put('c', 'second')])
    await syncPair(a, b)
    const restored = await openTestReplica(backup, 3)
    await restored.write([put('c', 'other'), remove('c', 'first')])
    await syncPair(restored, b, createTestLink(cutAfter))
    for (let i = 0; i < 3; i++) await syncPair(restored, b)
    expect(Object.keys(await contentOf(b, 'c')).sort(), `cut after ${cutAfter}`).toEqual(['other', 'second'])
    expect(restored.counters.newOrigins).toBe(1)
  }
})

import { expect, it } from 'vitest'
import { createSharedReadings } from '../../../sync/shared-readings.ts'
import { createMemoryStore } from '../../memory-store.ts'

function createShared() {
  const shared = createSharedReadings()
  return { take: () => shared.take(createMemoryStore().snapshot()), around: (write: () => Promise<void>) => shared.around(write) }
}

it('snapshots between which nothing is written share what they read', async () => {
  const shared = createShared()
  const first = shared.take()
  expect(shared.take().readings).toBe(first.readings)
  await shared.around(() => Promise.resolve())
  expect(shared.take().readings).not.toBe(first.readings)
})

it('what is read while something is written is shared with nobody', async () => {
  const shared = createShared()
  const before = shared.take()
  let end = (): void => {}
  const write = shared.around(() => new Promise(resolve => void (end = resolve)))
  const during = shared.take()
  expect(during.readings).not.toBe(before.readings)
  expect(shared.take().readings).not.toBe(during.readings)
  end()
  await write
  expect(shared.take().readings).not.toBe(during.readings)
})

it('a write that fails ends too', async () => {
  const shared = createShared()
  await expect(shared.around(() => Promise.reject(new Error('the disk is full')))).rejects.toThrow('the disk is full')
  expect(shared.take().readings).toBe(shared.take().readings)
})

it('a snapshot that is closed twice is counted once', async () => {
  const shared = createShared()
  const first = shared.take()
  const second = shared.take()
  await first.snapshot.close()
  await first.snapshot.close()
  expect(shared.take().readings).toBe(second.readings)
})

it('nothing is kept when the last snapshot is closed', async () => {
  const shared = createShared()
  const { snapshot, readings } = shared.take()
  await snapshot.close()
  expect(shared.take().readings).not.toBe(readings)
})

it('a snapshot of an earlier moment that is closed late takes nothing from those of now', async () => {
  const shared = createShared()
  const early = shared.take()
  await shared.around(() => Promise.resolve())
  const now = shared.take()
  await early.snapshot.close()
  expect(shared.take().readings).toBe(now.readings)
})

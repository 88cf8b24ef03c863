import { expect, it } from 'vitest'
import { createSharedReadings } from '../../../sync/shared-readings.ts'

it('snapshots between which nothing is written share what they read', async () => {
  const shared = createSharedReadings()
  const first = shared.take()
  expect(shared.take().readings).toBe(first.readings)
  await shared.around(() => Promise.resolve())
  expect(shared.take().readings).not.toBe(first.readings)
})

it('what is read while something is written is shared with nobody', async () => {
  const shared = createSharedReadings()
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
  const shared = createSharedReadings()
  await expect(shared.around(() => Promise.reject(new Error('the disk is full')))).rejects.toThrow('the disk is full')
  expect(shared.take().readings).toBe(shared.take().readings)
})

it('nothing is kept when the last snapshot is closed, and each is closed once', () => {
  const shared = createSharedReadings()
  const first = shared.take()
  const second = shared.take()
  first.release()
  first.release()
  expect(shared.take().readings).toBe(second.readings)
  second.release()
})

it('a snapshot of an earlier moment that is closed late takes nothing from those of now', async () => {
  const shared = createSharedReadings()
  const early = shared.take()
  await shared.around(() => Promise.resolve())
  const now = shared.take()
  early.release()
  expect(shared.take().readings).toBe(now.readings)
})

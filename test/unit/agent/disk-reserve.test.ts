import { readFileSync } from 'node:fs'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { watchDisk, type DiskView, type DiskWatch, type Reserve } from '../../../agent/disk-reserve.ts'
import { countDiskWrites } from '../../../agent/disk-writes.ts'

const MIB = 1024 ** 2
const LOG = pino({ level: 'silent' })

describe('P3 the disk reserve', () => {
  let watch: DiskWatch | undefined
  let freeBytes: number
  let looks: number
  const changes: DiskView[] = []
  beforeEach(() => void vi.useFakeTimers())
  afterEach(async () => {
    await watch?.close()
    vi.useRealTimers()
    changes.length = 0
  })

  const start = async (reserve: Reserve, free: number): Promise<DiskWatch> => {
    freeBytes = free
    looks = 0
    watch = await watchDisk({
      folder: '/nowhere',
      reserve,
      log: LOG,
      onChange: view => void changes.push(view),
      onLook: () => {},
      measure: () => {
        looks += 1
        return freeBytes < 0 ? Promise.reject(new Error('gone')) : Promise.resolve({ sizeBytes: 1_000 * MIB, freeBytes })
      },
    })
    return watch
  }

  it('is a share of the disk or an amount, and known before the first write', async () => {
    expect((await start({ amount: 5, unit: '%' }, 51 * MIB)).view()).toMatchObject({ reserveBytes: 50 * MIB, isFull: false })
    await watch?.close()
    expect((await start({ amount: 60, unit: 'MiB' }, 51 * MIB)).view()).toMatchObject({ reserveBytes: 60 * MIB, isFull: true })
    expect(watch?.noRoom()).toContain('51.0 MiB free, and 60.0 MiB are kept in reserve (HS_DISK_RESERVE)')
    await watch?.close()
    expect((await start({ amount: 0, unit: '%' }, 0)).noRoom()).toBeUndefined()
  })

  it('is reached at the one mark and left at another, a quarter above it, so that it does not go to and fro', async () => {
    await start({ amount: 5, unit: '%' }, 100 * MIB)
    const noRoomAt = async (free: number): Promise<boolean> => {
      freeBytes = free
      await vi.advanceTimersByTimeAsync(5_000)
      return watch?.noRoom() !== undefined
    }
    expect(await noRoomAt(50 * MIB)).toBe(false)
    expect(await noRoomAt(50 * MIB - 1)).toBe(true)
    expect(await noRoomAt(62 * MIB)).toBe(true)
    expect(await noRoomAt(62.5 * MIB)).toBe(false)
    expect(await noRoomAt(51 * MIB)).toBe(false)
    expect(changes.map(({ isFull }) => isFull)).toEqual([true, false])
  })

  it('is looked at the more often the nearer it is', async () => {
    const looksInASecond = async (free: number): Promise<number> => {
      await start({ amount: 5, unit: '%' }, free)
      looks = 0
      await vi.advanceTimersByTimeAsync(1_000)
      await watch?.close()
      return looks
    }
    expect(await looksInASecond(51 * MIB)).toBeGreaterThanOrEqual(9)
    expect(await looksInASecond(990 * MIB)).toBe(0)
  })

  it('a disk that cannot be asked keeps the last answer', async () => {
    await start({ amount: 5, unit: '%' }, 10 * MIB)
    freeBytes = -1
    await vi.advanceTimersByTimeAsync(10_000)
    expect(watch?.view()).toMatchObject({ freeBytes: 10 * MIB, isFull: true })
    freeBytes = 100 * MIB
    await vi.advanceTimersByTimeAsync(1_000)
    expect(watch?.noRoom()).toBeUndefined()
  })
})

describe('P9 what is written to disk', () => {
  /** The system's count now, and one that grows by this text. */
  const growing = (added: string): (() => string) => {
    const texts = ['write_bytes: 7000\ncancelled_write_bytes: 500\n', added]
    return () => texts.shift() ?? added
  }

  it('is what the system counts since the agent began, less what never got there', () => {
    const bytesOf = (added: string): number | undefined => countDiskWrites(() => 0, growing(added)).bytes()
    expect(bytesOf('write_bytes: 12000\ncancelled_write_bytes: 1500\n')).toBe(4_000)
    expect(bytesOf('write_bytes: 7010\ncancelled_write_bytes: 1500\n')).toBe(0)
  })

  it('is told as a pace a day when there has been some time', () => {
    const perDayAfter = (ms: number): number | undefined =>
      countDiskWrites(() => ms, growing('write_bytes: 12000\ncancelled_write_bytes: 1500\n')).bytesPerDay()
    expect(perDayAfter(599_999)).toBeUndefined()
    expect(perDayAfter(3_600_000)).toBe(96_000)
  })

  it('is unknown where the system does not count', () => {
    const refusing = countDiskWrites(
      () => 3_600_000,
      () => readFileSync('/proc/no-such-file', 'utf8'),
    )
    expect([refusing.bytes(), refusing.bytesPerDay()]).toEqual([undefined, undefined])
    expect(
      countDiskWrites(
        () => 0,
        () => '',
      ).bytes(),
    ).toBeUndefined()
  })
})

import { describe, expect, it } from 'vitest'
import { formatProgress } from '../../../bin/progress.ts'
import { formatBytes, formatCount, formatDuration, formatText, formatTime, formatYesNo, shorten } from '../../../bin/words.ts'

describe('values in words', () => {
  it('counts have separators', () => {
    expect(formatCount(490_805)).toBe('490,805')
  })

  it('sizes are in powers of 1000', () => {
    expect([0, 999, 1000, 1_550_000, 2e9, 3e12, 4e15].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '1.6 MB',
      '2.0 GB',
      '3.0 TB',
      '4000.0 TB',
    ])
  })

  it('lengths of time are in their two largest units', () => {
    expect([0, 400, 12_000, 61_000, 3_660_000, 90_000_000].map(formatDuration)).toEqual(['0.0s', '0.4s', '12s', '1m 1s', '1h 1m', '1d 1h'])
  })

  it('times are in UTC', () => {
    expect(formatTime(0)).toBe('1970-01-01 00:00:00.000Z')
    expect(formatTime(1e300)).toBe('-')
  })

  it('what is missing in an answer shows as a dash', () => {
    const formats = [formatCount, formatBytes, formatDuration, formatTime, formatText, formatYesNo, shorten]
    for (const format of formats) expect([format(undefined), format(null), format({})]).toEqual(['-', '-', '-'])
  })

  it('progress shows records, rate and bytes, and the share where the end is known', () => {
    expect(formatProgress({ records: 1000, bytes: 50_000 }, 2000, 200_000)).toBe('25 %  1,000 records  500/s  50.0 kB')
    expect(formatProgress({ records: 0, bytes: 0 }, 0, undefined)).toBe('0 records  0/s  0 B')
  })
})

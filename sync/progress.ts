/**
 * How far an exchange is and how fast it goes. What is left is an upper bound: vectors count writes, and of a key that was written
 * several times only the last version travels.
 */
import { sortedEntries, type Dot, type VersionVector } from './dot.ts'
import { tailStart, type ResumePoint } from './replica-snapshot.ts'

/** The writes of a tail: those that one vector covers and the other does not. */
export interface TailGauge {
  /** At most so many versions are sent. */
  readonly total: number
  /** At most so many are left when everything up to this dot has been sent; tails ascend by origin and counter. */
  behind(position: Dot): number
}

/** `resume`: where the tail goes on, as the sender of the tail reads it. */
export function createTailGauge(after: VersionVector, upTo: VersionVector, resume?: ResumePoint): TailGauge {
  const origins: string[] = []
  const ends: number[] = []
  const starts: number[] = []
  for (const [origin, counter] of sortedEntries(upTo)) {
    const start = tailStart(origin, after, resume)
    if (start >= counter) continue
    origins.push(origin)
    starts.push(start)
    ends.push(counter)
  }
  /** Writes of the origins from `i` on. */
  const sums = new Float64Array(origins.length + 1)
  for (let i = origins.length - 1; i >= 0; i--) sums[i] = (sums[i + 1] ?? 0) + (ends[i] ?? 0) - (starts[i] ?? 0)
  return {
    total: sums[0] ?? 0,
    behind({ origin, counter }) {
      let low = 0
      let high = origins.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((origins[middle] ?? '') < origin) low = middle + 1
        else high = middle
      }
      const rest = sums[low] ?? 0
      if (origins[low] !== origin) return rest
      const done = Math.min(counter, ends[low] ?? 0) - (starts[low] ?? 0)
      return rest - Math.max(0, done)
    },
  }
}

/** What so many versions will take, going by those that have been moved; undefined while none has. */
export function estimateBytes(versions: number, movedVersions: number, movedBytes: number): number | undefined {
  if (versions === 0) return 0
  return movedVersions === 0 ? undefined : Math.ceil((versions * movedBytes) / movedVersions)
}

export interface Rate {
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
}

/** What was moved in the last seconds; the times are monotonic milliseconds. */
export interface RateMeter {
  add(nowMs: number, records: number, bytes: number): void
  rate(nowMs: number): Rate
}

const SLICE_MS = 1_000
const SLICES = 10

/** Bounded: a sum for each of the last ten seconds. */
export function createRateMeter(): RateMeter {
  let slices: { readonly startMs: number; records: number; bytes: number }[] = []
  const forget = (nowMs: number): void => {
    slices = slices.filter(({ startMs }) => nowMs - startMs < SLICES * SLICE_MS)
  }
  return {
    add(nowMs, records, bytes) {
      if (records === 0 && bytes === 0) return
      const last = slices.at(-1)
      if (last !== undefined && nowMs - last.startMs < SLICE_MS) {
        last.records += records
        last.bytes += bytes
        return
      }
      forget(nowMs)
      slices.push({ startMs: nowMs, records, bytes })
    },
    rate(nowMs) {
      forget(nowMs)
      const first = slices[0]
      if (first === undefined) return { recordsPerSecond: 0, bytesPerSecond: 0 }
      // A short time says little: what came in one moment is not taken for a rate of thousands.
      const spanMs = Math.max(SLICE_MS, nowMs - first.startMs)
      const sum = (of: (slice: { records: number; bytes: number }) => number): number =>
        (slices.reduce((total, slice) => total + of(slice), 0) * 1_000) / spanMs
      return { recordsPerSecond: sum(({ records }) => records), bytesPerSecond: sum(({ bytes }) => bytes) }
    },
  }
}

/** Token buckets: how much of something may happen per second, and in one burst. */

export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

export interface TokenBucket {
  /** Takes one token; false when there is none. */
  take(nowMs: number): boolean
  /** Whether nothing was taken for so long that the bucket is as good as new. */
  idle(nowMs: number): boolean
}

export function createTokenBucket(rate: Rate): TokenBucket {
  return new Bucket(rate)
}

/** There are some for every source: a class, so that they share their functions. */
class Bucket implements TokenBucket {
  private readonly rate: Rate
  private tokens: number
  private filledAtMs = -Infinity

  constructor(rate: Rate) {
    this.rate = rate
    this.tokens = rate.burst
  }

  take(nowMs: number): boolean {
    this.fill(nowMs)
    if (this.tokens < 1) return false
    this.tokens -= 1
    return true
  }

  idle(nowMs: number): boolean {
    this.fill(nowMs)
    return this.tokens >= this.rate.burst
  }

  private fill(nowMs: number): void {
    const { perSecond, burst } = this.rate
    if (this.filledAtMs !== -Infinity) this.tokens = Math.min(burst, this.tokens + ((nowMs - this.filledAtMs) / 1_000) * perSecond)
    this.filledAtMs = nowMs
  }
}

export interface SourceLimits {
  /** Whether one more packet from this host may be looked at. */
  admit(host: string, nowMs: number): boolean
}

/**
 * A bucket per source host, for at most `sourcesMax` hosts. When that many are busy at once, all further hosts share one bucket:
 * made-up source addresses can neither grow the table nor push out the buckets of real peers.
 */
export function createSourceLimits(rate: Rate, sourcesMax: number): SourceLimits {
  const bucketByHost = new Map<string, TokenBucket>()
  const shared = createTokenBucket(rate)
  const bucketOf = (host: string, nowMs: number): TokenBucket => {
    const known = bucketByHost.get(host)
    if (known !== undefined) return known
    if (bucketByHost.size >= sourcesMax) {
      const [oldest] = bucketByHost
      if (oldest === undefined || !oldest[1].idle(nowMs)) return shared
      bucketByHost.delete(oldest[0])
    }
    const bucket = createTokenBucket(rate)
    bucketByHost.set(host, bucket)
    return bucket
  }
  return {
    admit(host, nowMs) {
      const bucket = bucketOf(host, nowMs)
      if (bucket !== shared) {
        // Last used goes last, so the first entry is the one most likely to be idle.
        bucketByHost.delete(host)
        bucketByHost.set(host, bucket)
      }
      return bucket.take(nowMs)
    },
  }
}

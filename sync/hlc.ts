/**
 * Hybrid logical clock: wall milliseconds with a tick among events of one millisecond.
 * Source: Kulkarni, Demirbas et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014).
 * Departures: 48-bit milliseconds and a 16-bit tick; a remote stamp further ahead than a bound is kept as it is but does not
 * move this clock (P6: one wrong clock must not drag the swarm along); wall time only orders concurrent writes, never causal ones.
 */

export interface Stamp {
  /** Unix milliseconds, 0 to 2^48 - 1. */
  readonly ms: number
  /** 0 to 65,535. */
  readonly tick: number
}

export const STAMP_ZERO: Stamp = { ms: 0, tick: 0 }
export const STAMP_MS_MAX = 2 ** 48 - 1
const TICK_MAX = 0xffff
/** The end of the year 9999: clocks and files say nothing later, and there is room above it for all writes there will be. */
export const STAMP_WALL_MS_MAX = 253_402_300_799_999

export function compareStamps(a: Stamp, b: Stamp): number {
  return Math.sign(a.ms - b.ms) || Math.sign(a.tick - b.tick)
}

export function laterStamp(a: Stamp, b: Stamp): Stamp {
  return compareStamps(a, b) >= 0 ? a : b
}

/** The least stamp greater than `stamp`. At the end of time (the year 10889) it stays there. */
export function nextStamp(stamp: Stamp): Stamp {
  if (stamp.tick < TICK_MAX) return { ms: stamp.ms, tick: stamp.tick + 1 }
  return stamp.ms < STAMP_MS_MAX ? { ms: stamp.ms + 1, tick: 0 } : stamp
}

/** Nothing can be written above it: the next stamp would be the last there is, which no version may carry. */
export const isLastStamp = (stamp: Stamp): boolean => nextStamp(stamp).ms === STAMP_MS_MAX

export interface Hlc {
  /** A stamp greater than all that this clock gave or took before, however the wall clock jumps. */
  now(wallMs: number): Stamp
  /** Takes a remote stamp; false when it was too far ahead to be taken. */
  observe(stamp: Stamp, wallMs: number): boolean
  last(): Stamp
}

/** `driftMaxMs`: how far ahead of the own wall clock a remote stamp may move this clock. */
export function createHlc(initial: Stamp, driftMaxMs: number): Hlc {
  let last = initial
  return {
    now(wallMs) {
      const wall: Stamp = { ms: Math.min(Math.max(0, Math.floor(wallMs)), STAMP_WALL_MS_MAX), tick: 0 }
      last = compareStamps(wall, last) > 0 ? wall : nextStamp(last)
      return last
    },
    observe(stamp, wallMs) {
      if (stamp.ms > wallMs + driftMaxMs) return compareStamps(stamp, last) <= 0
      last = laterStamp(last, stamp)
      return true
    },
    last: () => last,
  }
}

/**
 * Whether the board has slept. Node's monotonic clock stands still while it does (CLOCK_MONOTONIC), the system's uptime goes on (CLOCK_BOOTTIME),
 * so the two drift apart by the time slept. A process that was stopped while the board ran needs nothing of this: its timers are late.
 */
import { uptime } from 'node:os'
import type { Clock } from '../base/ports.ts'

const LOOK_INTERVAL_MS = 1_000
/** The uptime has a resolution of 10 ms; a second is more than two readings can be apart. */
const SLEPT_MIN_MS = 1_000

export interface StandstillWatch {
  close(): void
}

export function watchStandstill(
  clock: Pick<Clock, 'monotonicMs'>,
  onStoodStill: (forMs: number) => void,
  uptimeMs: () => number = () => uptime() * 1_000,
): StandstillWatch {
  const offset = (): number => uptimeMs() - clock.monotonicMs()
  let lastMs = offset()
  const timer = setInterval(() => {
    const nowMs = offset()
    if (nowMs - lastMs > SLEPT_MIN_MS) onStoodStill(nowMs - lastMs)
    lastMs = nowMs
  }, LOOK_INTERVAL_MS)
  timer.unref()
  return { close: () => clearInterval(timer) }
}

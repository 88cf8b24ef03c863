/** A line on standard error that keeps changing while much is under way; nothing where standard error is not a terminal. */
import { performance } from 'node:perf_hooks'
import { formatBytes, formatCount } from './words.ts'

const intervalMs = 200

export interface Count {
  readonly records: number
  readonly bytes: number
}

export interface Progress {
  /** Takes the line away. */
  stop(): void
  elapsedMs(): number
}

/** Records in a second, whole. */
export const ratePerSecond = (records: number, elapsedMs: number): number => Math.round((records * 1000) / Math.max(1, elapsedMs))

/** `bytesTotal` is undefined where the end is not known. */
export function formatProgress({ records, bytes }: Count, elapsedMs: number, bytesTotal: number | undefined): string {
  const share = bytesTotal === undefined || bytesTotal === 0 ? '' : `${Math.floor((100 * bytes) / bytesTotal)} %  `
  return `${share}${formatCount(records)} records  ${formatCount(ratePerSecond(records, elapsedMs))}/s  ${formatBytes(bytes)}`
}

/** Shows how far `count` is, five times a second. */
export function startProgress(stream: NodeJS.WriteStream, count: () => Count, bytesTotal: number | undefined): Progress {
  const startedAt = performance.now()
  const elapsedMs = (): number => performance.now() - startedAt
  if (!stream.isTTY) return { stop: () => {}, elapsedMs }
  const clear = '\r\u001b[K'
  const timer = setInterval(() => stream.write(`${clear}${formatProgress(count(), elapsedMs(), bytesTotal)}`), intervalMs)
  timer.unref()
  return {
    stop() {
      clearInterval(timer)
      stream.write(clear)
    },
    elapsedMs,
  }
}

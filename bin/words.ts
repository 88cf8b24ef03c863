/** Numbers, times and sizes in words for people. What is missing in an answer shows as a dash. */

export const missing = '-'

const numbers = new Intl.NumberFormat('en-US')

export const formatCount = (value: unknown): string => (typeof value === 'number' ? numbers.format(value) : missing)

export const formatText = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : missing

export const formatYesNo = (value: unknown): string => (typeof value === 'boolean' ? (value ? 'yes' : 'no') : missing)

/** `12.3 MB`, in powers of 1000. */
export function formatBytes(value: unknown): string {
  if (typeof value !== 'number') return missing
  let scaled = value
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (scaled < 1000) return `${unit === 'B' ? scaled : scaled.toFixed(1)} ${unit}`
    scaled /= 1000
  }
  return `${scaled.toFixed(1)} TB`
}

/** A length of time in its two largest units: `3d 4h`, `5m 6s`, `0.4s`. */
export function formatDuration(ms: unknown): string {
  if (typeof ms !== 'number') return missing
  const seconds = ms / 1000
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)}s`
  const whole = Math.floor(seconds)
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60]
  if (days > 0) return `${days}d ${hours}h`
  if (hours > 0) return `${hours}h ${minutes}m`
  return minutes > 0 ? `${minutes}m ${whole % 60}s` : `${whole}s`
}

/** Unix milliseconds as UTC: `2026-01-31 12:34:56.789Z`. */
export function formatTime(ms: unknown): string {
  const limit = 8.64e15
  if (typeof ms !== 'number' || !(Math.abs(ms) <= limit)) return missing
  return new Date(ms).toISOString().replace('T', ' ')
}

/** The first eight digits of an id or a hash: enough to tell them apart on one screen. */
export const shorten = (id: unknown): string => (typeof id === 'string' ? id.slice(0, 8) : missing)

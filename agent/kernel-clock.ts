/** Whether the kernel says that its clock is synchronised, asked now and then: boards without a real-time clock boot in 1970. */
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'

const ASK_EVERY_MS = 60_000
const ASK_TIMEOUT_MS = 5_000

export interface ClockTrust {
  isTrusted(): boolean
  close(): void
}

export function watchClockTrust(setting: 'auto' | 'yes' | 'no'): ClockTrust {
  if (setting !== 'auto') return { isTrusted: () => setting === 'yes', close: () => {} }
  let isSynchronised = false
  const ask = (): void => {
    void askKernel().then(answer => (isSynchronised = answer))
  }
  ask()
  const timer = setInterval(ask, ASK_EVERY_MS)
  timer.unref()
  return { isTrusted: () => isSynchronised, close: () => clearInterval(timer) }
}

/** systemd-timesyncd leaves a file; timedatectl asks the kernel (adjtimex) whoever synchronises. Neither: not trusted. */
async function askKernel(): Promise<boolean> {
  try {
    await access('/run/systemd/timesync/synchronized')
    return true
  } catch {
    return new Promise(resolve => {
      execFile('timedatectl', ['show', '--property=NTPSynchronized', '--value'], { timeout: ASK_TIMEOUT_MS }, (error, stdout) =>
        resolve(error === null && stdout.trim() === 'yes'),
      )
    })
  }
}

/**
 * Attempts that began and whose end nobody saw: each is noted, before it begins, by the boot of the machine in which it does. Two in one
 * boot have ended by themselves; one alone in its boot may have ended with it, as robots that are switched off do it, so of those more are
 * needed. In memory that is damaged, or on a kernel that goes down with the process, those too come to an end.
 */
import { readFile } from 'node:fs/promises'

/** In one boot. */
const BOOT_ATTEMPTS_MAX = 2
/** In all. */
const ATTEMPTS_MAX = 6
const BOOT_TEXT_MAX = 64

/** Whether so many attempts did not end that another one is likely to end as they did. */
export function areTooMany(attempts: readonly string[], boot: string): boolean {
  return attempts.length >= ATTEMPTS_MAX || attempts.filter(attempt => attempt === boot).length >= BOOT_ATTEMPTS_MAX
}

/** The attempts with another one. */
export const withAttempt = (attempts: readonly string[], boot: string): string[] => [...attempts, boot].slice(-ATTEMPTS_MAX)

/** What a file says that were attempts; whatever it says, this is a list of no more than count. */
export function attemptsFrom(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : []
  return list.filter((boot): boot is string => typeof boot === 'string' && boot.length <= BOOT_TEXT_MAX).slice(-ATTEMPTS_MAX)
}

/** The kernel's name of this boot; empty where it has none: then all boots are one. */
export async function readBoot(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '')).trim().slice(0, BOOT_TEXT_MAX)
}

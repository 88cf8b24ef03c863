/** What an error of LevelDB says: that the database is damaged, or that its environment does not let it work. */

/** What no repair helps against: to go on would make it worse. */
const ENVIRONMENT =
  /No space left|Permission denied|Operation not permitted|Read-only file system|Too many open files|Cannot allocate memory|Disk quota/i

/** With what caused it, in one sentence. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

export const isEnvironmental = (reason: string): boolean => ENVIRONMENT.test(reason)

/** What LevelDB says of bytes that are not what it wrote, and of files that are gone. Not an error of the device that may pass. */
export const isDamage = (reason: string): boolean => /^Corruption|No such file or directory/.test(reason)

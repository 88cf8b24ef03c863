/** What the kernel says a process costs: memory that it has, processor time that it has used. */
import { readFile } from 'node:fs/promises'

export interface Resident {
  /** Megabytes, of a million bytes. What the process has for itself. */
  readonly anonymous: number
  /** Its program and tables, which the kernel can take back. */
  readonly file: number
}

export async function residentOf(pid: number): Promise<Resident> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const megabytes = (name: string): number => (Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024) / 1e6
  return { anonymous: megabytes('RssAnon'), file: megabytes('RssFile') }
}

export const larger = (a: Resident, b: Resident): Resident => ({
  anonymous: Math.max(a.anonymous, b.anonymous),
  file: Math.max(a.file, b.file),
})

/** The kernel counts in hundredths of a second, whatever the machine. */
const tickMs = 10

/** Milliseconds of all its threads, since it began. */
export async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name, in brackets, may hold blanks. Behind it the 12th and 13th are user and system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

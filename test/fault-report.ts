/** What tests of faults have found, for the table of docs/faults.md: written to the file that FAULT_REPORT names, where it names one. */
import { appendFile } from 'node:fs/promises'

export interface FaultRow {
  readonly fault: string
  readonly cycles: number
  /** Acknowledged writes that were looked for. */
  readonly checked: number
  readonly lost: number
  /** It shows that the test above it can fail: it must lose something. */
  readonly isControl?: boolean
}

export async function reportFault(row: FaultRow): Promise<void> {
  const path = process.env['FAULT_REPORT']
  if (path !== undefined) await appendFile(path, `${JSON.stringify(row)}\n`)
}

/** Vectors on the command line. */
import { createUsageError } from './arguments.ts'

/** Reads `0.1,-2,3e-4`, or the same as a JSON array. `what` is what the fault is about. Throws HS_USAGE. */
export function parseVector(text: string, what: string): readonly number[] {
  const bare = text.trim().replace(/^\[(.*)\]$/s, '$1')
  const numbers = bare.split(',').map(item => (item.trim() === '' ? Number.NaN : Number(item)))
  if (!numbers.every(Number.isFinite)) throw createUsageError(`${what} must be numbers, comma separated, such as 0.1,-2,3e-4`)
  return numbers
}

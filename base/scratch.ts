/**
 * Bytes for short-lived use: a write group makes a dozen small byte strings for every record, which the store copies at once. Making a
 * typed array costs more than filling it, so the arrays are made once for each length and used again.
 */
import { EMPTY } from './bytes.ts'

/** Gives `length` bytes, whose content is undefined. */
export type Allocate = (length: number) => Uint8Array

export const allocateBytes: Allocate = length => new Uint8Array(length)

/**
 * One byte string at a time: the next call takes the memory of the last one. Longer ones than `bytesMax` get their own. All begin with
 * `head`, if there is one, which must be left as it is; the rest is undefined.
 */
export function createScratch(bytesMax: number, head: Uint8Array = EMPTY): Allocate {
  const memory = new Uint8Array(bytesMax)
  memory.set(head)
  const viewByLength: (Uint8Array | undefined)[] = []
  return length => {
    if (length <= bytesMax) return (viewByLength[length] ??= memory.subarray(0, length))
    const bytes = new Uint8Array(length)
    bytes.set(head)
    return bytes
  }
}

/** Vectors as they are stored: little-endian float32, without -0, NaN and infinities. */
import type { Metric } from './replica.ts'

export const VECTOR_DIMENSION_MAX = 65_536

export type FloatVector = { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly fault: string }

const fault = (text: string): FloatVector => ({ ok: false, fault: text })

/** Checks and encodes a vector. `dimension` is the collection's, undefined when it has none yet. */
export function encodeFloatVector(numbers: readonly number[], metric: Metric, dimension: number | undefined): FloatVector {
  if (numbers.length === 0) return fault('a vector has at least one number')
  if (numbers.length > VECTOR_DIMENSION_MAX)
    return fault(`a vector has at most ${VECTOR_DIMENSION_MAX} numbers, this one has ${numbers.length}`)
  if (dimension !== undefined && numbers.length !== dimension) {
    return fault(`the collection's vectors have ${dimension} numbers, this one has ${numbers.length}`)
  }
  const bytes = new Uint8Array(numbers.length * 4)
  const view = new DataView(bytes.buffer)
  let isZero = true
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i]!
    if (typeof number !== 'number' || !Number.isFinite(number)) return fault(`number ${i + 1} of the vector is not a finite number`)
    const rounded = Math.fround(number)
    if (!Number.isFinite(rounded)) return fault(`number ${i + 1} of the vector (${number}) is beyond float32`)
    if (rounded !== 0) isZero = false
    // Adding 0 turns -0 into 0, so that equal vectors have equal bytes.
    view.setFloat32(i * 4, rounded + 0, true)
  }
  if (isZero && metric === 'cosine') return fault('a vector of zeros has no direction, which cosine distance needs')
  return { ok: true, bytes }
}

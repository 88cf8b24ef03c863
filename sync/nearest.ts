/**
 * Distances between vectors, and the k nearest of many.
 *
 * Numbers are float32; products, sums and roots are computed in doubles, so that the answer is as exact as the stored numbers are.
 */
import { compareKeys } from './key.ts'
import type { Metric } from './replica.ts'

/**
 * The distance from one query to the vector that begins at `at` in `numbers` and whose squared norm is given. Not finite, or NaN, when
 * there is none: for a vector of zeros under cosine, say.
 */
export type Distance = (numbers: Float32Array, at: number, squaredNorm: number) => number

/** `cosine`: 1 - cos, from 0 to 2; `l2`: Euclidean; `dot`: -dot. */
export function createDistance(metric: Metric, query: Float32Array): Distance {
  const length = query.length
  if (metric === 'l2') return (numbers, at) => Math.sqrt(squaredDifference(query, numbers, at))
  // Subtracting from 0 gives 0 for orthogonal vectors, where a minus sign would give -0.
  if (metric === 'dot') return (numbers, at) => 0 - dotProduct(query, 0, numbers, at, length)
  const queryNorm = squaredNorm(query, 0, length)
  return (numbers, at, norm) => {
    const cosine = dotProduct(query, 0, numbers, at, length) / Math.sqrt(queryNorm * norm)
    // Rounding must not make a vector nearer than itself.
    return cosine > 1 ? 0 : cosine < -1 ? 2 : 1 - cosine
  }
}

export function squaredNorm(numbers: Float32Array, at: number, length: number): number {
  return dotProduct(numbers, at, numbers, at, length)
}

/** Four sums at once: a processor need not wait for one addition before it begins the next. */
function dotProduct(a: Float32Array, aAt: number, b: Float32Array, bAt: number, length: number): number {
  const unrolled = length - (length % 4)
  let sum0 = 0
  let sum1 = 0
  let sum2 = 0
  let sum3 = 0
  for (let i = 0; i < unrolled; i += 4) {
    sum0 += a[aAt + i]! * b[bAt + i]!
    sum1 += a[aAt + i + 1]! * b[bAt + i + 1]!
    sum2 += a[aAt + i + 2]! * b[bAt + i + 2]!
    sum3 += a[aAt + i + 3]! * b[bAt + i + 3]!
  }
  for (let i = unrolled; i < length; i++) sum0 += a[aAt + i]! * b[bAt + i]!
  return sum0 + sum1 + (sum2 + sum3)
}

function squaredDifference(query: Float32Array, numbers: Float32Array, at: number): number {
  const length = query.length
  const unrolled = length - (length % 4)
  let sum0 = 0
  let sum1 = 0
  let sum2 = 0
  let sum3 = 0
  for (let i = 0; i < unrolled; i += 4) {
    const difference0 = query[i]! - numbers[at + i]!
    const difference1 = query[i + 1]! - numbers[at + i + 1]!
    const difference2 = query[i + 2]! - numbers[at + i + 2]!
    const difference3 = query[i + 3]! - numbers[at + i + 3]!
    sum0 += difference0 * difference0
    sum1 += difference1 * difference1
    sum2 += difference2 * difference2
    sum3 += difference3 * difference3
  }
  for (let i = unrolled; i < length; i++) {
    const difference = query[i]! - numbers[at + i]!
    sum0 += difference * difference
  }
  return sum0 + sum1 + (sum2 + sum3)
}

export interface Neighbour {
  readonly key: string
  readonly distance: number
}

/** The k nearest of those that were offered; of equal distances the smaller key comes first. */
export interface Nearest {
  /** What is farther than this need not be offered: infinite until there are k. */
  readonly limit: number
  /** Takes a neighbour if it is among the nearest; a distance that is not finite never is. */
  offer(distance: number, key: string): void
  /** Nearest first. */
  sorted(): Neighbour[]
}

export function createNearest(k: number): Nearest {
  // A binary heap with the farthest on top, where it can be replaced.
  const heap: Neighbour[] = []
  let limit = Number.POSITIVE_INFINITY

  const rise = (neighbour: Neighbour): void => {
    let at = heap.length
    heap.push(neighbour)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (compareNeighbours(heap[parent]!, neighbour) >= 0) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = neighbour
  }
  const replaceTop = (neighbour: Neighbour): void => {
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && compareNeighbours(heap[child + 1]!, heap[child]!) > 0) child += 1
      if (compareNeighbours(heap[child]!, neighbour) <= 0) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = neighbour
  }

  return {
    get limit() {
      return limit
    },
    offer(distance, key) {
      if (!Number.isFinite(distance)) return
      const neighbour = { key, distance }
      if (heap.length < k) rise(neighbour)
      else if (compareNeighbours(neighbour, heap[0]!) < 0) replaceTop(neighbour)
      if (heap.length === k) limit = heap[0]!.distance
    },
    sorted: () => heap.toSorted(compareNeighbours),
  }
}

function compareNeighbours(a: Neighbour, b: Neighbour): number {
  return a.distance < b.distance ? -1 : a.distance > b.distance ? 1 : compareKeys(a.key, b.key)
}

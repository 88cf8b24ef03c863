/**
 * The vectors of one collection in memory, as columns: their numbers one behind the other in blocks of float32, and beside them their
 * squared norms and keys. A block is what one slice of a search reads.
 *
 * Slots are filled without gaps: the last vector moves into the slot of one that goes.
 */
import { squaredNorm, type Distance, type Nearest } from './nearest.ts'

/** A block holds at most this many numbers, but one vector at least: about 0.1 ms of work on a desktop processor, 1 ms on a small ARM board. */
const BLOCK_NUMBERS_MAX = 131_072
/** Short vectors cost more in keys than in numbers. */
const BLOCK_VECTORS_MAX = 4_096

/** What a key takes beside its characters: the string's head, its place in a block and in the map of slots. Measured, rounded up. */
const KEY_OVERHEAD_BYTES = 112

interface Block {
  readonly numbers: Float32Array
  readonly squaredNorms: Float64Array
  readonly keys: string[]
}

export interface VectorTable {
  readonly dimension: number
  readonly size: number
  /** Memory taken, in bytes, roughly. */
  readonly bytes: number
  readonly blockCount: number
  /** `vector`: as it is stored, little-endian float32 of this dimension. */
  set(key: string, vector: Uint8Array): void
  delete(key: string): void
  /** Offers the vectors of one block whose keys begin with `prefix`. */
  offerBlock(block: number, distance: Distance, prefix: string, nearest: Nearest): void
}

/** Bytes that a table of so many vectors takes at least. */
export function tableBytesMin(vectors: number, dimension: number): number {
  return vectors * (dimension * 4 + 8 + KEY_OVERHEAD_BYTES)
}

export function createVectorTable(dimension: number, blockNumbersMax = BLOCK_NUMBERS_MAX): VectorTable {
  const blockVectors = Math.min(BLOCK_VECTORS_MAX, Math.max(1, Math.floor(blockNumbersMax / dimension)))
  const blockBytes = blockVectors * (dimension * 4 + 8)
  const blocks: Block[] = []
  const slotByKey = new Map<string, number>()
  let keyBytes = 0

  const keyCost = (key: string): number => KEY_OVERHEAD_BYTES + key.length
  const blockOf = (slot: number): Block => {
    const block = blocks[Math.floor(slot / blockVectors)]
    if (block === undefined) throw new Error('broken invariant: every slot below the size has a block')
    return block
  }

  const append = (key: string): number => {
    const slot = slotByKey.size
    if (slot === blocks.length * blockVectors) {
      blocks.push({
        numbers: new Float32Array(blockVectors * dimension),
        squaredNorms: new Float64Array(blockVectors),
        keys: [],
      })
    }
    blockOf(slot).keys.push(key)
    slotByKey.set(key, slot)
    keyBytes += keyCost(key)
    return slot
  }

  return {
    dimension,
    get size() {
      return slotByKey.size
    },
    get bytes() {
      return blocks.length * blockBytes + keyBytes
    },
    get blockCount() {
      return blocks.length
    },
    set(key, vector) {
      const slot = slotByKey.get(key) ?? append(key)
      const { numbers, squaredNorms } = blockOf(slot)
      const at = slot % blockVectors
      readFloats(vector, numbers, at * dimension)
      squaredNorms[at] = squaredNorm(numbers, at * dimension, dimension)
    },
    delete(key) {
      const slot = slotByKey.get(key)
      if (slot === undefined) return
      const lastSlot = slotByKey.size - 1
      const lastBlock = blockOf(lastSlot)
      const lastKey = lastBlock.keys.pop()
      slotByKey.delete(key)
      keyBytes -= keyCost(key)
      if (lastKey !== undefined && lastKey !== key) {
        const { numbers, squaredNorms, keys } = blockOf(slot)
        const at = slot % blockVectors
        const lastAt = lastSlot % blockVectors
        numbers.set(lastBlock.numbers.subarray(lastAt * dimension, (lastAt + 1) * dimension), at * dimension)
        squaredNorms[at] = lastBlock.squaredNorms[lastAt] ?? 0
        keys[at] = lastKey
        slotByKey.set(lastKey, slot)
      }
      if (lastBlock.keys.length === 0) blocks.pop()
    },
    offerBlock(block, distance, prefix, nearest) {
      const found = blocks[block]
      if (found === undefined) return
      const { numbers, squaredNorms, keys } = found
      const takesAll = prefix === ''
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i]!
        if (!takesAll && !key.startsWith(prefix)) continue
        const far = distance(numbers, i * dimension, squaredNorms[i]!)
        if (far <= nearest.limit) nearest.offer(far, key)
      }
    },
  }
}

/** Reads little-endian float32, wherever they begin, into `target` from `at` on. */
export function readFloats(bytes: Uint8Array, target: Float32Array, at: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = bytes.byteLength / 4
  for (let i = 0; i < count; i++) target[at + i] = view.getFloat32(i * 4, true)
}

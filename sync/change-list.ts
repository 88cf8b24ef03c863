/**
 * The changes of one write group. A group lives until it is on the disk, and what lives is what the garbage collector pays for: so a change
 * is kept as two memory blocks and four numbers, and becomes an object only while it is handed to the store.
 */
import type { StoreChange } from './store.ts'

export interface ChangeList extends Iterable<StoreChange> {
  /** Takes views: what they show must not change until the list has been written. */
  readonly put: (key: Uint8Array, value: Uint8Array) => void
  readonly del: (key: Uint8Array) => void
  /** Sum of the lengths of all keys and values. */
  readonly bytes: number
}

/** In the place of a value's length. */
const DELETED = -1

const BLOCKS_PER_CHANGE = 2
const SPANS_PER_CHANGE = 4

export function createChangeList(): ChangeList {
  // Per change: the block of the key and that of the value; offset and length of the key, offset and length of the value.
  const blocks: ArrayBufferLike[] = []
  const spans: number[] = []
  let bytes = 0

  const view = (block: number, span: number): Uint8Array => new Uint8Array(blocks[block]!, spans[span], spans[span + 1])

  return {
    put(key, value) {
      blocks.push(key.buffer, value.buffer)
      spans.push(key.byteOffset, key.length, value.byteOffset, value.length)
      bytes += key.length + value.length
    },
    del(key) {
      blocks.push(key.buffer, key.buffer)
      spans.push(key.byteOffset, key.length, 0, DELETED)
      bytes += key.length
    },
    get bytes() {
      return bytes
    },
    *[Symbol.iterator]() {
      for (let block = 0, span = 0; block < blocks.length; block += BLOCKS_PER_CHANGE, span += SPANS_PER_CHANGE) {
        const key = view(block, span)
        if (spans[span + 3] === DELETED) yield { type: 'del', key }
        else yield { type: 'put', key, value: view(block + 1, span + 2) }
      }
    },
  }
}

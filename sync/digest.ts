/**
 * Digests: what a collection holds, in 16 bytes, and a tree over it that narrows a difference down.
 *
 * An item's hash covers key, dot, stamp, flags and content, not the context. A bucket is the sum of its items' hashes modulo 2^128
 * (four 32-bit lanes with carry) and their number; buckets are chosen by the leading bits of the key's hash. Sums fold: a node of
 * the tree is the sum over its buckets, so peers need not agree on how many buckets they keep. A node's digest is
 * sha256(sum || count || level || index), cut to 8 bytes; the root's to 16.
 * Why sums and not XOR: unkeyed XOR aggregates were cancelled out in 2 ms; the salt keeps key and item hashes unpredictable.
 *
 * Invariants (test/unit/sync/digest.test.ts):
 *   D1 the root depends on the set of items alone, not on order or path;
 *   D2 adding and removing an item leaves no trace;
 *   D3 children fold to their parent.
 */
import { concatBytes, EMPTY, readU32, u64Bytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { createScratch } from '../base/scratch.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import { KEY_BYTES_MAX } from './key.ts'
import { KEY_HASH_BYTES } from './rows.ts'
import { DOT_BYTES, writeDot, writeStamp, type Version } from './version.ts'

export const ITEM_HASH_BYTES = 16
const CONTENT_HASH_BYTES = 32
export const ROOT_BYTES = 16
export const NODE_BYTES = 8
export const SALT_BYTES = 16
export const FANOUT = 16
/** The level that is kept in rows: 16^2 = 256 buckets. Finer levels are summed from the items on demand. */
export const BUCKET_LEVEL = 2
/** The finest level of the tree: 16^4 = 65,536 nodes. */
export const LEVEL_MAX = 4

const label = (text: string): Uint8Array => encodeUtf8(text) ?? EMPTY
const LABEL_KEY = label('hs key 1\0')
const LABEL_ITEM = label('hs item 1\0')
const LABEL_CONTENT = label('hs content 1\0')
const LABEL_NODE = label('hs node 1\0')
const LABEL_SALT = label('hs salt 1\0')

export interface ItemHasher {
  /** Places a key in the tree: KEY_HASH_BYTES, written to the beginning of `target`, which is returned. */
  keyHash(key: Uint8Array, target?: Uint8Array): Uint8Array
  /** ITEM_HASH_BYTES, written to the beginning of `target`, which is returned. */
  itemHash(key: Uint8Array, version: Version, target?: Uint8Array): Uint8Array
  /** Names the salt without giving it away: replicas with another one cannot compare digests. 8 bytes. */
  readonly saltId: Uint8Array
}

/** `salt`: 16 bytes, the same in the whole swarm, never rotated; all zero when none is set. */
export function createItemHasher(hash: Hash, salt: Uint8Array): ItemHasher {
  const keyHead = concatBytes(LABEL_KEY, salt)
  const contentHead = concatBytes(LABEL_CONTENT, salt)
  const itemHead = concatBytes(LABEL_ITEM, salt)
  // Hash inputs are built in places that are used again and again: hashing allocates next to nothing.
  const contentInput = createScratch(4096, contentHead)
  const keyInput = createScratch(keyHead.length + KEY_BYTES_MAX, keyHead)
  const itemInput = createScratch(itemHead.length + 2 + KEY_BYTES_MAX + DOT_BYTES + 8 + 1 + CONTENT_HASH_BYTES, itemHead)
  return {
    keyHash(key, target = new Uint8Array(KEY_HASH_BYTES)) {
      const input = keyInput(keyHead.length + key.length)
      input.set(key, keyHead.length)
      hash.sha256Into(input, target, 0, KEY_HASH_BYTES)
      return target
    },
    itemHash(key, version, target = new Uint8Array(ITEM_HASH_BYTES)) {
      const content = contentInput(contentHead.length + version.body.length)
      content.set(version.body, contentHead.length)

      const input = itemInput(itemHead.length + 2 + key.length + DOT_BYTES + 8 + 1 + CONTENT_HASH_BYTES)
      let at = itemHead.length
      input[at++] = key.length >>> 8
      input[at++] = key.length
      input.set(key, at)
      at += key.length
      writeDot(input, at, version)
      at += DOT_BYTES
      writeStamp(input, at, version.stamp)
      at += 8
      input[at++] = version.flags
      hash.sha256Into(content, input, at, CONTENT_HASH_BYTES)
      hash.sha256Into(input, target, 0, ITEM_HASH_BYTES)
      return target
    },
    saltId: hash.sha256(concatBytes(LABEL_SALT, salt)).subarray(0, 8),
  }
}

/** A sum of item hashes and their count. */
export interface DigestSum {
  /** Four lanes, most significant first. */
  readonly lanes: Uint32Array
  count: number
}

export function createDigestSum(): DigestSum {
  return { lanes: new Uint32Array(4), count: 0 }
}

export function addItem(sum: DigestSum, itemHash: Uint8Array): void {
  let carry = 0
  for (let lane = 3; lane >= 0; lane--) {
    const total = sum.lanes[lane]! + readU32(itemHash, lane * 4) + carry
    sum.lanes[lane] = total
    carry = total > 0xffffffff ? 1 : 0
  }
  sum.count += 1
}

export function removeItem(sum: DigestSum, itemHash: Uint8Array): void {
  let borrow = 0
  for (let lane = 3; lane >= 0; lane--) {
    const total = sum.lanes[lane]! - readU32(itemHash, lane * 4) - borrow
    sum.lanes[lane] = total
    borrow = total < 0 ? 1 : 0
  }
  sum.count -= 1
}

export function addSum(target: DigestSum, other: DigestSum): void {
  let carry = 0
  for (let lane = 3; lane >= 0; lane--) {
    const total = target.lanes[lane]! + other.lanes[lane]! + carry
    target.lanes[lane] = total
    carry = total > 0xffffffff ? 1 : 0
  }
  target.count += other.count
}

export function removeSum(target: DigestSum, other: DigestSum): void {
  let borrow = 0
  for (let lane = 3; lane >= 0; lane--) {
    const total = target.lanes[lane]! - other.lanes[lane]! - borrow
    target.lanes[lane] = total
    borrow = total < 0 ? 1 : 0
  }
  target.count -= other.count
}

export const isEqualSum = (a: DigestSum, b: DigestSum): boolean => a.count === b.count && a.lanes.every((lane, i) => lane === b.lanes[i])

/** sum(16) count(4), the value of a bucket's row. */
export function encodeSum(sum: DigestSum): Uint8Array {
  const bytes = new Uint8Array(20)
  for (let field = 0; field < 5; field++) {
    const value = field < 4 ? sum.lanes[field]! : sum.count
    bytes[field * 4] = value >>> 24
    bytes[field * 4 + 1] = value >>> 16
    bytes[field * 4 + 2] = value >>> 8
    bytes[field * 4 + 3] = value
  }
  return bytes
}

export function decodeSum(bytes: Uint8Array): DigestSum {
  const sum = createDigestSum()
  for (let lane = 0; lane < 4; lane++) sum.lanes[lane] = readU32(bytes, lane * 4)
  sum.count = readU32(bytes, 16)
  return sum
}

function nodeHash(hash: Hash, sum: DigestSum, level: number, index: number): Uint8Array {
  return hash.sha256(concatBytes(LABEL_NODE, encodeSum(sum), Uint8Array.of(level), u64Bytes(index)))
}

/** Digest of an inner node, 8 bytes. */
export function nodeDigest(hash: Hash, sum: DigestSum, level: number, index: number): Uint8Array {
  return nodeHash(hash, sum, level, index).subarray(0, NODE_BYTES)
}

/** Digest of the whole, 16 bytes. */
export function rootDigest(hash: Hash, sum: DigestSum): Uint8Array {
  return nodeHash(hash, sum, 0, 0).subarray(0, ROOT_BYTES)
}

/** The node of `level` that a key hash falls under: its leading `level` hexadecimal digits. */
export function nodeIndex(keyHash: Uint8Array, level: number): number {
  return Math.floor(readU32(keyHash, 0) / 16 ** (8 - level))
}

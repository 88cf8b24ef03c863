/**
 * The digests of all collections of one node, in order of name, and the 8-byte summary that heartbeats carry.
 *
 * The summary is the leading 8 bytes of SHA-256 over a fixed layout, never over CBOR:
 *
 * | bytes | field |
 * |---|---|
 * | 17 | "hs-agent digests\0" |
 * | 4 | number of collections |
 * | per collection: 2 + n | length of the name, name |
 * | 8 | generation |
 * | 16 | digest |
 * | 8 + 8 | record count, vector count |
 * | 8 + 1 | of a partial collection: known, flags |
 */
import { assert } from '../base/assert.ts'
import { createByteWriter, equalBytes, toHex } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'

export const DIGEST_BYTES = 16

export interface CollectionDigest {
  readonly name: string
  readonly generation: number
  /** Root of the collection's digest tree, 16 bytes. */
  readonly digest: Uint8Array
  readonly recordCount: number
  readonly vectorCount: number
  /**
   * Of a collection that is not compared by its digest alone, since its node may lack what others hold, or lets it expire: a hash of what
   * the node knows, 8 bytes, and a byte that the swarm passes on and does not read.
   */
  readonly partial?: PartialDigest
}

export interface PartialDigest {
  readonly known: Uint8Array
  readonly flags: number
}

export const KNOWN_BYTES = 8

export interface DigestList {
  /** 16 hexadecimal digits. */
  readonly summary: string
  /** Strictly ascending by name. */
  readonly collections: readonly CollectionDigest[]
}

const LABEL = encodeUtf8('hs-agent digests\0') ?? new Uint8Array(0)

/** Names are those of interfaces.md, and those of system collections, which begin with `_`: ASCII, so text order is byte order. */
export function isCollectionName(name: string): boolean {
  return /^[a-z0-9_][a-z0-9_.-]{0,63}$/.test(name)
}

/** Orders our own collections and sums them up. */
export function createDigestList(collections: readonly CollectionDigest[], hash: Hash): DigestList {
  const sorted = [...collections].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  for (const { name, digest } of sorted) {
    assert(isCollectionName(name) && digest.length === DIGEST_BYTES, 'a gossiped collection has a proper name and a 16-byte digest')
  }
  return { summary: summarize(sorted, hash), collections: sorted }
}

/** The summary of collections that are in order already. */
export function summarize(sorted: readonly CollectionDigest[], hash: Hash): string {
  const writer = createByteWriter(64 + sorted.length * 80)
    .raw(LABEL)
    .u32(sorted.length)
  for (const { name, generation, digest, recordCount, vectorCount, partial } of sorted) {
    const nameBytes = encodeUtf8(name) ?? new Uint8Array(0)
    writer.u16(nameBytes.length).raw(nameBytes).u64(generation).raw(digest).u64(recordCount).u64(vectorCount)
    if (partial !== undefined) writer.raw(partial.known).u8(partial.flags)
  }
  return toHex(hash.sha256(writer.finish()).subarray(0, 8))
}

/**
 * Names whose generation or digest is not the same on both sides, and names that only one side has; ascending. Two that are partial and know
 * the same do not differ; whether another pair with a partial one has something to exchange is not told by their digests.
 */
export function differingNames(a: DigestList, b: DigestList): string[] {
  if (a.summary === b.summary) return []
  const differing: string[] = []
  let i = 0
  let k = 0
  while (i < a.collections.length || k < b.collections.length) {
    const left = a.collections[i]
    const right = b.collections[k]
    if (right === undefined || (left !== undefined && left.name < right.name)) {
      if (left !== undefined) differing.push(left.name)
      i += 1
    } else if (left === undefined || right.name < left.name) {
      differing.push(right.name)
      k += 1
    } else {
      if (left.generation !== right.generation || !isSame(left, right)) differing.push(left.name)
      i += 1
      k += 1
    }
  }
  return differing
}

const isSame = (a: CollectionDigest, b: CollectionDigest): boolean =>
  equalBytes(a.digest, b.digest) || (a.partial !== undefined && b.partial !== undefined && equalBytes(a.partial.known, b.partial.known))

/** Index of the first collection behind the cursor; '' is before all. */
export function indexAfter(list: DigestList, after: string): number {
  let low = 0
  let high = list.collections.length
  while (low < high) {
    const middle = (low + high) >> 1
    const { name } = list.collections[middle]!
    if (name <= after) low = middle + 1
    else high = middle
  }
  return low
}

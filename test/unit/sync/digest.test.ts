import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { toHex } from '../../../base/bytes.ts'
import {
  addItem,
  addSum,
  createDigestSum,
  createItemHasher,
  decodeSum,
  encodeSum,
  nodeIndex,
  removeItem,
  rootDigest,
  type DigestSum,
} from '../../../sync/digest.ts'
import { FLAG_PAYLOAD, FLAG_TOMBSTONE, type Version } from '../../../sync/version.ts'

const itemHashes = fc.array(fc.uint8Array({ minLength: 16, maxLength: 16 }), { maxLength: 40 })
const sumOf = (hashes: readonly Uint8Array[]): DigestSum => {
  const sum = createDigestSum()
  for (const hash of hashes) addItem(sum, hash)
  return sum
}
const toBig = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`)

describe('digest sums', () => {
  it('are sums modulo 2^128, with every carry', () => {
    fc.assert(
      fc.property(itemHashes, hashes => {
        const expected = hashes.reduce((total, hash) => (total + toBig(hash)) % (1n << 128n), 0n)
        expect(toBig(encodeSum(sumOf(hashes)).subarray(0, 16))).toBe(expected)
      }),
    )
  })

  it('D1 do not depend on order', () => {
    fc.assert(
      fc.property(itemHashes, hashes => {
        expect(sumOf(hashes.toReversed())).toEqual(sumOf(hashes))
      }),
    )
  })

  it('D2 lose all trace of an item that is removed', () => {
    fc.assert(
      fc.property(itemHashes, itemHashes, (stay, go) => {
        const sum = sumOf([...go, ...stay])
        for (const hash of go) removeItem(sum, hash)
        expect(sum).toEqual(sumOf(stay))
      }),
    )
  })

  it('D3 fold: the sum over parts is the sum over all', () => {
    fc.assert(
      fc.property(itemHashes, itemHashes, (a, b) => {
        const folded = sumOf(a)
        addSum(folded, sumOf(b))
        expect(folded).toEqual(sumOf([...a, ...b]))
      }),
    )
  })

  it('read back from their rows', () => {
    fc.assert(
      fc.property(itemHashes, hashes => {
        expect(decodeSum(encodeSum(sumOf(hashes)))).toEqual(sumOf(hashes))
      }),
    )
  })

  it('P13 do not cancel out: a pair of equal items is not nothing, and neither is an empty collection with another count', () => {
    const hash = new Uint8Array(16)
    expect(rootDigest(systemHash, sumOf([hash, hash]))).not.toEqual(rootDigest(systemHash, sumOf([])))
  })
})

describe('item hashes', () => {
  const hasher = createItemHasher(systemHash, new Uint8Array(16))
  const key = Uint8Array.of(1, 2)
  const version: Version = {
    flags: FLAG_PAYLOAD,
    origin: 'ab'.repeat(16),
    counter: 7,
    stamp: { ms: 9, tick: 1 },
    context: [],
    body: Uint8Array.of(5),
  }

  it('P13 cover key, dot, stamp, flags and content', () => {
    const changed: [Uint8Array, Version][] = [
      [Uint8Array.of(1, 3), version],
      [key, { ...version, origin: 'ac'.repeat(16) }],
      [key, { ...version, counter: 8 }],
      [key, { ...version, stamp: { ms: 10, tick: 1 } }],
      [key, { ...version, stamp: { ms: 9, tick: 2 } }],
      [key, { ...version, flags: FLAG_TOMBSTONE }],
      [key, { ...version, body: Uint8Array.of(6) }],
    ]
    const hashes = changed.map(([k, v]) => toHex(hasher.itemHash(k, v)))
    expect(new Set([...hashes, toHex(hasher.itemHash(key, version))]).size).toBe(changed.length + 1)
  })

  it('do not cover the context: it may be trimmed without a trace', () => {
    const seen = { ...version, context: [{ origin: 'cd'.repeat(16), counter: 1 }] }
    expect(hasher.itemHash(key, seen)).toEqual(hasher.itemHash(key, version))
  })

  it('depend on the salt, as do the places of keys', () => {
    const other = createItemHasher(systemHash, new Uint8Array(16).fill(1))
    expect(other.itemHash(key, version)).not.toEqual(hasher.itemHash(key, version))
    expect(other.keyHash(key)).not.toEqual(hasher.keyHash(key))
    expect(other.saltId).not.toEqual(hasher.saltId)
  })
})

describe('places in the tree', () => {
  it('are the leading hexadecimal digits of the key hash', () => {
    const keyHash = Uint8Array.of(0xab, 0xcd, 0xef, 1, 2, 3, 4, 5)
    expect([0, 1, 2, 3, 4].map(level => nodeIndex(keyHash, level))).toEqual([0, 0xa, 0xab, 0xabc, 0xabcd])
  })
})

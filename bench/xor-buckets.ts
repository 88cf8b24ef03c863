/**
 * The baseline of the sync benches for digests: 256 flat buckets, as HyperspaceDB 3.1.3 compares replicas, written anew from a description
 * of it. An item is in the bucket of its number modulo 256; a bucket's digest is the XOR of its items' hashes, and an item's hash is made of
 * its number and the XOR of its vector's 64-bit words. Nothing else is hashed, and there are no tombstones. Buckets whose digests differ
 * are exchanged whole, both ways, since nobody knows which side has changed; of two copies the one that was written last stays.
 */

export const BUCKETS = 256

const DIGEST_BYTES = 8
/** An item on the wire: its number (4) and the payload's length (4), then vector and payload. */
const ITEM_HEAD_BYTES = 8

export interface XorItem {
  readonly id: number
  readonly vector: Float32Array
  readonly payload: string
  /** Which of two copies was written last. */
  readonly written: number
}

export interface XorReplica {
  get(id: number): XorItem | undefined
  put(item: XorItem): void
  delete(id: number): void
  readonly digests: BigUint64Array
  bucket(index: number): ReadonlyMap<number, XorItem>
}

/** Spreads its bits (the finaliser of SplitMix64). */
function mix(word: bigint): bigint {
  let mixed = BigInt.asUintN(64, word + 0x9e3779b97f4a7c15n)
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
  return mixed ^ (mixed >> 31n)
}

function hashItem({ id, vector }: XorItem): bigint {
  const words = new BigUint64Array(vector.slice(0, vector.length & ~1).buffer)
  let folded = 0n
  for (const word of words) folded ^= word
  return mix(BigInt(id) ^ mix(folded))
}

export function createXorReplica(): XorReplica {
  const buckets = Array.from({ length: BUCKETS }, () => new Map<number, XorItem>())
  const digests = new BigUint64Array(BUCKETS)
  const bucketOf = (id: number): Map<number, XorItem> => buckets[id % BUCKETS]!
  const toggle = (item: XorItem): void => {
    digests[item.id % BUCKETS]! ^= hashItem(item)
  }
  const remove = (id: number): void => {
    const item = bucketOf(id).get(id)
    if (item === undefined) return
    toggle(item)
    bucketOf(id).delete(id)
  }
  return {
    get: id => bucketOf(id).get(id),
    put(item) {
      remove(item.id)
      bucketOf(item.id).set(item.id, item)
      toggle(item)
    },
    delete: remove,
    digests,
    bucket: index => buckets[index]!,
  }
}

const itemBytes = ({ vector, payload }: XorItem): number => ITEM_HEAD_BYTES + vector.byteLength + Buffer.byteLength(payload)

/** Brings two replicas together; resolves to the bytes that go over the wire, both ways. */
export function syncXorReplicas(a: XorReplica, b: XorReplica): number {
  const differing = [...a.digests.keys()].filter(index => a.digests[index] !== b.digests[index])
  // One side states its digests, the other answers which buckets differ.
  let bytes = BUCKETS * DIGEST_BYTES + differing.length
  for (const index of differing) {
    const ofA = [...a.bucket(index).values()]
    const ofB = [...b.bucket(index).values()]
    for (const item of [...ofA, ...ofB]) bytes += itemBytes(item)
    for (const item of ofA) if (item.written > (b.get(item.id)?.written ?? -1)) b.put(item)
    for (const item of ofB) if (item.written > (a.get(item.id)?.written ?? -1)) a.put(item)
  }
  return bytes
}

/**
 * What is hashed and signed of a checkpoint and of a proof: fixed binary layouts, shared by who makes and who verifies them.
 *
 *   checkpoint statement   "hs checkpoint 1\0", fields
 *   proof statement        "hs proof 1\0", fields, versions (2), SHA-256 of the bucket's item hashes (32)
 *
 *   fields, big-endian     node id 16, name length 1, name, generation 8, root 32, digest 16, items 8, records 8, knowledge 16,
 *                          logical clock 8, time 8, trusted time 1, digest salt 16
 *   leaf of a bucket       SHA-256(0x00, level 1, bucket 4, sum 16, count 4)
 *   inner node             SHA-256(0x01, left 32, right 32)
 *
 * Leaf and inner node cannot stand for one another: their first bytes differ (RFC 9162, section 2.1.1). There are always 256 leaves, those of
 * empty buckets too, so no node is ever doubled or promoted and every path has one length.
 *
 * Why a proof signs the list of item hashes: a bucket's sum binds nobody. Whoever may choose the hashes that are summed up meets any sum
 * with a single one of them. So the sum shows that the list is what the digest was made of, and the signature that the node said so.
 */
import { concatBytes, createByteWriter, EMPTY, fromHex } from '../../base/bytes.ts'
import { encodeUtf8 } from '../../base/utf8.ts'
import { BUCKET_LEVEL, encodeSum, type DigestSum } from '../../sync/digest.ts'
import { systemHash } from '../ports.ts'
import type { CheckpointFieldsJson } from './shapes.ts'

const LABEL_CHECKPOINT = encodeUtf8('hs checkpoint 1\0') ?? EMPTY
const LABEL_PROOF = encodeUtf8('hs proof 1\0') ?? EMPTY

const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? EMPTY

/** `fields` have been checked: every string has its length. */
function encodeFields(fields: CheckpointFieldsJson): Uint8Array {
  const name = encodeUtf8(fields.collection) ?? EMPTY
  return createByteWriter()
    .raw(bytesOf(fields.node_id.replaceAll('-', '')))
    .u8(name.length)
    .raw(name)
    .u64(fields.generation)
    .raw(bytesOf(fields.root))
    .raw(bytesOf(fields.digest))
    .u64(fields.item_count)
    .u64(fields.record_count)
    .raw(bytesOf(fields.knowledge))
    .u64(fields.logical_clock)
    .u64(fields.time)
    .u8(fields.trusted_time ? 1 : 0)
    .raw(bytesOf(fields.digest_salt))
    .finish()
}

export function checkpointStatement(fields: CheckpointFieldsJson): Uint8Array {
  return concatBytes(LABEL_CHECKPOINT, encodeFields(fields))
}

/** `items`: the item hashes of the bucket, of which the first `versions` are those of the record. */
export function proofStatement(fields: CheckpointFieldsJson, versions: number, items: Uint8Array): Uint8Array {
  return concatBytes(LABEL_PROOF, encodeFields(fields), Uint8Array.of(versions >>> 8, versions), systemHash.sha256(items))
}

export function leafHash(bucket: number, sum: DigestSum): Buffer {
  const leaf = createByteWriter().u8(0).u8(BUCKET_LEVEL).u32(bucket).raw(encodeSum(sum)).finish()
  return Buffer.from(systemHash.sha256(leaf))
}

/** merkletreejs joins siblings by this before it hashes them. */
export const joinSiblings = (siblings: readonly Buffer[]): Buffer => Buffer.concat([Buffer.of(1), ...siblings])

/** merkletreejs hashes by this. */
export const hashNode = (node: Uint8Array): Buffer => Buffer.from(systemHash.sha256(node))

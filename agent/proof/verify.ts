/**
 * Verifies checkpoints and proofs. Pure: it needs no agent, no network, no file and no clock, and what it says depends on its arguments alone.
 *
 * What is checked, in this order; each has a message of its own:
 *   V1 form: every field is there once, has its type and length and the one spelling that its value has; nothing else is there
 *   V2 key: the public key is the one that the caller trusts
 *   V3 signature: everything signed - the checkpoint, the list of the bucket's items - is as the key's holder signed it
 *   V4 item: every version of the record hashes to its place in the list
 *   V5 path: the sum of the list is a leaf that the path leads from to the root, at the place that the record's key has in the tree
 */
import { createPublicKey, verify } from 'node:crypto'
import { MerkleTree } from 'merkletreejs/MerkleTree'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { equalBytes, EMPTY, fromHex } from '../../base/bytes.ts'
import { encodeUtf8 } from '../../base/utf8.ts'
import { decodeContent, type Content } from '../../sync/content.ts'
import { addItem, BUCKET_LEVEL, createDigestSum, createItemHasher, ITEM_HASH_BYTES, nodeIndex } from '../../sync/digest.ts'
import { keyFault } from '../../sync/key.ts'
import { isOpaque, isTombstone, type Version } from '../../sync/version.ts'
import { systemHash } from '../ports.ts'
import { checkpointStatement, hashNode, joinSiblings, leafHash, proofStatement } from './layout.ts'
import {
  CHECKPOINT_FORMAT,
  CheckpointShape,
  PATH_LENGTH,
  PROOF_LIMITS,
  ProofShape,
  type CheckpointFieldsJson,
  type ProofJson,
} from './shapes.ts'

export const PROOF_FAULTS = {
  size: 'the file is larger than a proof can be',
  form: 'the file is not a proof or checkpoint as an agent writes it',
  key: 'it is signed with another key than the one that was given',
  signature: 'the signature does not fit: the checkpoint, the list of items, the public key or the signature itself was changed',
  item: 'the record is not the one in the list of items: its key or one of its versions was changed',
  path: 'the list of items and the path do not lead to the root: the path was changed, or the key does not belong into this bucket',
} as const

export interface ProofFault {
  readonly ok: false
  readonly part: keyof typeof PROOF_FAULTS
  /** The member of the file that is not as it must be, where the form is at fault. */
  readonly member?: string
}

export interface ProvenVersion {
  readonly version: Version
  readonly content: Content
}

/** What is proven. `record` is absent in a checkpoint. */
export interface Proven {
  readonly ok: true
  /** Hexadecimal. */
  readonly publicKey: string
  readonly checkpoint: CheckpointFieldsJson
  readonly record?: { readonly key: string; readonly versions: readonly ProvenVersion[] }
}

const faulty = (part: ProofFault['part'], member?: string): ProofFault => ({ ok: false, part, ...(member === undefined ? {} : { member }) })

/** Verifies a file. `publicKey`: the key that it must be signed with, in hexadecimal; otherwise the one that it names. */
export function verifyProofFile(file: Uint8Array, publicKey?: string): Proven | ProofFault {
  if (file.length > PROOF_LIMITS.fileBytesMax) return faulty('size')
  let text: string
  let document: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file)
    document = JSON.parse(text)
  } catch {
    return faulty('form')
  }
  // A name that stands twice, or a number in another spelling, could show one value to this program and another one to the next.
  if (squeeze(text) !== JSON.stringify(document)) return faulty('form')
  return verifyProof(document, publicKey)
}

/** Verifies a parsed document. */
export function verifyProof(document: unknown, publicKey?: string): Proven | ProofFault {
  const isCheckpoint = typeof document === 'object' && document !== null && 'format' in document && document.format === CHECKPOINT_FORMAT
  return isCheckpoint ? verifyCheckpoint(document, publicKey) : verifyRecord(document, publicKey)
}

function verifyCheckpoint(document: unknown, publicKey: string | undefined): Proven | ProofFault {
  if (!Value.Check(CheckpointShape, document)) return misfit(CheckpointShape, document)
  const fault = signatureFault(document, checkpointStatement(document.checkpoint), publicKey)
  return fault ?? { ok: true, publicKey: document.public_key, checkpoint: document.checkpoint }
}

function verifyRecord(document: unknown, publicKey: string | undefined): Proven | ProofFault {
  if (!Value.Check(ProofShape, document)) return misfit(ProofShape, document)
  const { checkpoint, versions } = document
  if (keyFault(document.key) !== undefined) return faulty('form', 'key')
  const items = decodeBase64(document.bucket_items)
  const isList = items !== undefined && items.length % ITEM_HASH_BYTES === 0 && items.length <= PROOF_LIMITS.itemsMax * ITEM_HASH_BYTES
  if (!isList || items.length < versions.length * ITEM_HASH_BYTES) return faulty('form', 'bucket_items')
  const proven: ProvenVersion[] = []
  for (const [i, json] of versions.entries()) {
    const one = readVersion(json)
    if (one === undefined) return faulty('form', `versions.${i}`)
    proven.push(one)
  }

  const fault = signatureFault(document, proofStatement(checkpoint, versions.length, items), publicKey)
  if (fault !== undefined) return fault

  const hasher = createItemHasher(systemHash, fromHex(checkpoint.digest_salt) ?? EMPTY)
  const key = encodeUtf8(document.key) ?? EMPTY
  for (const [i, { version }] of proven.entries()) {
    const place = items.subarray(i * ITEM_HASH_BYTES, (i + 1) * ITEM_HASH_BYTES)
    if (!equalBytes(hasher.itemHash(key, version), place)) return faulty('item')
  }
  if (!leadsToRoot(nodeIndex(hasher.keyHash(key), BUCKET_LEVEL), items, document.path, checkpoint.root)) return faulty('path')
  return { ok: true, publicKey: document.public_key, checkpoint, record: { key: document.key, versions: proven } }
}

function leadsToRoot(bucket: number, items: Uint8Array, path: readonly string[], root: string): boolean {
  if (path.length !== PATH_LENGTH) return false
  const sum = createDigestSum()
  for (let at = 0; at < items.length; at += ITEM_HASH_BYTES) addItem(sum, items.subarray(at, at + ITEM_HASH_BYTES))
  // On which side a sibling stands follows from the bucket's number, so a path cannot lead to another place of the tree.
  const siblings = path.map((sibling, level) => ({
    position: ((bucket >>> level) & 1) === 1 ? 'left' : 'right',
    data: Buffer.from(sibling, 'hex'),
  }))
  return MerkleTree.verify(siblings, leafHash(bucket, sum), Buffer.from(root, 'hex'), hashNode, { concatenator: joinSiblings })
}

function signatureFault(
  document: { readonly public_key: string; readonly signature: string },
  statement: Uint8Array,
  publicKey: string | undefined,
): ProofFault | undefined {
  if (publicKey !== undefined && publicKey !== document.public_key) return faulty('key')
  try {
    const x = Buffer.from(document.public_key, 'hex').toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    return verify(null, statement, key, Buffer.from(document.signature, 'hex')) ? undefined : faulty('signature')
  } catch {
    // Not every 32 bytes are a key.
    return faulty('signature')
  }
}

/** A version with its content; undefined for what no agent puts into a proof: a deletion, a body of another layout, unknown flags. */
function readVersion(json: ProofJson['versions'][number]): ProvenVersion | undefined {
  const body = decodeBase64(json.body)
  if (body === undefined) return undefined
  const { origin, counter, flags } = json
  const version: Version = { flags, origin, counter, stamp: { ms: json.time, tick: json.tick }, context: [], body }
  const content = isTombstone(version) || isOpaque(version) ? undefined : decodeContent(version)
  return content && { version, content }
}

/** Undefined unless the text is the one spelling of its bytes. */
function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

function misfit(shape: TSchema, document: unknown): ProofFault {
  const path = Value.Errors(shape, document)[0]?.instancePath.slice(1).replaceAll('/', '.')
  return faulty('form', path === '' ? undefined : path)
}

/** A JSON text without the white space between its tokens. */
const squeeze = (text: string): string =>
  text.replaceAll(/("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+/g, (_, string: string | undefined) => string ?? '')

/**
 * Makes checkpoints and proofs. Work and memory are bounded: a checkpoint reads the 256 bucket rows of a collection, a proof also the items
 * of one bucket (of a million records about 4,000) and one record. Everything comes from one snapshot.
 */
import { MerkleTree } from 'merkletreejs/MerkleTree'
import { toHex } from '../../base/bytes.ts'
import type { Clock } from '../../base/ports.ts'
import { encodeUtf8 } from '../../base/utf8.ts'
import { BUCKET_LEVEL, createDigestSum, createItemHasher, FANOUT, ITEM_HASH_BYTES, nodeIndex, type DigestSum } from '../../sync/digest.ts'
import { shownVersion, type Entry } from '../../sync/entry.ts'
import type { CollectionSnapshot } from '../../sync/replica-snapshot.ts'
import type { SyncReplica } from '../../sync/sync-replica.ts'
import { isOpaque, isTombstone, type Version } from '../../sync/version.ts'
import { AgentError } from '../errors.ts'
import { systemHash } from '../ports.ts'
import type { SigningKey } from '../signing-key.ts'
import { checkpointStatement, hashNode, joinSiblings, leafHash, proofStatement } from './layout.ts'
import {
  CHECKPOINT_FORMAT,
  PROOF_FORMAT,
  PROOF_LIMITS,
  type CheckpointFieldsJson,
  type CheckpointJson,
  type ProofJson,
  type ProofLimits,
} from './shapes.ts'
import { PROOF_FAULTS, verifyProof } from './verify.ts'

export interface Prover {
  /** Hexadecimal, 32 bytes. */
  readonly publicKey: string
  /** Undefined when there is no such collection. */
  checkpoint(collection: string): Promise<CheckpointJson | undefined>
  /** Undefined when there is no such record. Throws HS_TOO_LARGE beyond PROOF_LIMITS. */
  prove(collection: string, key: string): Promise<ProofJson | undefined>
}

export interface ProverOptions {
  readonly replica: Pick<SyncReplica, 'snapshot'>
  /** A UUID. */
  readonly nodeId: string
  readonly signingKey: SigningKey
  /** 16 bytes. */
  readonly digestSalt: Uint8Array
  readonly clock: Pick<Clock, 'wallMs' | 'trusted'>
  readonly limits?: Partial<ProofLimits>
}

const BUCKETS = FANOUT ** BUCKET_LEVEL

/** What is read for a checkpoint, and the tree over it. */
interface Moment {
  readonly collection: CollectionSnapshot
  readonly sumByBucket: ReadonlyMap<number, DigestSum>
  readonly tree: MerkleTree
  readonly fields: CheckpointFieldsJson
}

export function createProver({ replica, nodeId, signingKey, digestSalt, clock, limits: given }: ProverOptions): Prover {
  const limits = { ...PROOF_LIMITS, ...given }
  const publicKey = toHex(signingKey.publicKey)
  const hasher = createItemHasher(systemHash, digestSalt)

  /** Runs `action` on a collection as it is at this moment; undefined when there is none. */
  const atMoment = async <T>(name: string, action: (moment: Moment) => Promise<T>): Promise<T | undefined> => {
    const timeMs = clock.wallMs()
    const isTimeTrusted = clock.trusted()
    const snapshot = await replica.snapshot()
    try {
      const collection = await snapshot.collection(name)
      if (collection === undefined) return undefined
      const sumByBucket = await collection.buckets()
      const leaves = Array.from({ length: BUCKETS }, (_, bucket) => leafHash(bucket, sumByBucket.get(bucket) ?? createDigestSum()))
      const tree = new MerkleTree(leaves, hashNode, { concatenator: joinSiblings })
      const fields: CheckpointFieldsJson = {
        node_id: nodeId,
        collection: name,
        generation: collection.generation,
        root: toHex(tree.getRoot()),
        digest: toHex(collection.root),
        item_count: collection.itemCount,
        record_count: collection.recordCount,
        knowledge: toHex(collection.knowledge),
        logical_clock: snapshot.logicalClock,
        time: Math.max(0, Math.floor(timeMs)),
        trusted_time: isTimeTrusted,
        digest_salt: toHex(digestSalt),
      }
      return await action({ collection, sumByBucket, tree, fields })
    } finally {
      await snapshot.close()
    }
  }

  /** The hashes of a bucket's items: `first`, which must be among them, and then the others. */
  const listItems = async ({ collection, sumByBucket }: Moment, bucket: number, first: readonly Uint8Array[]): Promise<Uint8Array> => {
    const count = sumByBucket.get(bucket)?.count ?? 0
    if (count > limits.itemsMax)
      throw new AgentError('HS_TOO_LARGE', `a proof lists at most ${limits.itemsMax} items; the bucket of this record has ${count}`)
    const items = new Uint8Array(count * ITEM_HASH_BYTES)
    const isFirst = new Set(first.map(toHex))
    let at = 0
    const add = (hash: Uint8Array): void => {
      if (at === items.length) throw new Error(`bucket ${bucket} of ${collection.name} holds more items than it counts`)
      items.set(hash, at)
      at += ITEM_HASH_BYTES
    }
    first.forEach(add)
    for await (const { hash } of collection.items(BUCKET_LEVEL, bucket)) if (!isFirst.has(toHex(hash))) add(hash)
    return items
  }

  const sign = (statement: Uint8Array): { public_key: string; signature: string } => ({
    public_key: publicKey,
    signature: toHex(signingKey.sign(statement)),
  })

  return {
    publicKey,
    checkpoint: name =>
      atMoment(name, async ({ fields }) => ({ format: CHECKPOINT_FORMAT, checkpoint: fields, ...sign(checkpointStatement(fields)) })),
    prove: (name, key) =>
      atMoment(name, async moment => {
        const { collection, tree, fields } = moment
        const keyBytes = encodeUtf8(key)
        const versions = keyBytes && shownVersions(collection.entry(keyBytes))
        if (keyBytes === undefined || versions === undefined) return undefined
        checkSize(versions, limits)
        const bucket = nodeIndex(hasher.keyHash(keyBytes), BUCKET_LEVEL)
        const hashes = versions.map(version => hasher.itemHash(keyBytes, version))
        const items = await listItems(moment, bucket, hashes)
        const leaf = tree.getLeaf(bucket)
        const proof: ProofJson = {
          format: PROOF_FORMAT,
          checkpoint: fields,
          key,
          versions: versions.map(toVersionJson),
          bucket_items: Buffer.from(items).toString('base64'),
          path: tree.getProof(leaf, bucket).map(({ data }) => data.toString('hex')),
          ...sign(proofStatement(fields, versions.length, items)),
        }
        // Damaged rows would make a proof that does not hold: better none.
        const checked = verifyProof(proof, publicKey)
        if (!checked.ok) throw new Error(`the rows of ${name} do not agree: ${PROOF_FAULTS[checked.part]}`)
        return proof
      }),
  }
}

/** What a GET shows of an entry: the record's version, then its conflicts. Undefined when there is no record. */
function shownVersions(entry: Entry | undefined): Version[] | undefined {
  const shown = entry && shownVersion(entry)
  if (shown === undefined) return undefined
  return [shown, ...entry!.filter(version => version !== shown && !isTombstone(version) && !isOpaque(version))]
}

function checkSize(versions: readonly Version[], { versionsMax, contentBytesMax }: ProofLimits): void {
  if (versions.length > versionsMax)
    throw new AgentError('HS_TOO_LARGE', `a proof has at most ${versionsMax} concurrent versions; this record has ${versions.length}`)
  const bytes = versions.reduce((sum, { body }) => sum + body.length, 0)
  if (bytes > contentBytesMax)
    throw new AgentError(
      'HS_TOO_LARGE',
      `the versions of a proof have at most ${contentBytesMax} bytes; those of this record have ${bytes}`,
    )
}

function toVersionJson({ origin, counter, stamp, flags, body }: Version): ProofJson['versions'][number] {
  const base64 = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64')
  return { origin, counter, time: stamp.ms, tick: stamp.tick, flags, body: base64 }
}

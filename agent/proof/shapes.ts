/** The shapes of checkpoints and proofs as JSON: what the API answers, what a proof file holds, and what is checked of it first. */
import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const
const hex = (bytes: number, description: string) => Type.String({ pattern: `^[0-9a-f]{${2 * bytes}}$`, description })
const count = (description: string) => Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description })

export const CHECKPOINT_FORMAT = 'hs-checkpoint 1'
export const PROOF_FORMAT = 'hs-proof 1'

/** Levels of the tree: 2^8 = 256 buckets (sync/digest.ts, BUCKET_LEVEL). */
export const PATH_LENGTH = 8

export interface ProofLimits {
  /** Concurrent versions of the record. */
  readonly versionsMax: number
  /** Items of the record's bucket, 16 bytes each. */
  readonly itemsMax: number
  /** Content of the versions, in bytes. */
  readonly contentBytesMax: number
  /** The proof as JSON. */
  readonly fileBytesMax: number
}

/** The file holds what the other limits allow. */
export const PROOF_LIMITS: ProofLimits = {
  versionsMax: 256,
  itemsMax: 65_536,
  contentBytesMax: 4 * 1024 * 1024,
  fileBytesMax: 8 * 1024 * 1024,
}

const CheckpointFields = Type.Object(
  {
    node_id: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' }),
    collection: Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,63}$' }),
    generation: count('How many times the collection was made.'),
    root: hex(32, 'Root of the Merkle tree over the buckets.'),
    digest: hex(16, 'As GET …/digest has it.'),
    item_count: count('Versions held, those of deleted keys included.'),
    record_count: count('Live records.'),
    knowledge: hex(16, 'Hash of the version vector: equal where the same writes are known.'),
    logical_clock: count('Lamport clock of the node.'),
    time: count('Unix milliseconds by the clock of the node.'),
    trusted_time: Type.Boolean({ description: 'Whether the board said that its clock was synchronised.' }),
    digest_salt: hex(16, 'HS_DIGEST_SALT, without which no hash can be made again.'),
  },
  { ...closed, title: 'CheckpointFields' },
)

const signed = {
  public_key: hex(32, 'Ed25519 (RFC 8032).'),
  signature: hex(64, 'Ed25519 over the binary layout of docs/protocol.md.'),
}

export const CheckpointShape = Type.Object(
  { format: Type.Literal(CHECKPOINT_FORMAT), checkpoint: CheckpointFields, ...signed },
  { ...closed, title: 'Checkpoint' },
)

const ProvenVersion = Type.Object(
  {
    origin: hex(16, 'Who wrote it.'),
    counter: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    time: Type.Integer({ minimum: 0, maximum: 2 ** 48 - 1, description: 'Unix milliseconds of the version.' }),
    tick: Type.Integer({ minimum: 0, maximum: 0xffff }),
    flags: Type.Integer({ minimum: 0, maximum: 0xff, description: 'What the body holds, as docs/protocol.md has it.' }),
    body: Type.String({ contentEncoding: 'base64', description: 'Vector, media type, payload or data, as docs/protocol.md has it.' }),
  },
  { ...closed, title: 'ProvenVersion' },
)

export const ProofShape = Type.Object(
  {
    format: Type.Literal(PROOF_FORMAT),
    checkpoint: CheckpointFields,
    key: Type.String(),
    versions: Type.Array(ProvenVersion, {
      minItems: 1,
      maxItems: PROOF_LIMITS.versionsMax,
      description: 'The one that a GET shows, then those that it lists as conflicts.',
    }),
    bucket_items: Type.String({
      contentEncoding: 'base64',
      description: 'Hashes of all items of the bucket, 16 bytes each; those of `versions` first, in their order.',
    }),
    path: Type.Array(hex(32, 'A sibling on the way to the root.'), { minItems: PATH_LENGTH, maxItems: PATH_LENGTH }),
    ...signed,
  },
  { ...closed, title: 'Proof' },
)

export type CheckpointFieldsJson = Static<typeof CheckpointFields>
export type CheckpointJson = Static<typeof CheckpointShape>
export type ProofJson = Static<typeof ProofShape>

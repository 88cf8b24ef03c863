/** Replicas in memory with a prover each, for the tests of proofs. */
import { createPrivateKey } from 'node:crypto'
import { systemHash } from '../../../agent/ports.ts'
import { createProver, type Prover } from '../../../agent/proof/prover.ts'
import type { ProofJson, ProofLimits } from '../../../agent/proof/shapes.ts'
import { verifyProofFile, type Proven, type ProofFault } from '../../../agent/proof/verify.ts'
import { createSigningKey, type SigningKey } from '../../../agent/signing-key.ts'
import { openReplica, type OpenReplica } from '../../../sync/open-replica.ts'
import type { LocalWrite } from '../../../sync/replica.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import { createTestClock } from '../../replica-pair.ts'
import { createSeededRandom } from '../../seeded-random.ts'

export const NODE_ID = '5e0c2a4e-90d4-4a43-8a5c-0f6f3b1d7a10'
export const SALT = Uint8Array.from({ length: 16 }, (_, i) => 17 * i)
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The key of a seed (RFC 8410, section 7: PKCS #8 is a fixed head and the 32 bytes). */
export function signingKeyOf(seed: number): SigningKey {
  return createSigningKey(createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, Buffer.alloc(32, seed)]), format: 'der', type: 'pkcs8' }))
}

export interface ProofFixture {
  readonly replica: OpenReplica
  readonly store: MemoryStore
  readonly prover: Prover
  /** Writes one record after the other; fails the test when one is refused. */
  write(...writes: readonly LocalWrite[]): Promise<void>
}

export async function openProofFixture(seed = 1, limits: Partial<ProofLimits> = {}): Promise<ProofFixture> {
  const store = createMemoryStore()
  const clock = createTestClock()
  const replica = await openReplica({
    store,
    hash: systemHash,
    random: createSeededRandom(seed),
    clock,
    digestSalt: SALT,
    clockDriftMaxMs: 60_000,
    durability: 'fsync',
  })
  const prover = createProver({ replica, nodeId: NODE_ID, signingKey: signingKeyOf(seed), digestSalt: SALT, clock, limits })
  return {
    replica,
    store,
    prover,
    async write(...writes) {
      for (const done of await replica.write(writes)) if (!done.ok) throw new Error(`${done.code}: ${done.detail}`)
    },
  }
}

/** A proof that must be there. */
export async function proveRecord({ prover }: ProofFixture, collection: string, key: string): Promise<ProofJson> {
  const proof = await prover.prove(collection, key)
  if (proof === undefined) throw new Error(`no proof of ${key}`)
  return proof
}

/** Verifies what a file with this document would hold. */
export const verifyDocument = (document: unknown, publicKey?: string): Proven | ProofFault =>
  verifyProofFile(Buffer.from(JSON.stringify(document)), publicKey)

/** Checkpoints of collections and proofs of records, which anybody can verify without this agent (agent/proof/verify.ts). */
import { AgentError } from '../errors.ts'
import { CheckpointShape, ProofShape, type ProofJson } from '../proof/shapes.ts'
import { checkName, keyOfProofUrl } from './path-key.ts'
import { createGate, findCollection, type App, type RouteContext } from './route.ts'
import { CollectionParams, RecordParams } from './schemas.ts'

/** Keys whose slashes are escaped. Others reach the records' wildcard. */
export const PROOF_ROUTE = '/api/collections/:name/records/:key/proof'

/** The proof of a record. Throws HS_NOT_FOUND, HS_TOO_LARGE, HS_BUSY. */
export type ProofAnswer = (collection: string, key: string) => Promise<ProofJson>

export function addProofRoutes(app: App, context: RouteContext): ProofAnswer {
  const { prover, replica, limits } = context
  const enter = createGate(limits.proofsMax, 'checkpoints and proofs')
  const tags = ['proofs']

  /** Admitted at most `proofsMax` times at once. */
  const admitted = async <T>(action: () => Promise<T>): Promise<T> => {
    const leave = enter()
    try {
      return await action()
    } finally {
      leave()
    }
  }

  const prove: ProofAnswer = async (collection, key) => {
    const proof = await admitted(() => prover.prove(collection, key))
    if (proof !== undefined) return proof
    const other = `${key}/proof`
    const hint = replica.get(collection, other) === undefined ? '' : `; to read ${JSON.stringify(other)}, write its last slash as %2F`
    throw new AgentError('HS_NOT_FOUND', `there is no record ${JSON.stringify(key)} in ${collection} to prove${hint}`)
  }

  app.get(
    PROOF_ROUTE,
    {
      schema: {
        operationId: 'getProof',
        summary: 'A signed proof that this node holds a record now.',
        description: '`hs-agent verify-proof` and docs/protocol.md say how it is verified, and what it does not prove.',
        tags,
        params: RecordParams,
        response: { 200: ProofShape },
      },
    },
    async (request, reply) => {
      const key = keyOfProofUrl(request.raw.url ?? '')
      if (key === undefined) throw new Error('broken invariant: this route ends in /proof')
      return reply.code(200).send(await prove(checkName(request.params.name), key))
    },
  )

  app.get(
    '/api/collections/:name/checkpoint',
    {
      schema: {
        operationId: 'getCheckpoint',
        summary: 'What this node holds of a collection now, under its signature.',
        tags,
        params: CollectionParams,
        response: { 200: CheckpointShape },
      },
    },
    async (request, reply) => {
      const { name } = findCollection(context, request.params.name)
      const checkpoint = await admitted(() => prover.checkpoint(name))
      if (checkpoint === undefined) throw new AgentError('HS_NOT_FOUND', `there is no collection ${name}`)
      return reply.code(200).send(checkpoint)
    },
  )
  return prove
}

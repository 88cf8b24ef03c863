/** The roster: the replicas that deletes wait for before they are forgotten. */
import { Type } from 'typebox'
import { AgentError } from '../errors.ts'
import type { App, RouteContext } from './route.ts'
import { NodeParams, Replicas, type ReplicasJson } from './schemas.ts'

const tags = ['cluster']

export function addReplicaRoutes(app: App, { replica }: RouteContext): void {
  app.get(
    '/api/swarm/replicas',
    {
      schema: {
        operationId: 'listReplicas',
        summary: 'The replicas that deletes wait for, and how far each is.',
        tags,
        response: { 200: Replicas },
      },
    },
    () =>
      replica.replicas().map((standing): ReplicasJson[number] => ({
        node_id: standing.nodeId,
        store_id: standing.storeId,
        self: standing.isSelf,
        evicted: standing.isEvicted,
        collections: standing.acknowledged.map(({ collection, missing }) => ({ name: collection, missing })),
      })),
  )

  app.delete(
    '/api/swarm/replicas/:node_id',
    {
      schema: {
        operationId: 'evictReplica',
        summary: 'Evicts the replicas of a node for good: deletes no longer wait for them.',
        tags,
        params: NodeParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const nodeId = request.params.node_id
      const enrolled = replica.replicas().filter(standing => standing.nodeId === nodeId && !standing.isEvicted)
      if (enrolled.length === 0) throw new AgentError('HS_NOT_FOUND', `no replica of node ${nodeId.slice(0, 64)} is enrolled`)
      // Of its own node it evicts what it had before: stores on cards that were put aside.
      const others = enrolled.filter(({ isSelf }) => !isSelf)
      if (others.length === 0) throw new AgentError('HS_INVALID_REQUEST', 'an agent does not evict itself: ask another one')
      for (const { storeId } of others) {
        try {
          await replica.evict(storeId)
        } catch (error) {
          throw new AgentError('HS_STORE_WRITE_FAILED', error instanceof Error ? error.message : String(error), { cause: error })
        }
      }
      return reply.code(204).send(null)
    },
  )
}

/** Collections: list, create, look at, delete, and their digests. */
import { Type } from 'typebox'
import { readU32, toHex } from '../../base/bytes.ts'
import type { CollectionView, LocalSettingsChange } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { localConflict, parseCreation, parseLocalChange, toRetentionJson } from './collection-settings.ts'
import { checkName } from './path-key.ts'
import { findCollection, type App, type RouteContext } from './route.ts'
import {
  asBytes,
  Collection,
  CollectionDigest,
  CollectionInput,
  CollectionNodeInput,
  CollectionParams,
  type CollectionDigestJson,
  type CollectionJson,
} from './schemas.ts'

export function addCollectionRoutes(app: App, context: RouteContext): void {
  const { replica, bodies, limits } = context
  const tags = ['collections']
  const tooLarge = `the settings of a collection have at most ${limits.settingsBytesMax} bytes`

  const setLocal = async (name: string, change: LocalSettingsChange): Promise<void> => {
    const done = await replica.setLocalSettings(name, change)
    if (typeof done !== 'boolean') throw new AgentError(done.code, done.detail)
    if (!done) throw new AgentError('HS_NOT_FOUND', `there is no collection ${name}`)
  }

  app.get(
    '/api/collections',
    { schema: { operationId: 'listCollections', summary: 'All collections.', tags, response: { 200: Type.Array(Collection) } } },
    () => replica.collections().map(toCollectionJson),
  )

  app.post(
    '/api/collections',
    {
      schema: {
        operationId: 'createCollection',
        summary: 'Creates a collection.',
        description:
          '201 when it is new, 200 when it exists with the same settings, 409 when it exists with others; a priority can be set again.',
        tags,
        body: asBytes({ 'application/json': CollectionInput }),
        response: { 200: Collection, 201: Collection },
      },
    },
    async (request, reply) => {
      const { name, settings, local } = await bodies.withJsonText(request.raw, limits.settingsBytesMax, tooLarge, async text =>
        parseCreation(text),
      )
      const existing = replica.collection(name)
      const conflict = existing && localConflict(existing, local)
      if (conflict !== undefined) throw new AgentError('HS_COLLECTION_EXISTS', conflict)
      const done = await replica.createCollection(name, settings)
      if (!done.ok) throw new AgentError(done.code, done.detail)
      if (Object.keys(local).length > 0) await setLocal(name, local)
      return reply.code(done.created ? 201 : 200).send(toCollectionJson(findCollection(context, name)))
    },
  )

  app.get(
    '/api/collections/:name',
    { schema: { operationId: 'getCollection', summary: 'One collection.', tags, params: CollectionParams, response: { 200: Collection } } },
    request => toCollectionJson(findCollection(context, request.params.name)),
  )

  app.patch(
    '/api/collections/:name',
    {
      schema: {
        operationId: 'setCollection',
        summary: 'Sets what this node keeps of a collection, and with whom it exchanges it.',
        description: 'Nothing of it is replicated. What is left out stays as it is, null takes it back.',
        tags,
        params: CollectionParams,
        body: asBytes({ 'application/json': CollectionNodeInput }),
        response: { 200: Collection },
      },
    },
    async (request, reply) => {
      const name = checkName(request.params.name)
      const change = await bodies.withJsonText(request.raw, limits.settingsBytesMax, tooLarge, async text => parseLocalChange(text))
      await setLocal(name, change)
      return reply.send(toCollectionJson(findCollection(context, name)))
    },
  )

  app.delete(
    '/api/collections/:name',
    {
      schema: {
        operationId: 'deleteCollection',
        summary: 'Deletes a collection on every replica.',
        tags,
        params: CollectionParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const name = checkName(request.params.name)
      const done = await replica.deleteCollection(name)
      if (typeof done !== 'boolean') throw new AgentError(done.code, done.detail)
      if (!done) throw new AgentError('HS_NOT_FOUND', `there is no collection ${name}`)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/api/collections/:name/digest',
    {
      schema: {
        operationId: 'getDigest',
        summary: 'The digest of a collection: equal on replicas with the same content.',
        tags,
        params: CollectionParams,
        response: { 200: CollectionDigest },
      },
    },
    request => toDigestJson(findCollection(context, request.params.name), replica.logicalClock()),
  )
}

/** The leading 53 bits of a digest of at least 8 bytes: what a JSON number holds exactly. */
export function stateHash(digest: Uint8Array): number {
  return readU32(digest, 0) * 2 ** 21 + (readU32(digest, 4) >>> 11)
}

function toCollectionJson(collection: CollectionView): CollectionJson {
  const { node } = collection
  return {
    name: collection.name,
    record_count: collection.recordCount,
    vector_count: collection.vectorCount,
    dimension: collection.dimension ?? null,
    metric: collection.metric,
    conflict: collection.conflict,
    priority: collection.priority,
    state_hash: stateHash(collection.digest),
    digest: toHex(collection.digest),
    created_at: collection.createdAtMs,
    sync: node.sync,
    retention: toRetentionJson(node.retention),
    partial: node.isPartial,
    expired_before: node.horizonMs === 0 ? null : node.horizonMs,
    bytes: node.bytes ?? null,
    dropped: { ...node.dropped },
    voided: node.voided,
  }
}

function toDigestJson(collection: CollectionView, logicalClock: number): CollectionDigestJson {
  return {
    collection_name: collection.name,
    logical_clock: logicalClock,
    vector_count: collection.vectorCount,
    record_count: collection.recordCount,
    state_hash: stateHash(collection.digest),
    digest: toHex(collection.digest),
  }
}

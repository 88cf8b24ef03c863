/** Collections: list, create, look at, delete, and their digests. */
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { readU32, toHex } from '../../base/bytes.ts'
import type { CollectionSettings, CollectionView } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { quoteName, readJsonObject } from './json-object.ts'
import { checkName } from './path-key.ts'
import { findCollection, type App, type RouteContext } from './route.ts'
import {
  asBytes,
  Collection,
  CollectionDigest,
  CollectionInput,
  CollectionParams,
  type CollectionDigestJson,
  type CollectionJson,
} from './schemas.ts'

/** Settings that the contract names and this version does not have. */
const LATER_SETTINGS = ['retention', 'sync']

export function addCollectionRoutes(app: App, context: RouteContext): void {
  const { replica, bodies, limits } = context
  const tags = ['collections']

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
      const tooLarge = `the settings of a collection have at most ${limits.settingsBytesMax} bytes`
      const { name, settings } = await bodies.withJsonText(request.raw, limits.settingsBytesMax, tooLarge, async text =>
        parseSettings(text),
      )
      const done = await replica.createCollection(name, settings)
      if (!done.ok) throw new AgentError(done.code, done.detail)
      return reply.code(done.created ? 201 : 200).send(toCollectionJson(findCollection(context, name)))
    },
  )

  app.get(
    '/api/collections/:name',
    { schema: { operationId: 'getCollection', summary: 'One collection.', tags, params: CollectionParams, response: { 200: Collection } } },
    request => toCollectionJson(findCollection(context, request.params.name)),
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

/** Reads the body that creates a collection. Throws HS_INVALID_*. */
function parseSettings(text: string): { name: string; settings: Partial<CollectionSettings> } {
  const input = readJsonObject(text, 'a collection')
  for (const field of Object.keys(input)) {
    if (LATER_SETTINGS.includes(field)) throw new AgentError('HS_INVALID_SETTINGS', `${field} is not available in this version`)
    if (!Object.hasOwn(CollectionInput.properties, field)) {
      throw new AgentError('HS_INVALID_SETTINGS', `a collection has no setting ${quoteName(field)}`)
    }
  }
  const name = 'name' in input ? input.name : undefined
  if (typeof name !== 'string') throw new AgentError('HS_INVALID_NAME', 'a collection needs a name, a string')
  checkName(name)
  if (!Value.Check(CollectionInput, input)) throw new AgentError('HS_INVALID_SETTINGS', settingsRule(input))
  const { name: _name, ...settings } = input
  return { name, settings }
}

function settingsRule(input: unknown): string {
  const field = Value.Errors(CollectionInput, input)[0]?.instancePath.slice(1)
  if (field === 'dimension') return 'dimension is an integer from 1 to 65536'
  if (field === 'priority') return 'priority is an integer from -100 to 100'
  if (field === 'metric') return 'metric is one of cosine, l2, dot'
  return 'conflict is one of lww, siblings, append'
}

/** The leading 53 bits of a digest of at least 8 bytes: what a JSON number holds exactly. */
export function stateHash(digest: Uint8Array): number {
  return readU32(digest, 0) * 2 ** 21 + (readU32(digest, 4) >>> 11)
}

function toCollectionJson(collection: CollectionView): CollectionJson {
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

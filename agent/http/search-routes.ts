/** Exact nearest neighbours of a vector. */
import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { Type } from 'typebox'
import type { FoundRecord, VectorQuery } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { isNumbers, quoteName, readJsonObject } from './json-object.ts'
import type { HttpLimits } from './limits.ts'
import { checkName } from './path-key.ts'
import { createGate, type App, type RouteContext } from './route.ts'
import { asBytes, CollectionParams, StoredRecord } from './schemas.ts'

export const SEARCH_ROUTE = '/api/collections/:name/search'

export function addSearchRoutes(app: App, context: RouteContext): void {
  const { replica, bodies, limits } = context
  const enterSearch = createGate(limits.searchesMax, 'searches')
  // The vectors that searches keep in memory are given back when nobody has searched for a while.
  let idle: NodeJS.Timeout | undefined
  const keepAwake = (): void => {
    idle ??= setTimeout(() => replica.forgetVectors(), limits.searchIdleMs).unref()
    idle.refresh()
  }
  app.addHook('onClose', async () => clearTimeout(idle))

  app.post(
    SEARCH_ROUTE,
    {
      schema: {
        operationId: 'searchRecords',
        summary: 'Finds the nearest neighbours of a vector, exactly.',
        description:
          'Nearest first, equal distances in the order of their keys. `distance` is 1 - cos with the metric cosine, the Euclidean one with ' +
          'l2, and -dot with dot. Records without a vector are not found, nor those whose vector has another dimension.',
        tags: ['records'],
        params: CollectionParams,
        body: asBytes({ 'application/json': describeInput(limits) }),
        response: { 200: asBytes({ 'application/json': SearchResults }) },
      },
    },
    async (request, reply) => {
      const name = checkName(request.params.name)
      const leave = enterSearch()
      try {
        const tooLarge = `a search has at most ${limits.recordBytesMax} bytes as JSON`
        const query = await bodies.withJsonText(request.raw, limits.recordBytesMax, tooLarge, async text => parseQuery(text, limits))
        const answer = await replica.search(name, query, async () => {
          await eventLoopTurn()
          if (reply.raw.destroyed) throw new AgentError('HS_INVALID_REQUEST', 'the client went away before its search was done')
        })
        keepAwake()
        if (!answer.ok) throw new AgentError(answer.code, answer.detail)
        return reply.code(200).type('application/json; charset=utf-8').send(renderResults(answer.results))
      } finally {
        leave()
      }
    },
  )
}

const describeInput = ({ neighboursMax }: HttpLimits) =>
  Type.Object(
    {
      vector: Type.Array(Type.Number(), { minItems: 1, maxItems: 65_536, description: 'As long as the vectors of the collection.' }),
      k: Type.Integer({ minimum: 1, maximum: neighboursMax, description: 'How many neighbours.' }),
      prefix: Type.Optional(Type.String({ description: 'Only keys that begin with it.' })),
    },
    { additionalProperties: false },
  )

const { key, payload, data, content_type } = StoredRecord.properties

const SearchResults = Type.Object({
  results: Type.Array(Type.Object({ key, distance: Type.Number(), payload, data, content_type })),
})

const FIELDS: ReadonlySet<string> = new Set(['vector', 'k', 'prefix'])

/** Reads the body of a search. Throws HS_INVALID_*; what the collection says about the vector comes later. */
function parseQuery(text: string, { neighboursMax, searchBytesMax }: HttpLimits): VectorQuery {
  const input = readJsonObject(text, 'a search')
  const unknown = Object.keys(input).find(field => !FIELDS.has(field))
  if (unknown !== undefined) throw new AgentError('HS_INVALID_REQUEST', `a search has no field ${quoteName(unknown)}`)
  const { vector, k, prefix }: { vector?: unknown; k?: unknown; prefix?: unknown } = input
  if (!isNumbers(vector)) throw new AgentError('HS_INVALID_VECTOR', 'a search needs a vector, an array of numbers')
  if (typeof k !== 'number' || !Number.isInteger(k) || k < 1 || k > neighboursMax)
    throw new AgentError('HS_INVALID_REQUEST', `a search needs k, an integer from 1 to ${neighboursMax}`)
  if (prefix === undefined) return { vector, k, bytesMax: searchBytesMax }
  if (typeof prefix !== 'string' || !prefix.isWellFormed())
    throw new AgentError('HS_INVALID_REQUEST', 'a prefix is a string without lone surrogates')
  return { vector, k, prefix, bytesMax: searchBytesMax }
}

/** Stored payload bytes go into the JSON text as they are. */
function renderResults(results: readonly FoundRecord[]): Buffer {
  const parts: Uint8Array[] = []
  let text = '{"results":['
  for (const [i, { record, distance }] of results.entries()) {
    text += `${i === 0 ? '' : ','}{"key":${JSON.stringify(record.key)},"distance":${JSON.stringify(distance)}`
    if (record.payload !== undefined) {
      parts.push(Buffer.from(`${text},"payload":`), record.payload)
      text = ''
    } else if (record.data !== undefined) {
      const base64 = Buffer.from(record.data.buffer, record.data.byteOffset, record.data.byteLength).toString('base64')
      text += `,"data":"${base64}","content_type":${JSON.stringify(record.contentType ?? '')}`
    }
    text += '}'
  }
  return Buffer.concat([...parts, Buffer.from(`${text}]}`)])
}

/** One record: put, get, delete, with conditions. */
import { Type } from 'typebox'
import type { LocalWrite, WriteDone } from '../../sync/replica.ts'
import type { Durability } from '../durability.ts'
import { AgentError } from '../errors.ts'
import { isCurrent, writeConditions } from './conditions.ts'
import { checkName, keyOfProofUrl, keyOfUrl } from './path-key.ts'
import type { ProofAnswer } from './proof-routes.ts'
import { isFault, parseRecord } from './record-body.ts'
import { createJsonWriter, toVersionJson } from './record-json.ts'
import type { App, RouteContext } from './route.ts'
import {
  asBytes,
  ReadCondition,
  RecordInput,
  RecordParams,
  StoredRecord,
  withEtag,
  WriteConditions,
  WriteQuery,
  Written,
} from './schemas.ts'

/** A wildcard, so that a key's slashes need not be escaped. */
export const RECORD_ROUTE = '/api/collections/:name/records/*'

/** `prove` answers for keys whose slashes are not escaped: those reach the wildcard. */
export function addRecordRoutes(app: App, context: RouteContext, prove: ProofAnswer): void {
  const { replica, writer, bodies, limits } = context
  const tags = ['records']
  const params = RecordParams

  const writeOne = async (write: LocalWrite, durability: Durability | undefined): Promise<WriteDone> => {
    const [done] = await writer.write([write], durability)
    if (done === undefined) throw new Error('broken invariant: one result for one write')
    if (!done.ok) throw new AgentError(done.code, done.detail)
    return done
  }

  app.put(
    RECORD_ROUTE,
    {
      schema: {
        operationId: 'putRecord',
        summary: 'Writes a record.',
        description: '201 when the key was free, 200 when a record was replaced. If-Match and If-None-Match: * make it conditional.',
        tags,
        params,
        querystring: WriteQuery,
        headers: WriteConditions,
        body: asBytes({ 'application/json': RecordInput }),
        response: { 200: withEtag(Written), 201: withEtag(Written) },
      },
    },
    async (request, reply) => {
      const collection = checkName(request.params.name)
      const key = keyOfUrl(request.raw.url ?? '')
      const conditions = writeConditions(request.headers)
      const tooLarge = `a record has at most ${limits.recordBytesMax} bytes as JSON`
      const done = await bodies.withJsonText(request.raw, limits.recordBytesMax, tooLarge, async text => {
        const record = parseRecord(text, 'path')
        if (isFault(record)) throw new AgentError(record.code, record.detail)
        return writeOne({ collection, key, content: record.content, ...conditions }, request.query.durability)
      })
      if (done.version === undefined || done.etag === undefined) throw new Error('broken invariant: a put makes a version')
      const { version, etag } = done
      return reply
        .code(done.outcome === 'created' ? 201 : 200)
        .header('etag', `"${etag}"`)
        .send({ key, version: toVersionJson(version) })
    },
  )

  app.get(
    RECORD_ROUTE,
    {
      schema: {
        operationId: 'getRecord',
        summary: 'Reads a record.',
        tags,
        params,
        headers: ReadCondition,
        response: { 200: withEtag(asBytes({ 'application/json': StoredRecord })), 304: Type.Null() },
      },
    },
    async (request, reply) => {
      const collection = checkName(request.params.name)
      const provenKey = keyOfProofUrl(request.raw.url ?? '')
      if (provenKey !== undefined)
        return reply
          .code(200)
          .type('application/json; charset=utf-8')
          .send(await prove(collection, provenKey))
      const key = keyOfUrl(request.raw.url ?? '')
      const record = replica.get(collection, key)
      if (record === undefined) throw new AgentError('HS_NOT_FOUND', `there is no record ${JSON.stringify(key)} in ${collection}`)
      void reply.header('etag', `"${record.etag}"`)
      if (isCurrent(request.headers['if-none-match'], record.etag)) return reply.code(304).send(null)
      const writer = createJsonWriter()
      writer.record(record)
      return reply.code(200).type('application/json; charset=utf-8').send(writer.finish())
    },
  )

  app.delete(
    RECORD_ROUTE,
    {
      schema: {
        operationId: 'deleteRecord',
        summary: 'Deletes a record; 204 also when there is none.',
        description: 'If-Match makes it conditional.',
        tags,
        params,
        querystring: WriteQuery,
        headers: WriteConditions,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const collection = checkName(request.params.name)
      const key = keyOfUrl(request.raw.url ?? '')
      await writeOne({ collection, key, content: undefined, ...writeConditions(request.headers) }, request.query.durability)
      return reply.code(204).send(null)
    },
  )
}

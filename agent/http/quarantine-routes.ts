/** Quarantine: what this replica could not take, and what a person decides about it. */
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { QUARANTINE_CALL_MAX, type QuarantinedVersion, type QuarantineOutcome } from '../../sync/quarantine.ts'
import { AgentError } from '../errors.ts'
import { readJsonObject } from './json-object.ts'
import { checkName } from './path-key.ts'
import { createJsonWriter, type JsonWriter } from './record-json.ts'
import type { App, RouteContext } from './route.ts'
import { asBytes, CollectionParams, StoredRecord } from './schemas.ts'

const tags = ['quarantine']
const closed = { additionalProperties: false } as const
const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Names it on this agent, for good.' })
const Ids = Type.Array(Id, { minItems: 1, maxItems: QUARANTINE_CALL_MAX })

const Item = Type.Object(
  {
    id: Id,
    reason: Type.Enum(['deleted', 'malformed', 'damaged'], {
      description:
        'Written into a collection that was deleted, unseen by the deletion; sent by a peer and not understood; or found damaged in the store.',
    }),
    collection: Type.String(),
    generation: Type.Integer({ description: 'Of the collection: each deletion begins a new one.' }),
    key: Type.String(),
    bytes: Type.Integer(),
    record: Type.Optional(StoredRecord),
  },
  { title: 'QuarantinedVersion' },
)
const Page = Type.Object(
  {
    count: Type.Integer({ description: 'In quarantine, of all collections.' }),
    items: Type.Array(Item),
    cursor: Type.Union([Id, Type.Null()]),
  },
  { title: 'QuarantinePage' },
)
const Query = Type.Object(
  {
    collection: Type.Optional(Type.String()),
    limit: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$', description: 'From 1 to 1000; 100 if not given.' })),
    cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$', description: 'Of the page before.' })),
  },
  closed,
)
const Selection = Type.Object({ ids: Ids }, { ...closed, title: 'QuarantineSelection' })
const Import = Type.Object(
  {
    ids: Ids,
    into: Type.Optional(CollectionParams.properties.name),
    create: Type.Optional(Type.Boolean({ description: 'Makes the collection where there is none.' })),
    overwrite: Type.Optional(Type.Boolean({ description: 'Writes over records that are there.' })),
  },
  { ...closed, title: 'QuarantineImport' },
)
const Result = Type.Object(
  {
    done: Type.Integer({ description: 'So many have left quarantine.' }),
    failed: Type.Array(Type.Object({ id: Id, code: Type.String(), detail: Type.String() }), {
      description: 'These stay, each with its reason.',
    }),
    count: Type.Integer({ description: 'Left in quarantine.' }),
  },
  { title: 'QuarantineResult' },
)
const Params = Type.Object({ id: Type.String({ pattern: '^[0-9]{1,15}$', description: 'Of a version in quarantine.' }) })

export function addQuarantineRoutes(app: App, { replica, bodies, limits }: RouteContext): void {
  const { quarantine } = replica

  app.get(
    '/api/quarantine',
    {
      schema: {
        operationId: 'listQuarantine',
        summary: 'What this agent could not take, and keeps for a person to decide about.',
        description: 'A page ends at `limit`, or with the version that reaches 4 MiB.',
        tags,
        querystring: Query,
        response: { 200: asBytes({ 'application/json': Page }) },
      },
    },
    async ({ query }, reply) => {
      const limit = query.limit === undefined ? limits.pageRecordsDefault : Number(query.limit)
      if (limit < 1 || limit > QUARANTINE_CALL_MAX) throw new AgentError('HS_INVALID_REQUEST', `limit is from 1 to ${QUARANTINE_CALL_MAX}`)
      const collection = query.collection === undefined ? undefined : checkName(query.collection)
      const page = await quarantine.list(Number(query.cursor ?? 0), limit, limits.pageBytesMax, collection)
      const writer = createJsonWriter()
      writer.text(`{"count":${quarantine.count()},"items":[`)
      for (const [i, item] of page.items.entries()) {
        if (i > 0) writer.text(',')
        writeItem(writer, item)
      }
      writer.text(`],"cursor":${page.next ?? null}}`)
      return reply.type('application/json').send(writer.finish())
    },
  )

  app.get(
    '/api/quarantine/:id',
    {
      schema: {
        operationId: 'getQuarantined',
        summary: 'One version in quarantine.',
        tags,
        params: Params,
        response: { 200: asBytes({ 'application/json': Item }) },
      },
    },
    (request, reply) => {
      const item = quarantine.get(Number(request.params.id))
      if (item === undefined) throw unknown(request.params.id)
      const writer = createJsonWriter()
      writeItem(writer, item)
      return reply.type('application/json').send(writer.finish())
    },
  )

  app.delete(
    '/api/quarantine/:id',
    {
      schema: {
        operationId: 'dropQuarantined',
        summary: 'Throws one version in quarantine away.',
        tags,
        params: Params,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const dropped = await durably(() => quarantine.drop([Number(request.params.id)]))
      if (dropped === 0) throw unknown(request.params.id)
      return reply.code(204).send(null)
    },
  )

  const readBody = <Schema extends typeof Selection | typeof Import>(raw: Parameters<typeof bodies.withJsonText>[0], schema: Schema) =>
    bodies.withJsonText(raw, limits.settingsBytesMax, `a selection has at most ${limits.settingsBytesMax} bytes`, async text => {
      const input = readJsonObject(text, 'a selection')
      if (Value.Check(schema, input)) return input
      const fault = Value.Errors(schema, input)[0]
      throw new AgentError(
        'HS_INVALID_REQUEST',
        `${fault?.instancePath.slice(1) || 'the selection'}: ${fault?.message ?? 'not as described'}`,
      )
    })
  const toResult = (outcomes: readonly QuarantineOutcome[]): Static<typeof Result> => {
    const failed = outcomes.flatMap(outcome => (outcome.ok ? [] : [{ id: outcome.id, code: outcome.code, detail: outcome.detail }]))
    return { done: outcomes.length - failed.length, failed, count: quarantine.count() }
  }

  app.post(
    '/api/quarantine/import',
    {
      schema: {
        operationId: 'importQuarantined',
        summary: 'Writes versions in quarantine as new records, into the present generation of their collection.',
        description: 'Each is written and taken out in one step; those that cannot be written stay, each with its reason.',
        tags,
        body: asBytes({ 'application/json': Import }),
        response: { 200: Result },
      },
    },
    async ({ raw }, reply) => {
      const { ids, into, create = false, overwrite = false } = await readBody(raw, Import)
      return reply.send(toResult(await durably(() => quarantine.importInto(ids, { into, create, overwrite }))))
    },
  )

  app.post(
    '/api/quarantine/retry',
    {
      schema: {
        operationId: 'retryQuarantined',
        summary: 'Applies what this version of the agent understands by now.',
        tags,
        body: asBytes({ 'application/json': Selection }),
        response: { 200: Result },
      },
    },
    async ({ raw }, reply) => {
      const { ids } = await readBody(raw, Selection)
      return reply.send(toResult(await durably(() => quarantine.retry(ids))))
    },
  )

  app.post(
    '/api/quarantine/drop',
    {
      schema: {
        operationId: 'dropManyQuarantined',
        summary: 'Throws versions in quarantine away.',
        tags,
        body: asBytes({ 'application/json': Selection }),
        response: { 200: Result },
      },
    },
    async ({ raw }, reply) => {
      const { ids } = await readBody(raw, Selection)
      return reply.send({ done: await durably(() => quarantine.drop(ids)), failed: [], count: quarantine.count() })
    },
  )
}

const unknown = (id: string): AgentError => new AgentError('HS_NOT_FOUND', `nothing in quarantine has the id ${id}`)

function writeItem(writer: JsonWriter, { record, ...item }: QuarantinedVersion): void {
  const text = JSON.stringify(item)
  if (record === undefined) return writer.text(text)
  writer.text(`${text.slice(0, -1)},"record":`)
  writer.record(record)
  writer.text('}')
}

async function durably<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw new AgentError('HS_STORE_WRITE_FAILED', error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** Ranges of records: pages with a cursor, and the whole range as a stream of NDJSON. */
import { Readable } from 'node:stream'
import type { Static } from 'typebox'
import type { RecordRange, RecordView, Replica } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { NDJSON_TYPE } from './body.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { HttpLimits } from './limits.ts'
import { createJsonWriter } from './record-json.ts'
import { accepts, findCollection, toldOfFailure, type App, type RouteContext } from './route.ts'
import { asBytes, CollectionParams, isSet, ListingQuery, RecordPage, StoredRecord } from './schemas.ts'

export const RECORDS_ROUTE = '/api/collections/:name/records'

export function addListingRoutes(app: App, context: RouteContext): void {
  const { replica, limits, log } = context

  app.get(
    RECORDS_ROUTE,
    {
      schema: {
        operationId: 'listRecords',
        summary: 'Lists a range of records in the order of their keys.',
        description: `A page and a cursor, null at the end; with "Accept: ${NDJSON_TYPE}" the whole range, one record a line.`,
        tags: ['records'],
        params: CollectionParams,
        querystring: ListingQuery,
        response: { 200: asBytes({ 'application/json': RecordPage, [NDJSON_TYPE]: StoredRecord }) },
      },
    },
    async (request, reply) => {
      const { name } = findCollection(context, request.params.name)
      const range = toRange(name, request.query)
      const limit = toLimit(request.query.limit, limits)
      if (!accepts(request.headers.accept, NDJSON_TYPE)) {
        const page = await renderPage(replica, name, range, limit ?? limits.pageRecordsDefault, limits.pageBytesMax)
        return reply.type('application/json; charset=utf-8').send(page)
      }
      void reply.type(NDJSON_TYPE)
      if (request.method === 'HEAD') return reply.send('')
      const leave = context.enterStream()
      const lines = toldOfFailure(log, 'an export', exportLines(replica, name, range, limit ?? Number.POSITIVE_INFINITY))
      return reply.send(Readable.from(lines, { objectMode: false }).once('close', leave))
    },
  )
}

function toRange(collection: string, query: Static<typeof ListingQuery>): RecordRange {
  const { prefix, from, to, cursor } = query
  const isReverse = isSet(query.reverse)
  const range: RecordRange = {
    ...(prefix === undefined ? {} : { prefix }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(isReverse ? { reverse: true } : {}),
  }
  return cursor === undefined ? range : { ...range, after: decodeCursor(collection, range, cursor) }
}

function toLimit(text: string | undefined, { pageRecordsMax }: HttpLimits): number | undefined {
  if (text === undefined) return undefined
  const limit = Number(text)
  if (limit < 1 || limit > pageRecordsMax) throw new AgentError('HS_INVALID_REQUEST', `limit is from 1 to ${pageRecordsMax}`)
  return limit
}

/** One page as JSON: it ends at `limit` records, or with the record that reaches `bytesMax`. */
async function renderPage(
  replica: Pick<Replica, 'scan'>,
  collection: string,
  range: RecordRange,
  limit: number,
  bytesMax: number,
): Promise<Buffer> {
  const writer = createJsonWriter()
  writer.text('{"records":[')
  let count = 0
  let last: RecordView | undefined
  let hasMore = false
  scanning: for await (const records of replica.scan(collection, range)) {
    for (const record of records) {
      if (count === limit || writer.length >= bytesMax) {
        hasMore = true
        break scanning
      }
      if (count > 0) writer.text(',')
      writer.record(record)
      count += 1
      last = record
    }
  }
  const cursor = hasMore && last !== undefined ? encodeCursor(collection, range, last.key) : null
  writer.text(`],"cursor":${JSON.stringify(cursor)}}`)
  return writer.finish()
}

/** The lines of an export, one page of the scan at a time: the next one is read when the client has taken this one. */
async function* exportLines(replica: Pick<Replica, 'scan'>, collection: string, range: RecordRange, limit: number): AsyncGenerator<Buffer> {
  let left = limit
  for await (const records of replica.scan(collection, range)) {
    const writer = createJsonWriter()
    for (const record of left < records.length ? records.slice(0, left) : records) {
      writer.record(record)
      writer.text('\n')
    }
    left -= records.length
    yield writer.finish()
    if (left <= 0) return
  }
}

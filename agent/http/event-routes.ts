/** Changes of records as they become durable: told as server-sent events, or asked for. Both are one feed with one kind of cursor. */
import { performance } from 'node:perf_hooks'
import type { ServerResponse } from 'node:http'
import { Type } from 'typebox'
import type { Change } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { toDiskEvent, type AgentEvent, type RoleEvent } from '../event-hub.ts'
import { describeComeback } from '../store-health.ts'
import type { FeedStart } from './change-feed.ts'
import { runEventStream } from './event-stream.ts'
import { checkName } from './path-key.ts'
import type { App, RouteContext } from './route.ts'
import { asBytes, StoredRecord } from './schemas.ts'
import { createWaker } from './waker.ts'

const EVENTS_TYPE = 'text/event-stream'

const collection = Type.Optional(Type.String({ description: 'Only what belongs to this collection.' }))
const since = Type.Optional(
  Type.String({ description: 'A cursor: what follows it. 0: from the beginning. Without it, what happens from now on.' }),
)
const count = (description: string) => Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$', description }))

const EventsQuery = Type.Object({ collection, since }, { additionalProperties: false })

const ChangesQuery = Type.Object(
  {
    collection,
    since,
    limit: count('From 1 to 1000; 100 if not given.'),
    wait_ms: count('Waits so long for a change when there is none, at most 60000.'),
  },
  { additionalProperties: false },
)

const LastEventId = Type.Object({
  'last-event-id': Type.Optional(Type.String({ description: 'The id of the last event that was seen; it goes before `since`.' })),
})

const { payload, data, content_type, vector, conflicts } = StoredRecord.properties

const ChangeRow = Type.Object(
  {
    cursor: Type.String(),
    kind: Type.Enum(['put', 'delete', 'conflict']),
    collection: Type.String(),
    key: Type.Optional(Type.String({ description: 'Absent when the whole collection was deleted.' })),
    generation: Type.Optional(Type.Integer({ description: 'Of the collection that was deleted as a whole.' })),
    payload,
    data,
    content_type,
    vector,
    version: Type.Optional(StoredRecord.properties.version),
    conflicts,
    etag: Type.Optional(Type.String()),
  },
  {
    title: 'Change',
    description:
      'A put has what a GET gives, a conflict the version that was dropped, a delete the key alone. A delete without a key: the collection ' +
      'is gone with all its records.',
  },
)

const Changes = Type.Object(
  {
    changes: Type.Array(ChangeRow),
    next: Type.String({ description: 'The cursor to go on from.' }),
    more: Type.Boolean({ description: 'There is more behind `next` already.' }),
    reset: Type.Boolean({ description: 'The cursor was not one of this store: these changes are from the beginning.' }),
  },
  { title: 'Changes' },
)

export function addEventRoutes(app: App, context: RouteContext): void {
  const { feed, limits, log, metrics } = context
  const tags = ['changes']
  let streams = 0
  let slowConsumers = 0
  metrics.addCollector(function* () {
    yield { name: 'event_streams', help: 'Streams of events that are open.', type: 'gauge', value: streams }
    yield {
      name: 'events_slow_consumers_total',
      help: 'Streams of events that were ended because the client did not take them.',
      type: 'counter',
      value: slowConsumers,
    }
  })

  app.get(
    '/api/events',
    {
      schema: {
        operationId: 'streamEvents',
        summary: 'Streams what happens, as server-sent events.',
        description:
          'The events put, delete, conflict and reset have a cursor as their id; peer, sync, role, identity, store and disk have none. Without a ' +
          'collection the first event, or the one behind a reset, is role. The stream goes on until the client leaves, or ends with an ' +
          'event "end" that says why.',
        tags,
        querystring: EventsQuery,
        headers: LastEventId,
        response: { 200: asBytes({ [EVENTS_TYPE]: Type.String({ description: 'Events, each with one line of JSON as its data.' }) }) },
      },
    },
    async (request, reply) => {
      const filter = toFilter(request.query.collection)
      const lastEventId = request.headers['last-event-id']
      const start = feed.startAt(typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : request.query.since)
      void reply.headers({ 'content-type': `${EVENTS_TYPE}; charset=utf-8`, 'x-accel-buffering': 'no' })
      if (request.method === 'HEAD') return reply.send('')
      const leave = context.enterEvents()
      streams += 1
      try {
        reply.hijack()
        reply.raw.writeHead(200, reply.getHeaders() as Record<string, string>)
        const role = (): Omit<RoleEvent, 'kind'> => {
          const node = context.node()
          return { role: node.role, epoch: node.epoch }
        }
        const { comeback, disk } = context.node()
        const standing: AgentEvent[] = [
          ...(comeback === undefined ? [] : [{ kind: 'store' as const, recovery: comeback.kind, detail: describeComeback(comeback) }]),
          ...(disk.isFull ? [toDiskEvent(disk)] : []),
        ]
        const ending = await runEventStream({ ...context, role, standing, response: reply.raw, start, collection: filter })
        if (ending?.code === 'HS_SLOW_CONSUMER') slowConsumers += 1
        if (ending?.code === 'HS_INTERNAL') log.error({ err: ending.cause }, 'a stream of events failed')
      } finally {
        streams -= 1
        leave()
      }
      return reply
    },
  )

  app.get(
    '/api/changes',
    {
      schema: {
        operationId: 'listChanges',
        summary: 'Lists changes of records behind a cursor, or waits for one.',
        description: 'Empty changes with `more` mean that only other collections changed so far: go on from `next`.',
        tags,
        querystring: ChangesQuery,
        response: { 200: asBytes({ 'application/json': Changes }) },
      },
    },
    async (request, reply) => {
      const filter = toFilter(request.query.collection)
      const limit = toCount('limit', request.query.limit, 1, limits.pageRecordsMax) ?? limits.pageRecordsDefault
      const waitMs = toCount('wait_ms', request.query.wait_ms, 0, limits.changesWaitMsMax) ?? 0
      const start = feed.startAt(request.query.since)
      let page = await collectChanges(context, start, filter, limit)
      if (page.changes.length === 0 && !page.more && waitMs > 0 && request.method !== 'HEAD') {
        const leave = context.enterEvents()
        try {
          page = await waitForChanges(context, reply.raw, { after: page.next }, filter, limit, waitMs)
        } finally {
          leave()
        }
      }
      return reply.type('application/json; charset=utf-8').send(toJson(context, page, start))
    },
  )
}

interface ChangesPage {
  readonly changes: readonly Change[]
  readonly next: number
  readonly more: boolean
}

/** At most `limit` changes of one collection or of all. Looks at a bounded number, so `more` may come with few of them or none. */
async function collectChanges(
  { feed, limits }: RouteContext,
  { after }: FeedStart,
  filter: string | undefined,
  limit: number,
): Promise<ChangesPage> {
  const reader = feed.createReader()
  const changes: Change[] = []
  let next = after
  let bytes = 0
  for (let scanned = 0; next < feed.end() && scanned < limits.changesScannedMax;) {
    const page = await reader.read(next)
    for (const change of page.changes) {
      if (filter !== undefined && change.collection !== filter) continue
      if (changes.length === limit || bytes >= limits.pageBytesMax) return { changes, next, more: true }
      changes.push(change)
      next = change.sequence
      bytes += feed.lineOf(change).length
    }
    scanned += Math.max(1, page.changes.length)
    next = page.next
  }
  return { changes, next, more: next < feed.end() }
}

/** Until there is a change, the time is over, the client has left or the server closes. */
async function waitForChanges(
  context: RouteContext,
  response: ServerResponse,
  start: FeedStart,
  filter: string | undefined,
  limit: number,
  waitMs: number,
): Promise<ChangesPage> {
  const { feed, closing } = context
  const waker = createWaker()
  const release = feed.onMore(() => waker.wake())
  const stop = (): void => waker.wake()
  closing.addEventListener('abort', stop)
  response.once('close', stop)
  const deadlineMs = performance.now() + waitMs
  try {
    let page: ChangesPage = { changes: [], next: start.after, more: false }
    for (;;) {
      page = await collectChanges(context, { after: page.next }, filter, limit)
      const leftMs = deadlineMs - performance.now()
      if (page.changes.length > 0 || page.more || leftMs <= 0 || closing.aborted || response.destroyed) return page
      await waker.wait(leftMs)
    }
  } finally {
    release()
    closing.removeEventListener('abort', stop)
    response.off('close', stop)
  }
}

function toJson({ feed }: RouteContext, { changes, next, more }: ChangesPage, start: FeedStart): Buffer {
  const lines = changes.flatMap((change, i) => [Buffer.from(i === 0 ? '' : ','), feed.lineOf(change)])
  const tail = { next: feed.cursorAt(next), more, reset: start.reset !== undefined }
  return Buffer.concat([Buffer.from('{"changes":['), ...lines, Buffer.from(`],${JSON.stringify(tail).slice(1)}`)])
}

function toFilter(name: string | undefined): string | undefined {
  return name === undefined ? undefined : checkName(name)
}

function toCount(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (value < min || value > max) throw new AgentError('HS_INVALID_REQUEST', `${name} is from ${min} to ${max}`)
  return value
}

/** For operators and programs: liveness, readiness, metrics, the description of the API, and a page for people. */
import { Type } from 'typebox'
import type { Sample } from '../metrics.ts'
import { HOME_PAGE, HOME_PAGE_POLICY } from './home-page.ts'
import { sendProblem } from './problem.ts'
import type { App, RouteContext } from './route.ts'
import { asBytes } from './schemas.ts'

const Ready = Type.Object({
  status: Type.Literal('ready'),
  warnings: Type.Optional(
    Type.Array(Type.String(), { description: 'What a person should know, in sentences; absent when there is nothing.' }),
  ),
})

export function addOperationRoutes(app: App, context: RouteContext): void {
  const { metrics, readiness, warnings } = context
  const tags = ['operations']

  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'The process is up.',
        tags,
        response: { 200: Type.Object({ status: Type.Literal('ok') }) },
      },
    },
    () => ({
      status: 'ok' as const,
    }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'The agent serves; 503 with reasons when it does not.',
        tags,
        response: { 200: asBytes({ 'application/json': Ready }) },
      },
    },
    (_request, reply) => {
      const reasons = readiness()
      if (reasons.length > 0) return sendProblem(reply, 'HS_NOT_READY', reasons.join('; '), { reasons })
      const worth = warnings()
      return reply.code(200).send({ status: 'ready', ...(worth.length === 0 ? {} : { warnings: worth }) })
    },
  )

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus.',
        tags,
        response: { 200: asBytes({ 'text/plain': Type.String() }) },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  )

  let description: string | undefined
  app.get(
    '/api/openapi.json',
    {
      schema: {
        operationId: 'getDescription',
        summary: 'This description.',
        tags,
        response: { 200: asBytes({ 'application/json': Type.Object({}) }) },
      },
    },
    (_request, reply) => {
      description ??= JSON.stringify(app.swagger())
      return reply.type('application/json; charset=utf-8').send(description)
    },
  )

  app.get('/', { schema: { hide: true } }, (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('content-security-policy', HOME_PAGE_POLICY).send(HOME_PAGE),
  )
}

/** What a scrape asks of the replica, the swarm and the sessions. */
export function* collectSamples({ replica, peers, sync, node, readiness }: RouteContext): Generator<Sample> {
  const gauge = (name: string, help: string, value: number, labels?: Record<string, string>): Sample => ({
    name,
    help,
    type: 'gauge',
    value,
    ...(labels === undefined ? {} : { labels }),
  })
  const counter = (name: string, help: string, value: number, labels: Record<string, string>): Sample => ({
    name,
    help,
    type: 'counter',
    value,
    labels,
  })

  const { nodeId, nodeName, version, uptimeSecs } = node()
  yield gauge('node_info', 'This node, always 1.', 1, { node_id: nodeId, node_name: nodeName, version })
  yield gauge('uptime_seconds', 'Time since the agent started.', uptimeSecs)
  yield gauge('ready', '1 when /readyz answers 200.', readiness().length === 0 ? 1 : 0)
  yield gauge('logical_clock', 'Lamport clock.', replica.logicalClock())

  const collections = replica.collections()
  yield gauge('collections', 'Collections.', collections.length)
  for (const { name, recordCount, vectorCount, node: kept } of collections) {
    yield gauge('records', 'Live records by collection.', recordCount, { collection: name })
    const droppedHelp = 'Versions that this node gave up or did not take, by collection and reason.'
    for (const [reason, count] of Object.entries(kept.dropped)) {
      yield counter('dropped_records_total', droppedHelp, count, { collection: name, reason })
    }
    if (kept.voided > 0) {
      yield counter('voided_records_total', 'Dropped versions that nobody else was known to have.', kept.voided, { collection: name })
    }
    yield gauge('vectors', 'Live records with a vector by collection.', vectorCount, { collection: name })
  }

  const members = peers().peers
  for (const status of ['alive', 'suspect', 'dead', 'left']) {
    yield gauge('peers', 'Peers by status.', members.filter(peer => peer.status === status).length, { status })
  }

  const rows = sync.rows()
  const total = (value: (row: (typeof rows)[number]) => number): number => rows.reduce((sum, row) => sum + value(row), 0)
  const entriesHelp = 'Entries shipped between replicas.'
  const bytesHelp = 'Bytes shipped between replicas.'
  yield counter(
    'sync_entries_total',
    entriesHelp,
    total(row => row.entriesSent),
    { direction: 'sent' },
  )
  yield counter(
    'sync_entries_total',
    entriesHelp,
    total(row => row.entriesReceived),
    { direction: 'received' },
  )
  yield counter(
    'sync_bytes_total',
    bytesHelp,
    total(row => row.bytesSent),
    { direction: 'sent' },
  )
  yield counter(
    'sync_bytes_total',
    bytesHelp,
    total(row => row.bytesReceived),
    { direction: 'received' },
  )
  for (const state of ['idle', 'syncing', 'live', 'failed']) {
    yield gauge('sync_rows', 'Pairs of peer and collection by state.', rows.filter(row => row.state === state).length, { state })
  }
}

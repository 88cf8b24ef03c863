/**
 * The HTTP server: routes, and around them access, limits, errors and closing. Bodies reach the routes as raw streams: the framework
 * parses none of them.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { fastifySwagger } from '@fastify/swagger'
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify'
import { AgentError } from '../errors.ts'
import { createAccess, type Access } from './access.ts'
import { createAllowedMethods } from './allowed-methods.ts'
import { createBodyReader, JSON_TYPE, NDJSON_TYPE } from './body.ts'
import { addBulkRoutes } from './bulk-routes.ts'
import { createChangeFeed } from './change-feed.ts'
import { answerClientError } from './client-error.ts'
import { addClusterRoutes } from './cluster-routes.ts'
import { addQuarantineRoutes } from './quarantine-routes.ts'
import { addReplicaRoutes } from './replica-routes.ts'
import { addCollectionRoutes } from './collection-routes.ts'
import { completeSchema, describeApi } from './description.ts'
import { addDiagnosisRoute } from './diagnosis-route.ts'
import { addEventRoutes } from './event-routes.ts'
import { DEFAULT_LIMITS, type HttpLimits } from './limits.ts'
import { addBackupRoute } from './backup-route.ts'
import { addListingRoutes } from './listing-routes.ts'
import { addOperationRoutes, collectSamples } from './operation-routes.ts'
import { decodePercent, hasKey, pathOf } from './path-key.ts'
import type { HttpOptions, HttpServer } from './port.ts'
import { sendProblem, toAgentError } from './problem.ts'
import { addProofRoutes } from './proof-routes.ts'
import { addRecordRoutes } from './record-routes.ts'
import { createGate, type App, type RouteContext } from './route.ts'
import { addSearchRoutes } from './search-routes.ts'
import { addVersionRoutes } from './version-routes.ts'

const BIND_RETRY_INTERVAL_MS = 250
/** Node looks for late headers this often. */
const HEADERS_CHECK_INTERVAL_MS = 1000

/** Starts the server. Throws HS_BIND_FAILED when its port stays taken. */
export async function createHttpServer(options: HttpOptions): Promise<HttpServer> {
  const limits: HttpLimits = { ...DEFAULT_LIMITS, ...options.limits }
  const closing = new AbortController()
  const context: RouteContext = {
    ...options,
    limits,
    bodies: createBodyReader(limits),
    enterStream: createGate(limits.streamsMax, 'bulk writes and exports'),
    feed: createChangeFeed(options.replica),
    enterEvents: createGate(limits.eventStreamsMax, 'event streams and long polls'),
    closing: closing.signal,
  }
  const app = await createApp(context)
  await listen(app, options, limits.bindRetryMs)

  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  return {
    url: `http://${urlHost(options.host)}:${port}`,
    port,
    async close() {
      closing.abort()
      const cut = setTimeout(() => app.server.closeAllConnections(), limits.closeMs)
      await app.close()
      clearTimeout(cut)
    },
  }
}

/** The server with all of its routes, not listening yet. */
async function createApp(context: RouteContext): Promise<App> {
  const { limits, log, metrics, closing } = context
  const access = createAccess(context.tokens)
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const known = toAgentError(error)
    if (known !== undefined) return sendProblem(reply, known.code, known.detail)
    log.error({ err: error, method: request.method, route: routeOf(request) }, 'a request failed')
    return sendProblem(reply, 'HS_INTERNAL', 'the log of the agent says more')
  }

  const app: App = fastify({
    // Only for what has no route yet: a path whose escapes are broken.
    frameworkErrors: (error, request, reply) => void failEarly(error, request, reply, access, fail),
    clientErrorHandler: answerClientError,
    http: {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: Math.min(HEADERS_CHECK_INTERVAL_MS, limits.headersMs),
      // A missing Host gets a problem of ours.
      requireHostHeader: false,
    },
    // Streams may take hours: bodies are bounded by their silences instead (limits.bodyIdleMs).
    requestTimeout: 0,
    connectionTimeout: limits.socketIdleMs,
    keepAliveTimeout: limits.keepAliveMs,
    return503OnClosing: false,
    routerOptions: { maxParamLength: limits.headerBytesMax },
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.server.maxConnections = limits.connectionsMax

  // Bodies go to the routes as they are, and answers need no schema to be written as JSON.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser([JSON_TYPE, NDJSON_TYPE], (_request, body, done) => done(null, body))
  app.setSerializerCompiler(() => data => JSON.stringify(data))
  app.setValidatorCompiler(route => (route.httpPart === 'querystring' ? TypeBoxValidatorCompiler(route) : () => true))
  app.setSchemaErrorFormatter(errors => {
    const [error] = errors
    const name = error?.instancePath.slice(1) ?? ''
    // A schema that allows no further members says `false` to one.
    if (error?.keyword === 'boolean') return new AgentError('HS_INVALID_REQUEST', `unknown query parameter: ${name}`)
    const allowed = error?.params['allowedValues']
    const rule = Array.isArray(allowed) ? `is one of ${allowed.join(', ')}` : error?.message
    return new AgentError('HS_INVALID_REQUEST', `the query parameter ${name} ${rule ?? 'is not valid'}`)
  })
  app.setErrorHandler(fail)
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, 'HS_NOT_FOUND', `there is no route ${request.method} ${pathOf(request.url)}`),
  )

  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    if (closing.aborted) throw new AgentError('HS_SHUTTING_DOWN', 'try again when the agent is back')
    access.check(request.raw, request.routeOptions.url)
    const query = request.url.slice(pathOf(request.url).length)
    if (decodePercent(query) === undefined)
      throw new AgentError('HS_INVALID_REQUEST', 'the query has a percent escape that is not valid UTF-8')
  })
  app.addHook('onResponse', async (request, reply) => {
    metrics.observeRequest({ method: methodOf(request), route: routeOf(request), status: reply.statusCode, durationMs: reply.elapsedTime })
    linger(request, limits.lingerMs)
    // What was busy when the server began to close would otherwise be kept alive.
    if (closing.aborted) setImmediate(() => app.server.closeIdleConnections())
  })

  const allowed = createAllowedMethods()
  app.addHook('onRoute', route => {
    allowed.onRoute(route)
    route.schema = completeSchema(route.url, route.schema)
  })
  await app.register(fastifySwagger, describeApi(context.node().version, context.tokens.length > 0))

  addClusterRoutes(app, context)
  addReplicaRoutes(app, context)
  addQuarantineRoutes(app, context)
  addDiagnosisRoute(app, context)
  addCollectionRoutes(app, context)
  addListingRoutes(app, context)
  addBackupRoute(app, context)
  addBulkRoutes(app, context)
  addRecordRoutes(app, context, addProofRoutes(app, context))
  addEventRoutes(app, context)
  addSearchRoutes(app, context)
  addVersionRoutes(app, context)
  addOperationRoutes(app, context)
  allowed.close(app)
  metrics.addCollector(() => collectSamples(context))
  await app.ready()
  return app
}

/** Hooks do not run for a path with broken escapes: so access is checked here. */
function failEarly(
  error: Error,
  request: FastifyRequest,
  reply: FastifyReply,
  access: Access,
  fail: (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply,
): FastifyReply {
  try {
    access.check(request.raw, undefined)
  } catch (refusal) {
    return fail(refusal, request, reply)
  }
  const isKey = hasKey(request.raw.url ?? '')
  return fail(isKey ? new AgentError('HS_INVALID_KEY', 'the key in the path is not percent-encoded UTF-8') : error, request, reply)
}

/** The rest of a body that nobody reads any more is thrown away for a while, so that the client gets to read its answer. */
function linger(request: FastifyRequest, lingerMs: number): void {
  const { raw } = request
  if (raw.readableEnded || raw.destroyed) return
  raw.resume()
  if (raw.complete) return
  const timer = setTimeout(() => raw.socket.destroy(), lingerMs)
  // Either, whatever comes first: its connection may go on with other requests.
  for (const event of ['end', 'close']) raw.once(event, () => clearTimeout(timer))
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'none'
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'])

/** Few values, whatever clients send: it becomes a label. */
function methodOf(request: FastifyRequest): string {
  return METHODS.has(request.method) ? request.method : 'other'
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

async function listen(app: App, { host, port }: HttpOptions, retryMs: number): Promise<void> {
  for (let leftMs = retryMs; ; leftMs -= BIND_RETRY_INTERVAL_MS) {
    try {
      await app.listen({ host, port })
      return
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
      if (code !== 'EADDRINUSE' || leftMs <= 0) {
        await app.close()
        const why = code === 'EADDRINUSE' ? 'the port is taken' : code === 'EACCES' ? 'it is not permitted' : 'the address cannot be used'
        throw new AgentError('HS_BIND_FAILED', `HTTP cannot listen on ${host} port ${port}: ${why} (${code})`, { cause: error })
      }
      await delay(BIND_RETRY_INTERVAL_MS)
    }
  }
}

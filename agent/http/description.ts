/** How the API is described at `/api/openapi.json`: what is the same for all routes. Each route says the rest of itself. */
import { STATUS_CODES } from 'node:http'
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { FastifySchema } from 'fastify'
import { OPEN_ROUTES } from './access.ts'
import { RECORD_ROUTE } from './record-routes.ts'
import { asBytes, NoQuery, Problem } from './schemas.ts'

const PROBLEM = asBytes({ 'application/problem+json': Problem }, 'An error (RFC 9457).')

/** The schema of a route with what its author need not say: every error has one shape, and the API knows no other query parameters. */
export function completeSchema(url: string, schema: FastifySchema = {}): FastifySchema {
  const { querystring = url.startsWith('/api/') ? NoQuery : undefined, response, ...own } = schema
  return {
    ...own,
    ...(querystring === undefined ? {} : { querystring }),
    ...(OPEN_ROUTES.has(url) ? { security: [] } : {}),
    response: { ...describeAnswers(response), default: PROBLEM },
  }
}

/** An answer that says nothing of itself is described by the name of its status. */
function describeAnswers(response: unknown): Record<string, unknown> {
  const answers = typeof response === 'object' && response !== null ? Object.entries(response) : []
  return Object.fromEntries(
    answers.map(([status, schema]) => [
      status,
      typeof schema === 'object' ? { 'x-response-description': STATUS_CODES[status] ?? status, ...schema } : schema,
    ]),
  )
}

/** Settings of the describing plug-in. A node without tokens is open to its own machine, and says so by asking for none. */
export function describeApi(version: string, hasTokens: boolean): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'hs-agent',
        version,
        description: 'An offline-first agent: records, collections, peers and syncing.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' } },
      },
      ...(hasTokens ? { security: [{ bearer: [] }, { apiKey: [] }] } : {}),
    },
    transform: ({ schema, url }) => ({ schema, url: url === RECORD_ROUTE ? url.replace('*', ':key') : url }),
  }
}

/** 405 with an Allow header for paths that exist and methods that they do not have; the framework by itself answers 404. */
import type { RouteOptions } from 'fastify'
import { sendProblem } from './problem.ts'
import { PROOF_ROUTE } from './proof-routes.ts'
import type { App } from './route.ts'

export interface AllowedMethods {
  /** Takes every route as it is added. */
  readonly onRoute: (route: Pick<RouteOptions, 'method' | 'url'>) => void
  /** Adds the routes that answer 405; to be called after all others. */
  close(app: App): void
}

export function createAllowedMethods(): AllowedMethods {
  const methodsByUrl = new Map<string, Set<string>>()
  let isClosed = false
  return {
    onRoute({ method, url }) {
      // Its path is that of a record, too, for the other methods.
      if (isClosed || url === PROOF_ROUTE) return
      const methods = methodsByUrl.get(url) ?? new Set()
      methodsByUrl.set(url, methods)
      for (const one of [method].flat()) methods.add(one)
    },
    close(app) {
      isClosed = true
      for (const [url, methods] of methodsByUrl) {
        const allow = [...methods].sort().join(', ')
        app.route({
          url,
          method: app.supportedMethods.filter(method => !methods.has(method)),
          schema: { hide: true },
          // Before any body is read.
          onRequest: async (request, reply) =>
            sendProblem(reply.header('allow', allow), 'HS_METHOD_NOT_ALLOWED', `${request.method} is not allowed here; allowed: ${allow}`),
          handler: () => {},
        })
      }
    },
  }
}

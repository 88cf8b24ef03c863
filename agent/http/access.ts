/**
 * Who may use the API. With tokens: whoever sends one of them. Without: programs of this machine, which a browser's page from elsewhere
 * is not, even when a name of its own resolves to 127.0.0.1 (DNS rebinding): so Host and Origin must name this machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { AgentError } from '../errors.ts'

/** Routes that need no token. Every other one does. */
export const OPEN_ROUTES: ReadonlySet<string> = new Set(['/', '/healthz', '/readyz'])

export interface Access {
  /** Throws HS_UNAUTHORIZED or HS_FORBIDDEN_HOST. `route` is the route's pattern, undefined when the path has no route. */
  check(request: IncomingMessage, route: string | undefined): void
}

export function createAccess(tokens: readonly string[]): Access {
  return tokens.length === 0 ? { check: checkHost } : createTokenAccess(tokens)
}

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()

function createTokenAccess(tokens: readonly string[]): Access {
  const known = tokens.map(digestOf)
  /** Compares with every token, in a time that says nothing about any of them. */
  const isKnown = (token: string): boolean => {
    const given = digestOf(token)
    let found = false
    for (const digest of known) found = timingSafeEqual(digest, given) || found
    return found
  }
  return {
    check({ headers, url }, route) {
      const isOpen = route === undefined ? !(url ?? '').startsWith('/api') : OPEN_ROUTES.has(route)
      if (isOpen) return
      const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
      const apiKey = headers['x-api-key']
      const given = [bearer, apiKey].filter(token => typeof token === 'string')
      if (given.some(isKnown)) return
      throw new AgentError(
        'HS_UNAUTHORIZED',
        given.length === 0 ? 'send "Authorization: Bearer TOKEN" or "x-api-key: TOKEN"' : 'the token is not one of HS_API_TOKEN',
      )
    },
  }
}

function checkHost({ headers, httpVersion }: IncomingMessage): void {
  const { host, origin } = headers
  // Browsers always send Host; HTTP/1.0 programs may not.
  if (host === undefined && httpVersion === '1.1') throw new AgentError('HS_INVALID_REQUEST', 'HTTP/1.1 requests need a Host header')
  if (host !== undefined && !isLoopback(host)) {
    throw new AgentError(
      'HS_FORBIDDEN_HOST',
      'without HS_API_TOKEN the API answers only to localhost, 127.0.0.0/8 and [::1] in the Host header',
    )
  }
  // Another port is another origin: a page of some other local server has no business here.
  if (origin !== undefined && origin.replace(/^https?:\/\//, '').toLowerCase() !== host?.toLowerCase()) {
    throw new AgentError('HS_FORBIDDEN_HOST', 'without HS_API_TOKEN the API answers no page of another origin')
  }
}

/** `host` or `host:port` of this machine. */
function isLoopback(host: string): boolean {
  return /^(localhost|127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(:\d{1,5})?$/i.test(host)
}

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { OPEN_ROUTES } from '../../../agent/http/access.ts'
import { request, sendRaw, startHttp, type HttpFixture } from './http-fixture.ts'

const code = (status: number, problem: string): object => ({ status, json: expect.objectContaining({ status, code: problem }) as unknown })

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>
}

/** Every path and method that the API describes, and those that it does not describe. */
async function allRoutes(fixture: HttpFixture, headers: Record<string, string>): Promise<{ method: string; path: string }[]> {
  const { paths } = (await request(`${fixture.url}/api/openapi.json`, { headers })).json as OpenApi
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => ({ method: method.toUpperCase(), path: path.replace('{name}', 'c').replace('{key}', 'k') })),
  )
  return [...described, { method: 'GET', path: '/' }]
}

describe('with tokens', () => {
  const tokens = ['secret-one', 'secret-two']

  test('P16 every route but the open ones asks for a token, in every method, before it reads anything', async () => {
    const fixture = await startHttp({ tokens })
    const routes = await allRoutes(fixture, { authorization: 'Bearer secret-one' })
    expect(routes.length).toBeGreaterThan(15)
    for (const { path } of routes) {
      for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) {
        const answer = await request(fixture.url + path, { method })
        const allowed = OPEN_ROUTES.has(path) ? [200, 405] : [401]
        expect(allowed, `${method} ${path}`).toContain(answer.status)
      }
    }
  })

  test('the routes that the walk covers are those that the code registers', async () => {
    const fixture = await startHttp({ tokens: [] })
    const walked = new Set((await allRoutes(fixture, {})).map(({ path }) => path))
    const files = ['cluster', 'collection', 'record', 'listing', 'bulk', 'event', 'search', 'operation']
    const sources = files.map(name => readFileSync(new URL(`../../../agent/http/${name}-routes.ts`, import.meta.url), 'utf8')).join('\n')
    const registered = [...sources.matchAll(/'(\/[a-z.:/*]*)'/g)].map(match => (match[1] ?? '').replace(':name', 'c').replace('*', 'k'))
    expect(registered.length).toBeGreaterThan(10)
    for (const path of registered) expect(walked).toContain(path)
  })

  test('either header opens, with any of the tokens', async () => {
    const { url } = await startHttp({ tokens })
    const status = async (headers: Record<string, string>): Promise<number> => (await request(`${url}/api/collections`, { headers })).status
    expect(await status({ authorization: 'Bearer secret-one' })).toBe(200)
    expect(await status({ authorization: 'bearer  secret-two' })).toBe(200)
    expect(await status({ 'x-api-key': 'secret-two' })).toBe(200)
    for (const token of ['', 'secret', 'secret-one2', 'secret-one,secret-two', 'SECRET-ONE']) {
      expect(await status({ authorization: `Bearer ${token}` })).toBe(401)
      expect(await status({ 'x-api-key': token })).toBe(401)
    }
    expect(await status({ authorization: 'Basic secret-one' })).toBe(401)
  })

  test('a refusal names the scheme and gives no token away', async () => {
    const { url } = await startHttp({ tokens })
    const answer = await request(`${url}/metrics`, { headers: { 'x-api-key': 'guess' } })
    expect(answer).toMatchObject(code(401, 'HS_UNAUTHORIZED'))
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(answer.text).not.toContain('secret')
    expect(answer.text).not.toContain('guess')
  })

  test('paths under /api that do not exist, or cannot be decoded, ask for a token too', async () => {
    const { url } = await startHttp({ tokens })
    for (const path of ['/api', '/api/nothing', '/api/%zz', '/api/collections/c/records/%ff', '/%61pi/collections', '/ap%69/nothing']) {
      expect([401, 404]).toContain((await request(url + path)).status)
    }
    expect((await request(`${url}/api/%zz`)).status).toBe(401)
    expect((await request(`${url}/%61pi/collections`)).status).toBe(401)
    expect((await request(`${url}/nothing`)).status).toBe(404)
  })

  test('another Host is allowed: it takes the token to get in', async () => {
    const { port } = await startHttp({ tokens })
    expect(await sendRaw(port, 'GET /healthz HTTP/1.1\r\nhost: robot1.local\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1.1 200/)
  })
})

describe('without tokens', () => {
  const get = (port: number, headers: string): Promise<string> =>
    sendRaw(port, `GET /api/collections HTTP/1.1\r\n${headers}connection: close\r\n\r\n`)

  test.each(['localhost', 'LOCALHOST:50050', '127.0.0.1', '127.0.0.1:1', '127.255.3.4:50050', '[::1]', '[::1]:50050'])(
    'Host %s is this machine',
    async host => {
      const { port } = await startHttp()
      expect(await get(port, `host: ${host}\r\n`)).toMatch(/^HTTP\/1.1 200/)
      expect(await get(port, `host: ${host}\r\norigin: http://${host}\r\n`)).toMatch(/^HTTP\/1.1 200/)
    },
  )

  test('a page of another port of this machine is another origin: 403', async () => {
    const { port } = await startHttp()
    expect(await get(port, `host: localhost:${port}\r\norigin: http://localhost:${port === 1 ? 2 : port - 1}\r\n`)).toMatch(
      /^HTTP\/1.1 403/,
    )
  })

  test.each([
    'evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '192.168.1.10:50050',
    '127.0.0.256',
    '127.0.0.1:99:1',
    '',
    '[::2]',
  ])('P16 Host or Origin "%s" is refused', async host => {
    const { port } = await startHttp()
    const answer = await get(port, `host: ${host}\r\n`)
    expect(answer).toMatch(/^HTTP\/1.1 403/)
    expect(answer).toContain('HS_FORBIDDEN_HOST')
    expect(await get(port, `host: ${host}\r\norigin: http://${host}\r\n`)).toMatch(/^HTTP\/1.1 403/)
  })

  test('Origin null is refused, on every route', async () => {
    const { port } = await startHttp()
    for (const path of ['/', '/healthz', '/metrics', '/api/%zz', '/nothing']) {
      expect(await sendRaw(port, `GET ${path} HTTP/1.1\r\nhost: localhost\r\norigin: null\r\nconnection: close\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 403/,
      )
    }
  })

  test('HTTP/1.1 needs a Host, HTTP/1.0 does not', async () => {
    const { port } = await startHttp()
    expect(await get(port, '')).toMatch(/^HTTP\/1.1 400[^]*HS_INVALID_REQUEST/)
    expect(await sendRaw(port, 'GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 200/)
  })
})

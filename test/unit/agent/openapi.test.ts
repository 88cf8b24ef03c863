/** The description of the API keeps the rules of OpenAPI 3.1 that matter to whoever reads it or makes a client from it. */
import { describe, expect, it } from 'vitest'
import { listOperations, type Document, type Operation, type Schema } from '../../../client/document.ts'
import { writeClient } from '../../../client/client-source.ts'
import { request, startHttp } from './http-fixture.ts'

async function readDocument(tokens: readonly string[] = []): Promise<Document> {
  const { url } = await startHttp({ tokens })
  const headers = tokens[0] === undefined ? {} : { authorization: `Bearer ${tokens[0]}` }
  return (await request(`${url}/api/openapi.json`, { headers })).json as Document
}

/** Asserts of every operation at once, so that a failure names all that are at fault. */
function faultsOf(operations: readonly Operation[], fault: (operation: Operation) => unknown): string[] {
  return operations.filter(operation => fault(operation)).map(({ method, path }) => `${method} ${path}`)
}

/** All schemas of an operation, each with those inside of it. */
function schemasOf({ parameters = [], requestBody, responses }: Operation): Schema[] {
  const contents = [requestBody?.content, ...Object.values(responses).map(({ content }) => content)]
  const roots = [
    ...parameters.map(({ schema }) => schema),
    ...contents.flatMap(content => Object.values(content ?? {}).map(({ schema }) => schema)),
  ]
  const withInner = (schema: Schema): Schema[] => {
    const { items, properties = {}, anyOf = [], additionalProperties } = schema
    const inner = [items, additionalProperties, ...anyOf, ...Object.values(properties)].filter(part => typeof part === 'object')
    return [schema, ...inner.flatMap(withInner)]
  }
  return roots.flatMap(withInner)
}

const TYPES = new Set([undefined, 'object', 'array', 'string', 'number', 'integer', 'boolean', 'null'])

describe('/api/openapi.json', () => {
  it('says its version, title, licence, and paths that begin with a slash, each once', async () => {
    const document = await readDocument()
    expect(document.openapi).toMatch(/^3\.1\.\d$/)
    expect(document.info).toMatchObject({ title: 'hs-agent', version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as unknown })
    expect(document.info['license']).toEqual({ name: 'MIT', identifier: 'MIT' })
    const paths = Object.keys(document.paths)
    for (const path of paths) expect(path).toMatch(/^\/[a-z]/)
    // Two templates that differ in the names of their parameters alone are the same path.
    expect(new Set(paths.map(path => path.replaceAll(/\{\w+\}/g, '{}'))).size).toBe(paths.length)
  })

  it('every operation has an operation id of its own, a summary that is a sentence, and one tag or more', async () => {
    const operations = listOperations(await readDocument())
    expect(operations.length).toBeGreaterThan(15)
    expect(faultsOf(operations, ({ operationId }) => !/^[a-z][A-Za-z]+$/.test(operationId ?? ''))).toEqual([])
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
    expect(faultsOf(operations, ({ summary }) => !/^[A-Z].*\.$/.test(summary ?? ''))).toEqual([])
    expect(faultsOf(operations, ({ tags = [] }) => tags.length === 0)).toEqual([])
  })

  it('every parameter has a place, a schema and a name of its own; those in the path are the ones of its template', async () => {
    const operations = listOperations(await readDocument())
    for (const { path, parameters = [] } of operations) {
      const inTemplate = new Set([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
      const inPath = parameters.filter(parameter => parameter.in === 'path')
      expect(new Set(inPath.map(({ name }) => name))).toEqual(inTemplate)
      expect(inPath.every(({ required }) => required === true)).toBe(true)
      expect(new Set(parameters.map(parameter => `${parameter.in} ${parameter.name.toLowerCase()}`)).size).toBe(parameters.length)
      for (const parameter of parameters) {
        expect(['path', 'query', 'header']).toContain(parameter.in)
        expect(typeof parameter.schema).toBe('object')
        // OpenAPI ignores these three: they are said by content types and security.
        expect(['accept', 'content-type', 'authorization']).not.toContain(parameter.name.toLowerCase())
      }
    }
  })

  it('every operation says how it succeeds, and that it fails with problem+json', async () => {
    const operations = listOperations(await readDocument())
    expect(faultsOf(operations, ({ responses }) => !Object.keys(responses).some(status => /^2\d\d$/.test(status)))).toEqual([])
    expect(faultsOf(operations, ({ responses }) => !Object.keys(responses).every(status => /^([1-5]\d\d|default)$/.test(status)))).toEqual(
      [],
    )
    const isBare = (description: string): boolean => description === '' || description === 'Default Response'
    expect(faultsOf(operations, ({ responses }) => Object.values(responses).some(({ description }) => isBare(description)))).toEqual([])
    for (const { responses } of operations) {
      const problem = responses['default']?.content?.['application/problem+json']?.schema
      expect(problem?.required).toEqual(expect.arrayContaining(['type', 'title', 'status', 'detail', 'code']))
      for (const [status, { content }] of Object.entries(responses)) expect(content === undefined).toBe(/^(204|304)$/.test(status))
    }
  })

  it('bodies go with the methods that have them', async () => {
    const operations = listOperations(await readDocument())
    expect(faultsOf(operations, ({ method, requestBody }) => ['GET', 'DELETE'].includes(method) && requestBody)).toEqual([])
    expect(faultsOf(operations, ({ method, requestBody }) => method === 'PUT' && requestBody?.required !== true)).toEqual([])
  })

  it('every schema is sound: known types, patterns that compile, required members that exist', async () => {
    for (const operation of listOperations(await readDocument())) {
      for (const schema of schemasOf(operation)) {
        expect(TYPES).toContain(schema.type)
        expect(typeof schema.items === 'object').toBe(schema.type === 'array')
        expect(new Set(schema.enum).size).toBe(schema.enum?.length ?? 0)
        expect(Object.keys(schema.properties ?? {})).toEqual(expect.arrayContaining([...(schema.required ?? [])]))
        expect(() => new RegExp(schema.pattern ?? '', 'u')).not.toThrow()
      }
    }
  })

  it('with tokens it asks for one, except where the agent does not', async () => {
    const open = await readDocument()
    expect(open).not.toHaveProperty('security')
    const guarded = await readDocument(['a-token-of-ours'])
    expect(guarded).toHaveProperty('security', [{ bearer: [] }, { apiKey: [] }])
    const free = listOperations(guarded).filter(({ security }) => security?.length === 0)
    expect(free.map(({ path }) => path)).toEqual(['/healthz', '/readyz'])
  })
})

describe('a client made from it', () => {
  const answer = (schema: Schema): Operation['responses'] => ({ 200: { description: 'OK', content: { 'application/json': { schema } } } })
  const documentOf = (operations: Document['paths'][string]): Document => ({ openapi: '3.1.0', info: {}, paths: { '/x/{id}': operations } })

  it('refuses an operation without an id, and two shapes of one title', () => {
    expect(() => writeClient(documentOf({ get: { responses: answer({}) } }))).toThrow('GET /x/{id} has no operationId')
    const one = { operationId: 'one', responses: answer({ title: 'T', type: 'string' }) }
    const two = { operationId: 'two', responses: answer({ title: 'T', type: 'integer' }) }
    expect(() => writeClient(documentOf({ get: one, put: two }))).toThrow('two schemas of different shapes share the title T')
  })

  it('escapes what it puts into a path, and ends no comment of its own', () => {
    const parameters = [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }]
    const source = writeClient(documentOf({ get: { operationId: 'one', summary: 'a */ b', parameters, responses: answer({}) } }))
    expect(source).toContain('path: `/x/${segment(args.id)}`')
    expect(source).toContain('/** a *\\/ b `GET /x/{id}` */')
  })
})

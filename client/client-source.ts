/** Writes the source of the typed client from the OpenAPI document: a type for each titled schema, a function for each operation. */
import { listOperations, type Content, type Document, type Operation, type Parameter, type Schema } from './document.ts'
import { comment, createTypeWriter, propertyName, type TypeWriter } from './schema-type.ts'

const JSON_TYPE = 'application/json'
const NDJSON_TYPE = 'application/x-ndjson'
const EVENTS_TYPE = 'text/event-stream'

interface Method {
  readonly declaration: string
  readonly definition: string
}

export function writeClient(document: Document): string {
  const types = createTypeWriter()
  const methods = listOperations(document).flatMap(operation => methodsOf(operation, types))
  const imported = ['createTransport', 'segment', 'toNdjson', 'type CallOptions', 'type ClientOptions', 'type ServerEvent']
  const text = methods.map(({ declaration, definition }) => declaration + definition).join()
  const needed = imported.filter(name => !['toNdjson', 'type ServerEvent'].includes(name) || text.includes(name.replace('type ', '')))
  return `// Made by \`npm run client\` from /api/openapi.json: do not edit. A test fails when it is out of date.
import { ${needed.join(', ')} } from './transport.ts'

${types.declarations()}

export interface HsAgentClient {
${methods.map(({ declaration }) => declaration).join('\n\n')}
}

/** A client of one agent. Its functions throw HsAgentError for what the agent refuses. */
export function createHsAgentClient(options: ClientOptions): HsAgentClient {
  const transport = createTransport(options)
  return {
${methods.map(({ definition }) => definition).join('\n')}
  }
}
`
}

/** One function for an operation, and one more where it can also answer with a stream. */
function methodsOf(operation: Operation, types: TypeWriter): Method[] {
  const { operationId, responses } = operation
  if (operationId === undefined) throw new Error(`${operation.method} ${operation.path} has no operationId`)
  const done = Object.entries(responses).filter(([status]) => /^[23]/.test(status))
  const contents = done.flatMap(([, { content }]) => (content === undefined ? [] : [content]))
  const hasNothing = done.some(([, { content }]) => content === undefined)
  const schemasOf = (type: string): Schema[] => contents.flatMap(content => content[type]?.schema ?? [])

  const methods: Method[] = []
  const isLinesAlone = contents.length > 0 && contents.every(content => Object.keys(content).every(type => type === NDJSON_TYPE))
  if (schemasOf(EVENTS_TYPE).length > 0) {
    const call = { name: operationId, how: 'events', answer: 'AsyncGenerator<ServerEvent>', accept: EVENTS_TYPE, bodyType: JSON_TYPE }
    methods.push(writeMethod(operation, types, call))
  } else if (!isLinesAlone) {
    const accept = contents.flatMap(content => Object.keys(content)).find(type => type !== NDJSON_TYPE) ?? JSON_TYPE
    const isBinary = schemasOf(accept).some(({ format }) => format === 'binary')
    const answers = [...new Set(schemasOf(accept).map(types.typeOf)), ...(hasNothing ? [contents.length === 0 ? 'void' : 'undefined'] : [])]
    const call = isBinary
      ? { name: operationId, how: 'bytes', answer: 'AsyncGenerator<Uint8Array>', accept, bodyType: JSON_TYPE }
      : { name: operationId, how: 'call', answer: `Promise<${answers.join(' | ')}>`, accept, bodyType: JSON_TYPE }
    methods.push(writeMethod(operation, types, call))
  }
  const lines = schemasOf(NDJSON_TYPE)
  if (lines.length > 0) {
    const answer = `AsyncGenerator<${[...new Set(lines.map(types.typeOf))].join(' | ')}>`
    const name = isLinesAlone ? operationId : `${operationId}Stream`
    methods.push(writeMethod(operation, types, { name, how: 'lines', answer, accept: NDJSON_TYPE, bodyType: NDJSON_TYPE }))
  }
  return methods
}

interface Call {
  readonly name: string
  readonly how: string
  readonly answer: string
  readonly accept: string
  /** Of the request, where there is a choice. */
  readonly bodyType: string
}

function writeMethod(operation: Operation, types: TypeWriter, { name, how, answer, accept, bodyType }: Call): Method {
  const { method, path, parameters = [], requestBody, summary, description } = operation
  const body = requestBody && bodyOf(requestBody.content, bodyType, types)
  const members = [
    ...parameters.map(parameter => memberOf(parameter, types)),
    ...(body === undefined ? [] : [`readonly body: ${body.type}`]),
  ]
  const isOptional = requestBody === undefined && parameters.every(({ required }) => required !== true)
  const args = members.length === 0 ? '' : `args${isOptional ? '?' : ''}: { ${members.join('; ')} }, `
  const words = [summary, description].filter(text => text !== undefined).join(' ')
  const declaration = `${comment(`${words} \`${method} ${path}\``)}${name}(${args}options?: CallOptions): ${answer}`

  const access = (argument: string): string => `args${isOptional ? '?' : ''}.${argument}`
  const url = path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => `\${segment(${access(argumentName({ name: parameter }))})}`)
  const pairs = (place: string): string[] =>
    parameters
      .filter(parameter => parameter.in === place)
      .map(parameter => `${propertyName(parameter.name)}: ${access(argumentName(parameter))}`)
  const [query, headers] = [pairs('query'), pairs('header')]
  const request = [
    `method: '${method}'`,
    `path: \`${url}\``,
    ...(query.length === 0 ? [] : [`query: { ${query.join(', ')} }`]),
    ...(headers.length === 0 ? [] : [`headers: { ${headers.join(', ')} }`]),
    ...(body === undefined ? [] : [`body: { type: '${body.mediaType}', text: ${body.text} }`]),
    `accept: '${accept}'`,
  ]
  const call = `transport.${how}({ ${request.join(', ')} }, options)`
  const parts = `${members.length === 0 ? '' : 'args, '}options`
  return { declaration, definition: `${name}: (${parts}) => ${call}${how === 'events' || how === 'bytes' ? '' : ` as ${answer}`},` }
}

function bodyOf(content: Content, wanted: string, types: TypeWriter): { mediaType: string; type: string; text: string } {
  const mediaType = content[wanted] === undefined ? Object.keys(content)[0] : wanted
  const schema = mediaType === undefined ? undefined : content[mediaType]?.schema
  if (mediaType === undefined || schema === undefined) throw new Error('a body has a type and a schema')
  const type = types.typeOf(schema)
  return mediaType === NDJSON_TYPE
    ? { mediaType, type: `Iterable<${type}>`, text: 'toNdjson(args.body)' }
    : { mediaType, type, text: 'JSON.stringify(args.body)' }
}

function memberOf(parameter: Parameter, types: TypeWriter): string {
  const { type, pattern } = parameter.schema
  // Every parameter travels as text: a number is as good as its digits.
  const isNumber = type === 'integer' || type === 'number' || pattern?.startsWith('^[0-9]') === true
  const text = isNumber ? 'string | number' : types.typeOf(parameter.schema)
  const isRequired = parameter.required === true
  return `readonly ${argumentName(parameter)}${isRequired ? '' : '?'}: ${text}${isRequired ? '' : ' | undefined'}`
}

/** `if-match` is `ifMatch`. */
function argumentName({ name }: Pick<Parameter, 'name'>): string {
  return name.replaceAll(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase())
}

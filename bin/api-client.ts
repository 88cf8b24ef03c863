/**
 * Talks to a running agent over HTTP. A problem that the agent answers becomes an `ApiProblem`; an agent that cannot be reached,
 * breaks off, or is none, HS_AGENT_UNREACHABLE.
 */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { AgentError } from '../agent/errors.ts'
import { describeFileError } from './file-error.ts'
import type { ClientRequest, IncomingMessage } from 'node:http'

/** Longest silence on a connection. The agent may be making a large import durable. */
const silenceMsMax = 60_000

/** Largest answer that is held in memory; exports are streamed. */
const answerBytesMax = 256 * 1024 * 1024

export interface Call {
  readonly headers?: Readonly<Record<string, string>>
  /** Text is JSON; chunks are sent as they come, with backpressure. */
  readonly body?: string | AsyncIterable<Uint8Array>
  /** Longest silence on the connection, in milliseconds. */
  readonly silenceMs?: number
  /** Ends the call, or the reading of its answer. */
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly etag: string | undefined
  /** Parsed JSON; undefined when the answer has no body. */
  readonly body: unknown
}

export const ndjsonType = 'application/x-ndjson'
export const eventsType = 'text/event-stream'

type Method = 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH'

export interface ApiClient {
  /** Sends a call and reads the whole answer. */
  send(method: Method, path: string, call?: Call): Promise<Answer>
  /** Gets an answer that is one JSON object. */
  getObject(path: string, call?: Call): Promise<Readonly<Record<string, unknown>>>
  /** Gets an answer that is a list of JSON objects. */
  getList(path: string, call?: Call): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Sends a call whose answer is NDJSON (or `type`), to be read as it comes. Reading throws HS_AGENT_UNREACHABLE when it breaks off. */
  stream(method: Method, path: string, call?: Call, type?: string): Promise<AsyncIterable<Uint8Array>>
}

/** What the agent answered instead of what was asked for (RFC 9457). */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem'
  readonly status: number
  /** The problem as it came; `code` and `detail` are there when an agent made it. */
  readonly problem: Readonly<Record<string, unknown>>

  constructor(status: number, problem: Readonly<Record<string, unknown>>) {
    super(`the agent answered ${status}`)
    this.status = status
    this.problem = problem
  }
}

/** Whether trying again may help: nobody answers, or the agent is busy, starting or stopping. */
export const mayPass = (error: unknown): boolean =>
  error instanceof ApiProblem
    ? error.status === 503 || error.status === 429
    : error instanceof AgentError && error.code === 'HS_AGENT_UNREACHABLE'

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The path of a collection, or of something in it; every part is percent-encoded. */
export const collectionPath = (collection: string, ...parts: readonly string[]): string =>
  ['/api/collections', ...[collection, ...parts].map(encodeURIComponent)].join('/')

/** A query string from the values that are there. */
export function formatQuery(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined)
  const text = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString()
  return text === '' ? '' : `?${text}`
}

/** `url` ends without a slash; nothing is sent before the first call. */
export function createApiClient({ url, token }: { readonly url: string; readonly token: string | undefined }): ApiClient {
  const unreachable = (detail: string, cause?: unknown): AgentError =>
    new AgentError('HS_AGENT_UNREACHABLE', `${url}: ${detail}`, { cause })
  const noAgent = (): AgentError => unreachable('what answers there is not an hs-agent')

  const open = async (
    method: Method,
    path: string,
    { headers = {}, body, silenceMs = silenceMsMax, signal }: Call,
  ): Promise<IncomingMessage> => {
    const request = (url.startsWith('https:') ? requestHttps : requestHttp)(`${url}${path}`, {
      method,
      ...(signal !== undefined && { signal }),
      headers: {
        accept: 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(typeof body === 'string' && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
        ...headers,
      },
    })
    request.setTimeout(silenceMs, () => request.destroy(new Error(`no answer for ${silenceMs / 1000} s`)))
    try {
      const response = await exchange(request, body)
      if (isSuccess(response)) return response
      const problem = await readProblem(response)
      request.destroy()
      throw problem
    } catch (error) {
      if (error instanceof ApiProblem || error instanceof AgentError) throw error
      throw unreachable(describeNetworkError(error), error)
    }
  }

  const readProblem = async (response: IncomingMessage): Promise<Error> => {
    const problem = parseJson(await readWhole(response))
    return isObject(problem) && typeof problem['code'] === 'string' ? new ApiProblem(response.statusCode ?? 0, problem) : noAgent()
  }

  const readWhole = async (response: IncomingMessage): Promise<string> => {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of readChunks(response)) {
      length += chunk.length
      if (length > answerBytesMax) throw new AgentError('HS_TOO_LARGE', `the answer has more than ${answerBytesMax} bytes; use export`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString()
  }

  async function* readChunks(response: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) yield chunk
    } catch (error) {
      throw unreachable('the answer broke off', error)
    }
  }

  const send = async (method: Method, path: string, call: Call = {}): Promise<Answer> => {
    const response = await open(method, path, call)
    const text = await readWhole(response)
    const body = text === '' ? undefined : parseJson(text)
    if (text !== '' && body === undefined) throw noAgent()
    return { status: response.statusCode ?? 0, etag: response.headers.etag, body }
  }

  return {
    send,
    async getObject(path, call) {
      const { body } = await send('GET', path, call)
      if (!isObject(body)) throw noAgent()
      return body
    },
    async getList(path, call) {
      const { body } = await send('GET', path, call)
      if (!Array.isArray(body) || !body.every(isObject)) throw noAgent()
      return body
    },
    async stream(method, path, call = {}, type = ndjsonType) {
      const response = await open(method, path, { ...call, headers: { ...call.headers, accept: type } })
      if (!(response.headers['content-type'] ?? '').startsWith(type)) throw noAgent()
      return readChunks(response)
    },
  }
}

/**
 * Sends the body and resolves with the head of the answer, which may come while chunks are still being sent: acknowledgements
 * stream back beside them. An answer other than success ends the sending (a missing token, say).
 */
async function exchange(request: ClientRequest, body: Call['body']): Promise<IncomingMessage> {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
  })
  if (body === undefined || typeof body === 'string') request.end(body)
  else sendChunks(request, body).catch((error: unknown) => request.destroy(error instanceof Error ? error : new Error(String(error))))
  return answered
}

/** Writes all chunks, each once the connection has room for it; stops when nobody wants them any more. */
async function sendChunks(request: ClientRequest, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let isOver = false
  let wake = (): void => {}
  const stop = (): void => {
    isOver = true
    wake()
  }
  request.on('drain', () => wake())
  request.on('close', stop)
  request.on('response', (response: IncomingMessage) => {
    if (!isSuccess(response)) stop()
  })
  for await (const chunk of chunks) {
    const roomAgain = new Promise<void>(resolve => (wake = resolve))
    if (!isOver && !request.write(chunk)) await roomAgain
    if (isOver) return
  }
  request.end()
}

const isSuccess = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode < 300

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function describeNetworkError(error: unknown): string {
  // Of several addresses of a name, each has failed: the first says enough.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  return describeFileError(first)
}

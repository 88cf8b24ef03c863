/** How a client speaks to an agent: one request, its JSON answer, a stream of lines, or a stream of events. Needs `fetch` alone. */

export interface ClientOptions {
  /** Where the agent listens: `http://127.0.0.1:50050`. */
  readonly url: string
  /** One of HS_API_TOKEN. */
  readonly token?: string
  readonly fetch?: typeof fetch
}

export interface CallOptions {
  /** Ends the request, or the stream. */
  readonly signal?: AbortSignal
}

export interface Request {
  readonly method: string
  /** Percent-encoded. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: { readonly type: string; readonly text: string }
  readonly accept: string
}

/** An event of `text/event-stream`; `data` is text, usually JSON. */
export interface ServerEvent {
  readonly id?: string
  readonly event: string
  readonly data: string
}

/** What the agent answers when it does not do what was asked (RFC 9457). */
export class HsAgentError extends Error {
  override readonly name = 'HsAgentError'
  readonly status: number
  /** From the closed table of codes: docs/errors.md. */
  readonly code: string

  constructor(status: number, code: string, detail: string) {
    super(`${code}: ${detail}`)
    this.status = status
    this.code = code
  }
}

export interface Transport {
  /** The JSON of the answer, its text when it is of another type; undefined when it has no body (204, 304). */
  call(request: Request, options?: CallOptions): Promise<unknown>
  /** The answer as it comes, whatever it is. */
  bytes(request: Request, options?: CallOptions): AsyncGenerator<Uint8Array>
  /** The lines of an NDJSON answer, each as its JSON value. */
  lines(request: Request, options?: CallOptions): AsyncGenerator
  events(request: Request, options?: CallOptions): AsyncGenerator<ServerEvent>
}

/** A segment of a path; the slashes of a key may stay. */
export const segment = (text: string | number): string => encodeURIComponent(text)

export const toNdjson = (values: Iterable<unknown>): string => [...values].map(value => `${JSON.stringify(value)}\n`).join('')

export function createTransport({ url, token, fetch: send = fetch }: ClientOptions): Transport {
  /** Throws HsAgentError for what the agent refuses, and what `fetch` throws when nobody answers. */
  const request = async (
    { method, path, query = {}, headers = {}, body, accept }: Request,
    options: CallOptions = {},
  ): Promise<Response> => {
    const search = new URLSearchParams(given(query)).toString()
    const answer = await send(`${url}${path}${search === '' ? '' : `?${search}`}`, {
      method,
      headers: {
        accept,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': body.type }),
        ...given(headers),
      },
      ...(body === undefined ? {} : { body: body.text }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    if (!answer.ok && answer.status !== 304) throw await readProblem(answer)
    return answer
  }

  return {
    async call(what, options) {
      const answer = await request(what, options)
      const text = await answer.text()
      if (text === '') return undefined
      return /^application\/json\b/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(text) : text
    },
    async *bytes(what, options) {
      const answer = await request(what, options)
      if (answer.body !== null) for await (const chunk of answer.body) yield chunk as Uint8Array
    },
    async *lines(what, options) {
      const answer = await request(what, options)
      for await (const line of readLines(answer)) if (line !== '') yield JSON.parse(line)
    },
    async *events(what, options) {
      const answer = await request(what, options)
      let id: string | undefined
      let event = ''
      let data: string[] = []
      for await (const line of readLines(answer)) {
        const [, field, value = ''] = /^(\w+)(?:: ?(.*))?$/.exec(line) ?? []
        if (field === 'id') id = value
        else if (field === 'event') event = value
        else if (field === 'data') data.push(value)
        else if (line === '') {
          if (data.length > 0) yield { event: event || 'message', data: data.join('\n'), ...(id === undefined ? {} : { id }) }
          event = ''
          data = []
        }
      }
    },
  }
}

/** What has a value, as text. */
function given(values: Readonly<Record<string, string | number | boolean | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])))
}

async function readProblem(answer: Response): Promise<HsAgentError> {
  const text = await answer.text()
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown }
    if (typeof code === 'string' && typeof detail === 'string') return new HsAgentError(answer.status, code, detail)
  } catch {
    // Something else answers there: a proxy, perhaps.
  }
  return new HsAgentError(answer.status, 'HS_UNKNOWN', `status ${answer.status}, and no problem that this client understands`)
}

/** The lines of a body, without their ends; a last line that was cut off is none. */
async function* readLines(answer: Response): AsyncGenerator<string> {
  if (answer.body === null) return
  let rest = ''
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line
  }
}

/** Reads a stream of server-sent events block by block, as slowly as a test wants. */
import { get, type IncomingMessage } from 'node:http'

export interface ReadBlock {
  readonly event: string | undefined
  readonly id: string | undefined
  readonly comment: string | undefined
  readonly retry: string | undefined
  /** The text of the data line, and what it says. */
  readonly text: string | undefined
  readonly data: Readonly<Record<string, unknown>>
}

export interface EventReader {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** The next block; undefined at the end of the stream. */
  next(): Promise<ReadBlock | undefined>
  /** Reads on to the first block with such an event; throws when the stream ends before it. */
  nextEvent(...events: string[]): Promise<ReadBlock>
  /** The whole body, for an answer that is no stream. */
  text(): Promise<string>
  /** Takes nothing from the socket until `resume`. */
  pause(): void
  resume(): void
  close(): void
}

/** With `socketPath`, through that socket file, whatever host `url` names. */
export function openEvents(url: string, headers: Readonly<Record<string, string>> = {}, socketPath?: string): Promise<EventReader> {
  return new Promise((resolve, reject) => {
    const options = {
      headers: { accept: 'text/event-stream', ...headers },
      agent: false,
      ...(socketPath === undefined ? {} : { socketPath }),
    }
    const request = get(url, options, answer => resolve(createReader(answer)))
    request.on('error', reject)
  })
}

function createReader(answer: IncomingMessage): EventReader {
  const blocks: ReadBlock[] = []
  let rest = ''
  let isOver = false
  let wake = (): void => {}
  answer.setEncoding('utf8')
  answer.on('data', (text: string) => {
    const complete = (rest + text).split('\n\n')
    rest = complete.pop() ?? ''
    blocks.push(...complete.map(parseBlock))
    wake()
  })
  const end = (): void => {
    isOver = true
    wake()
  }
  answer.on('error', () => {})
  answer.on('close', end)

  const woken = (): Promise<void> => new Promise(resolve => (wake = resolve))
  const hasMore = (): boolean => !isOver
  const next = async (): Promise<ReadBlock | undefined> => {
    while (blocks.length === 0 && hasMore()) await woken()
    return blocks.shift()
  }
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    next,
    async nextEvent(...events) {
      for (;;) {
        const block = await next()
        if (block === undefined) throw new Error(`the stream ended before ${events.join(' or ')}`)
        if (block.event !== undefined && events.includes(block.event)) return block
      }
    },
    async text() {
      while (hasMore()) await woken()
      return rest
    },
    pause: () => void answer.pause(),
    resume: () => void answer.resume(),
    close: () => void answer.destroy(),
  }
}

function parseBlock(block: string): ReadBlock {
  const fields = new Map<string, string>()
  for (const line of block.split('\n')) {
    const at = line.indexOf(':')
    fields.set(line.slice(0, at), line.slice(at + 1).replace(/^ /, ''))
  }
  const text = fields.get('data')
  return {
    event: fields.get('event'),
    id: fields.get('id'),
    comment: fields.get(''),
    retry: fields.get('retry'),
    text,
    data: text === undefined ? {} : (JSON.parse(text) as Record<string, unknown>),
  }
}

/** Reads `text/event-stream` (HTML, section 9.2) as far as the agent writes it: one line of data an event. */
import { AgentError } from '../agent/errors.ts'

export interface ServerEvent {
  /** `put`, `peer`, …; undefined for what only tells the place. */
  readonly event: string | undefined
  /** The place behind this event. */
  readonly id: string | undefined
  /** JSON text. */
  readonly data: string | undefined
}

/** A record with many concurrent versions is long; nothing is as long as this. In characters. */
const blockLengthMax = 256 * 1024 * 1024

/** Yields the blocks that are whole; what was cut off at the end is none. */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let pending: string[] = []
  let length = 0
  for await (const chunk of chunks) {
    const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n')
    pending.push(first)
    length += first.length
    if (length > blockLengthMax) throw new AgentError('HS_TOO_LARGE', `an event has more than ${blockLengthMax} characters`)
    for (const next of others) {
      // An empty line ends a block: a break with nothing behind the last one.
      pending.push('\n', next)
      length += next.length
    }
    if (others.length === 0) continue
    const blocks = pending.join('').split('\n\n')
    const rest = blocks.pop() ?? ''
    pending = [rest]
    length = rest.length
    for (const block of blocks) yield parseBlock(block)
  }
}

function parseBlock(block: string): ServerEvent {
  const valueByField = new Map<string, string>()
  for (const line of block.split('\n')) {
    const at = line.indexOf(':')
    if (at > 0) valueByField.set(line.slice(0, at), line.slice(at + 1).replace(/^ /, ''))
  }
  return { event: valueByField.get('event'), id: valueByField.get('id'), data: valueByField.get('data') }
}

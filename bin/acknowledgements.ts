/** The agent's answer to a streamed import: a line for each record once it is durable or rejected, in order, and a last line that sums up. */
import { AgentError, ERRORS } from '../agent/errors.ts'
import { isObject } from './api-client.ts'
import { formatText } from './words.ts'
import type { ErrorCode } from '../agent/errors.ts'

export interface Rejection {
  /** Line of the source, from 1. */
  readonly line: number
  readonly code: string
  readonly detail: string
}

/** What is known to be done. */
export interface ImportTally {
  accepted: number
  rejectedCount: number
  /** The last line that was answered. */
  line: number
}

/** No line of the answer is longer: a key has 512 bytes. */
const lineBytesMax = 65_536

/**
 * Reads the answer, counts into `tally`, and yields the rejections. Throws what the agent says ended the import early, or
 * HS_AGENT_UNREACHABLE when the answer ends without its last line.
 */
export async function* readAcknowledgements(answer: AsyncIterable<Uint8Array>, tally: ImportTally): AsyncGenerator<Rejection> {
  for await (const text of readLines(answer)) {
    const message = parse(text)
    const { line, code, detail } = message
    if ('accepted' in message) {
      if (code === undefined) return
      throw new AgentError(toErrorCode(code), formatText(detail))
    }
    if (typeof line !== 'number') throw notUnderstood()
    tally.line = line
    if (code === undefined) {
      tally.accepted += 1
    } else {
      tally.rejectedCount += 1
      yield { line, code: formatText(code), detail: formatText(detail) }
    }
  }
  throw new AgentError('HS_AGENT_UNREACHABLE', 'the answer broke off')
}

const toErrorCode = (code: unknown): ErrorCode =>
  typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'HS_INTERNAL'

const notUnderstood = (): AgentError => new AgentError('HS_AGENT_UNREACHABLE', 'what answers there is not an hs-agent')

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const message: unknown = JSON.parse(text)
    if (isObject(message)) return message
  } catch {
    // Said below.
  }
  throw notUnderstood()
}

async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > lineBytesMax) throw notUnderstood()
    yield* lines
  }
  if (rest !== '') yield rest
}

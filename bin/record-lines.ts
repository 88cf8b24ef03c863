/** What `import` sends: the lines of an NDJSON file or the elements of a JSON array, counted on their way. */
import { splitJsonArray } from './json-array.ts'
import { wrapFileError } from './file-error.ts'
import { AgentError } from '../agent/errors.ts'

const openingBracket = '['.charCodeAt(0)
const lineFeed = '\n'.charCodeAt(0)
const byteOrderMark = [0xef, 0xbb, 0xbf]

export interface LineCount {
  /** Lines that were begun. */
  lines: number
  /** Bytes read from the source. */
  bytes: number
  /** What ended the source early; the lines before it are good. */
  fault: AgentError | undefined
}

export const createLineCount = (): LineCount => ({ lines: 0, bytes: 0, fault: undefined })

/**
 * Yields lines from a source that holds either form; an array is known by its first character, since a record cannot begin with
 * `[`. `name` is the source's, for errors. A fault of the source ends the lines and is kept in `count`: what was read before
 * it is still sent as a whole, and answered.
 */
export async function* readRecordLines(source: AsyncIterable<Uint8Array>, name: string, count: LineCount): AsyncGenerator<Uint8Array> {
  let isAtLineStart = true
  try {
    for await (const chunk of toLines(countBytes(source, count))) {
      count.lines += countLinesBegun(chunk, isAtLineStart)
      isAtLineStart = chunk.length === 0 ? isAtLineStart : chunk.at(-1) === lineFeed
      yield chunk
    }
  } catch (error) {
    const wrapped = wrapFileError(name, error)
    if (!(wrapped instanceof AgentError)) throw wrapped
    count.fault = wrapped
  }
}

async function* countBytes(source: AsyncIterable<Uint8Array>, count: LineCount): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    count.bytes += chunk.length
    yield chunk
  }
}

function countLinesBegun(chunk: Uint8Array, isAtLineStart: boolean): number {
  let begun = isAtLineStart && chunk.length > 0 ? 1 : 0
  for (let at = chunk.indexOf(lineFeed); at !== -1 && at + 1 < chunk.length; at = chunk.indexOf(lineFeed, at + 1)) begun += 1
  return begun
}

async function* toLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]()
  // A source may come byte by byte; the first ones are gathered until they tell its form.
  let head: Uint8Array = new Uint8Array()
  let form: 'lines' | 'array' | undefined
  while (form === undefined) {
    const next = await chunks.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
    form = formOf(head)
  }
  const all = continueWith(withoutByteOrderMark(head), chunks)
  yield* form === 'array' ? splitJsonArray(all) : all
}

/** Blank space at the beginning of a source, beyond which it counts as lines. */
const blankBytesMax = 65_536

function formOf(head: Uint8Array): 'lines' | 'array' | undefined {
  if (head.length < byteOrderMark.length && head.every((byte, index) => byte === byteOrderMark[index])) return undefined
  const first = withoutByteOrderMark(head).find(byte => byte > 0x20)
  if (first === undefined) return head.length > blankBytesMax ? 'lines' : undefined
  return first === openingBracket ? 'array' : 'lines'
}

const withoutByteOrderMark = (bytes: Uint8Array): Uint8Array =>
  byteOrderMark.every((byte, index) => bytes[index] === byte) ? bytes.subarray(byteOrderMark.length) : bytes

async function* continueWith(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

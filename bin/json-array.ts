/**
 * Turns the bytes of a JSON array into lines, one an element, without parsing them: constant memory whatever the array's length.
 * Elements are passed on byte by byte, so that whoever parses them sees every number as it was written.
 */
import { AgentError } from '../agent/errors.ts'

const code = (character: string): number => character.charCodeAt(0)
const quote = code('"')
const backslash = code('\\')
const comma = code(',')
const lineFeed = code('\n')
const carriageReturn = code('\r')
const space = code(' ')
const tab = code('\t')

const opens = (byte: number): boolean => byte === code('[') || byte === code('{')
const closes = (byte: number): boolean => byte === code(']') || byte === code('}')
const isBlank = (byte: number): boolean => byte === space || byte === tab || byte === lineFeed || byte === carriageReturn

/**
 * Yields the elements of one array, a line break behind each. The array may be broken into chunks anywhere. Throws
 * HS_INVALID_JSON, after what was read up to there, when the array does not end or something follows it.
 */
export async function* splitJsonArray(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let depth = 0
  let isInString = false
  let isEscaped = false
  let isClosed = false

  /** What stands in the lines for one byte of the array: as many bytes come out as go in. */
  const translate = (byte: number): number => {
    if (isInString) {
      if (isEscaped) isEscaped = false
      else if (byte === backslash) isEscaped = true
      else if (byte === quote) isInString = false
      return byte
    }
    if (isBlank(byte)) return space
    if (isClosed) throw new AgentError('HS_INVALID_JSON', 'something follows the end of the array')
    if (byte === quote) isInString = true
    else if (opens(byte)) {
      depth += 1
      if (depth === 1) return space
    } else if (closes(byte)) {
      depth -= 1
      isClosed = depth === 0
      if (isClosed) return lineFeed
    } else if (byte === comma && depth === 1) return lineFeed
    return byte
  }

  for await (const chunk of chunks) {
    const lines = new Uint8Array(chunk.length)
    let length = 0
    try {
      for (const byte of chunk) {
        lines[length] = translate(byte)
        length += 1
      }
    } catch (error) {
      yield lines.subarray(0, length)
      throw error
    }
    yield lines
  }
  if (!isClosed) throw new AgentError('HS_INVALID_JSON', 'the array does not end')
}

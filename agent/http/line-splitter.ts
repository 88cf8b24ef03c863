/** NDJSON from chunks of bytes: lines with their numbers, in memory bounded by the longest line that is allowed. */
import { isUtf8 } from 'node:buffer'

const NEWLINE = 0x0a

/** A line that is not blank: its text, or why it has none. Numbered from 1, blank lines included. */
export type Line = { readonly line: number; readonly text: string } | { readonly line: number; readonly fault: 'too-long' | 'not-utf8' }

export interface LineSplitter {
  /** The lines that end in this chunk. */
  push(chunk: Buffer): Iterable<Line>
  /** The last line, when no newline ended it. Not to be called for a body that was cut off. */
  end(): Iterable<Line>
}

export function createLineSplitter(lineBytesMax: number): LineSplitter {
  let line = 0
  /** Chunks of the line that has not ended yet. */
  let carry: Buffer[] = []
  let carryBytes = 0
  /** The unended line is too long: what follows of it is thrown away. */
  let isSkipping = false

  const keep = (bytes: Buffer): void => {
    if (isSkipping || bytes.length === 0) return
    carryBytes += bytes.length
    if (carryBytes > lineBytesMax) {
      isSkipping = true
      carry = []
    } else {
      carry.push(bytes)
    }
  }

  function* endLine(): Generator<Line> {
    line += 1
    const bytes = carry.length === 1 && carry[0] !== undefined ? carry[0] : Buffer.concat(carry)
    const wasSkipping = isSkipping
    carry = []
    carryBytes = 0
    isSkipping = false
    if (wasSkipping) yield { line, fault: 'too-long' }
    else if (!isUtf8(bytes)) yield { line, fault: 'not-utf8' }
    else yield* textLine(bytes.toString('utf8'))
  }

  function* textLine(text: string): Generator<Line> {
    if (!isBlank(text)) yield { line, text }
  }

  /** Whole lines, the last one with its newline. Decoding them together is much faster than one by one. */
  function* wholeLines(bytes: Buffer): Generator<Line> {
    if (bytes.length > lineBytesMax || !isUtf8(bytes)) {
      for (let at = 0; at < bytes.length;) {
        const end = bytes.indexOf(NEWLINE, at)
        keep(bytes.subarray(at, end))
        yield* endLine()
        at = end + 1
      }
      return
    }
    const text = bytes.toString('utf8')
    for (let at = 0; at < text.length;) {
      const end = text.indexOf('\n', at)
      line += 1
      const piece = text.slice(at, end)
      if (!isBlank(piece)) yield { line, text: piece }
      at = end + 1
    }
  }

  return {
    *push(chunk) {
      const first = chunk.indexOf(NEWLINE)
      if (first === -1) {
        keep(chunk)
        return
      }
      keep(chunk.subarray(0, first))
      yield* endLine()
      const last = chunk.lastIndexOf(NEWLINE)
      if (last > first) yield* wholeLines(chunk.subarray(first + 1, last + 1))
      keep(chunk.subarray(last + 1))
    },
    *end() {
      if (carryBytes > 0) yield* endLine()
    },
  }
}

/** Most lines are told by their first character. */
const isBlank = (text: string): boolean => !(text.charCodeAt(0) > 0x20) && /^[ \t\r]*$/.test(text)

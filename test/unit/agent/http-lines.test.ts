import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLineSplitter, type Line } from '../../../agent/http/line-splitter.ts'

/** What any way of cutting the bytes must give: line by line, from the whole. */
function splitWhole(bytes: Buffer, lineBytesMax: number): Line[] {
  const pieces: Buffer[] = []
  let at = 0
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, at)) {
    pieces.push(bytes.subarray(at, end))
    at = end + 1
  }
  pieces.push(bytes.subarray(at))
  return pieces.flatMap((piece, i): Line[] => {
    if (piece.length > lineBytesMax) return [{ line: i + 1, fault: 'too-long' }]
    const text = piece.toString('utf8')
    if (!Buffer.from(text).equals(piece)) return [{ line: i + 1, fault: 'not-utf8' }]
    return /^[ \t\r]*$/.test(text) ? [] : [{ line: i + 1, text }]
  })
}

test('however the bytes are cut into chunks, the lines and their numbers are the same', () => {
  const piece = fc.oneof(
    fc.constantFrom('\n', '\n\n', '\r\n', ' ', '          ', '{"payload":1}', 'é', '日本', '\u{1f600}').map(text => Buffer.from(text)),
    fc.uint8Array({ maxLength: 3 }).map(bytes => Buffer.from(bytes)),
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.array(fc.nat(120), { maxLength: 8 }),
      fc.integer({ min: 1, max: 40 }),
      (pieces, cuts, lineBytesMax) => {
        const bytes = Buffer.concat(pieces)
        const splitter = createLineSplitter(lineBytesMax)
        const lines: Line[] = []
        let from = 0
        for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
          lines.push(...splitter.push(bytes.subarray(from, Math.max(from, cut))))
          from = Math.max(from, Math.min(cut, bytes.length))
        }
        lines.push(...splitter.end())
        expect(lines).toEqual(splitWhole(bytes, lineBytesMax))
      },
    ),
    { numRuns: 2000 },
  )
})

test('a line that never ends takes no memory beyond the bound, and is reported once', () => {
  const splitter = createLineSplitter(1000)
  for (let i = 0; i < 10_000; i++) expect([...splitter.push(Buffer.alloc(1000, 'x'))]).toEqual([])
  expect([...splitter.push(Buffer.from('\n{}\n'))]).toEqual([
    { line: 1, fault: 'too-long' },
    { line: 2, text: '{}' },
  ])
  expect([...splitter.end()]).toEqual([])
})

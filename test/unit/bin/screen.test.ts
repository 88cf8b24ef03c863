import { expect, it } from 'vitest'
import { createScreen } from '../../../bin/screen.ts'

/**
 * What stands on a terminal after these writes, as far as a screen uses one: cursor up, clearing, wrapping. Behind the last column the
 * cursor stays on it, and what is cleared from there takes the last character.
 */
function show(writes: readonly string[], columns = 80): string[] {
  const lines: string[] = []
  let row = 0
  let column = 0
  let wraps = true
  const type = (text: string): void => {
    lines[row] = text.slice(0, columns) + (lines[row] ?? '').slice(text.length)
    column = text.length
    if (text.length <= columns || !wraps) return
    row += 1
    type(text.slice(columns))
  }
  // oxlint-disable-next-line no-control-regex
  for (const part of writes.join('').split(/(?=\u001B)|(?<=\u001B\[\??\d*[A-Zhl])|(?=[\r\n])|(?<=[\r\n])/)) {
    if (part.startsWith('\u001B') && part.endsWith('A')) row -= Number(part.slice(2, -1))
    else if (part === '\n') row += 1
    else if (part === '\u001B[J') lines.length = row
    else if (part === '\u001B[K') lines[row] = (lines[row] ?? '').slice(0, Math.min(column, columns - 1))
    else if (part === '\u001B[?7l' || part === '\u001B[?7h') wraps = part.endsWith('h')
    else if (part !== '\r') type(part)
    if (part === '\r' || part === '\n') column = 0
  }
  return lines
}

it('a screen is drawn in its place, whether it grows or shrinks', () => {
  const writes: string[] = []
  const screen = createScreen({ write: text => writes.push(text) })
  screen.draw('a\nb is long')
  screen.draw('c\nd\ne')
  expect(show(writes)).toEqual(['c', 'd', 'e'])
  screen.draw('f')
  expect(show(writes)).toEqual(['f'])
})

it('what does not fit the height of the terminal is counted', () => {
  const writes: string[] = []
  const screen = createScreen({ rows: 4, write: text => writes.push(text) })
  screen.draw('1\n2\n3')
  expect(show(writes)).toEqual(['1', '2', '3'])
  screen.draw('1\n2\n3\n4\n5')
  expect(show(writes)).toEqual(['1', '2', 'and 3 more'])
})

it('a line that is longer than the terminal takes one row, and what is printed later wraps again', () => {
  const writes: string[] = []
  const screen = createScreen({ write: text => writes.push(text) })
  screen.draw('a long line\nb\nlonger')
  screen.draw('a long line\nc\nsix la')
  expect(show([...writes, 'printed later'], 6)).toEqual(['a long', 'c', 'six la', 'printe', 'd late', 'r'])
})

import { expect, it } from 'vitest'
import { createScreen } from '../../../bin/screen.ts'

/** What stands on a terminal after these writes, as far as a screen uses one: cursor up, clear to the end of line and screen. */
function show(writes: readonly string[]): string[] {
  const lines: string[] = []
  let row = 0
  // oxlint-disable-next-line no-control-regex
  for (const part of writes.join('').split(/(?=\u001B)|(?<=\u001B\[\d*[A-Z])|(?=[\r\n])|(?<=[\r\n])/)) {
    if (part.startsWith('\u001B') && part.endsWith('A')) row -= Number(part.slice(2, -1))
    else if (part === '\n') row += 1
    else if (part === '\u001B[J') lines.length = row
    else if (part !== '\r' && part !== '\u001B[K') lines[row] = part
  }
  return lines
}

it('a screen is drawn in its place, whether it grows or shrinks', () => {
  const writes: string[] = []
  const screen = createScreen({ write: text => writes.push(text) })
  screen.draw('a\nb')
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

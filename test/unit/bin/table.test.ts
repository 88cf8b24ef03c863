import { describe, expect, it } from 'vitest'
import { renderTable } from '../../../bin/table.ts'
import { printable } from '../../../bin/terminal.ts'
import type { Column } from '../../../bin/table.ts'

interface Row {
  readonly name: string
  readonly count: number
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', cell: row => ({ text: row.name, colour: 'green' }) },
  { title: 'COUNT', align: 'right', cell: row => String(row.count) },
  { title: 'NOTE', cell: () => 'x' },
]
const rows: readonly Row[] = [
  { name: 'a', count: 5 },
  { name: 'longer', count: 12_345 },
]
const plain = { paint: (_: unknown, text: string) => text, widthMax: undefined }

describe('a table', () => {
  it('aligns its columns, numbers to the right', () => {
    expect(renderTable(rows, columns, plain).split('\n')).toEqual(['NAME    COUNT  NOTE', 'a           5  x', 'longer  12345  x'])
  })

  it('keeps its columns aligned when it is coloured', () => {
    const painted = renderTable(rows, columns, { ...plain, paint: (colour, text) => `<${colour}:${text}>` })
    expect(painted).toContain('<green:a     >      5  x')
  })

  it('is cut at the width of the terminal', () => {
    const lines = renderTable(rows, columns, { ...plain, widthMax: 10 }).split('\n')
    expect(lines.every(line => line.length <= 10)).toBe(true)
    expect(lines[2]).toBe('longer  1…')
  })

  it('shows control characters from elsewhere as text, so that nobody moves the cursor', () => {
    const text = renderTable([{ name: 'a\u001b[2J\n\u009b', count: 1 }], columns, plain)
    expect(text).toContain('a\\x1b[2J\\x0a\\x9b')
    expect(text.split('\n')).toHaveLength(2)
    expect(printable('ok é')).toBe('ok é')
  })
})

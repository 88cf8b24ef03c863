/** Aligned columns for people: a header, a row a line, nothing drawn. */
import { printable } from './terminal.ts'
import type { Colour } from './terminal.ts'

export interface Cell {
  readonly text: string
  readonly colour?: Colour
}

export interface Column<Row> {
  readonly title: string
  /** Numbers align right. */
  readonly align?: 'right'
  readonly cell: (row: Row) => Cell | string
}

export interface TableStyle {
  readonly paint: (colour: Colour, text: string) => string
  /** Lines longer than this are cut; undefined for no limit. In characters. */
  readonly widthMax: number | undefined
}

const gap = '  '

/** The lines of a table, one string with line breaks between them. Widths are characters; double-width ones misalign. */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { paint, widthMax = Infinity }: TableStyle,
): string {
  const header: readonly Cell[] = columns.map(({ title }): Cell => ({ text: title, colour: 'bold' }))
  const body = rows.map(row =>
    columns.map(({ cell }): Cell => {
      const made = cell(row)
      const { text, colour } = typeof made === 'string' ? { text: made, colour: undefined } : made
      return { text: printable(text), ...(colour !== undefined && { colour }) }
    }),
  )
  const lines = [header, ...body]
  const widths = columns.map((_, index) => Math.max(...lines.map(cells => (cells[index]?.text ?? '').length)))

  const renderLine = (cells: readonly Cell[]): string => {
    let room = widthMax
    const parts = cells.map(({ text, colour }, index) => {
      const width = widths[index] ?? 0
      const isLast = index === cells.length - 1
      const padded = columns[index]?.align === 'right' ? text.padStart(width) : isLast ? text : text.padEnd(width)
      const shown = padded.length <= room ? padded : room === 0 ? '' : `${padded.slice(0, room - 1)}…`
      room = Math.max(0, room - shown.length - gap.length)
      return colour === undefined ? shown : paint(colour, shown)
    })
    return parts.join(gap).trimEnd()
  }
  return lines.map(renderLine).join('\n')
}

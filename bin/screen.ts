/** A text on a terminal that is drawn again in the place where it stands. */

export interface ScreenStream {
  readonly rows?: number
  write(text: string): unknown
}

export interface Screen {
  /** Takes the place of what was drawn before. What does not fit the terminal's height is counted, not shown. */
  draw(text: string): void
}

/** With automatic wrapping off, a line that is too long ends at the edge: wrapped, it would take rows that nobody counts. */
const WRAP_OFF = '\u001b[?7l'
const WRAP_ON = '\u001b[?7h'

/** Fewer rows are those of a terminal that has not said its height. */
const rowsMin = 3

export function createScreen(stream: ScreenStream): Screen {
  let drawn = 0
  return {
    draw(text) {
      const lines = text.split('\n')
      // The last row stays free: a line break on it would scroll the terminal.
      const room = stream.rows === undefined || stream.rows < rowsMin ? lines.length : stream.rows - 1
      const shown = lines.length <= room ? lines : [...lines.slice(0, room - 1), `and ${lines.length - room + 1} more`]
      const up = drawn === 0 ? '' : `\u001b[${drawn}A`
      // One write, so that nothing flickers. A line is cleared before its text: behind a full line the cursor is still on its last column.
      stream.write(`${WRAP_OFF}${up}\r${shown.map(line => `\u001b[K${line}\n`).join('')}\u001b[J${WRAP_ON}`)
      drawn = shown.length
    },
  }
}

/** A text on a terminal that is drawn again in the place where it stands. */

export interface ScreenStream {
  readonly rows?: number
  readonly columns?: number
  write(text: string): unknown
}

export interface Screen {
  /** Takes the place of what was drawn before. What does not fit the terminal's height is counted, not shown. */
  draw(text: string): void
}

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
      // One write, each line cleared behind its text: nothing flickers.
      stream.write(`${up}\r${shown.map(line => `${line}\u001b[K\n`).join('')}\u001b[J`)
      drawn = shown.length
    },
  }
}

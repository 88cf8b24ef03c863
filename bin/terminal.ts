/** Writes to this process's standard output and error. Colours only on a terminal, and not with NO_COLOR. */
import { styleText } from 'node:util'

export type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold'

/** Control characters would let a peer's name or a record move the cursor, colour the terminal or worse. */
// oxlint-disable-next-line no-control-regex
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/g

/** A text from elsewhere, safe to show on one line of a terminal. */
export const printable = (text: string): string =>
  text.replace(controlCharacter, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

export const printError = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

/** One value, on one line, as `--json` prints it. */
export const printJson = (value: unknown): void => print(JSON.stringify(value))

/** Colours a text for standard output. */
export const paint = (colour: Colour, text: string): string => styleText(colour, text, { stream: process.stdout })

export const isTerminal = (stream: NodeJS.WriteStream): boolean => stream.isTTY

/** Narrower than this, a terminal has not said its width (0), or a cut table would be of no use. */
const terminalWidthMin = 40

/** Columns of the terminal on standard output; undefined when there is none that limits a line. */
export function terminalWidth(): number | undefined {
  const { isTTY, columns } = process.stdout
  return isTTY && columns >= terminalWidthMin ? columns : undefined
}

/** Help, in the order in which people need it: how to call, what there is, examples, settings, exit statuses. */
import { renderHelp } from '../agent/config-reference.ts'
import { wrapText } from '../agent/text-wrap.ts'
import { commonOptions, formatPositionals } from './arguments.ts'
import { version } from './version.ts'
import type { Command, Option } from './command.ts'

const heading = (text: string, lines: readonly string[]): string => [`${text}:`, ...lines, ''].join('\n')

/** Longer lines are hard to read, however wide the terminal. */
const widthMax = 100
const meaningWidthMin = 20

/** Two columns: names, and what they mean. */
function columns(rows: readonly (readonly [string, string])[], width: number): string[] {
  const nameWidth = Math.max(...rows.map(([name]) => name.length))
  const indent = ' '.repeat(nameWidth + 4)
  return rows.flatMap(([name, doc]) =>
    wrapText(doc, Math.max(meaningWidthMin, width - indent.length)).map((line, at) =>
      at === 0 ? `  ${name.padEnd(nameWidth)}  ${line}` : indent + line,
    ),
  )
}

const optionRows = (options: Readonly<Record<string, Option>>, width: number): string[] =>
  columns(
    Object.entries(options).map(([name, { value, doc }]) => [value === undefined ? `--${name}` : `--${name} ${value}`, doc]),
    width,
  )

/** `columnsMax`: of the terminal; undefined for none. */
export function renderOverview(commands: Readonly<Record<string, Command>>, columnsMax = widthMax): string {
  const width = Math.min(widthMax, columnsMax)
  return [
    ...wrapText(`hs-agent ${version}: an offline-first agent for robots and ARM boards`, width),
    '',
    'Usage: hs-agent COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    heading(
      'Commands',
      columns(
        Object.entries(commands).map(([name, { summary }]) => [name, summary]),
        width,
      ),
    ),
    heading('Options of every command', optionRows(commonOptions, width)),
    ...wrapText('Settings, from the environment, --env-file FILE and .env in the working directory, in this order:', width),
    renderHelp(width),
    '',
    heading(
      'Exit status',
      columns(
        [
          ['0', 'done'],
          ['1', 'failed'],
          ['2', 'the command line is not understood'],
          ['69', 'no agent answers'],
          ['78', 'the configuration is not valid'],
        ],
        width,
      ),
    ),
    'hs-agent COMMAND --help says more about one command.',
  ].join('\n')
}

export function renderCommandHelp(name: string, command: Command, columnsMax = widthMax): string {
  const width = Math.min(widthMax, columnsMax)
  const words = ['hs-agent', name, formatPositionals(command), '[OPTIONS]'].filter(word => word !== '')
  return [
    `Usage: ${words.join(' ')}`,
    '',
    ...wrapText(`${command.summary}.`, width),
    ...(command.details === undefined ? [] : wrapText(command.details, width)),
    '',
    ...(command.options === undefined ? [] : [heading('Options', optionRows(command.options, width))]),
    heading('Options of every command', optionRows(commonOptions, width)),
    heading(
      command.examples.length === 1 ? 'Example' : 'Examples',
      command.examples.map(line => `  ${line}`),
    ).trimEnd(),
  ].join('\n')
}

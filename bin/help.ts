/** Help, in the order in which people need it: how to call, what there is, examples, settings, exit statuses. */
import { renderHelp } from '../agent/config-reference.ts'
import { wrapText } from '../agent/text-wrap.ts'
import { commonOptions, formatPositionals } from './arguments.ts'
import { version } from './version.ts'
import type { Command, Option } from './command.ts'

const heading = (text: string, lines: readonly string[]): string => [`${text}:`, ...lines, ''].join('\n')

/** Two columns: names, and what they mean. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, doc]) => `  ${name.padEnd(width)}  ${doc}`)
}

const optionRows = (options: Readonly<Record<string, Option>>): string[] =>
  columns(Object.entries(options).map(([name, { value, doc }]) => [value === undefined ? `--${name}` : `--${name} ${value}`, doc]))

export function renderOverview(commands: Readonly<Record<string, Command>>): string {
  return [
    `hs-agent ${version}: an offline-first agent for robots and ARM boards`,
    '',
    'Usage: hs-agent COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    heading('Commands', columns(Object.entries(commands).map(([name, { summary }]) => [name, summary]))),
    heading('Options of every command', optionRows(commonOptions)),
    heading('Settings, from the environment, --env-file FILE and .env in the working directory, in this order', [renderHelp()]),
    heading(
      'Exit status',
      columns([
        ['0', 'done'],
        ['1', 'failed'],
        ['2', 'the command line is not understood'],
        ['69', 'no agent answers'],
        ['78', 'the configuration is not valid'],
      ]),
    ),
    'hs-agent COMMAND --help says more about one command.',
  ].join('\n')
}

export function renderCommandHelp(name: string, command: Command): string {
  const words = ['hs-agent', name, formatPositionals(command), '[OPTIONS]'].filter(word => word !== '')
  return [
    `Usage: ${words.join(' ')}`,
    '',
    `${command.summary}.`,
    ...(command.details === undefined ? [] : wrapText(command.details, 100)),
    '',
    ...(command.options === undefined ? [] : [heading('Options', optionRows(command.options))]),
    heading('Options of every command', optionRows(commonOptions)),
    heading(
      command.examples.length === 1 ? 'Example' : 'Examples',
      command.examples.map(line => `  ${line}`),
    ).trimEnd(),
  ].join('\n')
}

/** What people read about the settings, made from the table: for docs/configuration.md, the environment example and `--help`. */
import { reserved, settingNames, settings } from './config-table.ts'
import { wrapText } from './text-wrap.ts'
import type { Setting } from './config-table.ts'

const entries: readonly (readonly [string, Setting])[] = settingNames.map(variable => [variable, settings[variable]])

const defaultOf = ({ default: text, defaultDoc }: Setting): string =>
  defaultDoc ?? (text === undefined || text === '' ? 'unset' : `\`${text}\``)

/** A Markdown table with a row for each variable, and what is not there yet. Ends with a line break. */
export function renderMarkdown(): string {
  const rows = entries.map(
    ([variable, setting]) => `| \`${variable}\` | ${defaultOf(setting)} | ${setting.type.form(setting)} | ${setting.doc} |`,
  )
  return [
    '| variable | default | form | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
    `Known by name and refused until they do something: ${reserved.map(variable => `\`${variable}\``).join(', ')}.`,
    '',
  ].join('\n')
}

/** An environment file that changes nothing: every variable with its meaning, commented out. */
export function renderEnvExample(): string {
  const blocks = entries.map(([variable, setting]) => {
    const form = setting.type.form(setting)
    const words = [...wrapText(setting.doc, 100), ...wrapText(`Form: ${form}.`, 100), ...wrapText(`Default: ${defaultOf(setting)}.`, 100)]
    return [...words.map(line => `# ${line.replaceAll('`', '')}`), `#${variable}=${setting.default ?? ''}`, ''].join('\n')
  })
  return ['# Settings of hs-agent. Take the # away from what you change; an empty value counts as unset.', '', ...blocks].join('\n')
}

/** A line for each variable with its default, and its meaning below, for a terminal of so many columns. */
export function renderHelp(width: number): string {
  const indent = '      '
  return entries
    .flatMap(([variable, setting]) => [
      `  ${variable} (${defaultOf(setting)})`,
      ...wrapText(setting.doc, width - indent.length).map(line => indent + line),
    ])
    .join('\n')
    .replaceAll('`', '')
}

import { createConfigError, maskedConfig } from '../../agent/config.ts'
import { renderEnvExample, renderMarkdown } from '../../agent/config-reference.ts'
import { settingNames } from '../../agent/config-table.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'

export const config = defineCommand({
  summary: 'Prints the settings that hold here, and where each comes from',
  details: 'Reads the environment, --env-file and .env as `run` would; secrets are masked. Needs no agent.',
  options: {
    markdown: { type: 'boolean', doc: 'Print the table of all settings for docs/configuration.md' },
    'env-example': { type: 'boolean', doc: 'Print an environment file with all settings, commented out' },
  },
  examples: ['hs-agent config', 'hs-agent config --env-file robot.env --json'],
  run: async ({ options, json, settings }) => {
    if (options.markdown) return void process.stdout.write(renderMarkdown())
    if (options['env-example']) return void process.stdout.write(renderEnvExample())
    const { result, sourceByVariable } = await settings()
    if (!result.ok) throw createConfigError(result.faults)
    const shown = maskedConfig(result.config)
    if (json) return printJson(shown)
    const columns = [
      { title: 'VARIABLE', cell: (variable: (typeof settingNames)[number]) => variable },
      { title: 'VALUE', cell: (variable: (typeof settingNames)[number]) => shown[variable] ?? '-' },
      { title: 'FROM', cell: (variable: (typeof settingNames)[number]) => sourceByVariable.get(variable) ?? 'default' },
    ]
    return print(renderTable(settingNames, columns, { paint, widthMax: terminalWidth() }))
  },
})

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../agent/config.ts'
import { renderEnvExample, renderHelp, renderMarkdown } from '../../../agent/config-reference.ts'
import { reserved, settingNames } from '../../../agent/config-table.ts'
import { parseEnvFile } from '../../../agent/env-file.ts'

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

describe('documents about the settings', () => {
  it('docs/configuration.md holds the table that `hs-agent config --markdown` prints', () => {
    const between = /<!-- settings:.*-->\n([\s\S]*)<!-- \/settings -->/.exec(read('docs/configuration.md'))?.[1]
    expect(between).toBe(renderMarkdown())
  })

  it('systemd/hs-agent.env.example is what `hs-agent config --env-example` prints', () => {
    expect(read('systemd/hs-agent.env.example')).toBe(renderEnvExample())
  })

  it('help and the table name every variable, the table also those to come', () => {
    for (const variable of settingNames) {
      expect(renderHelp(80)).toContain(variable)
      expect(renderMarkdown()).toContain(`| \`${variable}\` |`)
    }
    for (const variable of reserved) expect(renderMarkdown()).toContain(variable)
  })

  it('the environment example changes nothing as it is, and is valid when every line is taken in', () => {
    expect(parseEnvFile(renderEnvExample())).toEqual({ entries: [], faults: [] })
    const { entries, faults } = parseEnvFile(renderEnvExample().replaceAll(/^#(?=HS_)/gm, ''))
    expect(faults).toEqual([])
    expect(entries.map(({ name }) => name)).toEqual(settingNames)
    const env = Object.fromEntries(entries.map(({ name, value }) => [name, value]))
    expect(loadConfig(env, { version: '0.1.0', workingDirectory: '/' }).ok).toBe(true)
  })
})

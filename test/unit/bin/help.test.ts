import { describe, expect, it } from 'vitest'
import { settingNames } from '../../../agent/config-table.ts'
import { commands } from '../../../bin/commands.ts'
import { renderCommandHelp, renderOverview } from '../../../bin/help.ts'

describe('help', () => {
  it('lists every command, every setting and every exit status', () => {
    const overview = renderOverview(commands)
    for (const name of [...Object.keys(commands), ...settingNames]) expect(overview).toContain(name)
    for (const status of ['0', '1', '2', '69', '78']) expect(overview).toMatch(new RegExp(`^  ${status} `, 'm'))
  })

  it.each(Object.entries(commands))('%s has a summary without a full stop, its options, and an example that calls it', (name, command) => {
    const help = renderCommandHelp(name, command)
    expect(command.summary).toMatch(/^[A-Z].*[^.]$/)
    for (const option of Object.keys(command.options ?? {})) expect(help).toContain(`--${option}`)
    expect(command.examples.some(example => example.includes(`hs-agent ${name}`))).toBe(true)
    expect(help).toContain(command.examples[0])
  })

  it('fits a terminal of 120 columns', () => {
    const texts = [renderOverview(commands), ...Object.entries(commands).map(([name, command]) => renderCommandHelp(name, command))]
    const tooLong = texts.flatMap(text => text.split('\n')).filter(line => line.length > 120)
    expect(tooLong).toEqual([])
  })
})

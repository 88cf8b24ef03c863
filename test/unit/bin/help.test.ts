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

  it.each([
    ['without a terminal', undefined, 100],
    ['on a wide terminal', 200, 100],
    ['on a narrow terminal', 60, 60],
  ])('%s it is as wide as can be read, except for what is to be typed', (_, columns, widthMax) => {
    const all = Object.entries(commands)
    const texts = [renderOverview(commands, columns), ...all.map(([name, command]) => renderCommandHelp(name, command, columns))]
    const prose = texts.flatMap(text => text.split('\n')).filter(line => !/^Usage:|^ {2}.*hs-agent |^ {2}HS_/.test(line))
    expect(prose.filter(line => line.length > widthMax)).toEqual([])
  })
})

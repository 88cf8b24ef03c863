import { describe, expect, it } from 'vitest'
import { commands } from '../../../bin/commands.ts'
import { renderBash } from '../../../bin/completion-bash.ts'
import { renderFish } from '../../../bin/completion-fish.ts'
import { renderZsh } from '../../../bin/completion-zsh.ts'
import { describeWords } from '../../../bin/completion.ts'

const words = describeWords(commands)

describe('completion', () => {
  it.each(Object.entries({ bash: renderBash, zsh: renderZsh, fish: renderFish }))(
    '%s knows every command and every option',
    (_, render) => {
      const script = render(words)
      for (const { word, options } of words.commands) {
        expect(script).toMatch(new RegExp(`\\b${word}\\b`))
        for (const option of options) expect(script).toContain(option.word.slice(2))
      }
      expect(script).toContain(' completion collections 2>/dev/null')
    },
  )

  it('knows what may stand where', () => {
    const choices = (command: string): unknown =>
      words.commands.find(({ word }) => word === command)?.positionals.map(place => place.choices)
    expect(choices('get')).toEqual(['collections', []])
    expect(choices('import')).toEqual(['collections', 'files'])
    expect(choices('collections')).toEqual([['list', 'create', 'set', 'delete'], 'collections'])
    expect(choices('help')).toEqual(['commands'])
    expect(words.valueOptions).toContain('--since')
    expect(words.valueOptions).not.toContain('--json')
  })

  it('quotes what its shells would take for their own', () => {
    const [odd] = describeWords({ odd: { summary: `it's [a] test: \\`, examples: [], run: async () => {} } }).commands
    const script = { ...words, commands: odd === undefined ? [] : [odd] }
    expect(renderZsh(script)).toContain(String.raw`'odd:it'\''s \[a\] test\: \\'`)
    expect(renderFish(script)).toContain(String.raw`-a odd -d 'it\'s [a] test: \\'`)
  })
})

import { describe, expect, it } from 'vitest'
import { formatPositionals, parseCommandArguments, parseWholeNumber, splitWords } from '../../../bin/arguments.ts'
import { defineCommand } from '../../../bin/command.ts'

const command = defineCommand({
  summary: 'A command',
  positionals: ['collection', '[file]'],
  options: { limit: { type: 'string', value: 'N', doc: 'a number' }, reverse: { type: 'boolean', doc: 'a flag' } },
  examples: [],
  run: async () => {},
})

const parse = (...words: string[]): unknown => parseCommandArguments('list', command, words)
const usage = (detail: string): unknown => expect.objectContaining({ code: 'HS_USAGE', detail: expect.stringContaining(detail) })

describe('the words of a command line', () => {
  it('the command is the first word that is no option and no value of one', () => {
    expect(splitWords(['list', 'a', '--json'])).toMatchObject({ command: 'list', rest: ['a', '--json'] })
    expect(splitWords(['--url', 'http://x', '--json', 'list', 'a'])).toMatchObject({
      command: 'list',
      rest: ['--url', 'http://x', '--json', 'a'],
    })
    expect(splitWords([])).toMatchObject({ command: undefined, help: false, version: false })
    expect(splitWords(['--version'])).toMatchObject({ command: undefined, version: true })
    expect(splitWords(['put', '--help'])).toMatchObject({ command: 'put', help: true })
  })

  it('arguments come by their names, options by theirs, in any order', () => {
    expect(parse('odometry', '--limit', '5', 'x.ndjson', '--reverse')).toEqual({
      args: { collection: 'odometry', file: 'x.ndjson' },
      options: { limit: '5', reverse: true },
    })
    expect(parse('--limit=5', 'odometry')).toEqual({ args: { collection: 'odometry' }, options: { limit: '5' } })
  })

  it('what follows -- is an argument, and so is a lone -', () => {
    expect(parse('--', '--reverse', '-')).toEqual({ args: { collection: '--reverse', file: '-' }, options: {} })
    expect(parse('a', '-')).toMatchObject({ args: { file: '-' } })
  })

  it('an option that does not exist is refused, naming the one that it looks like', () => {
    expect(() => parse('a', '--limti', '5')).toThrow(usage('no option --limti; did you mean --limit?'))
    expect(() => parse('a', '--toString')).toThrow(usage('no option --toString; hs-agent list --help lists them'))
    expect(() => parse('a', '-5')).toThrow(usage('put -- before arguments that begin with a dash'))
  })

  it('a forgotten value is not taken from the next option', () => {
    expect(() => parse('a', '--limit')).toThrow(usage('--limit needs a value: --limit N'))
    expect(() => parse('a', '--limit', '--json')).toThrow(usage('--limit needs a value'))
    expect(() => parse('a', '--limit=')).toThrow(usage('--limit needs a value'))
    expect(() => parse('a', '--reverse=no')).toThrow(usage('--reverse takes no value'))
    expect(parse('a', '--limit', '-5,1')).toMatchObject({ options: { limit: '-5,1' } })
  })

  it('missing, empty and surplus arguments are refused by name', () => {
    expect(() => parse()).toThrow(usage('list needs COLLECTION'))
    expect(() => parse('')).toThrow(usage('COLLECTION is empty'))
    expect(() => parse('a', 'b', 'c')).toThrow(usage('does not take the argument "c"'))
  })

  it('help shows arguments in capitals', () => {
    expect(formatPositionals(command)).toBe('COLLECTION [FILE]')
  })

  it('numbers are whole and in range', () => {
    expect(parseWholeNumber('limit', undefined, 1, 10)).toBeUndefined()
    expect(parseWholeNumber('limit', '10', 1, 10)).toBe(10)
    for (const text of ['0', '11', '1.5', '-1', 'x', '1e1', '']) {
      expect(() => parseWholeNumber('limit', text, 1, 10)).toThrow(usage('--limit must be a whole number from 1 to 10'))
    }
  })
})

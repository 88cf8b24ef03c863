/** Reads the words of a command line: which command, its arguments, its options. All faults are HS_USAGE. */
import { parseArgs } from 'node:util'
import { AgentError } from '../agent/errors.ts'
import { similarName } from '../agent/nearest-name.ts'
import type { Command, Option } from './command.ts'

/** Options that every command takes. */
export const commonOptions = {
  json: { type: 'boolean', doc: 'Print JSON, for programs' },
  url: { type: 'string', value: 'URL', doc: 'The agent to talk to, instead of HS_URL' },
  token: { type: 'string', value: 'TOKEN', doc: 'The token to send, instead of HS_API_TOKEN (which others on this machine cannot see)' },
  'env-file': { type: 'string', value: 'FILE', doc: 'Read settings from a file, before .env', choices: 'files' },
  help: { type: 'boolean', doc: 'Print help, with examples' },
} as const satisfies Record<string, Option>

export interface Words {
  /** The first word that is neither an option nor an option's value. */
  readonly command: string | undefined
  /** All others, in their order. */
  readonly rest: readonly string[]
  readonly help: boolean
  readonly version: boolean
}

export const createUsageError = (detail: string): AgentError => new AgentError('HS_USAGE', detail)

/** Finds the command among the words; options may stand before it. */
export function splitWords(words: readonly string[]): Words {
  const { tokens } = parseArgs({
    args: [...words],
    options: { ...commonOptions, version: { type: 'boolean' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const found = tokens.find(token => token.kind === 'positional')
  const asked = (name: string): boolean => tokens.some(token => token.kind === 'option' && token.name === name)
  return {
    command: found?.value,
    rest: words.filter((_, index) => index !== found?.index),
    help: asked('help'),
    version: asked('version') && found === undefined,
  }
}

export interface ParsedArguments {
  readonly args: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, string | boolean>>
}

/** The bare name of a positional argument that may be left out: `file` for `[file]`. */
export const bareName = (positional: string): string => positional.replace(/^\[(.*)\]$/, '$1')

/** How a command's positional arguments look in help: `COLLECTION KEY [JSON]`. */
export const formatPositionals = (command: Command): string => (command.positionals ?? []).join(' ').toUpperCase()

/** Reads the words behind a command. */
export function parseCommandArguments(name: string, command: Command, words: readonly string[]): ParsedArguments {
  const known: Readonly<Record<string, Option>> = { ...command.options, ...commonOptions }
  const { tokens } = parseArgs({ args: [...words], options: known, strict: false, allowPositionals: true, tokens: true })
  const options: Record<string, string | boolean> = {}
  const given: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') given.push(token.value)
    if (token.kind === 'option') options[token.name] = readOption(name, known, token)
  }
  return { args: readPositionals(name, command, given), options }
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

function readOption(command: string, known: Readonly<Record<string, Option>>, token: OptionToken): string | boolean {
  const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined
  if (option === undefined) {
    if (/^-\d/.test(token.rawName)) throw createUsageError(`${command}: put -- before arguments that begin with a dash`)
    const similar = similarName(token.name, Object.keys(known))
    const advice = similar === undefined ? `hs-agent ${command} --help lists them` : `did you mean --${similar}?`
    throw createUsageError(`${command} has no option ${token.rawName}; ${advice}`)
  }
  if (option.type === 'boolean') {
    if (token.inlineValue === true) throw createUsageError(`${token.rawName} takes no value`)
    return true
  }
  // `--limit --json` is a forgotten value, not a value; one that begins with a dash is written `--limit=-5`.
  const isForgotten = token.value === undefined || token.value === '' || (token.inlineValue !== true && /^--?[a-z]/i.test(token.value))
  if (isForgotten) throw createUsageError(`${token.rawName} needs a value: ${token.rawName} ${option.value}`)
  return token.value ?? ''
}

function readPositionals(command: string, { positionals = [] }: Command, given: readonly string[]): Record<string, string> {
  const args: Record<string, string> = {}
  for (const [index, positional] of positionals.entries()) {
    const value = given[index]
    const name = bareName(positional)
    if (value === undefined && name === positional) throw createUsageError(`${command} needs ${name.toUpperCase()}`)
    if (value === '') throw createUsageError(`${command}: ${name.toUpperCase()} is empty`)
    if (value !== undefined) args[name] = value
  }
  const surplus = given[positionals.length]
  if (surplus !== undefined) throw createUsageError(`${command} does not take the argument ${JSON.stringify(surplus)}`)
  return args
}

/** A whole number in its range, from an option's text; undefined when the option was not given. */
export function parseWholeNumber(option: string, text: string | undefined, min: number, max: number): number | undefined {
  return text === undefined ? undefined : readWholeNumber(`--${option}`, text, min, max)
}

/** `name`: of the argument, as the usage line has it. */
export function readWholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) throw createUsageError(`${name} must be a whole number from ${min} to ${max}, not ${text}`)
  return value
}

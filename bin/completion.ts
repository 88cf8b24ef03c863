/** What may stand where on a command line, from the table of commands: the one source of the scripts for all shells. */
import { bareName, commonOptions } from './arguments.ts'
import type { Choices, Command, Option } from './command.ts'

export interface OptionWord {
  /** With its dashes. */
  readonly word: string
  readonly doc: string
  readonly takesValue: boolean
  readonly choices: Choices
}

export interface CommandWord {
  readonly word: string
  readonly doc: string
  readonly options: readonly OptionWord[]
  /** Its positional arguments in their order, and what each may be. */
  readonly positionals: readonly { readonly name: string; readonly choices: Choices }[]
}

export interface Words {
  readonly commands: readonly CommandWord[]
  /** Options with a value, of whatever command: what follows them is no argument. */
  readonly valueOptions: readonly string[]
  /** Options that every command takes. */
  readonly commonOptions: readonly OptionWord[]
}

const NOTHING: Choices = []
/** By the bare name of a positional argument. */
const choicesByName: Readonly<Record<string, Choices>> = { collection: 'collections', file: 'files' }

export function describeWords(commands: Readonly<Record<string, Command>>): Words {
  const words = Object.entries(commands).map(([word, { summary, positionals = [], choices = {}, options = {} }]) => ({
    word,
    doc: summary,
    options: describeOptions({ ...options, ...commonOptions }),
    positionals: positionals.map(bareName).map(name => ({ name, choices: choices[name] ?? choicesByName[name] ?? NOTHING })),
  }))
  const withValue = words.flatMap(({ options }) => options.filter(({ takesValue }) => takesValue).map(({ word }) => word))
  return { commands: words, valueOptions: [...new Set(withValue)].sort(), commonOptions: describeOptions(commonOptions) }
}

function describeOptions(options: Readonly<Record<string, Option>>): OptionWord[] {
  return Object.entries(options).map(([name, { type, doc, choices = NOTHING }]) => ({
    word: `--${name}`,
    doc,
    takesValue: type === 'string',
    choices,
  }))
}

/** A text as one word of a POSIX shell. */
export const shellQuote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

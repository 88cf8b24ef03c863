/** What one command of `hs-agent` is: its words for help, what it takes, and what it does. */
import type { Config, ConfigResult } from '../agent/config.ts'
import type { ApiClient } from './api-client.ts'

export interface Option {
  readonly type: 'string' | 'boolean'
  /** What the value is called in help, such as `N`; for options of type string. */
  readonly value?: string
  readonly doc: string
  /** What the value may be, for completion. */
  readonly choices?: Choices
}

/** Words that a shell offers: these, or names of collections, names of commands, files. */
export type Choices = readonly string[] | 'collections' | 'commands' | 'files'

export type Options = Readonly<Record<string, Option>>

type NoOptions = Readonly<Record<string, never>>

type ValueOf<Type extends Option['type']> = Type extends 'boolean' ? boolean : string

/** Values of the options that were given. */
type Values<Given extends Options> = { readonly [Name in keyof Given]?: ValueOf<Given[Name]['type']> }

/** Positional arguments by name; those in brackets may be missing. */
type Positionals<Names extends readonly string[]> = {
  readonly [Name in Names[number] as Name extends `[${string}]` ? never : Name]: string
} & { readonly [Name in Names[number] as Name extends `[${infer Inner}]` ? Inner : never]?: string }

export interface Invocation<Names extends readonly string[] = readonly [], Given extends Options = NoOptions> {
  readonly args: Positionals<Names>
  readonly options: Values<Given>
  /** Print for programs. */
  readonly json: boolean
  /** The settings with where each came from; prints warnings. */
  readonly settings: () => Promise<LoadedSettings>
  /** The settings; throws HS_CONFIG_INVALID with all faults. */
  readonly config: () => Promise<Config>
  /** A client of the agent that the settings name; throws HS_CONFIG_INVALID. */
  readonly connect: () => Promise<ApiClient>
  /** All commands, for those that tell of them. */
  readonly commands: Readonly<Record<string, Command>>
}

export interface LoadedSettings {
  readonly result: ConfigResult
  readonly sourceByVariable: ReadonlyMap<string, string>
}

interface Definition<Names extends readonly string[], Given extends Options> {
  /** One line for the list of commands. */
  readonly summary: string
  /** More, for the command's own help. */
  readonly details?: string
  /** Names of the positional arguments in their order; `[name]` may be left out. */
  readonly positionals?: Names
  /** What a positional argument may be, by its bare name; a `collection` and a `file` need no saying. */
  readonly choices?: Readonly<Record<string, Choices>>
  readonly options?: Given
  /** Command lines that work as printed. */
  readonly examples: readonly string[]
  /** Resolves to the exit status when that is not 0. */
  readonly run: (invocation: Invocation<Names, Given>) => Promise<number | void>
}

export interface Command {
  readonly summary: string
  readonly details?: string
  readonly positionals?: readonly string[]
  readonly choices?: Readonly<Record<string, Choices>>
  readonly options?: Options
  readonly examples: readonly string[]
  readonly run: (invocation: Invocation<readonly string[], Options>) => Promise<number | void>
}

/** Checks a command's definition; the types of `args` and `options` follow from it. */
export const defineCommand = <const Names extends readonly string[] = readonly [], const Given extends Options = NoOptions>(
  definition: Definition<Names, Given>,
): Command => definition as unknown as Command

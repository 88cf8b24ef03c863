/** One call of the command line, from its words to its exit status. */
import { createConfigError, formatFault } from '../agent/config.ts'
import { EXIT } from '../agent/errors.ts'
import { similarName } from '../agent/nearest-name.ts'
import { createApiClient } from './api-client.ts'
import { createUsageError, parseCommandArguments, splitWords } from './arguments.ts'
import { commands } from './commands.ts'
import { describeFailure } from './failure.ts'
import { renderCommandHelp, renderOverview } from './help.ts'
import { loadSettings } from './settings.ts'
import { print, printError, terminalWidth } from './terminal.ts'
import type { Config, Environment } from '../agent/config.ts'
import type { Command, Invocation, LoadedSettings, Options } from './command.ts'

export interface Surroundings {
  readonly env: Environment
  /** Absolute. */
  readonly workingDirectory: string
}

/** Runs a command line (without the program's own name). Never throws: what fails is said on standard error. */
export async function runCommandLine(words: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    return await dispatch(words, surroundings)
  } catch (error) {
    const { exit, text, problem } = describeFailure(error)
    printError(words.includes('--json') ? JSON.stringify(problem) : text)
    return exit
  }
}

async function dispatch(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { command: name, rest, help, version } = splitWords(words)
  if (name === undefined && version) return dispatch(['version', ...words.filter(word => word !== '--version')], surroundings)
  if (name === undefined || name === 'help') return showHelp(name === 'help' || help, name === 'help' ? rest : [])
  const command = findCommand(name)
  if (help) {
    print(renderCommandHelp(name, command, terminalWidth()))
    return EXIT.done
  }
  const { args, options } = parseCommandArguments(name, command, rest)
  return (await command.run(createInvocation(args, options, surroundings))) ?? EXIT.done
}

function findCommand(name: string): Command {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command !== undefined) return command
  const similar = similarName(name, Object.keys(commands))
  const advice = similar === undefined ? 'hs-agent --help lists them' : `did you mean ${similar}?`
  throw createUsageError(`there is no command ${JSON.stringify(name)}; ${advice}`)
}

/** `hs-agent help [COMMAND]`. Without any word it is a question of usage, not an answer. */
function showHelp(isAskedFor: boolean, rest: readonly string[]): number {
  const topic = rest.find(word => !word.startsWith('-'))
  if (topic !== undefined && topic !== 'help') {
    print(renderCommandHelp(topic, findCommand(topic), terminalWidth()))
    return EXIT.done
  }
  const overview = renderOverview(commands, terminalWidth())
  if (isAskedFor) print(overview)
  else printError(overview)
  return isAskedFor ? EXIT.done : EXIT.usage
}

function createInvocation(
  args: Readonly<Record<string, string>>,
  options: Readonly<Record<string, string | boolean>>,
  { env, workingDirectory }: Surroundings,
): Invocation<readonly string[], Options> {
  const text = (name: string): string | undefined => {
    const value = options[name]
    return typeof value === 'string' ? value : undefined
  }
  const settings = async (): Promise<LoadedSettings> => {
    const loaded = await loadSettings({ env, workingDirectory, url: text('url'), token: text('token'), envFile: text('env-file') })
    for (const warning of loaded.result.warnings) printError(`hs-agent: ${warning}`)
    return loaded
  }
  const config = async (): Promise<Config> => {
    const { result } = await settings()
    if (result.ok) return result.config
    const isUsage = result.faults.every(({ source }) => source === '--url' || source === '--token')
    throw isUsage ? createUsageError(result.faults.map(formatFault).join('; ')) : createConfigError(result.faults)
  }
  return {
    args,
    options,
    json: options['json'] === true,
    settings,
    config,
    commands,
    connect: async () => {
      const { url, apiTokens } = await config()
      return createApiClient({ url, token: apiTokens[0] })
    },
  }
}

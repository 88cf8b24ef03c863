/** Completion for zsh. */
import { shellQuote, type OptionWord, type Words } from './completion.ts'
import type { Choices } from './command.ts'

/** Descriptions stand between brackets, and colons end them elsewhere. */
const escapeDoc = (text: string): string => text.replaceAll(/[[\]:\\]/g, String.raw`\$&`)

/** What stands behind the last colon of a specification. */
function action(choices: Choices): string {
  switch (choices) {
    case 'collections':
      return '_hs_agent_collections'
    case 'commands':
      return '_hs_agent_commands'
    case 'files':
      return '_files'
    default:
      return choices.length === 0 ? '' : `(${choices.join(' ')})`
  }
}

const optionSpec = ({ word, doc, takesValue, choices }: OptionWord): string =>
  shellQuote(takesValue ? `${word}=[${escapeDoc(doc)}]:${word.slice(2)}:${action(choices)}` : `${word}[${escapeDoc(doc)}]`)

export function renderZsh({ commands, commonOptions }: Words): string {
  const cases = commands.map(({ word, options, positionals }) => {
    const specs = [
      ...options.map(optionSpec),
      ...positionals.map(({ name, choices }, at) => shellQuote(`${at + 1}:${name}:${action(choices)}`)),
    ]
    return [`    ${word})`, '      _arguments \\', specs.map(spec => `        ${spec}`).join(' \\\n') + ' && ret=0', '      ;;'].join('\n')
  })
  const common = [...commonOptions.map(optionSpec), shellQuote('--version[Print the version]')]

  return `#compdef hs-agent
# zsh completion for hs-agent. Put it into a folder of $fpath as _hs-agent, or load it with: source <(hs-agent completion zsh)

_hs_agent_collections() {
  local -a names
  # The program that is being completed, which may be none of $PATH.
  names=(\${(f)"$(\${~program} completion collections 2>/dev/null)"})
  compadd -a names
}

_hs_agent_commands() {
  local -a commands
  commands=(
${commands.map(({ word, doc }) => `    ${shellQuote(`${word}:${escapeDoc(doc)}`)}`).join('\n')}
  )
  _describe command commands
}

_hs_agent() {
  local context state state_descr line ret=1 program=$words[1]
  typeset -A opt_args

  _arguments -C \\
${common.map(spec => `    ${spec} \\`).join('\n')}
    '1: :_hs_agent_commands' \\
    '*:: :->arguments' && ret=0

  if [[ $state == arguments ]]; then
    # $words begins with the command here.
    case $words[1] in
${cases.join('\n')}
    esac
  fi
  return ret
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _hs_agent "$@"
else
  compdef _hs_agent hs-agent
fi`
}

/** Completion for bash 4 and later. */
import type { Choices } from './command.ts'
import type { OptionWord, Words } from './completion.ts'

export function renderBash({ commands, valueOptions, commonOptions }: Words): string {
  const names = commands.map(({ word }) => word).join(' ')

  /** The statement that offers `choices`. */
  const offer = (choices: Choices): string => {
    switch (choices) {
      case 'collections':
        return '_hs_agent_offer "$("${COMP_WORDS[0]}" completion collections 2>/dev/null)"'
      case 'commands':
        return `_hs_agent_offer '${names}'`
      case 'files':
        return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")'
      default:
        return choices.length === 0 ? ':' : `_hs_agent_offer '${choices.join(' ')}'`
    }
  }
  const places = commands.flatMap(({ word, positionals }) =>
    positionals.flatMap(({ choices }, at) => (choices.length === 0 ? [] : [`    ${word}:${at}) ${offer(choices)} ;;`])),
  )
  const isCommon = (option: OptionWord): boolean => commonOptions.some(({ word }) => word === option.word)
  const values = commands.flatMap(({ word, options }) =>
    options.flatMap(option =>
      option.choices.length === 0 ? [] : [`    ${isCommon(option) ? '*' : word}:${option.word}) ${offer(option.choices)} ;;`],
    ),
  )
  const options = commands.map(command => `    ${command.word}) _hs_agent_offer '${command.options.map(({ word }) => word).join(' ')}' ;;`)

  return `# bash completion for hs-agent. Load it with: source <(hs-agent completion bash)

_hs_agent_offer() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_hs_agent() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' place=0 at=1
  COMPREPLY=()

  # Finds the command, and how many arguments stand between it and the cursor.
  while ((at < COMP_CWORD)); do
    case \${COMP_WORDS[at]} in
    ${valueOptions.join(' | ')})
      # Bash makes three words of --name=value.
      if [[ \${COMP_WORDS[at + 1]} == = ]]; then ((at += 1)); fi
      ((at += 1))
      ;;
    -*) ;;
    *)
      if [[ -z $command ]]; then command=\${COMP_WORDS[at]}; else ((place += 1)); fi
      ;;
    esac
    ((at += 1))
  done

  if [[ $current == = ]]; then current=''; elif [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  case $previous in
  ${valueOptions.join(' | ')})
    case $command:$previous in
${[...new Set(values)].join('\n')}
    esac
    return
    ;;
  esac

  if [[ $current == -* ]]; then
    case $command in
${options.join('\n')}
    *) _hs_agent_offer '${commonOptions.map(({ word }) => word).join(' ')} --version' ;;
    esac
    return
  fi
  case $command:$place in
    :0) _hs_agent_offer '${names}' ;;
${places.join('\n')}
  esac
}

complete -F _hs_agent hs-agent`
}

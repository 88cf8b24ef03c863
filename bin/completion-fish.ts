/** Completion for fish 3 and later. */
import type { OptionWord, Words } from './completion.ts'
import type { Choices } from './command.ts'

/** In single quotes fish knows two escapes. */
const quote = (text: string): string => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`

export function renderFish({ commands, valueOptions, commonOptions }: Words): string {
  /** The switches that offer `choices`. */
  const offer = (choices: Choices): string => {
    switch (choices) {
      case 'collections':
        return `-f -a '(__hs_agent_collections)'`
      case 'commands':
        return `-f -a ${quote(commands.map(({ word }) => word).join(' '))}`
      case 'files':
        return '-F'
      default:
        return `-f -a ${quote(choices.join(' '))}`
    }
  }
  const isCommon = (option: OptionWord): boolean => commonOptions.some(({ word }) => word === option.word)
  const option = ({ word, doc, takesValue, choices }: OptionWord, condition?: string): string => {
    const when = condition === undefined ? '' : ` -n ${quote(condition)}`
    const value = takesValue ? ` -r ${choices.length === 0 ? '-f' : offer(choices)}` : ''
    return `complete -c hs-agent${when} -l ${word.slice(2)}${value} -d ${quote(doc)}`
  }
  const lines = commands.flatMap(({ word, doc, options, positionals }) => [
    '',
    `complete -c hs-agent -n 'test (__hs_agent_place) = :0' -f -a ${word} -d ${quote(doc)}`,
    ...positionals.flatMap(({ choices }, at) =>
      choices.length === 0 ? [] : [`complete -c hs-agent -n 'test (__hs_agent_place) = ${word}:${at}' ${offer(choices)}`],
    ),
    ...options.filter(one => !isCommon(one)).map(one => option(one, `string match -q "${word}:*" (__hs_agent_place)`)),
  ])

  return `# fish completion for hs-agent. Put it into ~/.config/fish/completions/hs-agent.fish

# Prints the command, and how many arguments stand between it and the cursor.
function __hs_agent_place
    set -l command ''
    set -l count 0
    set -l is_value 0
    for word in (commandline -opc)[2..-1]
        if test $is_value = 1
            set is_value 0
            continue
        end
        switch $word
            case ${valueOptions.join(' ')}
                set is_value 1
            case '-*'
            case '*'
                if test -z "$command"
                    set command $word
                else
                    set count (math $count + 1)
                end
        end
    end
    echo "$command:$count"
end

# Asks the program that is being completed, which may be none of $PATH.
function __hs_agent_collections
    set -l words (commandline -opc)
    $words[1] completion collections 2>/dev/null
end

complete -c hs-agent -f
complete -c hs-agent -n 'test (__hs_agent_place) = :0' -l version -d 'Print the version'
${commonOptions.map(one => option(one)).join('\n')}
${lines.join('\n')}`
}

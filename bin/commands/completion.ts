import { createUsageError } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { describeWords } from '../completion.ts'
import { renderBash } from '../completion-bash.ts'
import { renderFish } from '../completion-fish.ts'
import { renderZsh } from '../completion-zsh.ts'
import { print } from '../terminal.ts'

/** Somebody waits with a finger on the Tab key. */
const silenceMs = 1000

const renderByShell = { bash: renderBash, zsh: renderZsh, fish: renderFish }
const shells: readonly string[] = Object.keys(renderByShell)
const isShell = (name: string): name is keyof typeof renderByShell => Object.hasOwn(renderByShell, name)

export const completion = defineCommand({
  summary: 'Prints a script that lets a shell complete commands, options and collections',
  details:
    'SHELL is bash, zsh or fish. Names of collections come from the agent that HS_URL names, at the moment when they are needed; the scripts ' +
    'ask for them with `completion collections`, which prints nothing when no agent answers within a second.',
  positionals: ['shell'],
  choices: { shell: shells },
  examples: [
    'source <(hs-agent completion bash)',
    'hs-agent completion zsh > ~/.zfunc/_hs-agent',
    'hs-agent completion fish > ~/.config/fish/completions/hs-agent.fish',
  ],
  run: async ({ args, connect, commands }) => {
    const { shell } = args
    if (shell === 'collections') {
      const names = await (await connect()).getList('/api/collections', { silenceMs }).catch(() => [])
      for (const { name } of names) if (typeof name === 'string') print(name)
      return
    }
    if (!isShell(shell)) throw createUsageError(`completion is made for ${shells.join(', ')}, not for ${JSON.stringify(shell)}`)
    print(renderByShell[shell](describeWords(commands)))
  },
})

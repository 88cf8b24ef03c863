import { makeSwarmKey, readSwarmKeys } from '../../agent/swarm-keys.ts'
import { defineCommand } from '../command.ts'
import { print, printJson } from '../terminal.ts'

export const keygen = defineCommand({
  summary: 'Makes a swarm key: 32 random bytes in base64',
  details:
    'Prints the key and keeps nothing. Give it to every robot of the swarm as HS_SWARM_KEY, over a way that nobody listens to. To change ' +
    'the key of a running swarm: put the new one behind the old one everywhere, then in front of it, then take the old one away ' +
    '(docs/operating.md). --json prints its id too, which `status` shows.',
  examples: ['hs-agent keygen', 'hs-agent keygen --json'],
  run: async ({ json }) => {
    const key = makeSwarmKey()
    if (json) printJson({ key, id: readSwarmKeys([key])[0]?.id })
    else print(key)
  },
})

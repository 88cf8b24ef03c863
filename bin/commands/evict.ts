import { defineCommand } from '../command.ts'
import { print, printable, printJson } from '../terminal.ts'

export const evict = defineCommand({
  summary: 'Evicts a node that will not come back, so that deletes no longer wait for it',
  details:
    'For good, on every replica. Should the node come back, it enrols anew: it keeps what only it has, and drops what was deleted meanwhile.',
  positionals: ['node'],
  examples: ['hs-agent evict a92f3f0c-5a7e-4f0e-8a51-2f3c3f0f9b11'],
  run: async ({ args, json, connect }) => {
    await (await connect()).send('DELETE', `/api/swarm/replicas/${encodeURIComponent(args.node)}`)
    if (json) printJson({ node_id: args.node, evicted: true })
    else print(printable(`evicted ${args.node}`))
  },
})

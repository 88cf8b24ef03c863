import { defineCommand } from '../command.ts'
import { print, printJson } from '../terminal.ts'
import { version } from '../version.ts'

export const showVersion = defineCommand({
  summary: 'Prints the version of this program and of Node.js',
  examples: ['hs-agent version'],
  run: async ({ json }) => {
    if (json) printJson({ version, node: process.versions.node })
    else print(`hs-agent ${version} (Node.js ${process.versions.node})`)
  },
})

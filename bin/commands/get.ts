import { collectionPath, isObject } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { AgentError } from '../../agent/errors.ts'
import { isTerminal, print, printError, printJson } from '../terminal.ts'

export const get = defineCommand({
  summary: 'Prints one record',
  details:
    'Prints the payload as JSON, or the bytes of a record that holds data. --json prints the whole record: vector, version and concurrent versions too.',
  positionals: ['collection', 'key'],
  examples: ['hs-agent get rovers rover-1', 'hs-agent get camera frame-17 > frame.jpg'],
  run: async ({ args, json, connect }) => {
    const { body } = await (await connect()).send('GET', collectionPath(args.collection, 'records', args.key))
    if (json || !isObject(body)) return printJson(body)
    const { payload, data, content_type: contentType, conflicts } = body
    if (Array.isArray(conflicts) && conflicts.length > 0) {
      printError(`hs-agent: there are ${conflicts.length} more concurrent versions; --json prints them`)
    }
    if (typeof data === 'string') {
      if (isTerminal(process.stdout)) {
        throw new AgentError(
          'HS_USAGE',
          `the record holds ${String(contentType)}, which is not for a terminal: send it to a file, or use --json`,
        )
      }
      return void process.stdout.write(Buffer.from(data, 'base64'))
    }
    if (payload === undefined) return printJson(body)
    return print(JSON.stringify(payload, undefined, isTerminal(process.stdout) ? 2 : undefined))
  },
})

import { collectionPath } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { conditionHeaders } from '../conditions.ts'
import { print, printable, printJson } from '../terminal.ts'

export const del = defineCommand({
  summary: 'Deletes one record',
  details: 'Done also when there is no such record; --if-match makes that a failure.',
  positionals: ['collection', 'key'],
  options: {
    'if-match': { type: 'string', value: 'ETAG', doc: 'Delete only the version with this ETag, origin:counter; * for any' },
  },
  examples: ['hs-agent delete rovers rover-1'],
  run: async ({ args, options, json, connect }) => {
    const headers = conditionHeaders(options['if-match'], undefined)
    await (await connect()).send('DELETE', collectionPath(args.collection, 'records', args.key), { headers })
    if (json) printJson({ collection: args.collection, key: args.key })
    else print(printable(`deleted ${args.key}`))
  },
})

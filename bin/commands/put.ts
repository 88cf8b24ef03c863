import { collectionPath, isObject } from '../api-client.ts'
import { createUsageError } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { AgentError } from '../../agent/errors.ts'
import { readBounded } from '../bounded-input.ts'
import { print, printable, printJson } from '../terminal.ts'
import { conditionHeaders } from '../conditions.ts'
import { parseVector } from '../vector.ts'

/** The agent takes no more in one record. */
const dataBytesMax = 1024 * 1024
const payloadTextBytesMax = 4 * 1024 * 1024

/** Checks that a text is one JSON value; it is sent as it was given, since parsing might change its numbers. */
function checkJson(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function readPayload(argument: string): Promise<string> {
  const isFromInput = argument === '-'
  const text = isFromInput ? (await readBounded('-', payloadTextBytesMax)).toString() : argument
  const fault = checkJson(text)
  if (fault === undefined) return text
  if (isFromInput) throw new AgentError('HS_INVALID_JSON', `standard input is not JSON: ${fault}`)
  throw createUsageError(`the payload is not JSON: ${fault}; a text needs quotes of its own: '"text"'`)
}

export const put = defineCommand({
  summary: 'Writes one record',
  details: 'JSON is any JSON value, or - to read it from standard input. The collection is made if there is none of that name.',
  positionals: ['collection', 'key', '[json]'],
  options: {
    vector: { type: 'string', value: '1,2,3', doc: 'A vector beside the payload' },
    data: {
      type: 'string',
      value: 'FILE',
      doc: 'Bytes of a file (- is standard input) instead of JSON; needs --content-type',
      choices: 'files',
    },
    'content-type': { type: 'string', value: 'TYPE', doc: 'Media type of --data, such as image/jpeg' },
    'if-match': { type: 'string', value: 'ETAG', doc: 'Write only over the version with this ETag, origin:counter' },
    'if-absent': { type: 'boolean', doc: 'Write only when there is no such record' },
  },
  examples: [
    `hs-agent put rovers rover-1 '{"battery":87}'`,
    `hs-agent put vision frame-17 '{"label":"door"}' --vector 0.12,0.5,-0.3`,
    'hs-agent put camera frame-17 --data frame.jpg --content-type image/jpeg',
  ],
  run: async ({ args, options, json, connect }) => {
    const { 'content-type': contentType } = options
    if (options.data !== undefined && args.json !== undefined) throw createUsageError('put takes JSON or --data, not both')
    if ((options.data === undefined) !== (contentType === undefined)) throw createUsageError('--data and --content-type go together')
    if (options.data === undefined && args.json === undefined && options.vector === undefined) {
      throw createUsageError('put needs JSON, --data or --vector')
    }
    const headers = conditionHeaders(options['if-match'], options['if-absent'])
    const members: string[] = []
    if (options.vector !== undefined) members.push(`"vector":${JSON.stringify(parseVector(options.vector, '--vector'))}`)
    if (args.json !== undefined) members.push(`"payload":${await readPayload(args.json)}`)
    if (options.data !== undefined) {
      const bytes = await readBounded(options.data, dataBytesMax)
      members.push(`"data":"${bytes.toString('base64')}","content_type":${JSON.stringify(contentType)}`)
    }
    const path = collectionPath(args.collection, 'records', args.key)
    const answer = await (await connect()).send('PUT', path, { headers, body: `{${members.join(',')}}` })
    if (!isObject(answer.body)) throw new AgentError('HS_AGENT_UNREACHABLE', 'what answers there is not an hs-agent')
    if (json) return printJson(answer.body)
    const etag = answer.etag?.replace(/^"(.*)"$/, '$1') ?? ''
    return print(printable(`${answer.status === 201 ? 'created' : 'replaced'} ${args.key} ${etag}`.trimEnd()))
  },
})

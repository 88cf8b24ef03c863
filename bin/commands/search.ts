import { collectionPath, isObject } from '../api-client.ts'
import { parseWholeNumber } from '../arguments.ts'
import { readBounded } from '../bounded-input.ts'
import { defineCommand } from '../command.ts'
import { formatContent } from '../content.ts'
import { AgentError } from '../../agent/errors.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { parseVector } from '../vector.ts'
import { formatText, missing } from '../words.ts'
import type { Column } from '../table.ts'

type Result = Readonly<Record<string, unknown>>

/** 65,536 numbers, each written at length. */
const vectorTextBytesMax = 4 * 1024 * 1024
/** The agent finds no more at once. */
const neighboursMax = 1000
const neighboursDefault = 10

const formatDistance = (distance: unknown): string => (typeof distance === 'number' ? distance.toPrecision(6) : missing)

const columns: readonly Column<Result>[] = [
  { title: 'DISTANCE', align: 'right', cell: result => formatDistance(result['distance']) },
  { title: 'KEY', cell: result => formatText(result['key']) },
  { title: 'CONTENT', cell: formatContent },
]

export const search = defineCommand({
  summary: 'Finds the records whose vectors are nearest to one',
  details:
    'VECTOR is numbers, comma separated, or - to read them from standard input (a JSON array too). Put -- before a vector that begins ' +
    'with a minus. DISTANCE is 1 - cosine, the Euclidean distance or the negative dot product, by the metric of the collection.',
  positionals: ['collection', 'vector'],
  options: {
    k: { type: 'string', value: 'N', doc: `So many records, up to ${neighboursMax} (${neighboursDefault})` },
    prefix: { type: 'string', value: 'TEXT', doc: 'Only keys that begin with this' },
  },
  examples: ['hs-agent search vision 0.12,0.5,-0.3', 'hs-agent search vision --k 3 --prefix robot1/ - < vector.json'],
  run: async ({ args, options, json, connect }) => {
    const k = parseWholeNumber('k', options.k, 1, neighboursMax) ?? neighboursDefault
    const text = args.vector === '-' ? (await readBounded('-', vectorTextBytesMax)).toString() : args.vector
    const vector = parseVector(text, args.vector === '-' ? 'standard input' : 'VECTOR')
    const { prefix } = options
    const path = collectionPath(args.collection, 'search')
    const { body } = await (await connect()).send('POST', path, { body: JSON.stringify({ vector, k, prefix }) })
    if (!isObject(body) || !Array.isArray(body['results'])) {
      throw new AgentError('HS_AGENT_UNREACHABLE', 'what answers there is not an hs-agent')
    }
    if (json) return printJson(body)
    const results = body['results'].filter(isObject)
    print(results.length === 0 ? 'Nothing found.' : renderTable(results, columns, { paint, widthMax: terminalWidth() }))
  },
})

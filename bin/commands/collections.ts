import { collectionPath } from '../api-client.ts'
import { createUsageError, parseWholeNumber } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatCount, formatText, formatTime, shorten } from '../words.ts'
import type { ApiClient } from '../api-client.ts'
import type { Column } from '../table.ts'

const columns: readonly Column<Readonly<Record<string, unknown>>>[] = [
  { title: 'COLLECTION', cell: collection => formatText(collection['name']) },
  { title: 'RECORDS', align: 'right', cell: collection => formatCount(collection['record_count']) },
  { title: 'VECTORS', align: 'right', cell: collection => formatCount(collection['vector_count']) },
  { title: 'DIMENSION', align: 'right', cell: collection => formatCount(collection['dimension']) },
  { title: 'METRIC', cell: collection => formatText(collection['metric']) },
  { title: 'CONFLICT', cell: collection => formatText(collection['conflict']) },
  { title: 'DIGEST', cell: collection => shorten(collection['digest']) },
  { title: 'CREATED', cell: collection => formatTime(collection['created_at']) },
]

/** A dimension is at most what fits a vector. */
const dimensionMax = 65_536

async function list(api: ApiClient, json: boolean): Promise<void> {
  const collections = await api.getList('/api/collections')
  if (json) return printJson(collections)
  if (collections.length === 0) return print('No collections yet: the first write makes one.')
  return print(renderTable(collections, columns, { paint, widthMax: terminalWidth() }))
}

export const collections = defineCommand({
  summary: 'Lists collections; creates or deletes one',
  details: 'ACTION is `list` (when left out), `create NAME` or `delete NAME`. A deletion holds on every replica.',
  positionals: ['[action]', '[name]'],
  options: {
    dimension: { type: 'string', value: 'N', doc: 'create: length of the vectors; otherwise the first vector sets it' },
    metric: { type: 'string', value: 'METRIC', doc: 'create: cosine (default), l2 or dot' },
    conflict: { type: 'string', value: 'POLICY', doc: 'create: what happens to concurrent writes: lww (default), siblings or append' },
  },
  examples: [
    'hs-agent collections',
    'hs-agent collections create vision --dimension 512 --metric cosine',
    'hs-agent collections delete vision',
  ],
  run: async ({ args, options, json, connect }) => {
    const { action = 'list', name } = args
    const { metric, conflict } = options
    if (!['list', 'create', 'delete'].includes(action))
      throw createUsageError(`collections has no action ${JSON.stringify(action)}: list, create, delete`)
    if (action === 'list' && name !== undefined) throw createUsageError('collections list takes no NAME')
    if (action !== 'create' && [options.dimension, metric, conflict].some(given => given !== undefined)) {
      throw createUsageError('--dimension, --metric and --conflict go with collections create')
    }
    if (action === 'list') return list(await connect(), json)
    if (name === undefined) throw createUsageError(`collections ${action} needs NAME`)
    if (action === 'delete') {
      await (await connect()).send('DELETE', collectionPath(name))
      return json ? printJson({ name }) : print(`deleted ${name}`)
    }
    const dimension = parseWholeNumber('dimension', options.dimension, 1, dimensionMax)
    const answer = await (await connect()).send('POST', '/api/collections', { body: JSON.stringify({ name, dimension, metric, conflict }) })
    return json ? printJson(answer.body) : print(answer.status === 201 ? `created ${name}` : `${name} exists with these settings`)
  },
})

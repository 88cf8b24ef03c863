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
  { title: 'PRIORITY', align: 'right', cell: collection => formatCount(collection['priority']) },
  { title: 'DIGEST', cell: collection => shorten(collection['digest']) },
  { title: 'CREATED', cell: collection => formatTime(collection['created_at']) },
]

/** A dimension is at most what fits a vector. */
const dimensionMax = 65_536

const priorityMax = 100

function parsePriority(text: string | undefined): number | undefined {
  const isNegative = text?.startsWith('-') === true
  const size = parseWholeNumber('priority', isNegative ? text.slice(1) : text, 0, priorityMax)
  return size !== undefined && isNegative ? -size : size
}

const actions: readonly string[] = ['list', 'create', 'set', 'delete']

async function list(api: ApiClient, json: boolean): Promise<void> {
  const collections = await api.getList('/api/collections')
  if (json) return printJson(collections)
  if (collections.length === 0) return print('No collections yet: the first write makes one.')
  return print(renderTable(collections, columns, { paint, widthMax: terminalWidth() }))
}

export const collections = defineCommand({
  summary: 'Lists collections; creates one, sets what nobody has set yet, or deletes one',
  details:
    'ACTION is `list` (when left out), `create NAME`, `set NAME` or `delete NAME`. Settings that somebody has set stay as they are: vectors ' +
    'and versions are stored by them. A deletion holds on every replica.',
  positionals: ['[action]', '[name]'],
  choices: { action: actions, name: 'collections' },
  options: {
    dimension: { type: 'string', value: 'N', doc: 'Length of the vectors; otherwise the first vector sets it' },
    metric: { type: 'string', value: 'METRIC', doc: 'cosine (default), l2 or dot', choices: ['cosine', 'l2', 'dot'] },
    conflict: {
      type: 'string',
      value: 'POLICY',
      doc: 'What happens to concurrent writes: lww (default), siblings or append',
      choices: ['lww', 'siblings', 'append'],
    },
    priority: { type: 'string', value: 'N', doc: 'Synced first where it is greater: -100 to 100 (0); it can be set again' },
  },
  examples: [
    'hs-agent collections',
    'hs-agent collections create vision --dimension 512 --metric cosine',
    'hs-agent collections set imu --conflict append',
    'hs-agent collections delete vision',
  ],
  run: async ({ args, options, json, connect }) => {
    const { action = 'list', name } = args
    const { metric, conflict } = options
    if (!actions.includes(action)) throw createUsageError(`collections has no action ${JSON.stringify(action)}: ${actions.join(', ')}`)
    if (action === 'list' && name !== undefined) throw createUsageError('collections list takes no NAME')
    const hasSettings = [options.dimension, metric, conflict, options.priority].some(given => given !== undefined)
    if (hasSettings && action !== 'create' && action !== 'set') {
      throw createUsageError('--dimension, --metric, --conflict and --priority go with collections create and set')
    }
    if (action === 'set' && !hasSettings) throw createUsageError('collections set needs --dimension, --metric, --conflict or --priority')
    if (action === 'list') return list(await connect(), json)
    if (name === undefined) throw createUsageError(`collections ${action} needs NAME`)
    if (action === 'delete') {
      await (await connect()).send('DELETE', collectionPath(name))
      return json ? printJson({ name }) : print(`deleted ${name}`)
    }
    const priority = parsePriority(options.priority)
    const dimension = parseWholeNumber('dimension', options.dimension, 1, dimensionMax)
    const api = await connect()
    // Setting is creating what is there already: the agent takes what was not set, and refuses what was set otherwise.
    if (action === 'set') await api.getObject(collectionPath(name))
    const { status, body } = await api.send('POST', '/api/collections', {
      body: JSON.stringify({ name, dimension, metric, conflict, priority }),
    })
    return json
      ? printJson(body)
      : print(status === 201 ? `created ${name}` : `${name} ${action === 'set' ? 'has' : 'exists with'} these settings`)
  },
})

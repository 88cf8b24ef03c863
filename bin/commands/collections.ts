import { collectionPath } from '../api-client.ts'
import { createUsageError, parseWholeNumber } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatBytes, formatCount, formatDuration, formatText, formatTime, shorten } from '../words.ts'
import type { ApiClient } from '../api-client.ts'
import type { Column } from '../table.ts'

const columns: readonly Column<Readonly<Record<string, unknown>>>[] = [
  { title: 'COLLECTION', cell: collection => formatText(collection['name']) },
  { title: 'RECORDS', align: 'right', cell: collection => formatCount(collection['record_count']) },
  { title: 'VECTORS', align: 'right', cell: collection => formatCount(collection['vector_count']) },
  { title: 'DIMENSION', align: 'right', cell: collection => formatCount(collection['dimension']) },
  { title: 'METRIC', cell: collection => formatText(collection['metric']) },
  { title: 'CONFLICT', cell: collection => formatText(collection['conflict']) },
  { title: 'SYNC', cell: collection => formatText(collection['sync']) },
  { title: 'KEEPS', cell: collection => formatRetention(collection['retention']) },
  { title: 'PRIORITY', align: 'right', cell: collection => formatCount(collection['priority']) },
  { title: 'DIGEST', cell: collection => shorten(collection['digest']) },
  { title: 'CREATED', cell: collection => formatTime(collection['created_at']) },
]

/** `7d, 1000 records`; everything where there is no retention. */
function formatRetention(retention: unknown): string {
  if (typeof retention !== 'object' || retention === null) return 'all'
  const { ttl_ms: ttlMs, max_records: records, max_bytes: bytes } = retention as Readonly<Record<string, unknown>>
  const parts = [
    ...(typeof ttlMs === 'number' ? [formatDuration(ttlMs)] : []),
    ...(records === undefined ? [] : [`${formatCount(records)} records`]),
    ...(bytes === undefined ? [] : [formatBytes(bytes)]),
  ]
  return parts.join(', ')
}

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

interface LocalOptions {
  readonly sync?: string
  readonly ttl?: string
  readonly 'max-records'?: string
  readonly 'max-bytes'?: string
  readonly 'when-full'?: string
  readonly 'keep-all'?: boolean
}

interface LocalSettings {
  readonly sync?: string | null
  readonly retention?: object | null
}

/** What this node keeps of a collection, as the API takes it; empty when no option says anything of it. */
function readLocal(options: LocalOptions): LocalSettings {
  const { sync, ttl, 'when-full': policy, 'keep-all': keepsAll } = options
  const records = parseWholeNumber('max-records', options['max-records'], 1, 1e15 - 1)
  const bytes = parseWholeNumber('max-bytes', options['max-bytes'], 1024, 1e15 - 1)
  const isBounded = [ttl, records, bytes].some(given => given !== undefined)
  if (keepsAll === true && isBounded) throw createUsageError('--keep-all goes without --ttl, --max-records and --max-bytes')
  if (policy !== undefined && !isBounded) throw createUsageError('--when-full goes with --max-records or --max-bytes')
  return {
    ...(sync === undefined ? {} : { sync: sync === 'default' ? null : sync }),
    ...(keepsAll === true ? { retention: null } : isBounded ? { retention: { ttl, max_records: records, max_bytes: bytes, policy } } : {}),
  }
}

const withoutNull = (local: LocalSettings): object => Object.fromEntries(Object.entries(local).filter(([, value]) => value !== null))

export const collections = defineCommand({
  summary: 'Lists collections; creates one, sets what nobody has set yet, or deletes one',
  details:
    'ACTION is `list` (when left out), `create NAME`, `set NAME` or `delete NAME`. Settings that somebody has set stay as they are: vectors ' +
    'and versions are stored by them. A deletion holds on every replica. With whom a collection is exchanged (--sync) and what is kept of it ' +
    '(--ttl, --max-records, --max-bytes, --when-full, --keep-all) is this node’s own business: it can be changed, and nobody else learns of it.',
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
    sync: {
      type: 'string',
      value: 'DIRECTION',
      doc: 'both, push (only to others), pull (only from others), none; `default` for HS_SYNC_DEFAULT',
      choices: ['both', 'push', 'pull', 'none', 'default'],
    },
    ttl: { type: 'string', value: 'TIME', doc: 'How long records are kept here, such as 12h or 7d' },
    'max-records': { type: 'string', value: 'N', doc: 'How many records are kept here' },
    'max-bytes': { type: 'string', value: 'N', doc: 'How many bytes of records are kept here' },
    'when-full': {
      type: 'string',
      value: 'POLICY',
      doc: 'What happens then: drop_oldest (default), drop_lowest_priority or reject',
      choices: ['drop_oldest', 'drop_lowest_priority', 'reject'],
    },
    'keep-all': { type: 'boolean', doc: 'Keeps everything here from now on' },
    priority: { type: 'string', value: 'N', doc: 'Synced first where it is greater: -100 to 100 (0); it can be set again' },
  },
  examples: [
    'hs-agent collections',
    'hs-agent collections create camera --max-bytes 500000000 --ttl 7d',
    'hs-agent collections set imu --sync push',
    'hs-agent collections create vision --dimension 512 --metric cosine',
    'hs-agent collections set imu --conflict append',
    'hs-agent collections delete vision',
  ],
  run: async ({ args, options, json, connect }) => {
    const { action = 'list', name } = args
    const { metric, conflict } = options
    if (!actions.includes(action)) throw createUsageError(`collections has no action ${JSON.stringify(action)}: ${actions.join(', ')}`)
    if (action === 'list' && name !== undefined) throw createUsageError('collections list takes no NAME')
    const local = readLocal(options)
    const hasShared = [options.dimension, metric, conflict, options.priority].some(given => given !== undefined)
    const hasSettings = hasShared || Object.keys(local).length > 0
    if (hasSettings && action !== 'create' && action !== 'set') {
      throw createUsageError('settings go with collections create and set')
    }
    if (action === 'set' && !hasSettings) throw createUsageError('collections set needs a setting: hs-agent collections --help lists them')
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
    const shared = { name, dimension, metric, conflict, priority, ...(action === 'create' ? withoutNull(local) : {}) }
    const post = (): ReturnType<ApiClient['send']> => api.send('POST', '/api/collections', { body: JSON.stringify(shared) })
    const patch = (): ReturnType<ApiClient['send']> => api.send('PATCH', collectionPath(name), { body: JSON.stringify(local) })
    let { status, body } = action === 'set' && !hasShared ? await patch() : await post()
    if (action === 'set' && hasShared && Object.keys(local).length > 0) ({ status, body } = await patch())
    return json
      ? printJson(body)
      : print(status === 201 ? `created ${name}` : `${name} ${action === 'set' ? 'has' : 'exists with'} these settings`)
  },
})

import { isObject, type ApiClient } from '../api-client.ts'
import { createUsageError, parseWholeNumber, readWholeNumber } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { AgentError } from '../../agent/errors.ts'
import { renderTable } from '../table.ts'
import { paint, print, printError, printJson, printable, terminalWidth } from '../terminal.ts'
import { formatBytes, formatCount, formatText, formatTime } from '../words.ts'
import type { Column } from '../table.ts'

type Row = Readonly<Record<string, unknown>>

const actions = ['list', 'import', 'retry', 'drop'] as const
const limitDefault = 100
const limitMax = 1_000
/** Failures that are printed; all are counted. */
const failuresShownMax = 20

const versionOf = ({ record }: Row): Row => {
  const version = isObject(record) ? record['version'] : undefined
  return isObject(version) ? version : {}
}

const columns: readonly Column<Row>[] = [
  { title: 'ID', align: 'right', cell: row => formatText(row['id']) },
  { title: 'REASON', cell: row => formatText(row['reason']) },
  { title: 'COLLECTION', cell: row => formatText(row['collection']) },
  { title: 'KEY', cell: row => formatText(row['key']) },
  { title: 'BYTES', align: 'right', cell: row => formatBytes(row['bytes']) },
  { title: 'WRITTEN', cell: row => formatTime(versionOf(row)['time']) },
]

interface Page {
  readonly count: unknown
  readonly items: readonly Row[]
  readonly cursor: number | undefined
}

async function readPage(api: ApiClient, collection: string | undefined, limit: number, cursor: number): Promise<Page> {
  const query = new URLSearchParams({ limit: String(limit), cursor: String(cursor), ...(collection === undefined ? {} : { collection }) })
  const page = await api.getObject(`/api/quarantine?${query.toString()}`)
  const items = Array.isArray(page['items']) ? page['items'].filter(isObject) : []
  return { count: page['count'], items, cursor: typeof page['cursor'] === 'number' ? page['cursor'] : undefined }
}

/** The ids that were named, or all of a collection or of the quarantine, page by page: each page is asked for when the last one is dealt with. */
async function* selectIds(api: ApiClient, id: number | undefined, collection: string | undefined): AsyncGenerator<readonly number[]> {
  if (id !== undefined) return yield [id]
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const page: Page = await readPage(api, collection, limitMax, cursor)
    if (page.items.length > 0) yield page.items.map(item => Number(item['id']))
    cursor = page.cursor
  }
}

export const quarantine = defineCommand({
  summary: 'Lists what this agent could not take, and imports, retries or drops it',
  details:
    'ACTION is `list` (when left out), `import`, `retry` or `drop`; the last three take an ID, --collection NAME, or --all. Versions get here when their ' +
    'collection was deleted and the deletion had not seen them (import writes them as new records), or when a peer sent what this version does not ' +
    'understand (retry it after an upgrade). What cannot be imported or applied stays.',
  positionals: ['[action]', '[id]'],
  choices: { action: actions },
  options: {
    collection: { type: 'string', value: 'NAME', doc: 'Only what was written to this collection', choices: 'collections' },
    all: { type: 'boolean', doc: 'Everything in quarantine' },
    into: { type: 'string', value: 'NAME', doc: 'Import into this collection instead', choices: 'collections' },
    create: { type: 'boolean', doc: 'Make the collection where there is none' },
    overwrite: { type: 'boolean', doc: 'Write over records that are there' },
    limit: { type: 'string', value: 'N', doc: `How many to list (${limitDefault})` },
  },
  examples: ['hs-agent quarantine', 'hs-agent quarantine import --collection notes --create', 'hs-agent quarantine drop 17'],
  run: async ({ args, options, json, connect }) => {
    const { action = 'list' } = args
    const { collection, all, into, create, overwrite } = options
    const known = actions.find(candidate => candidate === action)
    if (known === undefined) throw createUsageError(`quarantine has no action ${JSON.stringify(action)}: ${actions.join(', ')}`)
    const id = args.id === undefined ? undefined : readWholeNumber('ID', args.id, 1, Number.MAX_SAFE_INTEGER)
    const limit = parseWholeNumber('limit', options.limit, 1, limitMax) ?? limitDefault
    const isImport = known === 'import'
    if (!isImport && (into !== undefined || create === true || overwrite === true)) {
      throw createUsageError('--into, --create and --overwrite go with quarantine import')
    }
    if (known === 'list') {
      if (id !== undefined || all === true) throw createUsageError('quarantine list takes neither ID nor --all')
      const page = await readPage(await connect(), collection, limit, 0)
      if (json) return printJson(page.items)
      if (page.items.length === 0) return print('Nothing is in quarantine.')
      const more = page.cursor === undefined ? '' : `\n${formatCount(page.count)} in all; --limit shows more.`
      return print(renderTable(page.items, columns, { paint, widthMax: terminalWidth() }) + more)
    }
    if (options.limit !== undefined) throw createUsageError('--limit goes with quarantine list')
    const given = [id !== undefined, collection !== undefined, all === true].filter(Boolean).length
    if (given !== 1) throw createUsageError(`quarantine ${known} needs one of ID, --collection NAME and --all`)

    const api = await connect()
    let done = 0
    const failed: Row[] = []
    for await (const ids of selectIds(api, id, collection)) {
      const selection = isImport ? { ids, into, create, overwrite } : { ids }
      const { body } = await api.send('POST', `/api/quarantine/${known}`, { body: JSON.stringify(selection) })
      if (!isObject(body)) continue
      done += Number(body['done'])
      if (Array.isArray(body['failed'])) failed.push(...body['failed'].filter(isObject))
    }
    const past = { import: 'imported', retry: 'applied', drop: 'dropped' }[known]
    if (json) printJson({ done, failed })
    else print(`${past} ${formatCount(done)}`)
    if (failed.length === 0) return
    for (const { id: stays, detail } of failed.slice(0, failuresShownMax))
      printError(printable(`${formatText(stays)}: ${formatText(detail)}`))
    throw new AgentError('HS_PRECONDITION_FAILED', `${failed.length} stay in quarantine`)
  },
})

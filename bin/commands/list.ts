import { collectionPath, formatQuery, isObject } from '../api-client.ts'
import { parseWholeNumber } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { formatContent } from '../content.ts'
import { rangeOptions } from '../range.ts'
import { renderTable } from '../table.ts'
import { paint, print, printError, printJson, terminalWidth } from '../terminal.ts'
import { formatText, formatTime } from '../words.ts'
import type { Column } from '../table.ts'

type Entry = Readonly<Record<string, unknown>>

/** The agent lists no more at once. */
const limitMax = 1000
const columns: readonly Column<Entry>[] = [
  { title: 'KEY', cell: entry => formatText(entry['key']) },
  { title: 'WRITTEN', cell: entry => formatTime(isObject(entry['version']) ? entry['version']['time'] : undefined) },
  { title: 'CONTENT', cell: formatContent },
]

export const list = defineCommand({
  summary: 'Lists records in the order of their keys',
  details: 'For all records of a large collection, use export.',
  positionals: ['collection'],
  options: {
    ...rangeOptions,
    limit: { type: 'string', value: 'N', doc: `At most so many, up to ${limitMax} (100)` },
    cursor: { type: 'string', value: 'CURSOR', doc: 'Go on where the last list ended' },
    reverse: { type: 'boolean', doc: 'From the last key to the first' },
  },
  examples: ['hs-agent list rovers', 'hs-agent list odometry --prefix robot1/ --limit 10 --reverse'],
  run: async ({ args, options, json, connect }) => {
    const { prefix, from, to, cursor, reverse } = options
    const limit = parseWholeNumber('limit', options.limit, 1, limitMax)
    const path = collectionPath(args.collection, 'records') + formatQuery({ prefix, from, to, limit, cursor, reverse })
    const answer = await (await connect()).getObject(path)
    if (json) return printJson(answer)
    const records = Array.isArray(answer['records']) ? answer['records'].filter(isObject) : []
    if (records.length === 0) return print('No records.')
    print(renderTable(records, columns, { paint, widthMax: terminalWidth() }))
    if (typeof answer['cursor'] === 'string') printError(`There are more: go on with --cursor ${answer['cursor']}`)
  },
})

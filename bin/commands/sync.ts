import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { AgentError } from '../../agent/errors.ts'
import { createUsageError, parseWholeNumber } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { showLive, watchOption } from '../live.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatBytes, formatCount, formatText, formatTime, shorten } from '../words.ts'
import type { ApiClient } from '../api-client.ts'
import type { Cell, Column } from '../table.ts'

type Row = Readonly<Record<string, unknown>>

const pollIntervalMs = 250
const timeoutSecondsDefault = 60
const timeoutSecondsMax = 86_400

function stateCell({ state, in_sync: isInSync }: Row): Cell {
  if (state === 'failed') return { text: 'failed', colour: 'red' }
  if (isInSync === true) return { text: state === 'live' ? 'in sync, live' : 'in sync', colour: 'green' }
  return { text: state === 'syncing' || state === 'live' ? state : 'differs', colour: 'yellow' }
}

const columns: readonly Column<Row>[] = [
  { title: 'PEER', cell: row => shorten(row['peer']) },
  { title: 'COLLECTION', cell: row => formatText(row['collection']) },
  { title: 'STATE', cell: stateCell },
  { title: 'SENT', align: 'right', cell: row => formatCount(row['entries_sent']) },
  { title: 'RECEIVED', align: 'right', cell: row => formatCount(row['entries_received']) },
  { title: 'BYTES OUT', align: 'right', cell: row => formatBytes(row['bytes_sent']) },
  { title: 'BYTES IN', align: 'right', cell: row => formatBytes(row['bytes_received']) },
  { title: 'LAST SYNC', cell: row => formatTime(row['last_sync_at']) },
  { title: 'ERROR', cell: row => (row['error'] === undefined ? '' : formatText(row['error'])) },
]

const render = (rows: readonly Row[]): string =>
  rows.length === 0 ? 'No peer to sync with yet.' : renderTable(rows, columns, { paint, widthMax: terminalWidth() })

/** In sync with every peer, and there is one. */
const isDone = (rows: readonly Row[]): boolean => rows.length > 0 && rows.every(row => row['in_sync'] === true)

async function waitUntilDone(api: ApiClient, timeoutSeconds: number): Promise<readonly Row[]> {
  const deadline = performance.now() + timeoutSeconds * 1000
  for (;;) {
    const rows = await api.getList('/api/sync')
    if (isDone(rows) || performance.now() >= deadline) return rows
    await delay(pollIntervalMs)
  }
}

export const sync = defineCommand({
  summary: 'Syncs with every reachable peer now, and shows how far it is',
  details: 'SENT and RECEIVED count entries. --wait ends once every collection is in sync with every peer, and fails at the deadline.',
  options: {
    wait: { type: 'boolean', doc: 'Wait until all is in sync' },
    watch: watchOption,
    timeout: { type: 'string', value: 'SECONDS', doc: `Deadline of --wait (${timeoutSecondsDefault})` },
  },
  examples: ['hs-agent sync', 'hs-agent sync --wait --timeout 300', 'hs-agent sync --watch'],
  run: async ({ options, json, connect }) => {
    const timeoutSeconds = parseWholeNumber('timeout', options.timeout, 1, timeoutSecondsMax) ?? timeoutSecondsDefault
    if (options.timeout !== undefined && options.wait !== true) throw createUsageError('--timeout goes with --wait')
    if (options.watch === true && options.wait === true) throw createUsageError('--watch and --wait exclude one another')
    const api = await connect()
    await api.send('POST', '/api/sync')
    if (options.watch === true) return showLive({ read: call => api.getList('/api/sync', call), render, essence: rows => rows }, json)
    const rows = await (options.wait === true ? waitUntilDone(api, timeoutSeconds) : api.getList('/api/sync'))
    if (json) printJson(rows)
    else print(render(rows))
    if (options.wait !== true || isDone(rows)) return
    const open = rows.filter(row => row['in_sync'] !== true).length
    const what = rows.length === 0 ? 'no peer was there to sync with' : `${open} of ${rows.length} rows are not in sync`
    throw new AgentError('HS_NOT_IN_SYNC', `after ${timeoutSeconds} s ${what}`)
  },
})

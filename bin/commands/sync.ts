import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { AgentError } from '../../agent/errors.ts'
import { createUsageError, parseWholeNumber } from '../arguments.ts'
import { defineCommand } from '../command.ts'
import { showLive, watchOption } from '../live.ts'
import { renderTable } from '../table.ts'
import { isObject } from '../api-client.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatBytes, formatCount, formatDuration, formatText, formatTime, shorten } from '../words.ts'
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

/** By the rate of the last seconds; at most so long, since what is left is an upper bound. */
function timeLeftCell({ state, remaining_records: records, remaining_bytes: bytes, rate }: Row): string {
  if (state !== 'syncing' || typeof rate !== 'object' || rate === null) return ''
  const { records_per_sec: recordRate, bytes_per_sec: byteRate } = rate as Row
  const over = (left: unknown, perSecond: unknown): string | undefined =>
    typeof left === 'number' && typeof perSecond === 'number' && perSecond > 0 ? formatDuration((left * 1000) / perSecond) : undefined
  return over(records, recordRate) ?? over(bytes, byteRate) ?? '?'
}

const columns: readonly Column<Row>[] = [
  { title: 'PEER', cell: row => shorten(row['peer']) },
  { title: 'COLLECTION', cell: row => formatText(row['collection']) },
  { title: 'STATE', cell: stateCell },
  { title: 'SENT', align: 'right', cell: row => formatCount(row['entries_sent']) },
  { title: 'RECEIVED', align: 'right', cell: row => formatCount(row['entries_received']) },
  { title: 'BYTES OUT', align: 'right', cell: row => formatBytes(row['bytes_sent']) },
  { title: 'BYTES IN', align: 'right', cell: row => formatBytes(row['bytes_received']) },
  { title: 'LEFT', align: 'right', cell: row => (row['state'] === 'syncing' ? formatCount(row['remaining_records']) : '') },
  { title: 'TIME LEFT', align: 'right', cell: timeLeftCell },
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

interface Verification {
  readonly scrub: Row
  readonly rows: readonly Row[]
}

const countOf = (row: Row, name: string): number => (typeof row[name] === 'number' ? row[name] : 0)

/** Asks for a verification and waits until nothing is missing and all is in sync, or for the deadline. */
async function verify(api: ApiClient, timeoutSeconds: number): Promise<Verification> {
  const deadline = performance.now() + timeoutSeconds * 1000
  const scrubOf = async (): Promise<Row> => {
    const { scrub } = await api.getObject('/api/cluster/status')
    return isObject(scrub) ? scrub : {}
  }
  const before = await scrubOf()
  const { body } = await api.send('POST', '/api/sync?verify=1')
  const started = isObject(body) ? body : {}
  for (;;) {
    const now = await scrubOf()
    const isScrubbed = countOf(now, 'verified') >= countOf(started, 'verification')
    const rows = isScrubbed ? await api.getList('/api/sync') : []
    // Without rows nothing differs: what is the same is not exchanged.
    const isWhole = countOf(now, 'missing') === 0 && rows.every(row => row['in_sync'] === true)
    if ((isScrubbed && isWhole) || performance.now() >= deadline) {
      // What this one has found: counters begin with the agent.
      const found = ['rows', 'mended', 'strays', 'sums', 'damaged', 'lost', 'recovered'].map(name => [
        name,
        countOf(now, name) - countOf(before, name),
      ])
      return { scrub: { ...now, ...(Object.fromEntries(found) as Row), is_done: isScrubbed }, rows }
    }
    await delay(pollIntervalMs)
  }
}

function describeScrub(scrub: Row): string {
  const count = (name: string): string => formatCount(scrub[name])
  return [
    `${count('rows')} rows of the store were looked at.`,
    `Made again: ${count('mended')} records' rows, ${count('sums')} sums; ${count('strays')} rows of nothing removed.`,
    `Damaged: ${count('damaged')}; gone: ${count('lost')}, back: ${count('recovered')}, still missing: ${count('missing')}.`,
  ].join('\n')
}

function judgeVerification({ scrub, rows }: Verification, timeoutSeconds: number): void {
  const missing = countOf(scrub, 'missing')
  if (scrub['is_done'] !== true)
    throw new AgentError('HS_NOT_IN_SYNC', `after ${timeoutSeconds} s the store has not been looked at as a whole`)
  if (missing > 0) throw new AgentError('HS_NOT_IN_SYNC', `${missing} records of this store are gone, and no peer has sent them`)
  const open = rows.filter(row => row['in_sync'] !== true).length
  if (open > 0) throw new AgentError('HS_NOT_IN_SYNC', `after ${timeoutSeconds} s ${open} of ${rows.length} rows are not in sync`)
}

export const sync = defineCommand({
  summary: 'Syncs with every reachable peer now, and shows how far it is',
  details:
    'SENT and RECEIVED count entries, LEFT those that the session under way has to move at most. --wait ends once every collection is in sync with every peer, and fails at the deadline. --verify first reads the whole store and holds it against itself, so that peers send again what is gone or damaged; it waits, too.',
  options: {
    wait: { type: 'boolean', doc: 'Wait until all is in sync' },
    verify: { type: 'boolean', doc: 'Verify the whole store first; wait until all is whole' },
    watch: watchOption,
    timeout: { type: 'string', value: 'SECONDS', doc: `Deadline of --wait and --verify (${timeoutSecondsDefault})` },
  },
  examples: ['hs-agent sync', 'hs-agent sync --verify', 'hs-agent sync --wait --timeout 300', 'hs-agent sync --watch'],
  run: async ({ options, json, connect }) => {
    const timeoutSeconds = parseWholeNumber('timeout', options.timeout, 1, timeoutSecondsMax) ?? timeoutSecondsDefault
    const isWaiting = options.wait === true || options.verify === true
    if (options.timeout !== undefined && !isWaiting) throw createUsageError('--timeout goes with --wait and --verify')
    if (options.watch === true && isWaiting) throw createUsageError('--watch excludes --wait and --verify')
    const api = await connect()
    if (options.verify === true) {
      const verification = await verify(api, timeoutSeconds)
      if (json) printJson(verification)
      else print(`${describeScrub(verification.scrub)}\n${render(verification.rows)}`)
      return judgeVerification(verification, timeoutSeconds)
    }
    await api.send('POST', '/api/sync')
    if (options.watch === true)
      return showLive(
        { read: call => api.getList('/api/sync', call), render, essence: rows => rows.map(({ rate: _rate, ...row }) => row) },
        json,
      )
    const rows = await (options.wait === true ? waitUntilDone(api, timeoutSeconds) : api.getList('/api/sync'))
    if (json) printJson(rows)
    else print(render(rows))
    if (options.wait !== true || isDone(rows)) return
    const open = rows.filter(row => row['in_sync'] !== true).length
    const what = rows.length === 0 ? 'no peer was there to sync with' : `${open} of ${rows.length} rows are not in sync`
    throw new AgentError('HS_NOT_IN_SYNC', `after ${timeoutSeconds} s ${what}`)
  },
})

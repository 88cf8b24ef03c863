import { defineCommand } from '../command.ts'
import { paint, print, printable, printJson } from '../terminal.ts'
import { isObject } from '../api-client.ts'
import { formatBytes, formatCount, formatDuration, formatText, formatTime, formatYesNo } from '../words.ts'

type Status = Readonly<Record<string, unknown>>

/** What the table shows, in its order: labels and where their values come from. */
const lines: readonly (readonly [string, (status: Status) => string])[] = [
  ['node', status => `${formatText(status['node_name'])} (${formatText(status['node_id'])})`],
  ['role', status => formatText(status['role'])],
  ['version', status => formatText(status['version'])],
  ['up for', status => formatDuration(typeof status['uptime_secs'] === 'number' ? status['uptime_secs'] * 1000 : undefined)],
  ['clock', status => formatCount(status['logical_clock'])],
  ['epoch', status => formatCount(status['epoch'])],
  ['public key', status => formatText(status['public_key'])],
  ['secured', status => formatYesNo(status['secured'])],
  ['upstream', status => (status['upstream_peer'] === null ? 'none' : formatText(status['upstream_peer']))],
  ['swarm key', status => (Array.isArray(status['swarm_keys']) ? status['swarm_keys'].map(formatKey).join('; ') || 'none' : '-')],
  ['store', status => formatScrub(status['scrub'])],
  ['outage log', status => formatOutageLog(status['outage_log'])],
  ['disk', status => formatDisk(status['disk'])],
  ['written', status => formatWritten(status['disk'])],
  [
    'downstream',
    status => (Array.isArray(status['downstream_peers']) ? status['downstream_peers'].map(formatText).join(', ') || 'none' : '-'),
  ],
]

function formatScrub(scrub: unknown): string {
  if (!isObject(scrub)) return '-'
  const missing = typeof scrub['missing'] === 'number' && scrub['missing'] > 0 ? `${formatCount(scrub['missing'])} records are gone; ` : ''
  const last = scrub['last_pass_at'] === null ? 'not scrubbed yet' : `scrubbed ${formatTime(scrub['last_pass_at'])}`
  return `${missing}${last}`
}

function formatKey(key: Status): string {
  const shared = `${formatCount(key['peers_sealing'])} of ${formatCount(key['peers'])} peers seal with it, ${formatCount(key['peers_holding'])} hold it`
  return `${formatText(key['id'])}${key['seals'] === true ? ' (seals)' : ''}: ${shared}`
}

/** Writes that no other node has acknowledged, kept twice. */
function formatOutageLog(log: unknown): string {
  if (typeof log !== 'object' || log === null) return 'off'
  const { bytes, bytes_max: bytesMax, dropped_writes: dropped } = log as Status
  const lost = dropped === 0 ? '' : `; full: ${formatCount(dropped)} writes are in the database alone`
  return `${formatBytes(bytes)} of ${formatBytes(bytesMax)}${lost}`
}

function formatDisk(disk: unknown): string {
  if (!isObject(disk)) return '-'
  const full = disk['full'] === true ? 'full: new records are refused; ' : ''
  const [free, size, reserve] = [disk['free_bytes'], disk['size_bytes'], disk['reserve_bytes']].map(formatBytes)
  return `${full}${free} of ${size} free, ${reserve} kept in reserve`
}

/** Wear: what the agent has made the system write to the disk. */
function formatWritten(disk: unknown): string {
  if (!isObject(disk) || disk['written_bytes'] === null) return '-'
  const perDay = disk['written_bytes_per_day'] === null ? '' : `, ${formatBytes(disk['written_bytes_per_day'])} a day`
  return `${formatBytes(disk['written_bytes'])} since the start${perDay}`
}

export const status = defineCommand({
  summary: 'Shows the agent: name, role, clock, uptime',
  examples: ['hs-agent status', 'hs-agent status --url http://rover-2:50050 --json'],
  run: async ({ json, connect }) => {
    const status = await (await connect()).getObject('/api/cluster/status')
    if (json) return printJson(status)
    const width = Math.max(...lines.map(([label]) => label.length))
    const double: unknown = status['duplicate_identity']
    if (typeof double === 'object' && double !== null && 'addr' in double) {
      print(paint('red', `another process uses the id of this node: ${printable(formatText(double.addr))}`))
    }
    const warnings: unknown = status['warnings']
    for (const warning of Array.isArray(warnings) ? warnings : []) print(paint('yellow', printable(formatText(warning))))
    for (const [label, show] of lines) print(`${paint('dim', label.padEnd(width))}  ${printable(show(status))}`)
  },
})

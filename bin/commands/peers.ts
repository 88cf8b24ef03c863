import { isObject } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { showLive, watchOption } from '../live.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatCount, formatDuration, formatText, missing, shorten } from '../words.ts'
import type { Call } from '../api-client.ts'
import type { Cell, Column } from '../table.ts'

type Peer = Readonly<Record<string, unknown>>

const statusCell = ({ status }: Peer): Cell => {
  const colour = status === 'alive' ? 'green' : status === 'suspect' ? 'yellow' : 'red'
  return { text: formatText(status), colour }
}

/** How many of the peer's collections have the digest that this agent's have. */
function inSyncCell({ collections, compat }: Peer): Cell | string {
  // A node of another program is listed, and never synced with.
  if (typeof compat === 'string') return { text: `compat: ${formatText(compat)}`, colour: 'yellow' }
  if (!Array.isArray(collections)) return missing
  const inSync = collections.filter(collection => isObject(collection) && collection['in_sync'] === true).length
  return { text: `${inSync} of ${collections.length}`, colour: inSync === collections.length ? 'green' : 'yellow' }
}

const formatMs = (value: unknown): string => (typeof value === 'number' ? `${Math.round(value)} ms` : missing)

const columns: readonly Column<Peer>[] = [
  { title: 'PEER', cell: peer => formatText(peer['node_name']) },
  { title: 'ID', cell: peer => shorten(peer['node_id']) },
  { title: 'STATUS', cell: statusCell },
  { title: 'ROLE', cell: peer => formatText(peer['role']) },
  { title: 'ADDRESS', cell: peer => formatText(peer['addr']) },
  { title: 'SEEN', align: 'right', cell: peer => formatDuration(peer['last_seen_ago_ms']) },
  { title: 'RTT', align: 'right', cell: peer => formatMs(peer['rtt_ms']) },
  { title: 'CLOCK SKEW', align: 'right', cell: peer => formatMs(peer['clock_skew_ms']) },
  { title: 'CLOCK', align: 'right', cell: peer => formatCount(peer['logical_clock']) },
  { title: 'IN SYNC', cell: inSyncCell },
]

type Answer = Readonly<Record<string, unknown>>

const peersOf = (answer: Answer): readonly Peer[] => (Array.isArray(answer['peers']) ? answer['peers'].filter(isObject) : [])

function render(answer: Answer): string {
  const peers = peersOf(answer)
  if (answer['gossip_enabled'] === false) return 'Gossip is off: set HS_GOSSIP_PORT or HS_GOSSIP_PEERS to find peers.'
  return peers.length === 0 ? 'No peers yet.' : renderTable(peers, columns, { paint, widthMax: terminalWidth() })
}

/** Without what changes with every packet. */
const essence = (answer: Answer): unknown =>
  peersOf(answer).map(
    ({ last_seen_secs: _secs, last_seen_ago_ms: _ago, departed_ago_ms: _departed, rtt_ms: _rtt, clock_skew_ms: _skew, ...rest }) => rest,
  )

export const peers = defineCommand({
  summary: 'Lists the peers that the agent knows, and whether their data is the same',
  details:
    'SEEN is how long ago the agent last heard of a peer; IN SYNC how many of its collections have equal digests, or `compat` and the ' +
    'program that a node belongs to which is only listed (HS_GOSSIP_COMPAT).',
  options: { all: { type: 'boolean', doc: 'Also those that died or left, as far as they are remembered' }, watch: watchOption },
  examples: ['hs-agent peers', 'hs-agent peers --all', 'hs-agent peers --watch'],
  run: async ({ options, json, connect }) => {
    const api = await connect()
    const read = (call?: Call): Promise<Answer> => api.getObject(options.all === true ? '/api/swarm/peers?all=1' : '/api/swarm/peers', call)
    if (options.watch === true) return showLive({ read, render, essence }, json)
    const answer = await read()
    return json ? printJson(answer) : print(render(answer))
  },
})

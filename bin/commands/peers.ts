import { isObject } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatCount, formatDuration, formatText, missing, shorten } from '../words.ts'
import type { Cell, Column } from '../table.ts'

type Peer = Readonly<Record<string, unknown>>

const statusCell = ({ status }: Peer): Cell => {
  const colour = status === 'alive' ? 'green' : status === 'suspect' ? 'yellow' : 'red'
  return { text: formatText(status), colour }
}

/** How many of the peer's collections have the digest that this agent's have. */
function inSyncCell({ collections }: Peer): Cell | string {
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

export const peers = defineCommand({
  summary: 'Lists the peers that the agent knows, and whether their data is the same',
  details: 'SEEN is how long ago the agent last heard of a peer; IN SYNC how many of its collections have equal digests.',
  examples: ['hs-agent peers'],
  run: async ({ json, connect }) => {
    const answer = await (await connect()).getObject('/api/swarm/peers')
    if (json) return printJson(answer)
    const peers = Array.isArray(answer['peers']) ? answer['peers'].filter(isObject) : []
    if (answer['gossip_enabled'] === false) return print('Gossip is off: set HS_GOSSIP_PORT or HS_GOSSIP_PEERS to find peers.')
    if (peers.length === 0) return print('No peers yet.')
    return print(renderTable(peers, columns, { paint, widthMax: terminalWidth() }))
  },
})

import { isObject } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../table.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import { formatCount, formatText, shorten } from '../words.ts'
import type { Cell, Column } from '../table.ts'

type Replica = Readonly<Record<string, unknown>>

function standingCell({ self, evicted }: Replica): Cell {
  if (evicted === true) return { text: 'evicted', colour: 'red' }
  return self === true ? { text: 'this agent', colour: 'green' } : { text: 'enrolled', colour: 'green' }
}

/** Writes that it is not known to have, of all collections together. */
const missingOf = ({ collections }: Replica): number =>
  (Array.isArray(collections) ? collections.filter(isObject) : []).reduce((sum, { missing }) => sum + (Number(missing) || 0), 0)

const columns: readonly Column<Replica>[] = [
  { title: 'NODE', cell: replica => formatText(replica['node_id']) },
  { title: 'STORE', cell: replica => shorten(replica['store_id']) },
  { title: 'STANDING', cell: standingCell },
  { title: 'NOT ACKNOWLEDGED', align: 'right', cell: replica => formatCount(missingOf(replica)) },
]

export const replicas = defineCommand({
  summary: 'Lists the replicas that deletes wait for before they are forgotten',
  details:
    'NOT ACKNOWLEDGED counts the writes known here that a replica is not known to have. A replica that will not come back keeps deletes from ' +
    'being forgotten for ever: hs-agent evict NODE.',
  examples: ['hs-agent replicas'],
  run: async ({ json, connect }) => {
    const rows = await (await connect()).getList('/api/swarm/replicas')
    if (json) return printJson(rows)
    if (rows.length === 0) return print('No replica has enrolled yet: they do when they first sync.')
    return print(renderTable(rows, columns, { paint, widthMax: terminalWidth() }))
  },
})
